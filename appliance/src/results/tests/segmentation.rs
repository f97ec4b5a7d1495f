//! The places of a token in phantoms, read back and compared with where the token lies.

use std::path::Path;

use dicom_core::VR;
use dicom_dictionary_std::tags;
use models::dicom::decoder::{Decoder, DecoderLimits};
use models::dicom::parse::{DataSet, DicomFile, parse_bytes, read_header};
use models::dicom::pixels::decode_frame;
use models::dicom::select::Selection;
use models::explain::region::{RegionSlice, region};
use models::explain::{TokenBox, token_box};
use models::prepare::{open_study, volume};
use models::study::Samples;
use models::volume::{Preprocessing, Volume};

use super::super::segmentation::{Segmentation, SegmentationError};
use super::super::{DEFLATED, Frame, SEGMENTATION, deflated};
use crate::inference::explain::ExplanationInfo;
use crate::scp::Outgoing;

#[path = "../../../../tests/support/phantom.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with other crates; a part is used here")]
mod phantom;
use phantom::{Layout, Plane, SeriesSpec, write_series};

/// A series on the disk, and one of its tokens.
struct Explained {
    folder: tempfile::TempDir,
    decoder: Decoder,
    volume: Volume,
    token: TokenBox,
    info: ExplanationInfo,
}

fn spec(plane: Plane, layout: Layout) -> SeriesSpec {
    SeriesSpec {
        plane,
        layout,
        in_plane_vox: [200, 150],
        slices: 10,
        spacing_mm: [1.2, 1.5, 5.0],
        edit: Some(|object, _| {
            phantom::text(object, tags::FRAME_OF_REFERENCE_UID, VR::UI, "2.25.77");
        }),
        ..SeriesSpec::default()
    }
}

impl Explained {
    fn new(spec: &SeriesSpec) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write_series(folder.path(), spec).unwrap();
        let selection = Selection::built_in().unwrap();
        let study = open_study(folder.path(), Preprocessing::V1, &selection).unwrap();
        let series = &study.series[0];
        let decoder = Decoder::new("unused".into(), Vec::new(), DecoderLimits::default());
        let (volume, patches, grid) = volume(series, Preprocessing::V1, &decoder).unwrap();
        let token = token_box(&volume, patches.coordinates[patches.coordinates.len() / 2]);
        let region = region(series, &grid, &[token]);
        let info = ExplanationInfo {
            output: "hydrocephalus".to_owned(),
            series: series.name.clone(),
            series_index: 0,
            samples: 10,
            weighting: String::new(),
            r2: 0.5,
            score: 1.0,
            tokens: Vec::new(),
            region,
            pictures: Vec::new(),
        };
        Self { folder, decoder, volume, token, info }
    }

    fn write(&self) -> Result<Vec<u8>, SegmentationError> {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        let image = read_header(&files.flatten().next().unwrap().path()).unwrap();
        let segmentation = Segmentation {
            frame: Frame {
                identity: &image.data,
                finished_at: 1_795_480_260_000,
                series_uid: "2.25.2",
                sop_uid: "2.25.3",
                device_uid: "2.25.1",
                number: 12,
            },
            info: &self.info,
            model: ["edge-simulated-1", "0123456789abcdef0123"],
            tracking_uid: "2.25.4",
            folder: self.folder.path(),
        };
        segmentation.write()
    }

    /// How deep a point lies in the token, in voxels of its volume; negative outside.
    fn depth_vox(&self, point: [f64; 3]) -> f64 {
        let depth = |patient: usize| {
            let (origin, axis) = (self.volume.origin_mm, self.volume.direction[patient]);
            let way: f64 = (0..3).map(|r| (point[r] - origin[r]) * axis[r]).sum();
            let at = way / self.volume.spacing_mm[patient];
            let faces = [self.token.first_vox, self.token.end_vox];
            let [low, high] = faces.map(|voxel| voxel[2 - patient] as f64 - 0.5);
            (at - low).min(high - at)
        };
        (0..3).map(depth).fold(f64::INFINITY, f64::min)
    }
}

fn item(data: &DataSet, tag: dicom_core::Tag) -> &DataSet {
    &data.items(tag)[0]
}

