//! The trainer's programs on a cohort of coarse phantoms: the whole way to a bundle that the
//! appliance reads, and for every stage that it learns and that a kill costs nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use models::nn::parameters::ParameterSource;
use models::weights::mapped::WeightFile;
use serde_json::Value;
use tempfile::TempDir;
use trainer::cohort::shard::{Store, Values};
use trainer::export::bundle::ExportRun;
use trainer::simulate::SimulateRun;
use trainer::stage::ablate::AblateRun;
use trainer::stage::clip::ClipRun;
use trainer::stage::distill::DistillRun;
use trainer::stage::heads::HeadsRun;
use trainer::stage::run::config;

use crate::programs::{Run, run, trainer, triage};

/// Folder of the smoke configurations.
pub(crate) fn smoke() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../trainer/configs/smoke")
}

/// A folder that stages run in; configurations name their inputs relative to it.
pub(crate) struct Work(TempDir);

impl Work {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn trainer(&self, subcommand: &str, arguments: &[&str]) -> Command {
        let mut command = trainer(subcommand);
        command.current_dir(self.0.path()).args(arguments);
        command
    }

    /// Runs a subcommand that must succeed.
    pub(crate) fn done(&self, subcommand: &str, arguments: &[&str]) -> Run {
        let ran = run(&mut self.trainer(subcommand, arguments));
        assert_eq!(ran.code, 0, "trainer {subcommand} {arguments:?}\n{}{}", ran.stdout, ran.stderr);
        ran
    }

    /// The cohort of the smoke configuration, with tokens, summaries and a text run.
    pub(crate) fn prepared() -> Self {
        let work = Self::new();
        let config = |name: &str| smoke().join(name).display().to_string();
        let two = fs::read_to_string(smoke().join("simulate.toml")).unwrap() + "keep = 1\n";
        fs::write(work.path("simulate.toml"), two).unwrap();
        work.done("simulate", &["simulate.toml", "--out", "cohort"]);
        work.done("tokenizer", &[&config("tokenizer.toml"), "--run", "tokenizer"]);
        work.done("tokens", &[&config("tokens.toml")]);
        work.done("summarize", &["cohort"]);
        work.done("text", &[&config("text.toml"), "--run", "text"]);
        work
    }
}

#[test]
fn the_smoke_configurations_lead_to_a_bundle_that_the_appliance_reads() {
    let work = Work::prepared();
    let config = |name: &str| smoke().join(name).display().to_string();
    work.done("series-names", &[&config("series-names.toml"), "--run", "series-names"]);
    work.done("clip", &[&config("clip.toml"), "--run", "clip"]);
    work.done("heads", &[&config("heads.toml"), "--run", "heads"]);
    work.done("export", &[&config("export-teacher.toml"), "--out", "teacher"]);
    work.done("distill", &[&config("distill.toml"), "--run", "distill"]);
    let exported = work.done("export", &[&config("export.toml"), "--out", "student"]).stdout;
    assert!(exported.starts_with("Largest difference to burn over 3 studies"), "{exported}");
    work.done("score", &["student", "--cohort", "cohort", "--out", "score"]);
    work.done("evaluate", &["score"]);

    let metrics: Value = read_json(&work.path("score/metrics.json"));
    assert_eq!(metrics["studies"], 3);
    assert_eq!(metrics["diagnoses"]["labels"].as_array().unwrap().len(), 52);
    // The teacher's head for age went through the student's shared head into the metrics.
    assert_eq!(metrics["age"]["studies"], 3);
    assert!(metrics["age"]["mean_absolute_error_years"].as_f64() > Some(0.0));
    let agreement: Value = read_json(&work.path("distill/agreement.json"));
    assert_eq!(agreement["splits"].as_array().unwrap().len(), 2, "validation and test");
    for key in [
        "parameters",
        "weight_bytes",
        "multiplications_per_patch",
        "seconds_per_patch",
        "studies_per_second",
    ] {
        let [teacher, student] = ["teacher", "student"].map(|of| agreement[of][key].as_f64());
        assert!(teacher > Some(0.0) && student > Some(0.0), "{key}: {agreement}");
    }
    assert_eq!(agreement["reading"]["studies"], 14);
    assert!(agreement["seconds"].as_f64() > agreement["reading"]["seconds"].as_f64());
    let about = fs::read_to_string(work.path("clip/run.toml")).unwrap();
    for key in ["stage = \"clip\"", "seed = 0", "revision = ", "inputs = "] {
        assert!(about.contains(key), "{about}");
    }
    for bundle in ["teacher", "student"] {
        let study = work.path("cohort/studies/s0001-000000");
        let ran = run(&mut triage(&study, &work.path(bundle)));
        assert_eq!(ran.code, 0, "{bundle}: {}", ran.stderr);
        assert!(ran.stdout.to_lowercase().contains("simulated"), "{}", ran.stdout);
    }
}

