//! Updates: RAUC reads the rendered configuration, takes what is signed, and nothing else.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Rendered;
use crate::interop::{available, succeed};

/// An authority that signs updates itself: its certificate and key.
pub(super) fn authority(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (certificate, key) =
        (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    succeed(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "3650",
            "-subj",
            &format!("/CN={name}"),
            "-keyout",
            key.to_str().unwrap(),
            "-out",
            certificate.to_str().unwrap(),
            "-addext",
            "keyUsage=critical,digitalSignature,keyCertSign",
            "-addext",
            "extendedKeyUsage=codeSigning",
        ],
    );
    (certificate, key)
}

fn bundle(folder: &Path, (certificate, key): &(PathBuf, PathBuf), format: &str) -> PathBuf {
    let (tree, bundle) = (folder.join(format!("{format}.d")), folder.join("update.raucb"));
    drop(fs::remove_file(&bundle));
    fs::create_dir_all(&tree).unwrap();
    // What does not compress, as a sealed system does not.
    let mut noise = vec![0; 1 << 16];
    File::open("/dev/urandom").unwrap().read_exact(&mut noise).unwrap();
    fs::write(tree.join("root.img"), noise).unwrap();
    let manifest = format!(
        "[update]\ncompatible=prima-box-x86-64\nversion=1\n\n[bundle]\nformat={format}\n\n\
         [image.rootfs]\nfilename=root.img\n"
    );
    fs::write(tree.join("manifest.raucm"), manifest).unwrap();
    let argument = |name: &str, path: &Path| format!("--{name}={}", path.display());
    succeed(
        "rauc",
        &[
            "bundle",
            &argument("cert", certificate),
            &argument("key", key),
            tree.to_str().unwrap(),
            bundle.to_str().unwrap(),
        ],
    );
    bundle
}

/// What RAUC says of a bundle under the rendered configuration.
fn info(rendered: &Rendered, bundle: &Path) -> Result<String, String> {
    let conf = format!("--conf={}", rendered.path("run/prima/rauc.conf").display());
    let output = Command::new("rauc").args([&conf, "info"]).arg(bundle).output().unwrap();
    let [out, err] =
        [&output.stdout, &output.stderr].map(|t| String::from_utf8_lossy(t).into_owned());
    if output.status.success() { Ok(out) } else { Err(err) }
}

#[test]
fn only_signed_updates_are_taken() {
    if !available("rauc", Command::new("rauc").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (ours, others) = (authority(folder, "ours"), authority(folder, "others"));
    let rendered = Rendered::of(&format!("update.keyring_file = '{}'", ours.0.display()));

    let good = bundle(folder, &ours, "verity");
    let said = info(&rendered, &good).unwrap();
    assert!(said.contains("prima-box-x86-64"), "{said}");

    // One byte of the signature, at the end of the file.
    let mut bytes = fs::read(&good).unwrap();
    let place = bytes.len() - 100;
    bytes[place] ^= 1;
    let tampered = folder.join("tampered.raucb");
    fs::write(&tampered, bytes).unwrap();
    let said = info(&rendered, &tampered).unwrap_err();
    assert!(said.to_lowercase().contains("signature") || said.contains("CMS"), "{said}");

    let foreign = bundle(folder, &others, "verity");
    let said = info(&rendered, &foreign).unwrap_err();
    assert!(said.contains("certificate"), "{said}");

    // Of the old format only the whole is signed, not each block as it is read.
    let plain = bundle(folder, &ours, "plain");
    let said = info(&rendered, &plain).unwrap_err();
    assert!(said.contains("plain"), "{said}");
}
