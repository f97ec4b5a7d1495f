//! The client against a peer that speaks the interface over TCP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use serde_json::{Value, json};

use super::*;

/// What the peer does with one request.
pub(in crate::reports) enum Reply {
    Say(&'static str),
    Status(u16),
    Raw(&'static str),
}

/// Answers one request per reply, then ends; gives back the requests.
pub(in crate::reports) fn serve(replies: Vec<Reply>) -> (String, JoinHandle<Vec<Request>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let peer = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for reply in replies {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                if line.trim().is_empty() {
                    break;
                }
                if let Some(n) = line.to_lowercase().strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            requests.push((head, serde_json::from_slice(&body).unwrap()));
            let (status, body) = match reply {
                Reply::Say(text) => {
                    let message = json!({ "role": "assistant", "content": text });
                    (200, json!({ "choices": [{ "index": 0, "message": message }] }).to_string())
                }
                Reply::Status(status) => (status, "{}".to_owned()),
                Reply::Raw(text) => (200, text.to_owned()),
            };
            let mut stream = stream;
            write!(
                stream,
                "HTTP/1.1 {status} X\r\nlocation: http://127.0.0.1:9/\r\nconnection: close\r\n\
                 content-length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        }
        requests
    });
    (url, peer)
}

fn config(url: &str) -> LanguageModelConfig {
    toml::from_str(&format!("url = {url:?}\nmodel = 'm'\nretries = 1\ntimeout_s = 5")).unwrap()
}

fn report() -> Report {
    Report { findings: "9 mm meningioma. No infarct.".to_owned(), ..Report::default() }
}

/// Head and body.
pub(in crate::reports) type Request = (String, Value);

fn label(replies: Vec<Reply>) -> (Result<Vec<bool>, LlmError>, Vec<Request>) {
    let (url, peer) = serve(replies);
    let rules = Rules::built_in().unwrap();
    let labels = LanguageModel::new(&config(&url)).unwrap().label(&report(), &rules);
    (labels, peer.join().unwrap())
}

#[test]
fn one_question_is_asked_per_diagnosis_that_the_text_mentions() {
    let (labels, requests) = label(vec![Reply::Say("Yes.")]);
    let meningioma = DIAGNOSES.iter().position(|d| *d == "tumor_adult_meningioma").unwrap();
    let labels = labels.unwrap();
    assert_eq!(labels.iter().position(|found| *found), Some(meningioma));
    assert_eq!(labels.iter().filter(|found| **found).count(), 1);
    let (head, body) = &requests[0];
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1"), "{head}");
    assert!(!head.to_lowercase().contains("authorization"), "{head}");
    assert_eq!(body["model"], "m");
    assert_eq!(body["temperature"], 0);
    let question = body["messages"][1]["content"].as_str().unwrap();
    assert_eq!(
        question,
        "Report:\nFINDINGS: 9 mm meningioma. No infarct.\nIMPRESSION: \n\n\
         Does this patient have: meningioma? Answer yes or no."
    );
}

#[test]
fn passing_failures_are_repeated_and_others_are_not() {
    let count = |replies: Vec<Reply>| {
        let (labels, _) = label(replies);
        labels.map(|labels| labels.into_iter().filter(|found| *found).count())
    };
    assert_eq!(count(vec![Reply::Status(503), Reply::Say("**No**")]).unwrap(), 0);
    assert_eq!(count(vec![Reply::Raw("<html>"), Reply::Say("yes")]).unwrap(), 1);
    assert_eq!(
        count(vec![Reply::Say("Probably"), Reply::Say("<think>hm</think> yes")]).unwrap(),
        1
    );
    let error = |replies| {
        let text = count(replies).unwrap_err().to_string();
        // The port of the peer differs from run to run.
        let (head, tail) = text.split_once("127.0.0.1:").unwrap_or((&text, ""));
        format!("{head}{}", tail.trim_start_matches(|c: char| c.is_ascii_digit()))
    };
    assert_eq!(
        error(vec![Reply::Say("maybe"), Reply::Say("yes and no")]),
        "the language model answered 2 times, but not with yes or no"
    );
    assert_eq!(
        error(vec![Reply::Status(500), Reply::Status(429)]),
        "the language model at http:///v1/chat/completions did not answer after 2 attempts: \
         status 429"
    );
    // A wrong key, and a redirection that could lead anywhere.
    for status in [401, 302] {
        assert_eq!(
            error(vec![Reply::Status(status)]),
            format!(
                "the language model at http:///v1/chat/completions refused with status {status}; \
                 check url, model and key_file"
            )
        );
    }
}

#[test]
fn answers_are_kept_and_not_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let key_file = folder.path().join("key");
    std::fs::write(&key_file, "secret\n").unwrap();
    let (url, peer) = serve(vec![Reply::Say("1) 9 mm meningioma\n\n2) Old infarct")]);
    let config = LanguageModelConfig {
        cache: Some(folder.path().join("cache")),
        key_file: Some(key_file),
        ..config(&url)
    };
    let summary = LanguageModel::new(&config).unwrap().summarize(&report()).unwrap();
    assert_eq!(summary, "1. 9 mm meningioma\n2. Old infarct");
    let (head, _) = &peer.join().unwrap()[0];
    assert!(head.to_lowercase().contains("authorization: bearer secret"), "{head}");
    // The peer is gone.
    let again = LanguageModel::new(&config).unwrap().summarize(&report()).unwrap();
    assert_eq!(again, summary);
}

#[test]
fn an_answer_that_is_no_list_is_none() {
    let check = |answer: &str, expected: Option<&str>| {
        assert_eq!(numbered_list(answer).as_deref(), expected, "{answer}");
    };
    check("1. No abnormal finding", Some(NORMAL));
    check("3. A\n7. B", Some("1. A\n2. B"));
    check("Here is the list:\n1. A", None);
    check("1.", None);
    check("", None);
}

#[test]
fn bad_configurations_are_refused() {
    let check = |url: &str, expected: &str| {
        let error = LanguageModel::new(&config(url)).unwrap_err();
        assert_eq!(error.to_string(), expected, "{url}");
    };
    let form = |url: &str| {
        format!(
            "language_model.url is {url:?}; write http:// or https://, a host and a path such as \
             /v1"
        )
    };
    check("10.0.0.1:80/v1", &form("10.0.0.1:80/v1"));
    check("ftp://10.0.0.1/v1", &form("ftp://10.0.0.1/v1"));
    check("http://10.0.0.1@8.8.8.8/v1", &form("http://10.0.0.1@8.8.8.8/v1"));
    check(
        "https://8.8.8.8/v1",
        "language_model.url: 8.8.8.8 is 8.8.8.8, a public address, and reports are patient data; \
         name a server inside the hospital, or set allow_public = true if you may",
    );
    let public = LanguageModelConfig { allow_public: true, ..config("https://8.8.8.8/v1") };
    assert!(LanguageModel::new(&public).is_ok());
    let key_file = Some("no/such/key".into());
    let error = LanguageModel::new(&LanguageModelConfig { key_file, ..config("http://127.0.0.1") });
    assert_eq!(
        error.unwrap_err().to_string(),
        "cannot use no/such/key: No such file or directory (os error 2)"
    );
}
