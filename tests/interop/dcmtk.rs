//! DCMTK's echoscu, storescu and dcmsend.

use std::fs;
use std::path::PathBuf;

use super::{AE, Clinic, fail, files_below, have_dcmtk, real_studies, succeed};

/// Sends a folder and its folders with storescu.
fn storescu(clinic: &Clinic, options: &[&str], folder: &str) {
    let port = clinic.port();
    let whom = ["-aec", AE, "+sd", "+sp", "*.dcm", "+r", "127.0.0.1", &port, folder];
    succeed("storescu", &[options, &whom].concat());
}

#[test]
fn echoscu() {
    if !have_dcmtk() {
        return;
    }
    let clinic = Clinic::open("");
    let port = clinic.port();
    succeed("echoscu", &["-aec", AE, "--repeat", "10", "127.0.0.1", &port]);
    succeed("echoscu", &["-aec", AE, "--propose-ts", "38", "127.0.0.1", &port]);
    succeed("echoscu", &["-aec", AE, "--abort", "127.0.0.1", &port]);
    let said = fail("echoscu", &["-aec", "SOMEBODY", "127.0.0.1", &port]);
    assert!(said.contains("Called AE Title Not Recognized"), "{said}");
}

#[test]
fn calling_titles_that_are_not_on_the_list() {
    if !have_dcmtk() {
        return;
    }
    let clinic = Clinic::open("dicom.calling_ae_titles = ['MR1']\n");
    let port = clinic.port();
    succeed("echoscu", &["-aet", "MR1", "-aec", AE, "127.0.0.1", &port]);
    let said = fail("echoscu", &["-aet", "MR2", "-aec", AE, "127.0.0.1", &port]);
    assert!(said.contains("Calling AE Title Not Recognized"), "{said}");
}

/// The real studies in every encoding of uncompressed data that storescu can be told to make,
/// with 128 proposed contexts, with those needed only, and in small and large PDUs.
#[test]
fn storescu_sends_the_real_studies() {
    if !have_dcmtk() {
        return;
    }
    let (folder, instances, studies) = real_studies();
    let folder = folder.to_str().expect("UTF-8");
    for options in [
        &[][..],
        &["-R"],
        &["-R", "-xi"],
        &["-R", "-xb"],
        &["-R", "-xd"],
        &["-R", "+C"],
        &["-R", "--max-send-pdu", "4096"],
        &["-R", "--max-send-pdu", "131072"],
    ] {
        println!("storescu {options:?}");
        let clinic = Clinic::open("");
        storescu(&clinic, options, folder);
        clinic.check_received(instances, studies);
    }
}

/// A retry sends again what has arrived: acknowledged, not stored twice.
#[test]
fn storescu_sends_twice_and_aborts() {
    if !have_dcmtk() {
        return;
    }
    let (folder, instances, studies) = real_studies();
    let folder = folder.to_str().expect("UTF-8");
    let clinic = Clinic::open("");
    storescu(&clinic, &["-R", "--abort"], folder);
    storescu(&clinic, &["-R", "--repeat", "2"], folder);
    clinic.check_received(instances, studies);
}

/// Compressed by DCMTK's own tools: sent as they are.
#[test]
fn compressed_files() {
    if !have_dcmtk() {
        return;
    }
    let (folder, ..) = real_studies();
    let sources: Vec<PathBuf> = files_below(&folder.join("brain1_t1c"));
    let clinic = Clinic::open("");
    for (number, (tool, options, proposal)) in [
        ("dcmcrle", &[][..], "-xr"),
        ("dcmcjpeg", &["+e1"], "-xs"),
        ("dcmcjpls", &["+el"], "-xt"),
        ("dcmconv", &["+td"], "-xd"),
    ]
    .into_iter()
    .enumerate()
    {
        let compressed = clinic.folder.path().join(proposal);
        fs::create_dir(&compressed).expect("a folder");
        // A source for each, because a UID has one content.
        let from = sources[number].to_str().expect("UTF-8");
        let to = compressed.join("a.dcm");
        let to = to.to_str().expect("UTF-8");
        succeed(tool, &[options, &[from, to]].concat());
        storescu(&clinic, &["-R", proposal], compressed.to_str().expect("UTF-8"));
    }
    clinic.check_received(4, 1);
}

#[test]
fn dcmsend() {
    if !have_dcmtk() {
        return;
    }
    let (folder, instances, studies) = real_studies();
    let folder = folder.to_str().expect("UTF-8");
    let clinic = Clinic::open("");
    let port = clinic.port();
    succeed("dcmsend", &["-aec", AE, "-dn", "-nh", "+sd", "+r", "127.0.0.1", &port, folder]);
    clinic.check_received(instances, studies);
}
