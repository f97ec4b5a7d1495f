//! Writes an evaluation set of made-up predictions:
//!
//! ```text
//! cargo run -p evaluation --example made_up -- 30000 DIR
//! ```

use std::error::Error;
use std::path::PathBuf;

use evaluation::made_up::set;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(studies), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err("usage: made_up STUDIES DIR".into());
    };
    set(studies.parse()?, 1).write(&PathBuf::from(folder))?;
    Ok(())
}
