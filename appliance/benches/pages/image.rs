//! Small images, as a scanner would send them but for their pixels.

use appliance::archive::{Archive, Offer, Outcome};

const MR_IMAGE: &str = "1.2.840.10008.5.1.4.1.1.4";
const EXPLICIT_LITTLE_ENDIAN: &str = "1.2.840.10008.1.2.1";

/// Receives an image of 4 KB that was not there; the row of its study. UIDs are as long as those of
/// scanners.
pub(crate) fn receive(archive: &Archive, study: usize, series: usize, number: usize) -> i64 {
    let study_uid = format!("1.3.12.2.1107.5.2.19.45152.{study:016}");
    let series_uid = format!("{study_uid}.{series}");
    let sop_uid = format!("{series_uid}.{number:04}");
    let texts: [(u16, u16, &str, &str); 16] = [
        (0x0008, 0x0016, "UI", MR_IMAGE),
        (0x0008, 0x0018, "UI", sop_uid.as_str()),
        (0x0008, 0x0020, "DA", "20260101"),
        (0x0008, 0x0030, "TM", "101010"),
        (0x0008, 0x0050, "SH", &format!("ACC{study}")),
        (0x0008, 0x0060, "CS", "MR"),
        (0x0008, 0x0070, "LO", "Phantom Works"),
        (0x0008, 0x1010, "SH", "MR1"),
        (0x0008, 0x1030, "LO", "MR brain"),
        (0x0008, 0x103e, "LO", "AX T1"),
        (0x0010, 0x0010, "PN", &format!("Family{study}^Given")),
        (0x0010, 0x0020, "LO", &format!("MRN{study}")),
        (0x0018, 0x1000, "LO", "12345"),
        (0x0020, 0x000d, "UI", study_uid.as_str()),
        (0x0020, 0x000e, "UI", series_uid.as_str()),
        (0x0020, 0x0011, "IS", &series.to_string()),
    ];
    let mut bytes = Vec::new();
    for (group, element, vr, text) in texts {
        put(&mut bytes, (group, element), vr, text.as_bytes());
    }
    put(&mut bytes, (0x7fe0, 0x0010), "OW", &[7; 4096]);
    let offer = Offer {
        sop_class: MR_IMAGE.to_owned(),
        sop_uid,
        transfer_syntax: EXPLICIT_LITTLE_ENDIAN.to_owned(),
        source: "scp BENCH".to_owned(),
        source_ae: "BENCH".to_owned(),
    };
    let mut incoming = archive.begin(offer).unwrap();
    incoming.write(&bytes).unwrap();
    let stored = incoming.finish().unwrap();
    assert_eq!(stored.outcome, Outcome::New);
    stored.study_id.unwrap()
}

/// An element in explicit VR little endian.
fn put(bytes: &mut Vec<u8>, (group, element): (u16, u16), vr: &str, value: &[u8]) {
    let padded = value.len() + value.len() % 2;
    bytes.extend(group.to_le_bytes());
    bytes.extend(element.to_le_bytes());
    bytes.extend(vr.as_bytes());
    if vr == "OW" {
        bytes.extend([0, 0]);
        bytes.extend(u32::try_from(padded).unwrap().to_le_bytes());
    } else {
        bytes.extend(u16::try_from(padded).unwrap().to_le_bytes());
    }
    bytes.extend(value);
    bytes.resize(bytes.len() + padded - value.len(), if vr == "UI" { 0 } else { b' ' });
}