/// `simulate` writes the tokens that `tokens` makes, mirrored studies are studies like others, and
/// the patches of one are enough to know whose tokens they are.
#[test]
fn a_cohort_of_tokens_is_read_as_one_of_patches() {
    let work = Work::prepared();
    let config = |name: &str| smoke().join(name).display().to_string();
    let more = "seed = 1\ntrain = 2\nvalidation = 1\ntest = 0\ngrid_mm = 2.5\nkeep = 1\nmirrored = true\n\
                tokens = { tokenizer = \"tokenizer/tokenizer.safetensors\", sizes = \"tiny\" }\n";
    fs::write(work.path("more.toml"), more).unwrap();
    work.done("simulate", &["more.toml", "--out", "more"]);
    let of_patches = Store::open(&work.path("cohort"), Values::Latents).unwrap();
    let of_tokens = Store::open(&work.path("more"), Values::Latents).unwrap();
    let ids: Vec<&str> = of_tokens.ids().collect();
    let mirrored = ["s0001-000000m", "s0001-000001m"];
    assert_eq!(ids, ["s0001-000000", mirrored[0], "s0001-000001", mirrored[1], "s0001-000002"]);
    for id in ["s0001-000000", "s0001-000001"] {
        let [(_, made), (_, written)] = [&of_patches, &of_tokens].map(|s| s.study(id).unwrap());
        assert_eq!(made.len(), written.len());
        for (made, written) in made.iter().zip(&written) {
            assert_eq!(made.values, written.values);
        }
        let mirrored = of_tokens.study(&format!("{id}m")).unwrap().1;
        assert!(written.iter().zip(&mirrored).all(|(a, b)| a.values != b.values), "{id}");
    }
    let patches = Store::open(&work.path("more"), Values::Patches).unwrap();
    assert_eq!(patches.ids().collect::<Vec<_>>(), ["s0001-000000", mirrored[0]]);

    work.done("series-names", &[&config("series-names.toml"), "--run", "series-names"]);
    work.done("clip", &[&config("clip.toml"), "--run", "clip"]);
    work.done("heads", &[&config("heads.toml"), "--run", "heads"]);
    // Whole weights, by which tokens are known again.
    let export = fs::read_to_string(smoke().join("export-teacher.toml")).unwrap();
    fs::write(work.path("export.toml"), export + "half = false\n").unwrap();
    work.done("export", &["export.toml", "--out", "teacher"]);
    begins_with_the_network_of_a_bundle(&work);
    work.done(
        "explain",
        &[
            "teacher",
            "--cohort",
            "more",
            "--split",
            "train",
            "--samples",
            "8",
            "--out",
            "explained",
        ],
    );
    let distill = fs::read_to_string(smoke().join("distill.toml")).unwrap();
    let distill = distill.replacen("cohort = \"cohort\"", "cohort = \"more\"", 1);
    fs::write(work.path("distill.toml"), distill).unwrap();
    work.done("distill", &["distill.toml", "--run", "distill"]);
    let agreement: Value = read_json(&work.path("distill/agreement.json"));
    assert_eq!(agreement["reading"]["studies"], 5);
    assert_eq!(agreement["reading"]["patches"], 0, "the tokens were there");
}

