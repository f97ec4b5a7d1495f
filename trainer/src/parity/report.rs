//! The table: one row a stage.

use std::fmt;

use models::engine::DeviceChoice;

/// Outcome of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Within tolerance.
    Pass,
    /// Outside.
    Miss,
}

/// One stage.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was compared.
    pub stage: String,
    /// How many numbers.
    pub elements: usize,
    /// Largest absolute difference.
    pub max_abs: f64,
    /// Largest one allowed; for gradients the absolute part.
    pub tolerance: f64,
    /// Outcome.
    pub verdict: Verdict,
    /// What a reader must know about the comparison, empty most of the time.
    pub note: String,
}

/// All rows of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// Device everything ran on.
    pub device: DeviceChoice,
    /// In the order of the data flow.
    pub rows: Vec<Row>,
}

impl Report {
    /// An empty report.
    #[must_use]
    pub fn new(device: DeviceChoice) -> Self {
        Self { device, rows: Vec::new() }
    }

    /// True when no row missed.
    #[must_use]
    pub fn passed(&self) -> bool {
        self.rows.iter().all(|row| row.verdict == Verdict::Pass)
    }

    /// Compares values with an absolute tolerance.
    pub fn close(
        &mut self,
        stage: impl Into<String>,
        found: &[f32],
        expected: &[f32],
        tolerance: f64,
    ) {
        self.within(stage, found, expected, tolerance, 0.0);
    }

    /// Compares values with an absolute and a relative tolerance.
    pub fn within(
        &mut self,
        stage: impl Into<String>,
        found: &[f32],
        expected: &[f32],
        absolute: f64,
        relative: f64,
    ) {
        let mut max_abs: f64 = 0.0;
        let mut pass = found.len() == expected.len() && !expected.is_empty();
        for (&f, &e) in found.iter().zip(expected) {
            let error = (f64::from(f) - f64::from(e)).abs();
            // A NaN compares as false and so counts as a miss.
            pass &= error <= absolute + relative * f64::from(e).abs();
            max_abs = max_abs.max(if error.is_nan() { f64::INFINITY } else { error });
        }
        let note = if found.len() == expected.len() {
            String::new()
        } else {
            format!("{} values, expected {}", found.len(), expected.len())
        };
        self.push(stage, expected.len(), max_abs, absolute, pass, note);
    }

    /// Compares values that must be equal.
    pub fn equal<T: PartialEq>(&mut self, stage: impl Into<String>, found: &[T], expected: &[T]) {
        let different = found.iter().zip(expected).filter(|(f, e)| f != e).count();
        let pass = different == 0 && found.len() == expected.len();
        let note = if pass {
            String::new()
        } else {
            format!("{different} differ, {} values, expected {}", found.len(), expected.len())
        };
        let max_abs = if pass { 0.0 } else { f64::INFINITY };
        self.push(stage, expected.len(), max_abs, 0.0, pass, note);
    }

    /// Adds a row.
    pub fn push(
        &mut self,
        stage: impl Into<String>,
        elements: usize,
        max_abs: f64,
        tolerance: f64,
        pass: bool,
        note: impl Into<String>,
    ) {
        let verdict = if pass { Verdict::Pass } else { Verdict::Miss };
        let (stage, note) = (stage.into(), note.into());
        self.rows.push(Row { stage, elements, max_abs, tolerance, verdict, note });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.stage.len()).max().unwrap_or(0);
        let device = self.device.to_string();
        writeln!(
            f,
            "{:width$}  {:6}  {:>9}  {:>9}  {:>9}  verdict",
            "stage", "device", "elements", "max abs", "tolerance"
        )?;
        for row in &self.rows {
            let verdict = match row.verdict {
                Verdict::Pass => "pass",
                Verdict::Miss => "MISS",
            };
            write!(
                f,
                "{:width$}  {device:6}  {:>9}  {:>9.2e}  {:>9.2e}  {verdict}",
                row.stage, row.elements, row.max_abs, row.tolerance
            )?;
            writeln!(f, "{}{}", if row.note.is_empty() { "" } else { "  " }, row.note)?;
        }
        let missed = self.rows.iter().filter(|row| row.verdict == Verdict::Miss).count();
        write!(f, "{} stages, {missed} missed", self.rows.len())
    }
}
