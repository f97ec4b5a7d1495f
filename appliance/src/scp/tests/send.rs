//! C-STORE as SCU: from one box to another.

use super::*;
use crate::scp::{OpenError, Outgoing, SendError};

const EXPLICIT: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;

fn object(sop_uid: &str, data_set: Vec<u8>) -> Outgoing {
    Outgoing {
        sop_class: MR.to_owned(),
        sop_instance: sop_uid.to_owned(),
        transfer_syntax: EXPLICIT.to_owned(),
        data_set,
    }
}

fn destination(receiver: &Receiver) -> Destination {
    let port = receiver.address().port();
    Destination { host: "127.0.0.1".to_owned(), port, tls: false }
}

#[test]
fn objects_arrive_as_they_are() {
    let (ours, theirs) = (receiver(|_| ()), receiver(|_| ()));
    let objects = [object("1.2.9", image("1.2.9", 10)), object("1.2.8", image("1.2.8", 300_000))];
    ours.block_on(async {
        let to = destination(&theirs);
        let mut sender =
            ours.scp.sender(&to, ("PRIMA", "PACS"), &[(MR, &[EXPLICIT])]).await.unwrap();
        for object in &objects {
            sender.store(object).await.unwrap();
        }
        // The same again is no new object, and no error.
        sender.store(&objects[0]).await.unwrap();
        sender.release().await;
    });
    for object in &objects {
        assert_eq!(theirs.stored(&object.sop_instance).as_ref(), Some(&object.data_set));
    }
    theirs.eventually("the end", || theirs.scp.snapshot().open == 0);
    assert_eq!(theirs.scp.snapshot().broken, 0);
}

#[test]
fn what_is_not_taken() {
    let (ours, theirs) = (receiver(|_| ()), receiver(|_| ()));
    #[track_caller]
    fn check(answer: Result<(), SendError>, expected: &str) {
        assert_eq!(answer.unwrap_err().to_string(), expected);
    }
    ours.block_on(async {
        let to = destination(&theirs);
        let other = "1.2.840.10008.5.1.4.1.2.2.1";
        let contexts: [(&str, &[&str]); 2] = [(MR, &[EXPLICIT]), (other, &[EXPLICIT])];
        let mut sender = ours.scp.sender(&to, ("PRIMA", "PACS"), &contexts).await.unwrap();
        check(
            sender.store(&object("1.2.7", image("1.2.9", 10))).await,
            "it refused the object with status A900H",
        );
        let other = Outgoing { sop_class: other.to_owned(), ..object("1.2.7", Vec::new()) };
        check(
            sender.store(&other).await,
            "it does not store objects of class 1.2.840.10008.5.1.4.1.2.2.1 in transfer syntax \
             1.2.840.10008.1.2.1",
        );
        // The association goes on.
        sender.store(&object("1.2.9", image("1.2.9", 10))).await.unwrap();
        sender.release().await;
    });
}

#[test]
fn nobody_there() {
    let ours = receiver(|_| ());
    ours.block_on(async {
        let to = Destination { host: "127.0.0.1".to_owned(), port: 1, tls: false };
        let error =
            ours.scp.sender(&to, ("PRIMA", "PACS"), &[(MR, &[EXPLICIT])]).await.err().unwrap();
        assert_eq!(error.to_string(), "cannot connect to 127.0.0.1:1");
        let to = Destination { tls: true, ..destination(&ours) };
        let error =
            ours.scp.sender(&to, ("PRIMA", "PACS"), &[(MR, &[EXPLICIT])]).await.err().unwrap();
        assert!(matches!(error, OpenError::NoTls), "{error}");
    });
}
