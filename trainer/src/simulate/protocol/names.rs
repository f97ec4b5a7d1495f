//! What series are called: the templates of the makers and the plain words that sites use.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::{Kind, Plane, Scanner, Vendor};

/// What a name is made from.
pub(super) struct Subject<'a> {
    pub(super) scanner: &'a Scanner,
    pub(super) kind: Kind,
    pub(super) plane: Plane,
    pub(super) contrast: bool,
    pub(super) fat_saturated: bool,
    /// Spoiled gradient echo where T1 is usually a spin echo.
    pub(super) gradient: bool,
    pub(super) b_value: f32,
}

/// `{a}` plane as in "AX", `{A}` as in "Ax", `{t}` as in "tra", `{b}` diffusion weighting.
fn templates(kind: Kind, vendor: Vendor, gradient: bool) -> &'static [&'static str] {
    use Vendor::{Canon, Ge, Philips, Siemens};
    match (vendor, kind) {
        (Siemens, Kind::T1) if gradient => &["t1_fl2d_{t}"],
        (Siemens, Kind::T1) => &["t1_se_{t}", "t1_tse_{t}"],
        (Siemens, Kind::T1Volume) => &["t1_mprage_{t}_p2_iso", "t1_mprage_{t}_iso"],
        (Siemens, Kind::T2) => &["t2_tse_{t}", "t2_tse_{t}_512", "t2_blade_{t}"],
        (Siemens, Kind::ProtonDensity) => &["pd_tse_{t}"],
        (Siemens, Kind::Flair) => &["t2_tirm_{t}_dark-fluid", "t2_flair_{t}"],
        (Siemens, Kind::Diffusion | Kind::DiffusionB0) => {
            &["ep2d_diff_b{b}_{t}", "ep2d_diff_3scan_trace_{t}_b{b}", "resolve_diff_{t}_b{b}"]
        }
        (Siemens, Kind::Adc) => &["ep2d_diff_3scan_trace_{t}_ADC", "resolve_diff_{t}_ADC"],
        (Siemens, Kind::Susceptibility) => &["t2_swi3d_{t}", "SWI_Images"],
        (Siemens, Kind::GradientEcho) => &["t2_fl2d_{t}_hemo"],
        (Siemens, Kind::Angiography) => &["tof_fl3d_{t}_multi-slab", "TOF_3D_multi-slab"],
        (Ge, Kind::T1) if gradient => &["{A} T1 FSPGR"],
        (Ge, Kind::T1) => &["{A} T1 FSE", "{A} T1 FLAIR", "{A} T1 SE"],
        (Ge, Kind::T1Volume) => &["{A} 3D T1 BRAVO", "{A} BRAVO"],
        (Ge, Kind::T2) => &["{A} T2 FSE", "{A} T2 PROPELLER", "{A} T2 frFSE"],
        (Ge, Kind::ProtonDensity) => &["{A} PD FSE"],
        (Ge, Kind::Flair) => &["{A} T2 FLAIR", "{A} FLAIR"],
        (Ge, Kind::Diffusion | Kind::DiffusionB0) => &["{A} DWI b{b}", "{A} DWI ASSET b={b}"],
        (Ge, Kind::Adc) => &["ADC (10^-6 mm2/s)", "Apparent Diffusion Coefficient (mm2/s)"],
        (Ge, Kind::Susceptibility) => &["{A} SWAN", "{A} 3D SWAN"],
        (Ge, Kind::GradientEcho) => &["{A} T2* GRE", "{A} MPGR"],
        (Ge, Kind::Angiography) => &["{A} 3D TOF", "COW 3D TOF"],
        (Philips, Kind::T1) if gradient => &["T1W_FFE_{a}"],
        (Philips, Kind::T1) => &["T1W_SE_{a}", "T1W_TSE_{a}", "sT1W_{a}"],
        (Philips, Kind::T1Volume) => &["3D_T1_TFE_{a}", "T1W_3D_TFE_{a}"],
        (Philips, Kind::T2) => &["T2W_TSE_{a}", "T2W_TSE_{a} MV"],
        (Philips, Kind::ProtonDensity) => &["PDW_TSE_{a}"],
        (Philips, Kind::Flair) => &["FLAIR_{a}", "T2W_FLAIR_{a}", "FLAIR_longTR_{a}"],
        (Philips, Kind::Diffusion | Kind::DiffusionB0) => &["DWI_SSh_b{b}", "sDW_SSh_b{b}"],
        (Philips, Kind::Adc) => &["dADC", "ADC_SSh"],
        (Philips, Kind::Susceptibility) => &["SWIp_{a}", "sVEN_BOLD_{a}"],
        (Philips, Kind::GradientEcho) => &["T2W_FFE_{a}", "FFE_T2star_{a}"],
        (Philips, Kind::Angiography) => &["s3DI_MC_HR", "TOF_3D_{a}"],
        (Canon, Kind::T1) => &["T1 {a}", "SE T1 {a}"],
        (Canon, Kind::T1Volume) => &["T1 3D FFE {a}", "MPRAGE {a}"],
        (Canon, Kind::T2) => &["T2 FSE {a}", "FSE T2 {a}"],
        (Canon, Kind::ProtonDensity) => &["PD FSE {a}"],
        (Canon, Kind::Flair) => &["FLAIR {a}", "T2 FLAIR {a}"],
        (Canon, Kind::Diffusion | Kind::DiffusionB0) => &["DWI {a} b{b}", "SE DWI b{b}"],
        (Canon, Kind::Adc) => &["ADC {a}", "DWI ADC"],
        (Canon, Kind::Susceptibility) => &["FSBB {a}", "FFE SWI {a}"],
        (Canon, Kind::GradientEcho) => &["T2* {a}", "FE T2* {a}"],
        (Canon, Kind::Angiography) => &["3D TOF", "MRA TOF {a}"],
    }
}

