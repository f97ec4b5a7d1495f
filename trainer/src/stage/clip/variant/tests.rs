//! Networks of random weights on a study that is written as a cohort's are: what each reads, and
//! what leaves it as it was.

use std::collections::BTreeMap;

use burn::tensor::DType;
use models::dims::{LATENT, PATCH_VOX, TOKEN_FEATURES};
use models::engine::{DeviceChoice, device};
use models::nn::config::{PatientDiscriminationConfig, PrimaConfig};
use models::nn::prima::Prima;
use tempfile::TempDir;

use super::*;
use crate::cohort::record::{Demographics, Report, Split, StudyRecord};
use crate::cohort::shard::{ShardSeries, ShardStudy, Values, pack_latents, write_shard};
use crate::cohort::{CohortHeader, CohortKind, write};
use crate::stage::batch::Augmentation;
use crate::stage::clip::{Data, embed};
use crate::stage::run::rng;
use crate::stage::weights::Fresh;

/// A study of two series, and what is changed in it.
#[derive(Clone, Copy)]
struct Told {
    name: &'static str,
    description: &'static str,
    /// Added to the tokens of the first series.
    token: f32,
    /// Of every voxel of the first series.
    voxel: u8,
    /// The second series comes first.
    swapped: bool,
}

const TOLD: Told =
    Told { name: "AX_T1", description: "MRI BRAIN", token: 0.0, voxel: 60, swapped: false };

impl Told {
    /// Three patches, in two slabs.
    fn series(self, index: usize, values: Values) -> ShardSeries {
        let wave = |i: usize| ((i * (index + 2)) as f32 * 0.37).sin();
        let first = if index == 0 { 1.0 } else { 0.0 };
        let latents: Vec<f32> = (0..3 * LATENT).map(|i| wave(i) + first * self.token).collect();
        let coordinates = [[0, 32, 32], [4, 32, 64], [4, 64, 32]].map(|mut start: [u16; 3]| {
            start.swap(0, index);
            start
        });
        ShardSeries {
            name: if index == 0 { self.name } else { "COR_T2" }.to_owned(),
            thin_axis: index,
            values: match values {
                Values::Latents => pack_latents(&latents),
                Values::Patches => vec![if index == 0 { self.voxel } else { 90 }; 3 * PATCH_VOX],
            },
            coordinates: coordinates.to_vec(),
            foreground: vec![100; 3],
            components: vec![0; 3],
            sequence: vec![0, 1, 2],
        }
    }

    fn cohort(self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for values in [Values::Latents, Values::Patches] {
            let mut series = vec![self.series(0, values), self.series(1, values)];
            if self.swapped {
                series.reverse();
            }
            let study = ShardStudy {
                id: "s1".to_owned(),
                description: self.description.to_owned(),
                series,
            };
            let path = folder.path().join(format!("{}-0000.safetensors", values.prefix()));
            write_shard(&path, values, &[study]).unwrap();
        }
        let record = StudyRecord {
            id: "s1".to_owned(),
            patient: "p1".to_owned(),
            split: Split::Train,
            day: 0,
            description: self.description.to_owned(),
            report: Report { findings: "A mass.".to_owned(), ..Report::default() },
            demographics: Demographics::default(),
        };
        let header = CohortHeader {
            kind: CohortKind::Simulated,
            source: "one study".to_owned(),
            program: "a test".to_owned(),
            seed: None,
            studies: BTreeMap::new(),
        };
        write(folder.path(), &header, &[record]).unwrap();
        folder
    }

    /// What heads would read of it.
    fn embedding(self, variant: &Variant) -> Vec<f32> {
        let folder = self.cohort();
        let cpu = device(DeviceChoice::Cpu).unwrap();
        let fresh = Fresh { seed: 1, temperature: 0.07 };
        let at = Parameters::new(&fresh, &cpu, DType::F32);
        let data = Data::open(folder.path()).unwrap().seen_by(variant).unwrap();
        let example = data.example("s1", &Augmentation::none(), &mut rng(0, 0)).unwrap();
        let pooled = if variant.architecture == Architecture::Prima {
            let network = Prima::load(&at, &sizes()).unwrap();
            embed(&network, &[&example], TOKEN_FEATURES, &cpu).pooled
        } else {
            let network = VariantVision::load(&at, &sizes(), variant).unwrap();
            let seen = network.see(&[&example], &cpu);
            let series = seen.patient.map(|features| features.dims()[0]);
            let expected = (variant.architecture != Architecture::PlainVit).then_some(2);
            assert_eq!(series, expected, "one row a series for patient discrimination");
            seen.pooled
        };
        assert_eq!(pooled.dims(), [1, width(&sizes(), variant.architecture)]);
        pooled.into_data().iter::<f32>().collect()
    }
}