/// A step of no length changes nothing that the bundle has.
fn begins_with_the_network_of_a_bundle(work: &Work) {
    let config = |sizes: &str| {
        format!(
            "cohort = \"more\"\ntext = \"text\"\nstart = \"teacher\"\nseed = 7\nsteps = 1\n\
             batch = 2\npart = 1\nsizes = \"{sizes}\"\n\
             optimizer = {{ learning_rate = 0.0, weight_decay = 0.0 }}\n"
        )
    };
    fs::write(work.path("further.toml"), config("tiny")).unwrap();
    work.done("clip", &["further.toml", "--run", "further"]);
    let [bundle, begun] = ["teacher", "further"]
        .map(|folder| WeightFile::open(&work.path(folder).join("network.safetensors")).unwrap());
    assert!(bundle.tensors().count() > 20);
    for (name, shape) in bundle.tensors() {
        assert_eq!(
            bundle.read(&name, &shape).unwrap(),
            begun.read(&name, &shape).unwrap(),
            "{name}"
        );
    }

    fs::write(work.path("other.toml"), config("edge")).unwrap();
    let refused = run(&mut work.trainer("clip", &["other.toml", "--run", "other"]));
    assert_eq!(refused.code, 1);
    let beginning = "start is teacher, a bundle of another sequence ViT than sizes asks for";
    assert!(refused.stderr.contains(beginning), "{}", refused.stderr);
}

/// Configurations that no test has the time to run are read at least.
#[test]
fn shipped_configurations_are_read() {
    let configs = smoke().join("..");
    for folder in ["reduced", "further", "from-prima"] {
        let file = |name: &str| configs.join(folder).join(name);
        config::<SimulateRun>(&file("simulate.toml"), "simulate").unwrap();
        let distill: DistillRun = config(&file("distill.toml"), "distill").unwrap();
        distill.augmentation.check("augmentation").unwrap();
        config::<ExportRun>(&file("export.toml"), "export").unwrap();
    }
    for folder in ["reduced", "further"] {
        let file = |name: &str| configs.join(folder).join(name);
        let clip: ClipRun = config(&file("clip.toml"), "clip").unwrap();
        clip.augmentation.check("augmentation").unwrap();
        config::<HeadsRun>(&file("heads.toml"), "heads").unwrap();
    }
    config::<AblateRun>(&configs.join("reduced/ablate.toml"), "ablate").unwrap();
}

