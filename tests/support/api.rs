//! The JSON interface of a running daemon, for an administrator.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use crate::daemon::Launch;

/// Asks one daemon.
#[derive(Clone, Debug)]
pub struct Api {
    root: String,
    /// Of a program with the rights of an administrator.
    pub token: String,
}

impl Api {
    /// Makes an administrator and a token on the daemon's data, unless a call before did.
    ///
    /// # Errors
    ///
    /// When the program cannot be run, or refuses.
    pub fn new(launch: &Launch, web: SocketAddr) -> io::Result<Self> {
        let kept = launch.data().with_file_name("token");
        let token = fs::read_to_string(&kept).or_else(|_| {
            user(launch, &["add", "tester", "--role", "admin"])?;
            let token = user(launch, &["token", "tester", "tests"])?;
            fs::write(&kept, &token).map(|()| token)
        })?;
        Ok(Self { root: format!("http://{web}/api/v1"), token: token.trim().to_owned() })
    }

    /// What it answers below `/api/v1`.
    ///
    /// # Panics
    ///
    /// When it answers with an error, or no JSON.
    #[must_use]
    pub fn get(&self, path: &str) -> Value {
        let request = ureq::get(format!("{}/{path}", self.root));
        read(path, request.header("Authorization", self.bearer()).call())
    }

    /// Posts JSON.
    ///
    /// # Panics
    ///
    /// When it answers with an error, or no JSON.
    pub fn post(&self, path: &str, body: &Value) -> Value {
        let request = ureq::post(format!("{}/{path}", self.root));
        let request = request.header("Content-Type", "application/json");
        read(path, request.header("Authorization", self.bearer()).send(body.to_string()))
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token)
    }
}

fn read(path: &str, answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Value {
    let mut answer = answer.unwrap_or_else(|why| panic!("{path}: {why}"));
    let text = answer.body_mut().read_to_string().expect("text");
    serde_json::from_str(&text).unwrap_or_else(|why| panic!("{path}: {why}: {text}"))
}

/// Runs `appliance user` on the daemon's data.
///
/// # Errors
///
/// When the program cannot be run, or refuses.
pub fn user(launch: &Launch, arguments: &[&str]) -> io::Result<String> {
    let mut command = Command::new(crate::program("appliance"));
    let output = command.arg("user").args(arguments).arg("--data").arg(launch.data()).output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("{arguments:?}: {output:?}")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
