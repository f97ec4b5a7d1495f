//! A DICOM object into an archive by C-STORE (PS3.4 annex B, PS3.7 9.1.1): an association for each,
//! in the transfer syntax in which it is here.

use std::io::{self, Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use dicom_core::{DataElement, PrimitiveValue, Tag, VR, dicom_value};
use dicom_dictionary_std::tags;
use dicom_object::{FileMetaTable, InMemDicomObject};
use dicom_transfer_syntax_registry::entries::IMPLICIT_VR_LITTLE_ENDIAN;
use dicom_ul::ClientAssociationOptions;
use dicom_ul::association::client::ClientAssociation;
use dicom_ul::pdu::{PDataValue, PDataValueType, Pdu, PresentationContextResultReason};
use exchange::push::Verdict;

use super::settings::Archive;
use super::{Door, Load};
use crate::fault::chain;

/// Longest wait for a connection, and for anything on it.
const CONNECT: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(60);
/// In front of `DICM` in a file (PS3.10 7.1).
const PREAMBLE: u64 = 128;
/// C-STORE-RQ (PS3.7 E.1).
const STORE: u16 = 0x0001;
/// Of medium priority.
const MEDIUM: u16 = 0x0000;
/// A data set follows the command.
const WITH_DATA_SET: u16 = 0x0001;
/// Of the only message of an association.
const MESSAGE_ID: u16 = 1;

impl Door for Archive {
    fn hand_over(&mut self, load: Load) -> Verdict {
        match load {
            Load::Object { content, .. } => self.store(content),
            Load::Transaction(_) => Verdict::refused("an archive takes objects only", ""),
        }
    }
}

impl Archive {
    fn store(&self, mut content: Box<dyn Read + Send>) -> Verdict {
        let skipped = io::copy(&mut content.by_ref().take(PREAMBLE), &mut io::sink());
        let meta = match (skipped, FileMetaTable::from_reader(&mut content)) {
            (Ok(PREAMBLE), Ok(meta)) => meta,
            (Err(error), _) => return Verdict::Silent(chain(&error)),
            (_, Err(error)) => {
                return Verdict::refused(format!("the object is no DICOM file: {error}"), "");
            }
            (Ok(_), _) => return Verdict::refused("the object is no DICOM file", ""),
        };
        let opened = ClientAssociationOptions::new()
            .calling_ae_title(self.calling_ae_title.as_str())
            .called_ae_title(self.ae_title.as_str())
            .with_presentation_context(
                meta.media_storage_sop_class_uid(),
                vec![meta.transfer_syntax()],
            )
            .connection_timeout(CONNECT)
            .read_timeout(PATIENCE)
            .write_timeout(PATIENCE)
            .establish((self.host.as_str(), self.port));
        let mut association = match opened {
            Ok(association) => association,
            Err(error) => return Verdict::Silent(chain(&error)),
        };
        let accepted = association
            .presentation_contexts()
            .iter()
            .find(|context| context.reason == PresentationContextResultReason::Acceptance);
        let Some(context) = accepted.map(|context| context.id) else {
            // Nothing more is said on it.
            drop(association.abort());
            return Verdict::refused(
                format!(
                    "it does not store objects of class {} in transfer syntax {}",
                    meta.media_storage_sop_class_uid(),
                    meta.transfer_syntax()
                ),
                "",
            );
        };
        match send(&mut association, context, &meta, content) {
            Ok(answer) => {
                // It has answered; how it says goodbye does not matter.
                drop(association.release());
                answer
            }
            // Perhaps for this object alone.
            Err(error) => Verdict::refused(format!("the association broke: {error}"), ""),
        }
    }
}

fn send(
    association: &mut ClientAssociation<TcpStream>,
    context: u8,
    meta: &FileMetaTable,
    mut content: Box<dyn Read + Send>,
) -> Result<Verdict, Box<dyn std::error::Error>> {
    let command = PDataValue {
        presentation_context_id: context,
        value_type: PDataValueType::Command,
        is_last: true,
        data: command(meta)?,
    };
    association.send(&Pdu::PData { data: vec![command] })?;
    let mut writer = association.send_pdata(context);
    io::copy(&mut content, &mut writer)?;
    writer.flush()?;
    writer.finish()?;
    let mut answer = Vec::new();
    loop {
        let Pdu::PData { data } = association.receive()? else {
            return Err("it answered with something else than a message".into());
        };
        let ends = data.iter().any(|value| value.is_last);
        data.iter().for_each(|value| answer.extend_from_slice(&value.data));
        if ends {
            break;
        }
    }
    let implicit = IMPLICIT_VR_LITTLE_ENDIAN.erased();
    let answer = InMemDicomObject::read_dataset_with_ts(answer.as_slice(), &implicit)?;
    let status = answer.element(tags::STATUS)?.to_int()?;
    let comment = answer.element_opt(tags::ERROR_COMMENT)?.map(|element| element.to_str());
    let comment = comment.and_then(Result::ok).unwrap_or_default();
    Ok(verdict(status, &comment))
}

fn command(meta: &FileMetaTable) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let number = |tag: Tag, value: u16| DataElement::new(tag, VR::US, dicom_value!(U16, value));
    let uid = |tag: Tag, value: &str| DataElement::new(tag, VR::UI, PrimitiveValue::from(value));
    let command = InMemDicomObject::command_from_element_iter([
        uid(tags::AFFECTED_SOP_CLASS_UID, meta.media_storage_sop_class_uid()),
        number(tags::COMMAND_FIELD, STORE),
        number(tags::MESSAGE_ID, MESSAGE_ID),
        number(tags::PRIORITY, MEDIUM),
        number(tags::COMMAND_DATA_SET_TYPE, WITH_DATA_SET),
        uid(tags::AFFECTED_SOP_INSTANCE_UID, meta.media_storage_sop_instance_uid()),
    ]);
    let mut bytes = Vec::new();
    command.write_dataset_with_ts(&mut bytes, &IMPLICIT_VR_LITTLE_ENDIAN.erased())?;
    Ok(bytes)
}

