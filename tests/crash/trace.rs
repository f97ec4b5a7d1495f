//! What the daemon asks of the kernel before it answers with success. A SIGKILL leaves the page
//! cache alone, so only a trace can tell whether the bytes were on the disk by then.
//!
//! For every instance the order must be: its bytes, fsync(file), rename, fsync(directory), its
//! row in the database's log, fsync(log), the answer.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tests::sender::Peer;

use super::sender::Receipt;
use super::{Campaign, hexadecimal, optional};

/// Calls that matter. `-yy` prints what a descriptor is, `-s` the UIDs in database pages.
const STRACE: &[&str] = &[
    "strace",
    "-D",
    "-f",
    "-yy",
    "-s",
    "4200",
    "-e",
    "trace=write,writev,pwrite64,sendto,sendmsg,fsync,fdatasync,rename,renameat,renameat2,link,linkat,mkdir,mkdirat",
    "-o",
];

/// A system call, with the lines of the trace on which it began and ended.
#[derive(Debug)]
struct Call<'a> {
    begin: usize,
    end: usize,
    name: &'a str,
    arguments: &'a str,
}

/// The calls of all threads in the order they began. Failed ones are left out.
fn calls(trace: &str) -> Vec<Call<'_>> {
    let mut calls: Vec<Call<'_>> = Vec::new();
    let mut unfinished: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, rest)) = line.trim_start().split_once(' ') else { continue };
        let rest = rest.trim_start();
        if rest.starts_with("<... ") {
            let failed = rest.contains(" = -1 ");
            if let Some(index) = unfinished.remove(thread).filter(|_| !failed) {
                calls[index].end = number;
            }
        } else if let Some((name, arguments)) = rest.split_once('(') {
            let (arguments, end) = match arguments.strip_suffix(" <unfinished ...>") {
                Some(arguments) => {
                    unfinished.insert(thread, calls.len());
                    (arguments, usize::MAX)
                }
                None if arguments.contains(") = -1 ") => continue,
                None => (arguments, number),
            };
            calls.push(Call { begin: number, end, name, arguments });
        }
    }
    // What never ended, or ended badly, did not happen.
    calls.retain(|call| call.end != usize::MAX);
    calls
}

impl Call<'_> {
    fn is_sync(&self, what: &str) -> bool {
        matches!(self.name, "fsync" | "fdatasync") && self.is_on(what)
    }

    fn is_write(&self) -> bool {
        matches!(self.name, "write" | "writev" | "pwrite64" | "sendto" | "sendmsg")
    }

    /// Its descriptor is this file, folder or socket: `7</data/x.part>`.
    fn is_on(&self, what: &str) -> bool {
        let inner = self.arguments.split_once('<').map_or("", |(_, inner)| inner);
        inner.split_once('>').is_some_and(|(path, _)| path.ends_with(what))
            // An address holds an arrow.
            || inner.split_once("]>").is_some_and(|(address, _)| address.ends_with(what))
    }

    /// The paths among its arguments. One that is relative follows the folder it is relative to:
    /// `7</data>, "x.part"`.
    fn paths(&self) -> Vec<String> {
        let mut parts = self.arguments.split('"');
        let mut paths = Vec::new();
        while let (Some(before), Some(path)) = (parts.next(), parts.next()) {
            let folder = before.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
            paths.push(match folder {
                Some((folder, _)) if !path.starts_with('/') => format!("{folder}/{path}"),
                _ => path.to_owned(),
            });
        }
        paths
    }

    /// Old and new path of a rename or link.
    fn moves(&self) -> Option<[String; 2]> {
        let moves = self.name.starts_with("rename") || self.name.starts_with("link");
        moves.then(|| self.paths().try_into().ok())?
    }

    fn makes(&self, folder: &str) -> bool {
        self.name.starts_with("mkdir") && self.paths() == [folder]
    }
}