fn plain(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::T1 => &["{a} T1", "T1 {a}", "{A} T1"],
        Kind::T1Volume => &["{a} T1 3D", "3D T1 {a}"],
        Kind::T2 => &["{a} T2", "T2 {a}", "{A} T2"],
        Kind::ProtonDensity => &["{a} PD", "PD {a}"],
        Kind::Flair => &["{a} FLAIR", "FLAIR {a}", "{a} T2 FLAIR", "{A} FLAIR"],
        Kind::Diffusion | Kind::DiffusionB0 => &["{a} DWI B{b}", "{a} DIFFUSION B{b}", "DWI {b}"],
        Kind::Adc => &["{a} ADC", "ADC", "ADC MAP"],
        Kind::Susceptibility => &["{a} SWI", "SWI"],
        Kind::GradientEcho => &["{a} GRE", "{a} T2 STAR", "{a} T2*"],
        Kind::Angiography => &["MRA HEAD", "{a} TOF COW", "MRA COW 3D TOF"],
    }
}

/// Series Description (0008,103E) of a series.
pub(super) fn series(subject: &Subject<'_>, rng: &mut ChaCha8Rng) -> String {
    let Subject { scanner, kind, plane, .. } = *subject;
    let choice = if scanner.plain_names != rng.random_bool(0.1) {
        plain(kind)
    } else {
        templates(kind, scanner.vendor, subject.gradient)
    };
    let template = choice.choose(rng).copied().unwrap_or("{a}");
    let [upper, title, short] = match plane {
        Plane::Axial => ["AX", "Ax", "tra"],
        Plane::Coronal => ["COR", "Cor", "cor"],
        Plane::Sagittal => ["SAG", "Sag", "sag"],
    };
    let siemens = template.contains("{t}") || template.contains('_');
    let mut name = template
        .replace("{a}", upper)
        .replace("{A}", title)
        .replace("{t}", short)
        .replace("{b}", &format!("{:.0}", subject.b_value));
    if subject.fat_saturated && matches!(kind, Kind::T1 | Kind::T2 | Kind::Flair) {
        name.push_str(if siemens { "_fs" } else { " FS" });
    }
    if subject.contrast {
        let words: &[&str] = if siemens {
            &["_post", "_+C", "_gd", "_post"]
        } else {
            &[" POST", " +C", " POST", " GD", " POST CONTRAST", " +GAD"]
        };
        // GE writes it in front.
        if scanner.vendor == Vendor::Ge && rng.random_bool(0.4) {
            name = format!("+C {name}");
        } else {
            name.push_str(words.choose(rng).copied().unwrap_or(" POST"));
        }
    }
    name
}

/// Protocol Name (0018,1030); empty where the maker leaves it out.
pub(super) fn protocol(scanner: &Scanner, series: &str, study: &str) -> String {
    match scanner.vendor {
        Vendor::Siemens => series.trim_end_matches("_ADC").to_owned(),
        Vendor::Ge => study.to_owned(),
        Vendor::Philips => format!("WIP {series}"),
        Vendor::Canon => String::new(),
    }
}
