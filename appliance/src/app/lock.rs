//! One daemon per data folder, and how to reach it: a locked file that holds its process id.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use super::AppError;

const FILE: &str = "appliance.pid";

/// The data folder belongs to this process while this lives.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "closing the file frees the lock")] File);

/// Takes the data folder, making it when it is not there.
///
/// # Errors
///
/// When another process has it or it cannot be written to.
pub fn lock(data: &Path) -> Result<Lock, AppError> {
    let folder = |source| AppError::Folder { path: data.to_owned(), source };
    fs::create_dir_all(data).map_err(folder)?;
    let path = data.join(FILE);
    let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
    let mut file = open.map_err(folder)?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Err(AppError::Running { path: data.to_owned(), pid: pid(&path) });
    }
    file.set_len(0).map_err(folder)?;
    write!(file, "{}", std::process::id()).map_err(folder)?;
    Ok(Lock(file))
}

fn pid(path: &Path) -> i32 {
    fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// Asks the daemon of a data folder to finish and stop, and waits until it has. Says what
/// happened.
///
/// # Errors
///
/// When it cannot be asked or does not stop in time.
pub fn drain(data: &Path, limit: Duration) -> Result<String, AppError> {
    let path = data.join(FILE);
    let folder = |source| AppError::Folder { path: data.to_owned(), source };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(format!(
                "no appliance has run on {}; is it the right folder?",
                data.display()
            ));
        }
        Err(error) => return Err(folder(error)),
    };
    let is_free = || flock(&file, FlockOperation::NonBlockingLockShared).is_ok();
    if is_free() {
        return Ok("the appliance is not running".to_owned());
    }
    let number = pid(&path);
    let asked = Pid::from_raw(number).map(|pid| kill_process(pid, Signal::TERM));
    if !matches!(asked, Some(Ok(()))) {
        return Err(AppError::NotAsked { pid: number });
    }
    let started = Instant::now();
    while started.elapsed() < limit {
        if is_free() {
            let seconds = started.elapsed().as_secs_f64();
            return Ok(format!("the appliance finished and stopped after {seconds:.1} s"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(AppError::StillRunning { pid: number, seconds: limit.as_secs() })
}
