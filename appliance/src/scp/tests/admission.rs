//! Who gets an association, for how long, and what a flood of connections does.

use super::*;
use crate::store::assembly::Periods;

/// What a peer with these titles gets: result, source and reason of an A-ASSOCIATE-RJ.
#[track_caller]
fn rejected(receiver: &Receiver, calling: &str, called: &str) -> [u8; 3] {
    let mut peer = Peer::connect(receiver.address());
    peer.send(&request(calling, called));
    let (kind, bytes) = peer.pdu();
    assert_eq!(kind, 3);
    peer.ended();
    [bytes[1], bytes[2], bytes[3]]
}

#[test]
fn rejections() {
    #[track_caller]
    fn check(access: Access, expected: [u8; 3], event: &str) {
        let receiver = receiver(|config| config.access = access);
        assert_eq!(rejected(&receiver, "SCANNER1", "PRIMA"), expected);
        let expected = format!(
            "an association of \"SCANNER1\" (127.0.0.1) to \"PRIMA\" was rejected: {event}"
        );
        assert_eq!(receiver.events(), [expected]);
        let snapshot = receiver.scp.snapshot();
        assert_eq!((snapshot.accepted, snapshot.rejected), (0, 1));
    }
    let other = || vec!["OTHER".to_owned()];
    let called = Access { called: other(), ..Access::default() };
    check(called, [1, 1, 7], "it calls an AE title that is not ours");
    let calling = Access { calling: other(), ..Access::default() };
    check(calling, [1, 1, 3], "its AE title is not allowed");
    let networks = Access { networks: vec!["192.0.2.0/24".parse().unwrap()], ..Access::default() };
    check(networks, [1, 1, 1], "its address is in none of the allowed networks");
}

#[test]
fn limits_on_associations() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Limits)) {
        let receiver = receiver(|config| change(&mut config.limits));
        let first = receiver.associate();
        let second = receiver.associate();
        assert_eq!(receiver.scp.snapshot().open, 2);
        assert_eq!(rejected(&receiver, "SCANNER1", "PRIMA"), [2, 3, 2]);
        first.release();
        receiver.eventually("end", || receiver.scp.snapshot().open == 1);
        receiver.associate().release();
        second.release();
    }
    check(|limits| limits.associations = 2);
    check(|limits| limits.associations_per_address = 2);
}

#[test]
fn a_flood_of_idle_connections_shuts_nobody_out() {
    let receiver = receiver(|config| {
        config.limits.associations = 8;
        config.limits.associations_per_address = 4;
        config.limits.handshake = Duration::from_millis(300);
    });
    let flood: Vec<_> = (0..500).map(|_| TcpStream::connect(receiver.address()).unwrap()).collect();
    // All but 4 are told no or dropped, and the 4 run into their deadline.
    receiver.eventually("flood", || {
        let snapshot = receiver.scp.snapshot();
        snapshot.rejected + snapshot.broken == 500 && snapshot.open == 0
    });
    let event = "connections of 127.0.0.1 are dropped: too many are open".to_owned();
    assert!(receiver.events().contains(&event), "{:?}", receiver.events());
    receiver.associate().release();
    drop(flood);
}

#[test]
fn deadlines() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Limits), bytes: &[u8], event: &str) {
        let receiver = receiver(|config| change(&mut config.limits));
        let mut peer = receiver.associate();
        peer.send(bytes);
        assert_eq!(peer.aborted(), 0);
        let expected = format!("an association of \"SCANNER1\" (127.0.0.1) broke: {event}");
        assert_eq!(receiver.events(), [expected]);
    }
    let short = Duration::from_millis(50);
    check(|limits| limits.idle = short, b"", "nothing was received for 0 s");
    check(|limits| limits.pdu = short, b"\x04\0\0", "a PDU took longer than 0 s");
    check(|limits| limits.pdu = short, b"\x04\0\0\0\x10\0xxx", "a PDU took longer than 0 s");
    check(|limits| limits.association = short, b"", "the association was open for 0 h");
}

#[test]
fn a_silent_connection_is_closed() {
    let receiver = receiver(|config| config.limits.handshake = Duration::from_millis(50));
    let mut peer = Peer::connect(receiver.address());
    peer.ended();
    receiver.eventually("event", || receiver.scp.snapshot().open == 0);
}

#[test]
fn draining_waits_and_then_aborts() {
    let receiver = receiver(|_| ());
    let (mut first, mut second) = (receiver.associate(), receiver.associate());
    assert_eq!(first.store("1.2.9", &image("1.2.9", 10)), 0);
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| {
            receiver.block_on(receiver.scp.drain(Duration::from_millis(500)));
        });
        // The port closes at once; what is open goes on.
        receiver.eventually("closed", || TcpStream::connect(receiver.address()).is_err());
        assert_eq!(first.store("1.2.10", &image("1.2.10", 10)), 0);
        first.release();
        assert_eq!(second.aborted(), 0);
        drained.join().unwrap();
    });
    assert_eq!(receiver.scp.snapshot().open, 0);
    assert!(receiver.stored("1.2.10").is_some());
}

#[test]
fn releases_are_noted() {
    let receiver = receiver(|_| ());
    let mut peer = receiver.associate();
    assert_eq!(peer.store("1.2.9", &image("1.2.9", 10)), 0);
    let study = receiver.store.instance("1.2.9").unwrap().unwrap().study_id;
    peer.release();
    // Without the release the study would be open for a day.
    let day = 86_400_000;
    let periods = Periods { quiet: day, after_release: 0, all_announced: day, partial: day };
    let mut completed = Vec::new();
    receiver.eventually("complete", || {
        completed = receiver.store.complete_due(periods).unwrap();
        !completed.is_empty()
    });
    assert_eq!(completed.iter().map(|c| c.study_id).collect::<Vec<_>>(), [study]);
}

#[test]
fn tls_settings_that_cannot_work() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut Tls), expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let mut tls = Tls {
            port: 0,
            certificate: path("box.pem", "no PEM"),
            key: path("box.key", ""),
            authorities: None,
            fingerprints: Vec::new(),
        };
        change(&mut tls);
        let error = tls::acceptor(&tls).map(|_| ()).unwrap_err();
        let text = crate::fault::chain(&error);
        assert_eq!(text.replace(&format!("{}/", folder.path().display()), ""), expected);
    }
    check(|_| (), "box.pem holds no certificate");
    let missing = |tls: &mut Tls| tls.certificate = "/nowhere/box.pem".into();
    check(
        missing,
        "/nowhere/box.pem has no certificate that can be read (PEM)\n  because: \
                    I/O error: No such file or directory (os error 2)",
    );
    let listed = |tls: &mut Tls| tls.fingerprints = vec![[7; 32]];
    check(
        listed,
        "fingerprints are listed without authorities; peers would not show a certificate",
    );
    let authorities = |tls: &mut Tls| tls.authorities = Some(tls.key.clone());
    check(authorities, "box.key holds no certificate");
}
