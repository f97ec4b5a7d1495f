//! NIfTI files that nibabel writes, and the real ones that it is tested with: voxels and places as
//! nibabel has them, and a real brain all the way through a bundle.

use std::fs;
use std::path::Path;
use std::process::Command;

use models::study::{Samples, Stack};
use models::volume::Preprocessing;
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;
use trainer::nifti;

use super::{available, repository, succeed};
use crate::programs::{run, shared_bundle, trainer};

/// An image as nibabel reads it.
#[derive(Deserialize)]
struct Image {
    file: String,
    /// From voxel to RAS.
    affine: [[f64; 4]; 4],
    shape: [usize; 3],
    /// The first axis fastest.
    values: Vec<f64>,
}

impl Image {
    /// Place in LPS and value of a voxel.
    fn voxel(&self, at: usize) -> ([f64; 3], f64) {
        let [x, y, _] = self.shape;
        let index = [at % x, at / x % y, at / x / y].map(|i| i as f64);
        let place = |row: usize| {
            let [a, b, c, offset] = self.affine[row];
            a * index[0] + b * index[1] + c * index[2] + offset
        };
        ([-place(0), -place(1), place(2)], self.values[at])
    }
}

fn values(samples: &Samples) -> Vec<f64> {
    fn wide<T: Copy + Into<f64>>(values: &[T]) -> Vec<f64> {
        values.iter().map(|value| (*value).into()).collect()
    }
    match samples {
        Samples::I8(v) => wide(v),
        Samples::U8(v) => wide(v),
        Samples::I16(v) => wide(v),
        Samples::U16(v) => wide(v),
        Samples::I32(v) => wide(v),
        Samples::U32(v) => wide(v),
        Samples::F64(v) => v.clone(),
    }
}

/// Some voxels of a stack: where they lie, and what they are.
fn voxels(stack: &Stack, step: usize) -> Vec<([f64; 3], f64)> {
    let ([columns, rows, _], values) = (stack.size_vox, values(&stack.samples));
    let voxel = |at: usize| {
        let index = [at % columns, at / columns % rows, at / columns / rows];
        let place = std::array::from_fn(|row| {
            let steps = (0..3).map(|axis| {
                stack.direction[axis][row] * stack.spacing_mm[axis] * index[axis] as f64
            });
            stack.origin_mm[row] + steps.sum::<f64>()
        });
        (place, values[at])
    };
    (0..values.len()).step_by(step).map(voxel).collect()
}

fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    (0..3).map(|axis| (a[axis] - b[axis]).powi(2)).sum::<f64>().sqrt()
}

/// A Python that has nibabel; `ops/test` makes one.
fn images(folder: &Path) -> Option<Vec<Image>> {
    let python = std::env::var("PRIMA_PEERS_PYTHON").unwrap_or_else(|_| "python3".into());
    let mut probe = Command::new(&python);
    if !available("nibabel", probe.args(["-c", "import nibabel"])) {
        return None;
    }
    let script = repository().join("tests/interop/write_nifti.py");
    let printed = succeed(python, &[script.as_path(), folder]);
    Some(serde_json::from_str(&printed).expect("JSON"))
}

#[test]
fn voxels_and_their_places_are_those_that_nibabel_reads() {
    let folder = TempDir::new().unwrap();
    let Some(images) = images(folder.path()) else { return };
    assert_eq!(images.len(), 80);
    for image in &images {
        let stack = nifti::read(&folder.path().join(&image.file)).unwrap();
        let mut sizes = [stack.size_vox, image.shape];
        sizes.iter_mut().for_each(|size| size.sort_unstable());
        assert_eq!(sizes[0], sizes[1], "{}", image.file);
        let all: Vec<([f64; 3], f64)> = (0..image.values.len()).map(|at| image.voxel(at)).collect();
        for (place, value) in voxels(&stack, all.len().div_ceil(200)) {
            let nearest =
                all.iter().min_by(|a, b| distance(a.0, place).total_cmp(&distance(b.0, place)));
            let (expected, of) = nearest.unwrap();
            assert!(distance(*expected, place) < 1e-4, "{}: {place:?} {expected:?}", image.file);
            assert!((value - of).abs() <= 1e-9 * of.abs(), "{}: {value} {of}", image.file);
        }
    }
    let several =
        |sizes: &str| format!("several volumes ({sizes}); give each in a file of its own");
    for (file, expected) in [
        ("example4d.nii.gz", several("128 x 96 x 24 x 2")),
        ("example_nifti2.nii.gz", "a NIfTI-2 file; write it as NIfTI-1".to_owned()),
        (
            "resampled_anat_moved.nii",
            "a voxel is NaN; write a number there, 0 outside of the head".to_owned(),
        ),
        (
            "analyze.hdr",
            "an ANALYZE header, which does not tell left from right; convert the original images \
             to NIfTI-1"
                .to_owned(),
        ),
        ("nifti1.hdr", "the header of an image in two files; write both as one .nii".to_owned()),
    ] {
        let path = folder.path().join(file);
        let refused = nifti::read(&path).unwrap_err().to_string();
        assert_eq!(refused, format!("{}: {expected}", path.display()));
    }
}

/// The T1 image in nibabel's wheel.
#[test]
fn a_real_brain_is_scored_from_its_nifti_file() {
    let folder = TempDir::new().unwrap();
    if images(folder.path()).is_none() {
        return;
    }
    let studies = folder.path().join("studies");
    let study = studies.join("someone");
    fs::create_dir_all(&study).unwrap();
    fs::copy(folder.path().join("anatomical.nii"), study.join("someone_T1w.nii")).unwrap();
    fs::copy(folder.path().join("example4d.nii.gz"), study.join("someone_bold.nii.gz")).unwrap();
    let prepared = nifti::prepare(&study, &nifti::images(&study).unwrap(), Preprocessing::V1);
    assert_eq!((prepared.series.len(), prepared.left_out.len()), (1, 1));
    assert_eq!(prepared.series[0].series.name, "T1w");
    assert_eq!((prepared.series[0].acquired_vox, prepared.series[0].thin_axis), ([33, 41, 25], 0));
    assert!(prepared.series[0].tokens > 100, "{}", prepared.series[0].tokens);

    let (bundle, out) = (shared_bundle(), folder.path().join("out"));
    let mut transfer = trainer("transfer");
    transfer.arg("--bundle").arg(bundle.path().join("bundle")).arg("--studies").arg(&studies);
    transfer.args(["--positives", "tumor_adult_glioma", "--out"]).arg(&out);
    let ran = run(&mut transfer);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let found: Value =
        serde_json::from_slice(&fs::read(out.join("transfer.json")).unwrap()).unwrap();
    let subsets = found["positives"]["subsets"].as_array().unwrap();
    let names: Vec<&str> = subsets.iter().map(|s| s["subset"].as_str().unwrap()).collect();
    assert_eq!(names, ["all series", "t1w alone"]);
    assert!(subsets.iter().all(|subset| subset["studies"] == 1));
}
