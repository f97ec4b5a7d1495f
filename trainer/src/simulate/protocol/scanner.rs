//! The scanners of the simulated hospital: makers, models and software as their headers give
//! them, under pseudonymous institutions.

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::simulate::tissue::Field;

/// Maker of a scanner; decides names, header values and the range of stored values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    /// Siemens Healthineers
    Siemens,
    /// General Electric
    Ge,
    /// Philips
    Philips,
    /// Canon Medical, formerly Toshiba
    Canon,
}

/// One scanner.
#[derive(Clone, Debug, PartialEq)]
pub struct Scanner {
    /// Its maker.
    pub vendor: Vendor,
    /// Manufacturer (0008,0070) as this software writes it.
    pub manufacturer: &'static str,
    /// Manufacturer's Model Name (0008,1090).
    pub model: &'static str,
    /// Static field.
    pub field: Field,
    /// Software Versions (0018,1020).
    pub software: &'static str,
    /// Pseudonym for Institution Name (0008,0080).
    pub institution: &'static str,
    /// Pseudonym for Station Name (0008,1010).
    pub station: &'static str,
    /// The site names series in plain words instead of the maker's templates.
    pub plain_names: bool,
    /// Images leave the scanner corrected for the sensitivity of the receive coil.
    pub normalised: bool,
    /// Share of the hospital's studies, relative to the other scanners.
    weight: f32,
}

/// Columns as in [`Scanner`]; the last is the share of studies.
const FLEET: [Scanner; 13] = {
    use Field::{OneAndAHalf as Low, Three as High};
    use Vendor::{Canon, Ge, Philips, Siemens};
    [
        scanner((Siemens, "SIEMENS", "Avanto", Low, "syngo MR B19"), 0, "MR01", false, false, 7.0),
        scanner((Siemens, "SIEMENS", "Aera", Low, "syngo MR E11"), 1, "MR02", true, true, 11.0),
        scanner((Siemens, "SIEMENS", "Skyra", High, "syngo MR E11"), 0, "MR03", false, true, 12.0),
        scanner(
            (Siemens, "Siemens Healthineers", "MAGNETOM Vida", High, "syngo MR XA30"),
            0,
            "MR04",
            true,
            true,
            10.0,
        ),
        scanner(
            (Ge, "GE MEDICAL SYSTEMS", "Signa HDxt", Low, "15\\LX\\HD16.0_V02_1131.a"),
            2,
            "MR05",
            true,
            false,
            6.0,
        ),
        scanner(
            (Ge, "GE MEDICAL SYSTEMS", "Optima MR450w", Low, "25\\LX\\MR Software release:DV25.0"),
            1,
            "MR06",
            false,
            true,
            9.0,
        ),
        scanner(
            (
                Ge,
                "GE MEDICAL SYSTEMS",
                "DISCOVERY MR750",
                High,
                "27\\LX\\MR Software release:DV26.0",
            ),
            0,
            "MR07",
            false,
            true,
            10.0,
        ),
        scanner(
            (Ge, "GE MEDICAL SYSTEMS", "SIGNA Premier", High, "29\\LX\\MR Software release:RX29.1"),
            3,
            "MR08",
            true,
            true,
            6.0,
        ),
        scanner(
            (Philips, "Philips Medical Systems", "Achieva", Low, "3.2.3\\3.2.3.1"),
            2,
            "MR09",
            false,
            true,
            6.0,
        ),
        scanner(
            (Philips, "Philips Medical Systems", "Ingenia", Low, "5.7.1\\5.7.1.2"),
            1,
            "MR10",
            true,
            true,
            7.0,
        ),
        scanner(
            (Philips, "Philips", "Ingenia Elition X", High, "5.8.0\\5.8.0.1"),
            3,
            "MR11",
            false,
            true,
            7.0,
        ),
        scanner(
            (Canon, "TOSHIBA_MEC", "Vantage Titan", Low, "V4.50*R550"),
            2,
            "MR12",
            true,
            false,
            4.0,
        ),
        scanner(
            (Canon, "CANON_MEC", "Vantage Galan 3T", High, "V7.0*R001"),
            3,
            "MR13",
            false,
            true,
            5.0,
        ),
    ]
};

const INSTITUTIONS: [&str; 4] = [
    "UNIVERSITY HOSPITAL A",
    "OUTPATIENT CENTRE B",
    "COMMUNITY HOSPITAL C",
    "COMMUNITY HOSPITAL D",
];

const fn scanner(
    (vendor, manufacturer, model, field, software): (
        Vendor,
        &'static str,
        &'static str,
        Field,
        &'static str,
    ),
    institution: usize,
    station: &'static str,
    plain_names: bool,
    normalised: bool,
    weight: f32,
) -> Scanner {
    Scanner {
        vendor,
        manufacturer,
        model,
        field,
        software,
        institution: INSTITUTIONS[institution],
        station,
        plain_names,
        normalised,
        weight,
    }
}

impl Scanner {
    /// All scanners of the hospital.
    #[must_use]
    pub fn fleet() -> &'static [Self] {
        &FLEET
    }

    /// The scanner of one study.
    pub fn draw(rng: &mut ChaCha8Rng) -> Self {
        let drawn = FLEET.choose_weighted(rng, |scanner| scanner.weight);
        // Weights are positive; the first scanner only satisfies the type.
        let mut scanner = drawn.unwrap_or(&FLEET[0]).clone();
        // Technologists forget the filter, or add it.
        if rng.random_bool(0.05) {
            scanner.normalised = !scanner.normalised;
        }
        scanner
    }
}