/// A stage on the smallest cohort that it can learn by heart.
struct Stage {
    subcommand: &'static str,
    config: &'static str,
    /// What the stage leaves.
    result: &'static str,
    /// A loss, and what it must fall below.
    learns: (&'static str, f64),
}

const STAGES: [Stage; 5] = [
    Stage {
        subcommand: "tokenizer",
        config: r#"
            cohort = "cohort"
            steps = 120
            batch = 32
            checkpoint_steps = 30
            sizes = "tiny"
            optimizer = { learning_rate = 3e-3, weight_decay = 0.0 }
        "#,
        result: "tokenizer.safetensors",
        learns: ("l1", 0.3),
    },
    Stage {
        subcommand: "text",
        config: r#"
            cohort = "cohort"
            steps = 120
            batch = 4
            projection = 16
            checkpoint_steps = 30
            sizes = { vocabulary = 400, positions = 64, dim = 32, depth = 2, heads = 2 }
            optimizer = { learning_rate = 5e-3, warmup_steps = 5 }
        "#,
        result: "text.safetensors",
        learns: ("loss", 3.0),
    },
    Stage {
        subcommand: "series-names",
        config: r#"
            cohort = "cohort"
            steps = 200
            batch = 8
            most_tokens = 20
            checkpoint_steps = 50
            sizes = "tiny"
            optimizer = { learning_rate = 5e-4, warmup_steps = 20 }
        "#,
        result: "series_names.safetensors",
        learns: ("clip", 1.95),
    },
    Stage {
        subcommand: "clip",
        config: r#"
            cohort = "cohort"
            text = "text"
            steps = 40
            batch = 6
            part = 3
            checkpoint_steps = 10
            sizes = "tiny"
            optimizer = { learning_rate = 3e-3, warmup_steps = 2 }
            augmentation = { most_tokens = 20, abnormal_copies = 0 }
            objective = { labels = 1.0 }
        "#,
        result: "network.safetensors",
        learns: ("labels", 0.5),
    },
    Stage {
        subcommand: "heads",
        config: r#"
            cohort = "cohort"
            clip = "clip-once"
            epochs = 30
            batch = 8
            hidden = [24, 16]
            operating_point = { rule = "youden" }
            optimizer = { learning_rate = 1e-2, warmup_steps = 2 }
        "#,
        result: "heads.toml",
        learns: ("diagnosis_loss", 0.7),
    },
];

/// The distillation teaches from an untrained bundle of another architecture, without labels.
const DISTILL: Stage = Stage {
    subcommand: "distill",
    config: r#"
        cohort = "cohort"
        teacher = "untrained"
        sizes = "tiny"
        operating_point = { rule = "youden" }
        checkpoint_steps = 10
        tokenizer = { steps = 40, batch = 32, optimizer = { learning_rate = 3e-3, warmup_steps = 2 } }
        network = { steps = 40, batch = 8, optimizer = { learning_rate = 3e-3, warmup_steps = 2 } }
        augmentation = { most_tokens = 20 }
    "#,
    result: "network.safetensors",
    learns: ("series", 0.05),
};

#[test]
fn every_stage_learns_and_a_kill_costs_nothing() {
    let work = Work::prepared();
    for stage in &STAGES {
        learns_and_resumes(&work, stage);
    }
    begins_with_the_weights_of_another_run(&work);
    work.done("init", &["--preset", "tiny", "--out", "untrained"]);
    fs::remove_file(work.path("cohort/labels.jsonl")).unwrap();
    learns_and_resumes(&work, &DISTILL);
    let tokens = logged(&work.path("distill-once"), "token_error");
    assert!(tokens.last() < tokens.first(), "the student's tokens: {tokens:?}");
}

fn learns_and_resumes(work: &Work, stage: &Stage) {
    let Stage { subcommand, config, result, learns: (name, below) } = *stage;
    let file = format!("{subcommand}.toml");
    fs::write(work.path(&file), config).unwrap();
    let once = format!("{subcommand}-once");
    work.done(subcommand, &[&file, "--run", &once]);
    let losses = logged(&work.path(&once), name);
    // Batches differ: the mean of the last third.
    let end = &losses[losses.len() * 2 / 3..];
    let last = end.iter().sum::<f64>() / end.len() as f64;
    assert!(
        last < below,
        "{subcommand}: {name} ends at {last}, expected below {below}: {losses:?}"
    );
    assert!(
        losses[0] > below,
        "{subcommand}: {name} begins at {}, which proves nothing",
        losses[0]
    );

    // Killed as soon as a checkpoint is there.
    let killed = format!("{subcommand}-killed");
    let mut victim = work.trainer(subcommand, &[&file, "--run", &killed]);
    let mut victim = victim.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let checkpoints = work.path(&killed).join("checkpoints");
    while victim.try_wait().unwrap().is_none() && !holds_a_checkpoint(&checkpoints) {
        std::thread::sleep(Duration::from_millis(2));
    }
    victim.kill().unwrap();
    victim.wait().unwrap();
    work.done(subcommand, &[&file, "--run", &killed, "--resume"]);
    let [whole, resumed] =
        [&once, &killed].map(|folder| fs::read(work.path(folder).join(result)).unwrap());
    assert!(whole == resumed, "{subcommand}: {result} differs after a kill");
}

/// A step of no length changes nothing, whatever the seed of fresh weights would be.
fn begins_with_the_weights_of_another_run(work: &Work) {
    let config = r#"
        cohort = "cohort"
        text = "text"
        start = "clip-once"
        seed = 7
        steps = 1
        batch = 6
        part = 3
        sizes = "tiny"
        optimizer = { learning_rate = 0.0, weight_decay = 0.0 }
        augmentation = { most_tokens = 20, fewest_tokens = 10 }
        objective = { labels = 1.0 }
    "#;
    fs::write(work.path("clip-again.toml"), config).unwrap();
    work.done("clip", &["clip-again.toml", "--run", "clip-again"]);
    for file in ["network.safetensors", "probes.safetensors"] {
        let [before, after] = ["clip-once", "clip-again"]
            .map(|folder| fs::read(work.path(folder).join(file)).unwrap());
        assert!(before == after, "{file} is not that of the run it began with");
    }
}

fn holds_a_checkpoint(folder: &Path) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.flatten().any(|e| e.file_name().to_string_lossy().starts_with("step-"))
}

/// Values of a metric in the order of the steps.
pub(crate) fn logged(run: &Path, name: &str) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| line[name].as_f64()).collect()
}

