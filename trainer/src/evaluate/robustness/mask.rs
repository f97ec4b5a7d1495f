//! A segmentation mask from an NRRD file (Nearly Raw Raster Data, version 4; gzip encoding).

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use models::study::{Samples, Stack};

/// Reads a mask of one byte a voxel whose axes are those of the patient (LPS).
///
/// # Errors
///
/// When the file cannot be read or is something else; the message says what was expected.
pub(super) fn read(path: &Path) -> anyhow::Result<Stack> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let end = bytes.windows(2).position(|pair| pair == b"\n\n");
    let end = end.with_context(|| format!("{shown} is no NRRD file: its header has no end"))?;
    let header = String::from_utf8_lossy(&bytes[..end]);
    let fields: BTreeMap<&str, &str> = header.lines().filter_map(|l| l.split_once(": ")).collect();
    let field = |name: &str| {
        let value = fields.get(name).map(|value| value.trim());
        value.with_context(|| format!("{shown} has no field {name:?}"))
    };
    for (name, expected) in
        [("type", "uint8"), ("space", "left-posterior-superior"), ("encoding", "gzip")]
    {
        let found = field(name)?;
        ensure!(found == expected, "{shown}: {name} is {found:?}, expected {expected:?}");
    }
    let numbers = |name: &str| -> anyhow::Result<Vec<f64>> {
        let parts = field(name)?.split([' ', ',', '(', ')']).filter(|part| !part.is_empty());
        let numbers = parts.map(str::parse).collect::<Result<_, _>>();
        numbers.with_context(|| format!("{shown}: {name} holds something that is no number"))
    };
    let directions = numbers("space directions")?;
    let aligned = directions.len() == 9 && (0..9).all(|i| (i % 4 == 0) == (directions[i] > 0.0));
    ensure!(aligned, "{shown}: space directions are not along x, y and z");
    let three = |name: &str| -> anyhow::Result<[f64; 3]> {
        numbers(name)?
            .try_into()
            .ok()
            .with_context(|| format!("{shown}: {name} is not three numbers"))
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a size")]
    let size_vox = three("sizes")?.map(|n| n as usize);
    let mut voxels = Vec::new();
    let read = flate2::read::GzDecoder::new(&bytes[end + 2..]).read_to_end(&mut voxels);
    read.with_context(|| format!("{shown}: its data cannot be unpacked"))?;
    let expected: usize = size_vox.iter().product();
    ensure!(
        voxels.len() == expected,
        "{shown} holds {} voxels, its sizes say {expected}",
        voxels.len()
    );
    Ok(Stack {
        samples: Samples::U8(voxels),
        size_vox,
        spacing_mm: [directions[0], directions[4], directions[8]],
        origin_mm: three("space origin")?,
        direction: [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    })
}
