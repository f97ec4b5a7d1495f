//! Peers that hold on to what they get: connections, associations, time.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tests::sender::{self, Peer};

use super::wire::{ECHO, LAST_COMMAND, Reply, TOO_MANY, Wire, data, echo_command, echoed};
use super::{Bounds, Victim};

/// Loopback addresses that are other peers than the well-behaved scanner at 127.0.0.1.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// Connections that say nothing take no place from others, and end by themselves.
#[test]
fn idle_connections() {
    let victim = &mut Victim::start("dicom.handshake_limit_s = 2\n");
    victim.bear("idle connections", &Bounds { seconds: 8, mebibytes: 8 }, |victim| {
        let address = victim.daemon.dicom;
        let connect = |_| Wire::connect_from(STRANGER, address).expect("a connection");
        let idle: Vec<Wire> = (0..8).map(connect).collect();
        victim.serve_a_scanner();
        for mut wire in idle {
            let reply = wire.reply();
            assert!(reply.is_end(), "{reply:?}");
        }
    });
}

#[test]
fn idle_associations() {
    let victim = &mut Victim::start("dicom.idle_limit_s = 2\n");
    victim.bear("idle associations", &Bounds { seconds: 8, mebibytes: 8 }, |victim| {
        let address = victim.daemon.dicom;
        let idle: Vec<Wire> = (0..7).map(|_| Wire::associate(address)).collect();
        victim.serve_a_scanner();
        for mut wire in idle {
            assert_eq!(wire.reply(), Reply::Aborted);
        }
    });
}

/// More associations than one peer may have, then more than all may have. Those that are too many
/// are told so, or in a crowd only hung up on.
#[test]
fn more_associations_than_allowed() {
    let victim = &mut Victim::start("");
    victim.bear("140 associations", &Bounds { seconds: 20, mebibytes: 16 }, |victim| {
        let request = sender::request(&Peer::new(victim.daemon.dicom));
        let mut served = Vec::new();
        let mut associate = |source: Ipv4Addr| {
            let mut wire = Wire::connect_from(source, victim.daemon.dicom).expect("a connection");
            let reply = wire.send(&request).map_or(Reply::Closed, |()| wire.reply());
            if reply == Reply::Accepted(2) {
                served.push(wire);
            }
            reply
        };
        let check = |replies: &[Reply], expected: usize| {
            let count = |which: fn(&Reply) -> bool| replies.iter().filter(|r| which(r)).count();
            assert_eq!(count(|reply| *reply == Reply::Accepted(2)), expected, "{replies:?}");
            assert!(count(|reply| *reply == TOO_MANY) >= 8, "{replies:?}");
            assert_eq!(count(|r| *r == TOO_MANY || r.is_end()), replies.len() - expected);
        };
        let one_peer: Vec<Reply> = (0..100).map(|_| associate(STRANGER)).collect();
        check(&one_peer, 8);
        let many: Vec<Reply> =
            (3..43).map(|host| associate(Ipv4Addr::new(127, 0, 0, host))).collect();
        check(&many, 24);
        // Those that are in stay in.
        for wire in &mut served {
            wire.send(&data(ECHO, LAST_COMMAND, &echo_command(1))).expect("an open association");
            assert_eq!(wire.reply(), echoed(1));
        }
    });
}

