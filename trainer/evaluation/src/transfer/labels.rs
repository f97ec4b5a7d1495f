//! Labels that come with a data set: a table in comma-separated text, one study a row.
//!
//! ```text
//! study,patient,site,autism,dx:class,age:number
//! sub-01,p1,NYU,yes,CN,31.5
//! ```
//!
//! `study` is the study's folder; `patient` and `site` may be left out. Every other column is a
//! label. Its kind is what its cells allow, or what stands behind a colon in its name where they
//! allow several.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Most classes of a label; what has more is text.
const MOST_CLASSES: usize = 20;
/// Numbers of so few different values may be classes.
const FEW_VALUES: usize = 10;
/// Cells that say nothing.
const NOTHING: [&str; 5] = ["", "na", "n/a", "nan", "null"];
/// Cells that say no, and yes.
const ANSWERS: [(&str, bool); 8] = [
    ("no", false),
    ("n", false),
    ("false", false),
    ("0", false),
    ("yes", true),
    ("y", true),
    ("true", true),
    ("1", true),
];
const KINDS: &str = "`:yes-no`, `:class` or `:number`";

/// What a table says.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// Folder of each study, below that of all.
    pub studies: Vec<String>,
    /// Patient of each study; the study itself in a table without patients.
    pub patients: Vec<String>,
    /// True in a table with patients.
    pub patients_stated: bool,
    /// Site of each study, where it is known.
    pub sites: Vec<Option<String>>,
    /// The other columns.
    pub labels: Vec<Label>,
}

/// A label where it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// Heading without its kind.
    pub name: String,
    /// Rows of the table with a value, from 0.
    pub rows: Vec<usize>,
    /// Their values.
    pub values: Values,
}

/// Values of a label, one a study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Values {
    /// Yes or no.
    YesNo {
        /// Which.
        truth: Vec<bool>,
    },
    /// One of several classes.
    Class {
        /// Their names.
        classes: Vec<String>,
        /// Which, as an index into the names.
        truth: Vec<usize>,
    },
    /// A number, such as an age.
    Number {
        /// Which.
        truth: Vec<f64>,
    },
}

/// Why a table is refused.
#[derive(Debug, thiserror::Error)]
pub enum LabelsError {
    /// The file cannot be read.
    #[error("{}: cannot be read; give a table in comma-separated text", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It says something else than it should.
    #[error("{}: {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Found and expected.
        what: String,
    },
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    ///
    /// Names file, column and line, what was found and what to write.
    pub fn read(path: &Path) -> Result<Self, LabelsError> {
        let text = std::fs::read(path)
            .map_err(|source| LabelsError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|what| LabelsError::Content { path: path.to_owned(), what })
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let text = text.strip_prefix("\u{feff}".as_bytes()).unwrap_or(text);
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let header = reader.headers().map_err(|error| fault(&error))?.clone();
        let column = |name: &str| header.iter().position(|heading| heading == name);
        let study = column("study").ok_or_else(|| {
            let found = header.iter().collect::<Vec<_>>().join(", ");
            format!(
                "no column `study`; the heading has: {found}. Separate columns by commas and head \
                 the one with the studies' folders `study`"
            )
        })?;
        let (patient, site) = (column("patient"), column("site"));
        let mut rows: Vec<(u64, csv::StringRecord)> = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| fault(&error))?;
            rows.push((record.position().map_or(0, csv::Position::line), record));
        }
        let cells = |column: usize| -> Vec<Cell<'_>> {
            let rows = rows.iter();
            rows.map(|(line, row)| Cell { line: *line, text: row.get(column).unwrap_or("") })
                .collect()
        };
        let studies = studies(&cells(study))?;
        let patients = match patient {
            Some(column) => filled(&cells(column), "patient")?,
            None => studies.clone(),
        };
        let known = |cell: &Cell<'_>| (!cell.is_empty()).then(|| cell.text.to_owned());
        let sites = site.map(|column| cells(column).iter().map(known).collect());
        let others =
            (0..header.len()).filter(|c| ![Some(study), patient, site].contains(&Some(*c)));
        let labels = others.map(|column| Label::of(&header[column], &cells(column)));
        let labels: Vec<Label> = labels.collect::<Result<_, _>>()?;
        if labels.is_empty() {
            return Err("no label: add a column for what is to be told from the images".to_owned());
        }
        Ok(Self {
            sites: sites.unwrap_or_else(|| vec![None; studies.len()]),
            studies,
            patients,
            patients_stated: patient.is_some(),
            labels,
        })
    }
}