/// What was answered too early, in words; nothing when all is well.
fn complaints(trace: &str, receipts: &[Receipt]) -> Vec<String> {
    let calls = calls(trace);
    let mut nth: BTreeMap<u16, usize> = BTreeMap::new();
    let mut complaints = Vec::new();
    for receipt in receipts {
        let nth = nth.entry(receipt.port).or_default();
        let missing = missing(&calls, receipt, *nth).err();
        complaints.extend(missing.map(|what| format!("{}: {what}", receipt.sop_uid)));
        *nth += 1;
    }
    complaints
}

/// Fails with the first step that did not happen in its place. `nth` counts the answers on the
/// receipt's connection.
fn missing(calls: &[Call<'_>], receipt: &Receipt, nth: usize) -> Result<(), String> {
    // A P-DATA-TF PDU begins with 4 and 0 (PS3.8 9.3.5).
    let pdata = |call: &Call<'_>| call.is_write() && call.arguments.contains("\"\\4\\0");
    let socket = format!(":{}", receipt.port);
    let answer = calls.iter().filter(|call| pdata(call) && call.is_on(&socket)).nth(nth);
    let answer = answer.ok_or("no answer in the trace")?.begin;

    let digits = hexadecimal(&Sha256::digest(&receipt.sop_uid));
    let name = format!("/{}.dcm", &digits[..32]);
    let renamed = |call: &&Call<'_>| call.moves().is_some_and(|[_, new]| new.ends_with(&name));
    let rename = calls.iter().find(renamed).ok_or("no rename")?;
    let [part, file] = rename.moves().ok_or("no rename")?;
    let last = calls.iter().rfind(|call| call.is_write() && call.is_on(&part));
    let written = last.ok_or("no bytes written")?.end;
    // The end of the first call of this kind that began after `after` and ended before `before`.
    let within = |what: &str, after: usize, before: usize, kind: &dyn Fn(&Call<'_>) -> bool| {
        let fits = |call: &&Call<'_>| call.begin > after && call.end < before && kind(call);
        calls.iter().find(fits).map(|call| call.end).ok_or_else(|| what.to_owned())
    };

    within("no fsync(file) before the rename", written, rename.begin, &|call| call.is_sync(&part))?;
    let folder = file.strip_suffix(&name).unwrap_or_default();
    let what = "no fsync(directory) after the rename and before the answer";
    let mut listed = within(what, rename.end, answer, &|call| call.is_sync(folder))?;
    if let Some(made) = calls.iter().find(|call| call.makes(folder)) {
        let parent = folder.rsplit_once('/').map_or("", |(parent, _)| parent);
        let what = "no fsync of the folder that holds the study's folder before the answer";
        listed = listed.max(within(what, made.end, answer, &|call| call.is_sync(parent))?);
    }
    let row = |call: &Call<'_>| {
        call.is_write() && call.is_on("-wal") && call.arguments.contains(&receipt.sop_uid)
    };
    let row = within("no row before the answer", 0, answer, &row)?;
    let what = "no fsync(log) after the row and before the answer";
    let durable = within(what, row, answer, &|call| call.is_sync("-wal"))?;
    if durable < listed {
        return Err("the row was durable before the file".into());
    }
    Ok(())
}

#[test]
fn success_is_answered_last() {
    if !optional("strace", &["-f", "-o", "/dev/null", "true"]) {
        return;
    }
    let mut campaign = Campaign::new("trace", 3);
    // Nothing but instances writes to the database.
    campaign.launch.settings =
        "assembly.quiet_s = 3600\nassembly.quiet_after_release_s = 3600\n".into();
    let path = campaign.folder().join("trace");
    campaign.launch.wrap = STRACE.iter().map(Into::into).chain([path.clone().into()]).collect();
    let daemon = campaign.launch.start().expect("a daemon that starts");
    let peer = Peer::new(daemon.dicom);
    thread::scope(|scope| {
        for scanner in &mut campaign.crew {
            scope.spawn(|| scanner.complete(&peer, 3).expect("a good connection"));
        }
    });
    let pid = daemon.pid();
    assert!(daemon.stop().expect("an end").success(), "{}", campaign.launch.log());
    let trace = whole_trace(&path, pid);
    let receipts = campaign.receipts().cloned().collect::<Vec<_>>();
    assert_eq!(receipts.len(), 36);
    assert_eq!(complaints(&trace, &receipts), Vec::<String>::new());
}

