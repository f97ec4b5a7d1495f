//! Reports as they are dictated, with everything in them that must not stay.

use super::super::Identifiers;
use super::{RULES, scrub, scrub_description};

fn identifiers() -> Identifiers {
    let mut ids = Identifiers::default();
    ids.add_name("White^Ada");
    ids.add_name("House^Gregory");
    ids.add_code("MR8812345");
    ids
}

#[test]
fn every_pattern_compiles() {
    assert_eq!(RULES.len(), 29);
}

#[test]
fn identifiers_go_and_findings_stay() {
    for (text, expected) in [
        // What must go.
        ("Comparison: MRI 03/09/2021, CT Mar 3, 2020.", "Comparison: MRI [date], CT [date]."),
        ("Prior from 3/9 and 12 March 2021 at 14:35.", "Prior from [date] and [date] at [time]."),
        (
            "Discussed with Dr. Meredith Grey at 2:05 PM, pager 12345.",
            "Discussed with Dr. [name] at [time], pager [phone].",
        ),
        ("Ms. Ada White, MRN: MR8812345, SSN 123-45-6789.", "Ms. [name], MRN: [id], SSN [id]."),
        (
            "IMPRESSION: Normal.\nElectronically signed by: Greg House, MD on 3/9/2021",
            "IMPRESSION: Normal.",
        ),
        ("Attending: G. House\nFINDINGS: cyst", "FINDINGS: cyst"),
        ("Call (734) 555-0199 or 734-555-0199; a@b.edu", "Call [phone] or [phone]; [contact]"),
        ("12 Elm Street, Ann Arbor, MI 48109", "[address], Ann Arbor, [address]"),
        ("Outside MRI from Saint Mary Hospital.", "Outside MRI from [place]."),
        ("I, Gregory House, MD, have reviewed the images.", "I, [name], have reviewed the images."),
        ("Reported to House.", "Reported to [name]."),
        ("94-year-old woman, aged 101", "90-year-old woman, aged 90"),
        ("Order 20210309101500 acc# 77-123456", "Order [date] acc# [id]"),
        ("Findings seen by A. B. Quux, M.D.", "Findings seen by [name], M.D."),
        ("4 Old Mill Rd, Apt 3", "[address]"),
        // What must stay.
        ("Increased MD in white matter.", "Increased MD in white matter."),
        ("Known MS. No new lesion on MR. Normal.", "Known MS. No new lesion on MR. Normal."),
        (
            "ADC 600-800, 90-100 HU on CT, 1000-1200 normal",
            "ADC 600-800, 90-100 HU on CT, 1000-1200 normal",
        ),
        (
            "White matter changes, T2 FLAIR 3 x 4 mm, image 12/24.",
            "White matter changes, T2 FLAIR 3 x 4 mm, image 12/24.",
        ),
        (
            "Compression by Chiari malformation, 1.5 T, b=1000 s/mm2.",
            "Compression by Chiari malformation, 1.5 T, b=1000 s/mm2.",
        ),
        (
            "Superior extension 3.5-4 cm; 65-year-old; grade III/IV",
            "Superior extension 3.5-4 cm; 65-year-old; grade III/IV",
        ),
        (
            "Circle of Willis, vein of Galen, May represent cyst.",
            "Circle of Willis, vein of Galen, May represent cyst.",
        ),
        (
            "TR/TE 9000/120; 2/3 of the lobe; L4-5; C1-2",
            "TR/TE 9000/120; 2/3 of the lobe; L4-5; C1-2",
        ),
    ] {
        let found = scrub(text, &identifiers());
        assert_eq!(found, expected);
        assert!(!identifiers().occur_in(&found), "{found}");
    }
}

#[test]
fn a_signature_does_not_take_a_report_of_one_line_along() {
    let text = format!("Signed by: X. {} No mass.", "Normal ventricles. ".repeat(10));
    assert!(scrub(&text, &identifiers()).ends_with("No mass."));
}

#[test]
fn descriptions_keep_what_the_scanner_says() {
    for (text, expected) in [
        ("AX T2 FLAIR b1000 3mm", "AX T2 FLAIR b1000 3mm"),
        ("t1_mprage_sag_p2_iso_1.0_MPR", "t1_mprage_sag_p2_iso_1.0_MPR"),
        ("WHITE_ADA_T1", "    T1"),
        ("MRI BRAIN 03/09/2021", "MRI BRAIN"),
        ("BRAIN_MR8812345", "BRAIN_"),
        ("BRAIN 991234567", "BRAIN"),
    ] {
        let found = scrub_description(text, &identifiers());
        assert_eq!(found.replace(['_', ' '], ""), expected.replace(['_', ' '], ""), "{text}");
    }
}
