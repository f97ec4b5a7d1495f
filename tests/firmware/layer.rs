//! Layers: what a hospital builds for its own boxes, such as NVIDIA's driver. A box uses one that is
//! signed, whole and for its kernel, and says of every other why not.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tests::repository;

use super::update::authority;
use crate::interop::{available, succeed};

const KERNEL: &str = "6.1.0-1-amd64";
const CONTROL: &str = "Package: hello-layer\nVersion: 1\nArchitecture: all\n\
                       Maintainer: Prima <prima@example.org>\nDescription: one file\n";

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn sig(layer: &Path) -> PathBuf {
    PathBuf::from(format!("{}.sig", layer.display()))
}

/// A folder as `ops/image/build.sh` leaves it, of an image with next to nothing in it.
fn image(folder: &Path, name: &str) -> PathBuf {
    let (root, image) = (folder.join(format!("{name}.d")), folder.join(name));
    let lib = root.join("usr/lib");
    fs::create_dir_all(lib.join("modules").join(KERNEL)).unwrap();
    fs::write(lib.join("os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    fs::create_dir(&image).unwrap();
    let (root, sealed) = (text(&root), text(&image.join("root.squashfs")));
    succeed("mksquashfs", &[root.as_str(), &sealed, "-quiet", "-no-progress"]);
    authority(&image, "prima-ca");
    image
}

/// The layer `hello`, which is one file, by the script that builds NVIDIA's.
pub(super) fn hello(image: &Path) -> PathBuf {
    let folder = tempfile::tempdir().unwrap();
    let (tree, package) = (folder.path().join("hello"), folder.path().join("hello.deb"));
    for (file, text) in [("DEBIAN/control", CONTROL), ("usr/share/hello/said", "hello\n")] {
        let file = tree.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    succeed("dpkg-deb", &["--root-owner-group", "--build", &text(&tree), &text(&package)]);
    let script = repository().join("ops/image/layer.sh");
    succeed(script, &[text(image).as_str(), "hello", &text(&package)]);
    let files = fs::read_dir(image).unwrap().map(|entry| entry.unwrap().path());
    let mut layers = files.filter(|file| file.extension().is_some_and(|end| end == "layer"));
    layers.next().expect("a layer")
}

/// What a box with a keyring and a kernel says of a layer.
fn check(layer: &Path, keyring: &Path, kernel: &str) -> Result<String, String> {
    let script = repository().join("ops/image/root/usr/lib/prima/layer");
    let mut command = Command::new("sh");
    command.arg(script).arg("check").args([layer, keyring]).arg(kernel);
    let output = command.output().unwrap();
    let [out, err] =
        [&output.stdout, &output.stderr].map(|t| String::from_utf8_lossy(t).into_owned());
    if output.status.success() { Ok(out) } else { Err(err) }
}

/// Every refusal names the file and what to do, on one line.
#[track_caller]
fn refused(layer: &Path, keyring: &Path, kernel: &str, why: &str) {
    let said = check(layer, keyring, kernel).unwrap_err();
    let file = text(layer);
    assert!(said.starts_with("refused: ") && said.contains(&file) && said.contains("; "), "{said}");
    assert!(said.contains(why) && said.lines().count() == 1, "{why}: {said}");
}

/// A copy of a layer with one byte of the file that ends in `end` turned over.
fn flipped(layer: &Path, end: &str, byte: impl FnOnce(&[u8]) -> usize) -> PathBuf {
    let copy = layer.with_file_name("flipped.layer");
    fs::copy(layer, &copy).unwrap();
    fs::copy(sig(layer), sig(&copy)).unwrap();
    let changed = PathBuf::from(format!("{}{end}", copy.display()));
    let mut bytes = fs::read(&changed).unwrap();
    let place = byte(&bytes);
    bytes[place] ^= 1;
    fs::write(changed, bytes).unwrap();
    copy
}

#[test]
fn only_a_signed_whole_and_fitting_layer_is_used() {
    if !available("cryptsetup", Command::new("veritysetup").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (ours, others) = (image(folder, "ours"), image(folder, "others"));
    let keyring = ours.join("prima-ca.pem");
    let layer = hello(&ours);
    let said = check(&layer, &keyring, KERNEL).unwrap();
    assert!(said.starts_with("good: ") && said.contains("the layer hello"), "{said}");

    refused(&layer, &keyring, "6.1.0-2-amd64", "is for kernel 6.1.0-1-amd64, and this system has");
    refused(&hello(&others), &keyring, KERNEL, "is not signed by");
    // Of what is laid over the system its first and last byte; of what is said of it the hash, and
    // the signature.
    refused(&flipped(&layer, "", |_| 0), &keyring, KERNEL, "is not what was signed");
    refused(&flipped(&layer, "", |all| all.len() - 1), &keyring, KERNEL, "is not what was signed");
    let hash = |all: &[u8]| all.windows(9).position(|some| some == b"roothash=").unwrap() + 20;
    refused(&flipped(&layer, ".sig", hash), &keyring, KERNEL, "is not signed by");
    refused(&flipped(&layer, ".sig", |all| all.len() - 10), &keyring, KERNEL, "is not signed by");

    let alone = ours.join("alone.layer");
    fs::copy(&layer, &alone).unwrap();
    refused(&alone, &keyring, KERNEL, "a layer is two files");
}

/// Whatever is signed with the key of updates, but is no layer, is not taken for one.
#[test]
fn a_signature_of_something_else_is_no_layer() {
    if !available("cryptsetup", Command::new("veritysetup").arg("--version")) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ours = image(folder.path(), "ours");
    let keyring = ours.join("prima-ca.pem");
    let layer = hello(&ours);
    let note = ours.join("note");
    for said in [
        "[update]\ncompatible=prima-box-x86-64\nversion=1\n".to_owned(),
        format!("prima layer 2\nname=hello\nkernel={KERNEL}\nblocks=1\nroothash={:064}\n", 0),
        format!("prima layer 1\nname=../x\nkernel={KERNEL}\nblocks=1\nroothash={:064}\n", 0),
        format!("prima layer 1\nname=hello\nkernel={KERNEL}\nblocks=1\nroothash={:063}\n", 0),
    ] {
        fs::write(&note, said).unwrap();
        let [note, sig, certificate, key] =
            [&note, &sig(&layer), &keyring, &ours.join("prima-ca.key")].map(|file| text(file));
        let words = ["cms", "-sign", "-binary", "-nodetach", "-outform", "DER"];
        let files = ["-in", &note, "-out", &sig, "-signer", &certificate, "-inkey", &key];
        succeed("openssl", &[&words[..], &files[..]].concat());
        refused(&layer, &keyring, KERNEL, "says nothing of a layer");
    }
}
