//! Who may depend on whom, and where a library may be used.

/// Which of our crates a crate may depend on, in any section of its manifest.
pub(super) const MAY_DEPEND_ON: &[(&str, &[&str])] = &[
    ("models", &[]),
    ("statistics", &[]),
    ("evaluation", &["statistics"]),
    ("trainer", &["models", "statistics", "evaluation"]),
    ("exchange", &[]),
    ("hub", &["exchange"]),
    ("firmware-config", &["exchange"]),
    ("appliance", &["models", "statistics", "exchange", "firmware-config"]),
    (
        "tests",
        &[
            "models",
            "statistics",
            "evaluation",
            "trainer",
            "appliance",
            "exchange",
            "hub",
            "firmware-config",
        ],
    ),
];

/// A library, or with a final `*` a family of them, and the only places that may name it.
pub(super) const DOORS: &[(&str, &[&str])] = &[
    ("burn", &["models/", "trainer/"]),
    ("burn_*", &["models/", "trainer/"]),
    ("tract_*", &["models/", "trainer/src/export/onnx/"]),
    ("mpi", &["trainer/src/stage/group/"]),
    // Reports where a network learns them; a clinical context where it is served, and trained on
    // by that same encoder.
    ("tokenizers", &["models/src/engine/", "trainer/src/stage/text.rs"]),
    (
        "dicom_*",
        &[
            "models/src/dicom/",
            "appliance/src/scp/",
            "appliance/src/archive/",
            "appliance/src/import/",
            "appliance/src/results/",
            "ops/hub/src/outward/",
            "trainer/src/curate/",
            "trainer/src/evaluate/leak/",
            "trainer/src/simulate/",
            "tests/",
        ],
    ),
    ("zip", &["appliance/src/import/"]),
    (
        "rustls",
        &["appliance/src/tls/", "appliance/src/scp/", "appliance/src/hub/", "ops/hub/", "tests/"],
    ),
    ("rcgen", &["appliance/src/tls/", "appliance/src/hub/", "ops/hub/", "tests/"]),
    ("x509_parser", &["appliance/src/hub/", "ops/hub/", "tests/"]),
    (
        "ureq",
        &[
            "trainer/src/reports/llm/",
            "ops/exchange/src/push/",
            "appliance/src/hub/",
            "ops/hub/",
            "tests/",
        ],
    ),
    ("postgres", &["ops/hub/"]),
    ("rusty_s3", &["ops/hub/"]),
    ("askama", &["appliance/src/web/", "ops/hub/"]),
    ("fluent_bundle", &["appliance/src/web/"]),
    ("unic_langid", &["appliance/src/web/"]),
    ("sysinfo", &["appliance/src/health/"]),
    ("nvml_wrapper", &["appliance/src/health/"]),
    ("rusqlite", &["appliance/src/store/", "appliance/benches/", "ops/hub/"]),
    ("axum", &["appliance/src/web/", "appliance/benches/", "ops/hub/"]),
    ("tokio", &["appliance/", "ops/hub/", "tests/"]),
    (
        "clap",
        &[
            "appliance/src/bin/",
            "trainer/src/main.rs",
            "trainer/src/commands",
            "ops/hub/src/main.rs",
            "firmware-config/src/main.rs",
        ],
    ),
    ("sd_notify", &["appliance/src/app/"]),
    ("similar", &["firmware-config/src/trial.rs"]),
];

/// Modules of our libraries in the order data flows, what all use first; a module uses only those
/// before it.
pub(super) const MODULE_ORDER: &[(&str, &[&str])] = &[
    (
        "models/src/",
        &[
            "dims", "labels", "table", "study", "dicom", "volume", "tokens", "nn", "weights",
            "engine", "explain",
        ],
    ),
    (
        "appliance/src/",
        &[
            "clock",
            "fault",
            "hex",
            "tls",
            "triage",
            "worklist",
            "store",
            "archive",
            "import",
            "scp",
            "assembly",
            "inference",
            "results",
            "model_install",
            "hub",
            "console",
            "feedback",
            "quality",
            "health",
            "retention",
            "audit",
            "doctor",
            "accounts",
            "slices",
            "web",
            "config",
            "app",
        ],
    ),
    ("firmware-config/src/", &["settings", "render", "trial", "systemd", "names", "main"]),
    (
        "ops/hub/src/",
        &[
            "clock",
            "fault",
            "db",
            "accounts",
            "store",
            "blobs",
            "receive",
            "authority",
            "enrolment",
            "import",
            "offer",
            "outward",
            "escalation",
            "users_cli",
            "http",
            "config",
            "setup",
            "app",
        ],
    ),
];

/// Uses against [`MODULE_ORDER`]: file, later module, reason.
pub(super) const BACKWARD_USES: &[(&str, &str, &str)] = &[];