/// 1,000 connections at 256 descriptors: what killed another receiver at the 247th. A scanner at
/// another address is served while they last.
#[test]
fn a_thousand_connections_at_256_descriptors() {
    let victim = &mut Victim::start("");
    let pid = Pid::from_raw(victim.daemon.pid().cast_signed());
    let limit = Rlimit { current: Some(256), maximum: Some(256) };
    prlimit(pid, Resource::Nofile, limit).expect("our own child");
    victim.bear("1000 connections", &Bounds { seconds: 30, mebibytes: 32 }, |victim| {
        let connect = |_| Wire::connect_from(STRANGER, victim.daemon.dicom).ok();
        let held: Vec<Wire> = (0..1000).filter_map(connect).collect();
        assert!(held.len() > 250, "only {} connections: no flood", held.len());
        victim.serve_a_scanner();
        drop(held);
    });
    victim.bear("1000 connections that speak", &Bounds { seconds: 30, mebibytes: 32 }, |victim| {
        let request = sender::request(&Peer::new(victim.daemon.dicom));
        let speak = |_| {
            let mut wire = Wire::connect_from(STRANGER, victim.daemon.dicom).ok()?;
            wire.send(&request).ok()?;
            Some(wire)
        };
        let held: Vec<Wire> = (0..1000).filter_map(speak).collect();
        assert!(held.len() > 250, "only {} connections: no flood", held.len());
        victim.serve_a_scanner();
    });
    let descriptors = std::fs::read_dir(format!("/proc/{}/fd", victim.daemon.pid()));
    let descriptors = descriptors.expect("a living daemon").count();
    assert!(descriptors < 128, "{descriptors} descriptors are open after the flood");
}

/// Writes a byte a second until the daemon hangs up; for how long it did not.
fn drip(wire: &mut Wire, bytes: &[u8], limit: Duration) -> Duration {
    let begun = Instant::now();
    for byte in bytes.iter().cycle() {
        assert!(begun.elapsed() < limit, "a byte a second is still welcome after {limit:?}");
        if wire.send(&[*byte]).is_err() || wire.reply() != Reply::Silent {
            break;
        }
    }
    begun.elapsed()
}

/// A byte a second is activity, but no progress.
#[test]
fn a_byte_a_second() {
    let victim = &mut Victim::start("dicom.handshake_limit_s = 2\ndicom.idle_limit_s = 2\n");
    let second = Duration::from_secs(1);
    let bounds = Bounds { seconds: 45, mebibytes: 8 };
    victim.bear("a slow request", &bounds, |victim| {
        let mut wire = Wire::connect(victim.daemon.dicom).patient(second);
        let request = sender::request(&Peer::new(victim.daemon.dicom));
        assert!(drip(&mut wire, &request, 5 * second) >= second);
    });
    victim.bear("a slow PDU", &bounds, |victim| {
        let mut wire = Wire::associate(victim.daemon.dicom).patient(second);
        let pdu = data(ECHO, LAST_COMMAND, &echo_command(1));
        assert!(drip(&mut wire, &pdu, 40 * second) >= second);
    });
}

/// Asks and never listens, until the daemon's answers have no room left.
#[test]
fn a_peer_that_never_reads() {
    let victim = &mut Victim::start("dicom.idle_limit_s = 2\n");
    victim.bear("a peer that never reads", &Bounds { seconds: 45, mebibytes: 8 }, |victim| {
        let patience = Duration::from_secs(40);
        let mut wire = Wire::associate(victim.daemon.dicom).patient(patience);
        let echoes = data(ECHO, LAST_COMMAND, &echo_command(1)).repeat(1000);
        let begun = Instant::now();
        // Ends because the daemon hangs up: waiting for room would take our whole patience.
        wire.pour(&echoes, usize::MAX / 2);
        assert!(begun.elapsed() < patience, "the daemon waits for ever");
    });
}

/// Connections that come and go leave nothing open.
#[test]
fn two_thousand_short_connections() {
    let victim = &mut Victim::start("");
    let fds = format!("/proc/{}/fd", victim.daemon.pid());
    let before = std::fs::read_dir(&fds).expect("a living daemon").count();
    victim.bear("2000 short connections", &Bounds { seconds: 20, mebibytes: 8 }, |victim| {
        for _ in 0..2000 {
            drop(Wire::connect_from(STRANGER, victim.daemon.dicom).expect("a connection"));
        }
    });
    let after = std::fs::read_dir(&fds).expect("a living daemon").count();
    assert!(after < before + 16, "{before} descriptors before, {after} after");
}
