//! What the two baselines are allowed to see of a study.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use models::dicom::parse::{ParseError, read_header};
use models::study::Series;
use models::tokens::StudyPatches;
use serde::{Deserialize, Serialize};

use crate::cohort::record::{Sex, StudyRecord};

/// Features of [`headers`].
pub const HEADERS_WIDTH: usize = 512;
/// Features of [`histograms`].
pub const HISTOGRAMS_WIDTH: usize = CONTRASTS * HISTOGRAM_WIDTH;

/// Places for numbers at the end of [`headers`].
const NUMBERS: usize = 12;
/// Places for hashed words at its front.
const BUCKETS: usize = HEADERS_WIDTH - NUMBERS;

/// Lengths of the pieces a name is cut into.
const PIECES: std::ops::RangeInclusive<usize> = 3..=5;

/// What the headers of a series say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesHeader {
    /// The name given to the series-name encoder.
    pub name: String,
    /// Repetition Time (0018,0080).
    pub repetition_ms: Option<f64>,
    /// Echo Time (0018,0081).
    pub echo_ms: Option<f64>,
    /// Acquired columns, rows, slices.
    pub size_vox: [usize; 3],
}

impl SeriesHeader {
    /// From the first file of a series; `acquired_vox` are its columns, rows, slices.
    ///
    /// # Errors
    /// When the file cannot be read any more.
    pub fn read(series: &Series, acquired_vox: [usize; 3]) -> Result<Self, ParseError> {
        let file = series.slices.first().map(|slice| read_header(&slice.path)).transpose()?;
        let number = |tag: Tag| file.as_ref()?.data.f64s(tag).first().copied();
        Ok(Self {
            name: series.name.clone(),
            repetition_ms: number(tags::REPETITION_TIME),
            echo_ms: number(tags::ECHO_TIME),
            size_vox: acquired_vox,
        })
    }
}

/// Headers and names: hashed words and pieces of words of the series names, the study
/// description and the scanner, and numbers (series, field strength, lowest, mean and highest
/// echo and repetition time, slices). With `demographics`, also age and sex, which do tell
/// something of a diagnosis without any leak. A number that is not known is not a number.
#[must_use]
#[expect(clippy::cast_possible_truncation, reason = "features are single precision")]
pub fn headers(study: &StudyRecord, series: &[SeriesHeader], demographics: bool) -> Vec<f32> {
    let mut features = vec![0.0; BUCKETS];
    for header in series {
        count_text(&mut features, "series", &header.name);
    }
    let about = &study.demographics;
    count_text(&mut features, "study", &study.description);
    count_text(&mut features, "maker", about.manufacturer.as_deref().unwrap_or_default());
    count_text(&mut features, "model", about.model.as_deref().unwrap_or_default());
    if demographics {
        let sex = match about.sex {
            Some(Sex::Female) => "female",
            Some(Sex::Male) => "male",
            Some(Sex::Other) => "other",
            None => "unknown",
        };
        count_word(&mut features, "sex", sex);
        let decade = about.age_years.map_or(-1.0, |age| (age / 10.0).floor());
        count_word(&mut features, "decade", &decade.to_string());
    }
    // A second mention tells less than the first.
    features.iter_mut().for_each(|count: &mut f32| *count = count.ln_1p());

    features.push(series.len() as f32);
    features.push(about.field_t.unwrap_or(f32::NAN));
    let echo: Vec<f64> = series.iter().filter_map(|header| header.echo_ms).collect();
    let repetition: Vec<f64> = series.iter().filter_map(|header| header.repetition_ms).collect();
    let slices: Vec<f64> = series.iter().map(|header| header.size_vox[2] as f64).collect();
    for values in [echo, repetition, slices] {
        features.extend(range(&values).map(|value| value as f32));
    }
    features.push(if demographics { about.age_years.unwrap_or(f32::NAN) } else { 0.0 });
    features
}

/// Lowest, mean and highest value.
fn range(values: &[f64]) -> [f64; 3] {
    let least = values.iter().copied().fold(f64::NAN, f64::min);
    let most = values.iter().copied().fold(f64::NAN, f64::max);
    [least, values.iter().sum::<f64>() / values.len() as f64, most]
}

fn count_text(features: &mut [f32], field: &str, text: &str) {
    let text = text.to_lowercase();
    for word in text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()) {
        count_word(features, field, word);
    }
    let letters: Vec<char> = format!("^{text}$").chars().collect();
    for length in PIECES {
        for piece in letters.windows(length) {
            count_word(features, field, &piece.iter().collect::<String>());
        }
    }
}