/// What the reader of comma-separated text found wrong; quotes no cell.
fn fault(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} cells, the heading has {expected_len}; check the quotes")
        }
        csv::ErrorKind::Utf8 { pos, .. } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} is no UTF-8; save the table as UTF-8")
        }
        _ => format!("no comma-separated text: {error}"),
    }
}

/// What stands in a row of a column.
#[derive(Clone, Copy)]
struct Cell<'a> {
    line: u64,
    text: &'a str,
}

impl Cell<'_> {
    fn is_empty(&self) -> bool {
        NOTHING.contains(&self.text.to_lowercase().as_str())
    }

    fn answer(&self) -> Option<bool> {
        let text = self.text.to_lowercase();
        ANSWERS.iter().find(|(word, _)| *word == text).map(|(_, answer)| *answer)
    }

    fn number(&self) -> Option<f64> {
        self.text.parse().ok().filter(|number: &f64| number.is_finite())
    }
}

/// Folders of studies, each once.
fn studies(cells: &[Cell<'_>]) -> Result<Vec<String>, String> {
    let mut seen = BTreeMap::new();
    for cell in cells {
        let (line, text) = (cell.line, cell.text);
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
        if text.is_empty() || !Path::new(text).components().all(inside) {
            return Err(format!(
                "line {line}: study \"{text}\" is no folder below that of the studies; write its \
                 path from there"
            ));
        }
        if let Some(before) = seen.insert(text, line) {
            return Err(format!(
                "line {line}: study \"{text}\" stands in line {before} already; leave one of them"
            ));
        }
    }
    Ok(cells.iter().map(|cell| cell.text.to_owned()).collect())
}

fn filled(cells: &[Cell<'_>], column: &str) -> Result<Vec<String>, String> {
    match cells.iter().find(|cell| cell.is_empty()) {
        None => Ok(cells.iter().map(|cell| cell.text.to_owned()).collect()),
        Some(Cell { line, .. }) => Err(format!(
            "line {line}: no {column}; fill the column, so that studies of one {column} stay \
             together, or leave it out"
        )),
    }
}

impl Label {
    fn of(heading: &str, cells: &[Cell<'_>]) -> Result<Self, String> {
        let (name, stated) = match heading.rsplit_once(':') {
            None => (heading, None),
            Some((name, kind)) => (name.trim_end(), Some(kind.trim_start())),
        };
        let rows: Vec<usize> = (0..cells.len()).filter(|row| !cells[*row].is_empty()).collect();
        let known: Vec<Cell<'_>> = rows.iter().map(|row| cells[*row]).collect();
        let values = match stated {
            None => guess(&known),
            Some("yes-no") => yes_no(&known),
            Some("class") => class(&known),
            Some("number") => number(&known),
            Some(other) => Err(format!("`:{other}` is no kind; write {KINDS}")),
        };
        let values = values.map_err(|what| format!("column `{heading}`: {what}"))?;
        if let Some(only) = values.only() {
            return Err(format!(
                "column `{heading}`: {only} in every row with a value; a label needs two different \
                 ones, leave the column out"
            ));
        }
        Ok(Self { name: name.to_owned(), rows, values })
    }
}

/// The only kind that all cells allow.
fn guess(cells: &[Cell<'_>]) -> Result<Values, String> {
    let different: BTreeSet<&str> = cells.iter().map(|cell| cell.text).collect();
    let numbers = cells.iter().filter(|cell| cell.number().is_some()).count();
    let answers = cells.iter().filter(|cell| cell.answer().is_some()).count();
    if answers == cells.len() {
        return yes_no(cells);
    }
    if numbers == cells.len() {
        if different.len() > FEW_VALUES {
            return number(cells);
        }
        let values = different.into_iter().collect::<Vec<_>>().join(", ");
        return Err(format!(
            "the numbers {values} may be classes or amounts; add `:class` or `:number` to the heading"
        ));
    }
    if numbers == 0 && answers == 0 {
        return class(cells);
    }
    let is_odd = |cell: &&Cell<'_>| cell.number().is_none() && cell.answer().is_none();
    let odd = cells.iter().find(is_odd).map_or(("", 0), |cell| (cell.text, cell.line));
    Err(format!(
        "\"{}\" in line {} is of another kind than other cells; leave cells empty where nothing is \
         known, or add {KINDS} to the heading",
        odd.0, odd.1
    ))
}

fn yes_no(cells: &[Cell<'_>]) -> Result<Values, String> {
    let truth = each(cells, Cell::answer, "no answer; write yes or no")?;
    Ok(Values::YesNo { truth })
}

fn number(cells: &[Cell<'_>]) -> Result<Values, String> {
    let truth = each(cells, Cell::number, "no number")?;
    Ok(Values::Number { truth })
}

fn each<'a, T>(
    cells: &[Cell<'a>],
    of: fn(&Cell<'a>) -> Option<T>,
    otherwise: &str,
) -> Result<Vec<T>, String> {
    let value = |cell: &Cell<'a>| {
        of(cell).ok_or_else(|| format!("\"{}\" in line {} is {otherwise}", cell.text, cell.line))
    };
    cells.iter().map(value).collect()
}

fn class(cells: &[Cell<'_>]) -> Result<Values, String> {
    let classes: Vec<&str> =
        cells.iter().map(|cell| cell.text).collect::<BTreeSet<_>>().into_iter().collect();
    if classes.len() > MOST_CLASSES {
        return Err(format!(
            "{} different texts, at most {MOST_CLASSES} classes are told apart; leave the column out",
            classes.len()
        ));
    }
    let truth = cells.iter().filter_map(|cell| classes.binary_search(&cell.text).ok()).collect();
    Ok(Values::Class { classes: classes.into_iter().map(str::to_owned).collect(), truth })
}

impl Values {
    /// Number of studies.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::YesNo { truth } => truth.len(),
            Self::Class { truth, .. } => truth.len(),
            Self::Number { truth } => truth.len(),
        }
    }

    /// True without studies.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Outputs of a probe: one a class, else one.
    #[must_use]
    pub fn outputs(&self) -> usize {
        match self {
            Self::Class { classes, .. } => classes.len(),
            Self::YesNo { .. } | Self::Number { .. } => 1,
        }
    }

    /// What an output is to be for a study: the number, else 1 where the answer is yes or the
    /// output's class is right.
    ///
    /// # Panics
    ///
    /// When there is no such study.
    #[must_use]
    pub fn target(&self, study: usize, output: usize) -> f64 {
        match self {
            Self::YesNo { truth } => f64::from(u8::from(truth[study])),
            Self::Class { truth, .. } => f64::from(u8::from(truth[study] == output)),
            Self::Number { truth } => truth[study],
        }
    }

    /// Values of some studies.
    ///
    /// # Panics
    ///
    /// When one of them is not there.
    #[must_use]
    pub fn select(&self, studies: &[usize]) -> Self {
        fn of<T: Copy>(truth: &[T], studies: &[usize]) -> Vec<T> {
            studies.iter().map(|study| truth[*study]).collect()
        }
        match self {
            Self::YesNo { truth } => Self::YesNo { truth: of(truth, studies) },
            Self::Class { classes, truth } => {
                Self::Class { classes: classes.clone(), truth: of(truth, studies) }
            }
            Self::Number { truth } => Self::Number { truth: of(truth, studies) },
        }
    }

    /// The value of all studies where they have but one; "nothing" without studies.
    fn only(&self) -> Option<String> {
        let different: BTreeSet<u64> =
            (0..self.len()).map(|study| self.key(study).to_bits()).collect();
        (different.len() < 2).then(|| match self {
            _ if self.is_empty() => "nothing".to_owned(),
            Self::YesNo { truth } => if truth[0] { "yes" } else { "no" }.to_owned(),
            Self::Class { classes, truth } => classes[truth[0]].clone(),
            Self::Number { truth } => truth[0].to_string(),
        })
    }

    /// The value of a study as a number: that of the class, or of the answer.
    #[expect(clippy::cast_precision_loss, reason = "a class is a small number")]
    pub(super) fn key(&self, study: usize) -> f64 {
        match self {
            Self::Class { truth, .. } => truth[study] as f64,
            Self::YesNo { .. } | Self::Number { .. } => self.target(study, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(heading: &str, cells: &[&str]) -> Result<Label, String> {
        let rows = (1..).zip(cells).map(|(row, cell)| format!("s{row},{cell}\n"));
        let text = format!("study,{heading}\n{}", rows.collect::<String>());
        Ok(Table::parse(text.as_bytes())?.labels.remove(0))
    }

    #[test]
    fn kinds_are_what_all_cells_allow() {
        let yes_no = |truth: &[bool]| Values::YesNo { truth: truth.to_vec() };
        for cells in [["yes", "No", "", "yes"], ["1", "0", "NA", "1"], ["true", "n", "n/a", "Y"]] {
            let found = label("asd", &cells).unwrap();
            assert_eq!(found.values, yes_no(&[true, false, true]));
            assert_eq!((found.name.as_str(), found.rows), ("asd", vec![0, 1, 3]));
        }
        let ages: Vec<String> = (0..11).map(|i| format!("{}.5", 20 + i)).collect();
        let ages: Vec<&str> = ages.iter().map(String::as_str).collect();
        let found = label("age", &ages).unwrap().values;
        assert_eq!(found, Values::Number { truth: (20..31).map(|i| f64::from(i) + 0.5).collect() });
        let class = |classes: [&str; 2], truth: &[usize]| Values::Class {
            classes: classes.map(str::to_owned).to_vec(),
            truth: truth.to_vec(),
        };
        let found = label("dx", &["CN", "AD", "AD"]).unwrap().values;
        assert_eq!(found, class(["AD", "CN"], &[1, 0, 0]));
        // What a heading says is not guessed at.
        let found = label("dx:class", &["1", "2", "1"]).unwrap();
        assert_eq!((found.name.as_str(), found.values), ("dx", class(["1", "2"], &[0, 1, 0])));
        let found = label("cdr : number", &["0", "0.5", "1"]).unwrap();
        assert_eq!(found.values, Values::Number { truth: vec![0.0, 0.5, 1.0] });
    }

    #[test]
    fn what_may_mean_two_things_is_refused() {
        let words: Vec<String> = (0..21).map(|i| format!("w{i}")).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for (heading, cells, expected) in [
            (
                "dx",
                &["1", "2", "2"][..],
                "column `dx`: the numbers 1, 2 may be classes or amounts; add `:class` or `:number` \
                 to the heading",
            ),
            (
                "age",
                &["31", "44.5", "old"],
                "column `age`: \"old\" in line 4 is of another kind than other cells; leave cells \
                 empty where nothing is known, or add `:yes-no`, `:class` or `:number` to the heading",
            ),
            ("age:number", &["31", "old"], "column `age:number`: \"old\" in line 3 is no number"),
            (
                "asd:yes-no",
                &["yes", "2"],
                "column `asd:yes-no`: \"2\" in line 3 is no answer; write yes or no",
            ),
            (
                "age:years",
                &["31", "32"],
                "column `age:years`: `:years` is no kind; write `:yes-no`, `:class` or `:number`",
            ),
            (
                "asd",
                &["yes", "yes", ""],
                "column `asd`: yes in every row with a value; a label needs two different ones, \
                 leave the column out",
            ),
            (
                "asd",
                &["", ""],
                "column `asd`: nothing in every row with a value; a label needs two different ones, \
                 leave the column out",
            ),
            (
                "note",
                &words,
                "column `note`: 21 different texts, at most 20 classes are told apart; leave the \
                 column out",
            ),
        ] {
            assert_eq!(label(heading, cells).unwrap_err(), expected);
        }
    }

    #[test]
    fn studies_patients_and_sites_have_columns_of_their_own() {
        let table = "\u{feff}asd,site,study,patient\nyes, NYU ,a,p1\nno,,b/ses-1,p1\nyes,UM,c,p2\n";
        let table = Table::parse(table.as_bytes()).unwrap();
        assert_eq!(table.studies, ["a", "b/ses-1", "c"]);
        assert_eq!(
            (table.patients, table.patients_stated),
            (vec!["p1".into(), "p1".into(), "p2".into()], true)
        );
        assert_eq!(table.sites, [Some("NYU".to_owned()), None, Some("UM".to_owned())]);
        assert_eq!(table.labels.len(), 1);

        let alone = Table::parse(b"study,asd\na,yes\nb,no\n").unwrap();
        assert_eq!((alone.patients, alone.patients_stated), (alone.studies, false));
        for (text, expected) in [
            (
                "folder;asd\na;yes\n",
                "no column `study`; the heading has: folder;asd. Separate columns by commas and \
                 head the one with the studies' folders `study`",
            ),
            ("study\na\n", "no label: add a column for what is to be told from the images"),
            (
                "study,asd\na,yes\nb,no\na,no\n",
                "line 4: study \"a\" stands in line 2 already; leave one of them",
            ),
            (
                "study,asd\n../a,yes\n",
                "line 2: study \"../a\" is no folder below that of the studies; write its path \
                 from there",
            ),
            (
                "study,patient,asd\na,p,yes\nb,,no\n",
                "line 3: no patient; fill the column, so that studies of one patient stay \
                 together, or leave it out",
            ),
            ("study,asd\na,yes,1\n", "line 2 has 3 cells, the heading has 2; check the quotes"),
        ] {
            assert_eq!(Table::parse(text.as_bytes()).unwrap_err(), expected);
        }
        let latin = Table::parse(b"study,asd\n\xe9,yes\n").unwrap_err();
        assert_eq!(latin, "line 2 is no UTF-8; save the table as UTF-8");
    }
}