fn bits(file: &DicomFile, frame: usize, decoder: &Decoder) -> Vec<u8> {
    let frame = decode_frame(file, u32::try_from(frame).unwrap(), decoder).unwrap();
    match frame.values {
        Samples::U8(values) => values,
        other => panic!("pixel id {}", other.pixel_id()),
    }
}

/// Every pixel of every frame is set exactly if its centre lies in the token, and every slice that
/// has such a pixel has a frame.
#[track_caller]
fn check(plane: Plane, layout: Layout) {
    let spec = spec(plane, layout);
    let explained = Explained::new(&spec);
    let file = parse_bytes(Path::new("segmentation"), explained.write().unwrap()).unwrap();
    let shared = item(&file.data, tags::SHARED_FUNCTIONAL_GROUPS_SEQUENCE);
    let orientation = item(shared, tags::PLANE_ORIENTATION_SEQUENCE);
    let cosines = orientation.f64s(tags::IMAGE_ORIENTATION_PATIENT);
    let spacing = item(shared, tags::PIXEL_MEASURES_SEQUENCE).f64s(tags::PIXEL_SPACING);
    let [columns, rows] = spec.in_plane_vox;
    let mut set = 0;
    let frames = file.data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    for (number, frame) in frames.iter().enumerate() {
        let position = item(frame, tags::PLANE_POSITION_SEQUENCE);
        let position = position.f64s(tags::IMAGE_POSITION_PATIENT);
        let bits = bits(&file, number, &explained.decoder);
        assert_eq!(bits.len(), columns * rows);
        assert!(bits.contains(&1), "an empty frame");
        for (pixel, &bit) in bits.iter().enumerate() {
            let across = (pixel % columns) as f64 * spacing[1];
            let down = (pixel / columns) as f64 * spacing[0];
            let point =
                std::array::from_fn(|a| position[a] + cosines[a] * across + cosines[3 + a] * down);
            let depth = explained.depth_vox(point);
            // Positions in files have eight digits; on a face either will do.
            assert!(
                depth.abs() < 1e-4 || (bit == 1) == (depth > 0.0),
                "{plane:?} {pixel}: {depth}"
            );
            set += usize::from(bit);
        }
    }
    let thin = explained.volume.thin_axis;
    assert_eq!(frames.len(), explained.token.end_vox[thin] - explained.token.first_vox[thin]);
    assert!(set > 0);
}

#[test]
fn a_token_is_marked_where_it_lies() {
    for plane in [Plane::Axial, Plane::Coronal, Plane::Sagittal, Plane::Oblique] {
        check(plane, Layout::Classic);
    }
    check(Plane::Oblique, Layout::Enhanced);
}

#[test]
fn a_segmentation_says_what_it_is() {
    let explained = Explained::new(&spec(Plane::Axial, Layout::Classic));
    let bytes = explained.write().unwrap();
    assert_eq!(explained.write().unwrap(), bytes, "the same again");
    let file = parse_bytes(Path::new("segmentation"), bytes).unwrap();
    let data = &file.data;
    for (tag, expected) in [
        (tags::MODALITY, "SEG"),
        (tags::STUDY_INSTANCE_UID, "2.25.1000"),
        (tags::FRAME_OF_REFERENCE_UID, "2.25.77"),
        (tags::SEGMENTATION_TYPE, "BINARY"),
        (tags::SEGMENTS_OVERLAP, "NO"),
        (tags::LOSSY_IMAGE_COMPRESSION, "00"),
    ] {
        assert_eq!(data.text(tag).as_deref(), Some(expected), "{tag}");
    }
    let segment = item(data, tags::SEGMENT_SEQUENCE);
    let label = segment.text(tags::SEGMENT_LABEL).unwrap();
    assert_eq!(label, "AI: region that raised hydrocephalus");
    assert_eq!(segment.text(tags::SEGMENT_ALGORITHM_TYPE).as_deref(), Some("AUTOMATIC"));
    let series = item(data, tags::REFERENCED_SERIES_SEQUENCE);
    assert_eq!(series.text(tags::SERIES_INSTANCE_UID).as_deref(), Some("2.25.1001"));
    let frames = data.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE);
    assert_eq!(series.items(tags::REFERENCED_INSTANCE_SEQUENCE).len(), frames.len());
    // The slice that a frame names as its source lies where the frame lies.
    for (number, frame) in (1..).zip(frames) {
        let index = item(frame, tags::FRAME_CONTENT_SEQUENCE).f64s(tags::DIMENSION_INDEX_VALUES);
        assert_eq!(format!("{index:?}"), format!("[1.0, {number}.0]"));
        let source =
            item(item(frame, tags::DERIVATION_IMAGE_SEQUENCE), tags::SOURCE_IMAGE_SEQUENCE);
        let uid = source.text(tags::REFERENCED_SOP_INSTANCE_UID).unwrap();
        let instance: usize = uid.rsplit_once('.').unwrap().1.parse().unwrap();
        let name = format!("S001_IM{instance:04}.dcm");
        let slice = read_header(&explained.folder.path().join(name)).unwrap();
        let position = item(frame, tags::PLANE_POSITION_SEQUENCE);
        let positions = [position, &slice.data].map(|set| set.texts(tags::IMAGE_POSITION_PATIENT));
        assert_eq!(positions[0], positions[1]);
    }
}

