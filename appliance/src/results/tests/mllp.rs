//! From the queue to an HL7 receiver that takes messages, refuses them, or says nothing.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::super::mllp::ByMllp;
use super::super::oru::Parties;
use super::delivery::{Sender, free_port};

/// Long enough for any machine.
const PATIENT: Duration = Duration::from_secs(60);

/// A receiver that answers as it is told to.
#[derive(Clone)]
struct Receiver {
    port: u16,
    /// Messages as they came, without the bytes around them.
    received: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// `answer` makes of the number of a message, from 1, and its control id what is sent back.
    fn start(answer: impl Fn(usize, &str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let new = Self { port, received: Arc::default() };
        let received = Arc::clone(&new.received);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let Some(message) = read(&mut stream) else { continue };
                let control_id = message.split('|').nth(9).unwrap().to_owned();
                let number = {
                    let mut received = received.lock().unwrap();
                    received.push(message);
                    received.len()
                };
                let answer = answer(number, &control_id);
                if answer.is_empty() {
                    // Until the sender has lost its patience.
                    drop(stream.read_exact(&mut [0]));
                }
                drop(stream.write_all(answer.as_bytes()));
            }
        });
        new
    }

    fn messages(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }

    fn control_ids(&self) -> Vec<String> {
        self.messages().iter().map(|m| m.split('|').nth(9).unwrap().to_owned()).collect()
    }
}

/// What stands between the bytes of a frame; `None` when it is no frame.
fn read(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\x1C\r") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        bytes.push(byte[0]);
    }
    let message = bytes.strip_prefix(b"\x0B")?.strip_suffix(b"\x1C\r")?;
    String::from_utf8(message.to_vec()).ok()
}

fn acknowledgement(code: &str, control_id: &str, more: &str) -> String {
    format!(
        "\x0BMSH|^~\\&|RIS||PRIMA||2026||ACK^R01^ACK|1|P|2.5.1\rMSA|{code}|{control_id}{more}\r\x1C\r"
    )
}

/// Results for a receiver named RIS.
fn sender(port: u16, patience: Duration) -> Sender {
    let sender = Sender::to(&[("RIS", port)]);
    sender.start("RIS", way(port, patience));
    sender
}

fn way(port: u16, patience: Duration) -> ByMllp {
    ByMllp {
        name: "RIS".to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        patience,
        parties: Parties {
            sending_application: "PRIMA".to_owned(),
            sending_facility: "site".to_owned(),
            receiving_application: String::new(),
            receiving_facility: String::new(),
        },
    }
}

#[test]
fn messages_arrive_in_order_and_are_acknowledged() {
    let receiver = Receiver::start(|_, id| acknowledgement("AA", id, ""));
    let sender = sender(receiver.port, PATIENT);
    sender.site.results(1..=5);
    sender.becomes("RIS", [0, 5, 0]);
    let messages = receiver.messages();
    let patients: Vec<_> = messages.iter().map(|m| m.split("PID|1||").nth(1).unwrap()).collect();
    for (number, patient) in (1..).zip(&patients) {
        assert!(patient.starts_with(&format!("MRN{number}|")), "{patient}");
    }
    assert_eq!(patients.len(), 5);
    let mut ids = receiver.control_ids();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 5);
}

#[test]
fn a_refusal_is_counted_and_others_pass() {
    // The first message is refused, however often it comes.
    let refused = Arc::new(Mutex::new(String::new()));
    let first = Arc::clone(&refused);
    let receiver = Receiver::start(move |number, id| {
        let mut first = first.lock().unwrap();
        if number == 1 {
            id.clone_into(&mut first);
        }
        let code = if *first == id { "AE" } else { "AA" };
        acknowledgement(code, id, if code == "AE" { "|no such\norder" } else { "" })
    });
    let sender = sender(receiver.port, PATIENT);
    sender.site.results(1..=3);
    sender.becomes("RIS", [0, 2, 1]);
    let dead = sender.site.store.dead_deliveries(10).unwrap();
    let why = "it answered that the message is in error (AE)";
    assert_eq!((dead[0].last_error.as_str(), dead[0].attempts), (why, 3));
    let of_study = sender.site.store.study_deliveries(dead[0].study_id).unwrap();
    assert_eq!(of_study[0].said, "no such");
    // Nobody reads in the events what the receiver wrote.
    let given_up = || {
        let events = sender.site.store.events(10).unwrap();
        events.into_iter().find(|event| event.level == "error")
    };
    let event = loop {
        match given_up() {
            Some(event) => break event,
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    assert!(event.text.ends_with(&format!(": {why}")), "{}", event.text);
    let ids = receiver.control_ids();
    assert_eq!(ids.iter().filter(|id| **id == *refused.lock().unwrap()).count(), 3, "{ids:?}");
}

#[test]
fn a_message_that_is_never_acknowledged_is_given_up() {
    let receiver = Receiver::start(|_, _| String::new());
    let sender = sender(receiver.port, Duration::from_millis(50));
    sender.site.results(1..=1);
    sender.becomes("RIS", [0, 0, 1]);
    let dead = sender.site.store.dead_deliveries(10).unwrap();
    assert_eq!((dead[0].last_error.as_str(), dead[0].attempts), ("no acknowledgement in 0 s", 3));
    assert!(sender.outages.now().is_empty(), "it can be reached");
}

#[test]
fn what_a_failure_left_half_sent_is_sent() {
    let receiver = Receiver::start(|_, id| acknowledgement("AA", id, ""));
    let sender = Sender::to(&[("RIS", receiver.port)]);
    sender.site.results(1..=1);
    assert!(sender.site.store.begin_delivery("RIS").unwrap().is_some());
    sender.start("RIS", way(receiver.port, PATIENT));
    sender.becomes("RIS", [0, 1, 0]);
}

#[test]
fn nobody_listens() {
    let port = free_port();
    let sender = sender(port, PATIENT);
    sender.site.results(1..=1);
    while sender.outages.now().is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    sender.becomes("RIS", [1, 0, 0]);
    let said = sender.outages.now().remove("RIS").unwrap().said;
    assert!(said.starts_with(&format!("cannot connect to 127.0.0.1:{port}: ")), "{said}");
}

/// Given up with these words.
#[track_caller]
fn dies(answer: fn(&str) -> String, expected: &str) {
    let receiver = Receiver::start(move |_, id| answer(id));
    let sender = sender(receiver.port, PATIENT);
    sender.site.results(1..=1);
    sender.becomes("RIS", [0, 0, 1]);
    assert_eq!(sender.site.store.dead_deliveries(10).unwrap()[0].last_error, expected);
}

#[test]
fn answers_that_are_none() {
    dies(|_| "\x0BMSH|^~\\&|RIS".to_owned(), "it hung up before it acknowledged");
    dies(|_| "\x0BMSA\x1C\r".to_owned(), "what it answered is no acknowledgement");
    dies(|_| acknowledgement("AA", "7", ""), "it acknowledged another message");
    dies(
        |id| acknowledgement("AR", id, "\rERR|||207^Application internal error|E||||disk full"),
        "it rejected the message (AR)",
    );
    // Other separators, and no text.
    dies(|id| acknowledgement("CR", id, "").replace('|', "!"), "it rejected the message (CR)");
}