/// What a status of a C-STORE-RSP means (PS3.4 B.2.3).
fn verdict(status: u16, comment: &str) -> Verdict {
    match status {
        // Warnings: stored, with elements coerced or dropped.
        0 | 0xB000..=0xBFFF => Verdict::Taken,
        0xA700..=0xA7FF => {
            Verdict::Silent(format!("it is out of resources (status 0x{status:04X})"))
        }
        _ => Verdict::refused(format!("it refused with status 0x{status:04X}"), comment),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_archive_is_no_refusal() {
        assert!([0x0000, 0xB006].iter().all(|status| verdict(*status, "") == Verdict::Taken));
        assert!(matches!(verdict(0xA700, ""), Verdict::Silent(_)));
        let refused = verdict(0xC001, "no such patient");
        let Verdict::Refused { why, said } = refused else { panic!("{refused:?}") };
        assert_eq!(
            (why.as_str(), said.as_str()),
            ("it refused with status 0xC001", "no such patient")
        );
    }

    #[test]
    fn what_is_no_file_is_not_sent() {
        let mut archive = Archive {
            name: "pacs".into(),
            ae_title: "PACS".into(),
            host: "127.0.0.1".into(),
            port: 1,
            calling_ae_title: "HUB".into(),
        };
        for bytes in [&b"DICM"[..], &[0; 500]] {
            let content = Box::new(io::Cursor::new(bytes.to_vec()));
            let load = Load::Object { sha256: "0".repeat(64), content, bytes: 4 };
            let Verdict::Refused { why, .. } = archive.hand_over(load) else { panic!("sent") };
            assert!(why.starts_with("the object is no DICOM file"), "{why}");
        }
    }
}
