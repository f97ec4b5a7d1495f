//! Requests to the page that no browser makes: paths that lead elsewhere, and bodies and headers
//! without an end. A header that trickles is in the tests of the page's listener, whose patience
//! is a minute.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use super::{Bounds, PROMPT, Victim};

/// What a peer sends that sends without end, unless the box hangs up.
const ENDLESS: usize = 64 << 20;

const BOUNDS: Bounds = Bounds { seconds: 20, mebibytes: 16 };

/// Sends a beginning, then `piece` again and again until the box has enough of it. Gives what it
/// answered, and how many bytes of pieces it took.
fn ask(address: SocketAddr, beginning: &str, piece: &[u8]) -> (String, usize) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PROMPT)).expect("an open socket");
    stream.set_write_timeout(Some(PROMPT)).expect("an open socket");
    stream.write_all(beginning.as_bytes()).expect("room for a beginning");
    let mut sent = 0;
    while !piece.is_empty() && sent < ENDLESS && stream.write_all(piece).is_ok() {
        sent += piece.len();
    }
    let mut answer = Vec::new();
    let mut bytes = [0; 4096];
    // A connection that is reset has still what was answered before.
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        answer.extend(&bytes[..count]);
    }
    (String::from_utf8_lossy(&answer).into_owned(), sent)
}

fn get(victim: &Victim, path: &str) -> String {
    let web = victim.daemon.web;
    ask(web, &format!("GET {path} HTTP/1.1\r\nHost: {web}\r\nConnection: close\r\n\r\n"), b"").0
}

#[test]
fn paths_that_lead_elsewhere() {
    let victim = &mut Victim::start("");
    victim.bear("paths that lead elsewhere", &BOUNDS, |victim| {
        for path in [
            "/assets/../../../../../../etc/passwd",
            "/assets/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
            "/assets/..%2f..%2f..%2fetc%2fpasswd",
            "/assets/..%5c..%5cappliance.sqlite",
            "/assets/%2fetc%2fpasswd",
            "/assets/style.css%00.svg",
            "//etc/passwd",
            "/study/1/picture/..%2f..%2fappliance.sqlite",
            "/study/1/series/1/slice/..%2f..%2f..%2f..%2fappliance.sqlite",
        ] {
            let answer = get(victim, path);
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(["303", "400", "404"].contains(&status), "{path}: {answer}");
            assert!(!answer.contains("root:") && !answer.contains("SQLite"), "{path}: {answer}");
        }
        assert!(get(victim, "/assets/style.css").starts_with("HTTP/1.1 200 "));
    });
}

#[test]
fn bodies_and_headers_without_an_end() {
    let victim = &mut Victim::start("");
    let web = victim.daemon.web;
    let form = format!(
        "POST /login HTTP/1.1\r\nHost: {web}\r\nOrigin: http://{web}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\n"
    );
    let chunk = [b"1000\r\n".as_slice(), &[b'a'; 0x1000], b"\r\n"].concat();
    for (name, beginning, piece) in [
        (
            "a body of 1 TiB",
            format!("{form}Content-Length: 1099511627776\r\n\r\n"),
            vec![b'a'; 4096],
        ),
        ("a body in chunks", format!("{form}Transfer-Encoding: chunked\r\n\r\n"), chunk),
        ("headers", form, b"X-Again: and again\r\n".repeat(200)),
        ("an address", "GET /".to_owned(), vec![b'a'; 4096]),
    ] {
        victim.bear(name, &BOUNDS, |_| {
            let (answer, sent) = ask(web, &beginning, &piece);
            assert!(sent < ENDLESS, "{name}: the box takes all of it");
            // The answer may be lost when the box hangs up on what it does not read.
            let status = answer.split(' ').nth(1).unwrap_or("413");
            assert!(["400", "413", "414", "431"].contains(&status), "{name}: {answer}");
        });
    }
}
