//! Peers that are programs of Node.js: where they are, and how they are started.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::{available, repository};

/// Node.js, and the folder in which npm installed these packages; `ops/test` makes both.
pub(super) fn node(packages: &[&str]) -> Option<(String, PathBuf)> {
    let node = std::env::var("PRIMA_PEERS_NODE").unwrap_or_else(|_| "node".into());
    let modules = std::env::var("PRIMA_PEERS_MODULES").unwrap_or_else(|_| ".".into());
    let probe = "const [, modules, ...packages] = process.argv;\
        packages.forEach((name) => require.resolve(name, {paths: [modules]}));";
    let mut command = Command::new(&node);
    command.args(["-e", probe, "--", &modules]).args(packages);
    available(&packages.join(", "), &mut command).then(|| (node, PathBuf::from(modules)))
}

/// A script that runs until its standard input ends, which is held here.
pub(crate) struct Script {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Script {
    /// Starts a script of this folder with the packages that it needs, if they are there.
    pub(crate) fn start(name: &str, packages: &[&str], arguments: &[&str]) -> Option<Self> {
        let (node, modules) = node(packages)?;
        let mut command = Command::new(node);
        command.arg(repository().join("tests/interop").join(name)).arg(modules).args(arguments);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap_or_else(|why| panic!("{name}: {why}"));
        let output = BufReader::new(child.stdout.take().expect("standard output"));
        Some(Self { child, output })
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        assert!(line.ends_with('\n'), "the script ended: {line}");
        line.trim_end().to_owned()
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // It may have ended already, which is what is wanted.
        drop((self.child.kill(), self.child.wait()));
    }
}
