//! Tells systemd that the daemon works (`sd_notify(3)`), because it saw it work: receiving, the
//! database and the analysis must each have moved. One that hangs keeps the word back, and systemd
//! starts the daemon again.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use firmware_config::WORKING;
use sd_notify::NotifyState;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::inference::task::Promise;
use crate::store::Store;

/// Pause after something did not move.
const AGAIN: Duration = Duration::from_secs(1);

/// What has to move.
pub(super) struct Watchdog {
    /// Where this box receives.
    pub(super) receive: SocketAddr,
    pub(super) store: Arc<Store>,
    pub(super) engine: Promise,
}

impl Watchdog {
    /// Says that the daemon is ready, and goes on saying that it works for as long as it does.
    /// Without systemd there is nobody to tell.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        say(&[NotifyState::Ready]);
        let mut usec = 0;
        if !sd_notify::watchdog_enabled(false, &mut usec) {
            return;
        }
        // What moves again within half of the time after which systemd gives up is only slow.
        let patience = Duration::from_micros(usec);
        while !shutdown.is_cancelled() {
            let pause = match self.look(patience / 2).await {
                Ok(()) => {
                    say(&[NotifyState::Watchdog, NotifyState::Status(WORKING)]);
                    patience / 4
                }
                Err(hangs) => {
                    tracing::error!("{hangs} does not move; systemd will start this again");
                    say(&[NotifyState::Status(hangs)]);
                    AGAIN
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = sleep(pause) => {}
            }
        }
        say(&[NotifyState::Stopping]);
    }

    /// Sees each of the three move; the name of the first that does not.
    async fn look(&self, limit: Duration) -> Result<(), &'static str> {
        let received = timeout(limit, knock(self.receive)).await;
        if !matches!(received, Ok(Ok(()))) {
            return Err("receiving");
        }
        let store = Arc::clone(&self.store);
        // A full disk answers too: with an error, which the page "System" shows.
        let written = tokio::task::spawn_blocking(move || drop(store.note_time()));
        if timeout(limit, written).await.is_err() {
            return Err("the database");
        }
        if self.engine.is_broken() {
            return Err("the analysis");
        }
        Ok(())
    }
}

/// Connects and hangs up without a word; the receiver has seen it when it hangs up too.
async fn knock(address: SocketAddr) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.shutdown().await?;
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

fn say(what: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, what) {
        tracing::warn!(%error, "systemd does not take notice");
    }
}

#[cfg(test)]
mod tests;