fn count_word(features: &mut [f32], field: &str, word: &str) {
    // FNV-1a, 64 bits.
    let bytes = field.bytes().chain([0]).chain(word.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let buckets = features.len() as u64;
    // The high half mixes better than the low one.
    if let Some(count) =
        usize::try_from((hash >> 32) % buckets).ok().and_then(|bucket| features.get_mut(bucket))
    {
        *count += 1.0;
    }
}

/// Equal bins from [`FOREGROUND`] to 1.
const BINS: usize = 32;
/// Bins, mean, deviation, skewness and kurtosis.
const HISTOGRAM_WIDTH: usize = BINS + 4;
/// Share of the volume's maximum above which a voxel is foreground.
const FOREGROUND: f32 = 0.05;

/// Kinds of contrast that have a histogram each.
const CONTRASTS: usize = 8;

/// Global intensity histograms: one of each kind of contrast, told apart by the series' names,
/// averaged over the series of that kind. A kind that the study lacks is not a number, so that
/// the choice of sequences does not show. `names` stand in the order of the series.
#[must_use]
pub fn histograms(patches: &StudyPatches, names: &[&str]) -> Vec<f32> {
    let mut sums = vec![0.0; HISTOGRAMS_WIDTH];
    let mut series_of = [0_u16; CONTRASTS];
    for (series, name) in patches.series.iter().zip(names) {
        let contrast = contrast(name);
        let Some(histogram) = histogram(&series.voxels) else { continue };
        series_of[contrast] += 1;
        let own = &mut sums[contrast * HISTOGRAM_WIDTH..][..HISTOGRAM_WIDTH];
        own.iter_mut().zip(histogram).for_each(|(sum, value)| *sum += value);
    }
    for (own, series) in sums.chunks_exact_mut(HISTOGRAM_WIDTH).zip(series_of) {
        // 0 of 0 is not a number.
        own.iter_mut().for_each(|sum| *sum /= f32::from(series));
    }
    sums
}

/// Shares of the foreground by bin, then its moments; `None` without foreground.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the bin is cut to the last one; features are single precision"
)]
fn histogram(voxels: &[f32]) -> Option<[f32; HISTOGRAM_WIDTH]> {
    let mut counts = [0_u32; BINS];
    let (mut n, mut sum) = (0_u32, 0.0);
    let foreground = || voxels.iter().copied().filter(|value| *value > FOREGROUND);
    for value in foreground() {
        let bin = (value - FOREGROUND) / (1.0 - FOREGROUND) * BINS as f32;
        counts[(bin as usize).min(BINS - 1)] += 1;
        n += 1;
        sum += f64::from(value);
    }
    if n == 0 {
        return None;
    }
    let (n, mean) = (f64::from(n), sum / f64::from(n));
    let mut powers = [0.0; 3];
    for value in foreground() {
        let d = f64::from(value) - mean;
        powers = [powers[0] + d * d, powers[1] + d * d * d, powers[2] + d * d * d * d];
    }
    let [variance, third, fourth] = powers.map(|power| power / n);
    let deviation = variance.sqrt().max(1e-6);
    let moments = [mean, deviation, third / deviation.powi(3), fourth / deviation.powi(4)];
    let shares = counts.iter().map(|count| f64::from(*count) / n);
    let mut features = [0.0; HISTOGRAM_WIDTH];
    for (feature, value) in features.iter_mut().zip(shares.chain(moments)) {
        *feature = value as f32;
    }
    Some(features)
}

/// Kind of contrast that a name for the series-name encoder suggests.
pub(crate) fn contrast(name: &str) -> usize {
    const ENHANCED: [&str; 6] = ["post", "_gd", "gad", "plus_c", "t1c", "contrast"];
    const KINDS: [&[&str]; CONTRASTS - 2] = [
        &["adc", "apparent"],
        &["dwi", "diff", "sdw", "trace"],
        &["mra", "tof", "angio", "s3di"],
        &["t1", "mprage", "bravo", "spgr", "tfe"],
        &["flair", "dark_fluid", "tirm"],
        &["swi", "swan", "gre", "t2star", "star", "hemo", "ven_bold", "fsbb", "mpgr", "t2w_ffe"],
    ];
    // Hyphens stand between description and protocol only, and a protocol names all series alike.
    let description = name.split('-').next().unwrap_or_default().to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| description.contains(word));
    match KINDS.iter().position(|words| says(words)) {
        Some(3) if says(&ENHANCED) => CONTRASTS - 2,
        Some(kind) => kind,
        None => CONTRASTS - 1,
    }
}
