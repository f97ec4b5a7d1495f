//! Writes an evaluation set of made-up predictions, with every file that a section of the report is
//! made of, and measures it:
//!
//! ```text
//! cargo run -p evaluation --example made_up -- 3000 DIR
//! ```

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use evaluation::{Options, evaluate, made_up, report};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(studies), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: made_up STUDIES DIR".into());
    };
    let folder = PathBuf::from(folder);
    made_up::write(&made_up::set(studies.parse()?, 1), &folder, 2)?;
    let found = evaluate(&folder, None, &Options::default(), "trainer evaluate SET")?;
    fs::write(folder.join("metrics.json"), serde_json::to_vec_pretty(&found)?)?;
    fs::write(folder.join("report.html"), report::page(&found).html())?;
    Ok(())
}
