//! Each of the three, hanging.

use std::sync::mpsc;

use tokio::net::TcpListener;

use super::*;
use crate::clock::SystemClock;

const LIMIT: Duration = Duration::from_millis(200);

/// Accepts and hangs up, as the receiver does.
async fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    address
}

fn store(folder: &tempfile::TempDir) -> Arc<Store> {
    let path = folder.path().join("prima.sqlite");
    Arc::new(Store::open(&path, Arc::new(SystemClock::new())).unwrap())
}

#[tokio::test]
async fn what_hangs_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut dog =
        Watchdog { receive: receiver().await, store: store(&folder), engine: Promise::default() };
    assert_eq!(dog.look(LIMIT).await, Ok(()));

    // The kernel accepts for a program that hangs; nobody answers.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let heard = std::mem::replace(&mut dog.receive, deaf.local_addr().unwrap());
    assert_eq!(dog.look(LIMIT).await, Err("receiving"));
    dog.receive = heard;

    let (held, release) = (Arc::clone(&dog.store), mpsc::channel::<()>());
    let (holds, held_now) = mpsc::channel();
    let holder = std::thread::spawn(move || {
        held.hold_for_tests(|| {
            holds.send(()).unwrap();
            release.1.recv().unwrap();
        });
    });
    held_now.recv().unwrap();
    assert_eq!(dog.look(LIMIT).await, Err("the database"));
    release.0.send(()).unwrap();
    holder.join().unwrap();
    assert_eq!(dog.look(LIMIT).await, Ok(()));

    dog.engine.within(Duration::ZERO);
    assert_eq!(dog.look(LIMIT).await, Err("the analysis"));
    dog.engine.within(LIMIT);
    assert_eq!(dog.look(LIMIT).await, Ok(()));
}