pub(crate) fn read_json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// `trainer clip` on two ranks over TCP; none where there is no MPI and none is demanded.
fn two_ranks(work: &Work, arguments: &[&str]) -> Option<Command> {
    let help = run(trainer("clip").args(["x.toml", "--run", "x", "--mpi"]));
    let mpirun = Command::new("mpirun").arg("--version").output();
    if help.stderr.contains("built without MPI") || mpirun.is_err() {
        assert!(std::env::var_os("PRIMA_PEERS").is_none(), "MPI is missing: {}", help.stderr);
        return None;
    }
    let mut ranks = Command::new("mpirun");
    ranks.current_dir(work.0.path());
    ranks.args(["--allow-run-as-root", "--oversubscribe", "-n", "2", "--mca", "btl", "tcp,self"]);
    ranks.arg(trainer("clip").get_program()).args(["clip", "--mpi"]).args(arguments);
    Some(ranks)
}

#[test]
fn a_killed_rank_ends_the_others_and_all_go_on() {
    let work = Work::prepared();
    let config = r#"
        cohort = "cohort"
        text = "text"
        steps = 30
        batch = 4
        part = 2
        checkpoint_steps = 5
        sizes = "tiny"
        optimizer = { learning_rate = 1e-3, warmup_steps = 2 }
        augmentation = { most_tokens = 20 }
    "#;
    fs::write(work.path("clip.toml"), config).unwrap();
    let killed = work.path("killed").display().to_string();
    let arguments = ["clip.toml", "--run", &killed];
    let Some(mut whole) = two_ranks(&work, &["clip.toml", "--run", "whole"]) else { return };
    assert_eq!(run(&mut whole).code, 0);
    let mut job = two_ranks(&work, &arguments).unwrap();
    let mut job = job.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while job.try_wait().unwrap().is_none()
        && !holds_a_checkpoint(&work.path("killed").join("checkpoints"))
    {
        std::thread::sleep(Duration::from_millis(2));
    }
    let kill = ["-9", "--newest", "--full", "--", &format!("--run {killed}")];
    assert!(Command::new("pkill").args(kill).status().unwrap().success(), "a rank to kill");
    assert!(!job.wait().unwrap().success(), "the job outlives its rank");
    let resumed = run(two_ranks(&work, &arguments).unwrap().arg("--resume"));
    assert_eq!(resumed.code, 0, "{}", resumed.stderr);
    let [whole, killed] = ["whole", "killed"]
        .map(|folder| fs::read(work.path(folder).join("network.safetensors")).unwrap());
    assert!(whole == killed, "the weights differ after a rank was killed");
}

/// Two ranks have the gradients of one, and so have the parts of a batch.
#[test]
fn two_ranks_have_the_gradients_of_one() {
    let work = Work::prepared();
    let config = |part: usize| {
        format!(
            r#"
            cohort = "cohort"
            text = "text"
            steps = 2
            batch = 8
            part = {part}
            checkpoint_steps = 1
            sizes = "tiny"
            optimizer = {{ learning_rate = 1e-3, warmup_steps = 1 }}
            augmentation = {{ most_tokens = 20 }}
            objective = {{ lesions = 1.0, series = 1.0, labels = 1.0 }}
        "#
        )
    };
    fs::write(work.path("whole.toml"), config(8)).unwrap();
    fs::write(work.path("parts.toml"), config(2)).unwrap();
    let gradients = |name: &str| format!("{name}.safetensors");
    for name in ["whole", "parts"] {
        let (toml, file) = (format!("{name}.toml"), gradients(name));
        work.done("clip", &[&toml, "--run", name, "--gradients", &file]);
    }
    let arguments = ["parts.toml", "--run", "ranks", "--gradients", "ranks.safetensors"];
    let Some(mut ranks) = two_ranks(&work, &arguments) else { return };
    let ran = run(&mut ranks);
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);

    let whole = tensors(&work.path(&gradients("whole")));
    let largest = whole.iter().flat_map(|(_, values)| values).fold(0.0f32, |a, v| a.max(v.abs()));
    for name in ["parts", "ranks"] {
        let found = tensors(&work.path(&gradients(name)));
        assert_eq!(found.len(), whole.len());
        for ((name_a, a), (name_b, b)) in whole.iter().zip(&found) {
            assert_eq!(name_a, name_b);
            let error = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(
                error <= 1e-4 * largest,
                "{name}: {name_a} differs by {error}, largest {largest}"
            );
        }
    }
}

pub(crate) fn tensors(path: &Path) -> Vec<(String, Vec<f32>)> {
    let bytes = fs::read(path).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut tensors: Vec<(String, Vec<f32>)> = file
        .tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let values = tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
            (name, values.collect())
        })
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}