/// Ten tokens in forty slices of the largest usual size.
#[test]
fn a_segmentation_is_small_on_the_way() {
    let size = SeriesSpec {
        in_plane_vox: [512, 512],
        slices: 40,
        spacing_mm: [0.45, 0.45, 4.0],
        ..spec(Plane::Axial, Layout::Classic)
    };
    let mut explained = Explained::new(&size);
    let place = |token: usize| [40 * token..40 * token + 64, 400 - 30 * token..464 - 30 * token];
    explained.info.region = (0..40)
        .map(|slice| RegionSlice {
            file: format!("S001_IM{:04}.dcm", slice + 1),
            frame: 0,
            boxes: vec![place(slice / 4), place(slice / 4 + 1)],
        })
        .collect();
    let data_set = explained.write().unwrap();
    let plain = Outgoing {
        sop_class: SEGMENTATION.0.to_owned(),
        sop_instance: "2.25.3".to_owned(),
        transfer_syntax: SEGMENTATION.1.to_owned(),
        data_set,
    };
    let small = deflated(&plain).unwrap();
    assert_eq!((small.transfer_syntax.as_str(), small.data_set.len() % 2), (DEFLATED, 0));
    assert!(small.data_set.len() < 50_000, "{} bytes", small.data_set.len());
}

/// Refused, or not, after this change to the last slice that shows the token.
#[track_caller]
fn last_slice(tag: dicom_core::Tag, value: &str, refused: bool) {
    let explained = Explained::new(&spec(Plane::Axial, Layout::Classic));
    let places = &explained.info.region;
    assert!(places.len() > 1);
    let path = explained.folder.path().join(&places[places.len() - 1].file);
    let mut slice = dicom_object::open_file(&path).unwrap();
    phantom::text(&mut slice, tag, VR::DS, value);
    slice.write_to_file(&path).unwrap();
    let written = explained.write();
    assert_eq!(matches!(written, Err(SegmentationError::Grids)), refused, "{value}");
    assert_eq!(written.is_err(), refused, "{value}");
}

#[test]
fn slices_of_another_grid_are_refused() {
    last_slice(tags::PIXEL_SPACING, "1.6\\1.2", true);
    last_slice(tags::PIXEL_SPACING, "1.5\\1.3", true);
    last_slice(tags::PIXEL_SPACING, "1.50000001\\1.20", false);
    last_slice(tags::IMAGE_ORIENTATION_PATIENT, "0\\1\\0\\1\\0\\0", true);
}

#[test]
fn what_cannot_be_marked() {
    let mut explained = Explained::new(&spec(Plane::Axial, Layout::Classic));
    explained.info.region[0].file = "elsewhere.dcm".to_owned();
    assert!(matches!(explained.write(), Err(SegmentationError::Read(_))));
    explained.info.region.clear();
    assert!(matches!(explained.write(), Err(SegmentationError::None)));
    // Tiles of a mosaic are no images, so that nothing could be laid over them.
    let mosaic = Explained::new(&spec(Plane::Axial, Layout::Mosaic));
    assert!(mosaic.info.region.is_empty());
}