/// The tracer ends a moment after the daemon.
fn whole_trace(path: &Path, pid: u32) -> String {
    let start = Instant::now();
    loop {
        let trace = fs::read(path).expect("a trace");
        let trace = String::from_utf8_lossy(&trace).into_owned();
        let end = format!("{pid} +++ exited");
        let ended = trace.lines().next_back().is_some_and(|line| {
            line.split_whitespace().eq(end.split_whitespace().chain(["with", "0", "+++"]))
        });
        if ended {
            return trace;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "the trace has no end");
        thread::sleep(Duration::from_millis(20));
    }
}

/// A good trace of one instance, a step on each line.
const GOOD: &[&str] = &[
    r#"7 mkdirat(5</d/studies>, "s", 0777) = 0"#,
    r#"7 fsync(5</d/studies>) = 0"#,
    r#"8 write(9</d/incoming/a.part>, "\0\0", 2) = 2"#,
    r#"8 fsync(9</d/incoming/a.part>) = 0"#,
    r#"8 renameat2(6</d/incoming>, "a.part", 10</d/studies/s>, "NAME.dcm", 0) = 0"#,
    r#"8 fsync(10</d/studies/s> <unfinished ...>"#,
    r#"7 sendto(4<TCP:[127.0.0.1:1->127.0.0.1:9]>, "\2\0\0", 3, 0) = 3"#,
    r#"8 <... fsync resumed>) = 0"#,
    r#"8 pwrite64(3</d/db-wal>, "\r\0002.25.7.1MR", 10, 0) = 10"#,
    r#"8 fdatasync(3</d/db-wal>) = 0"#,
    r#"8 sendto(4<TCP:[127.0.0.1:1->127.0.0.1:9]>, "\4\0\0\0\0T", 6, 0) = 6"#,
];

#[test]
fn a_missing_or_late_step_is_found() {
    let check = |steps: &[&str], expected: &str| {
        let receipt = Receipt { sop_uid: "2.25.7.1".into(), sha256: [0; 32], port: 9 };
        let name = &hexadecimal(&Sha256::digest("2.25.7.1"))[..32];
        let trace = steps.join("\n").replace("NAME", name);
        assert_eq!(complaints(&trace, &[receipt]).join("; "), expected, "{trace}");
    };
    let without = |step: usize| [&GOOD[..step], &GOOD[step + 1..]].concat();
    // A step moved to the end comes after the answer.
    let late = |step: usize| [&without(step)[..], &[GOOD[step]]].concat();
    let swapped = |one: usize, other: usize| {
        let mut steps = GOOD.to_vec();
        steps.swap(one, other);
        steps
    };
    check(GOOD, "");
    let parent = "2.25.7.1: no fsync of the folder that holds the study's folder before the answer";
    check(&without(1), parent);
    check(&late(1), parent);
    check(&without(2), "2.25.7.1: no bytes written");
    let file = "2.25.7.1: no fsync(file) before the rename";
    check(&swapped(2, 3), file);
    check(&without(3), file);
    check(&swapped(3, 4), file);
    check(&late(3), file);
    check(&without(4), "2.25.7.1: no rename");
    let directory = "2.25.7.1: no fsync(directory) after the rename and before the answer";
    check(&without(7), directory);
    check(&late(7), directory);
    check(&late(4), directory);
    check(&without(8), "2.25.7.1: no row before the answer");
    let log = "2.25.7.1: no fsync(log) after the row and before the answer";
    check(&without(9), log);
    check(&late(9), log);
    check(&swapped(8, 9), log);
    check(&without(10), "2.25.7.1: no answer in the trace");
    let failed = GOOD[3].replace("= 0", "= -1 EIO (Input/output error)");
    check(&[&GOOD[..3], &[&failed], &GOOD[4..]].concat(), file);
    let early = [&GOOD[..5], &GOOD[8..10], &GOOD[5..8], &GOOD[10..]].concat();
    check(&early, "2.25.7.1: the row was durable before the file");
}