fn sizes() -> PrimaConfig {
    let patient_discrimination = Some(PatientDiscriminationConfig { hidden: 8, output: 4 });
    PrimaConfig { patient_discrimination, ..PrimaConfig::tiny() }
}

fn variant(architecture: Architecture) -> Variant {
    let told = architecture != Architecture::PlainVit;
    let images = ImagesConfig { shrink: 32, most_slices: 0, channels: vec![8] };
    Variant {
        architecture,
        series_names: told,
        study_description: told,
        images,
        ..Variant::default()
    }
}

#[test]
fn each_network_reads_what_it_should_and_nothing_else() {
    let prima = variant(Architecture::Prima);
    let rows: [(&str, Variant, [bool; 5]); 7] = [
        ("prima", prima.clone(), [true, true, true, false, false]),
        (
            "no names",
            Variant { series_names: false, ..prima.clone() },
            [false, true, true, false, false],
        ),
        (
            "no description",
            Variant { study_description: false, ..prima },
            [true, false, true, false, false],
        ),
        ("flat", variant(Architecture::FlatVit), [true, true, true, false, true]),
        ("plain", variant(Architecture::PlainVit), [false, false, true, false, true]),
        ("2-D", variant(Architecture::Cnn2d), [true, true, false, true, false]),
        ("3-D", variant(Architecture::Cnn3d), [true, true, false, true, false]),
    ];
    let changes = [
        ("series name", Told { name: "AX_FLAIR", ..TOLD }),
        ("description", Told { description: "MRI SPINE", ..TOLD }),
        ("tokens", Told { token: 0.5, ..TOLD }),
        ("voxels", Told { voxel: 220, ..TOLD }),
        ("order of the series", Told { swapped: true, ..TOLD }),
    ];
    for (name, variant, reads) in rows {
        let before = TOLD.embedding(&variant);
        assert!(before.iter().all(|value| value.is_finite()));
        for ((change, told), reads) in changes.iter().zip(reads) {
            let after = told.embedding(&variant);
            let differences = before.iter().zip(&after).map(|(a, b)| (a - b).abs());
            let largest = differences.fold(0.0, f32::max);
            if reads {
                assert!(largest > 1e-3, "{name}: the {change} changes nothing ({largest})");
            } else {
                // Series in another order are added up in another order.
                assert!(largest < 3e-5, "{name}: the {change} changes it by {largest}");
            }
        }
    }
}

#[test]
fn a_run_without_a_variant_is_prima() {
    let folder = tempfile::tempdir().unwrap();
    assert!(Variant::of(folder.path()).unwrap().is_prima());
    Variant::default().write(folder.path()).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let flat = variant(Architecture::FlatVit);
    flat.write(folder.path()).unwrap();
    assert_eq!(Variant::of(folder.path()).unwrap(), flat);
}

#[test]
fn what_a_network_cannot_do_is_refused() {
    let refusal = |more: &str| {
        let text = format!(
            "cohort = \"c\"\ntext = \"t\"\nsteps = 1\nbatch = 2\npart = 1\nsizes = \"tiny\"\n{more}"
        );
        let run: ClipRun = toml::from_str(&text).unwrap();
        run.variant.check(&run).err().map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(refusal("variant = { architecture = \"flat_vit\" }"), "");
    for (more, said) in [
        (
            "variant = { images = { shrink = 3 } }",
            "variant.images.shrink is 3: give 1, 2, 4, 8, 16 or 32",
        ),
        (
            "variant = { architecture = \"flat_vit\" }\nobjective = { lesions = 1.0 }",
            "objective.lesions is 1 and objective.series 0, but only variant.architecture = \"prima\"",
        ),
        (
            "variant = { architecture = \"plain_vit\" }",
            "variant.architecture is \"plain_vit\", which knows no names and no series;",
        ),
        ("variant = { architecture = \"flat_vit\" }\ndepth = 0", "depth is 0, but the registers"),
    ] {
        let found = refusal(more);
        assert!(found.starts_with(said), "{found}");
    }
}
