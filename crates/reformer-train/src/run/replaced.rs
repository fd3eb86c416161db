//! A run that another one overwrites: set aside when everything that can fail has been checked, removed when the new
//! run has saved its first checkpoint, put back if it never does.
//!
//! ```text
//! runs/<name>/.replaced/    checkpoints · recipe.toml · metrics.jsonl · train.log of the run before
//! ```
//!
//! The checkpoints go aside first and come back last, so a directory without complete checkpoints but with this folder
//! is an overwriting that did not get far, whatever moment a kill chose.

use std::fs;
use std::io;
use std::path::Path;

use super::options::RECIPE;
use crate::checkpoint::remove;
use crate::journal::{LOG, METRICS};
use crate::saved::CHECKPOINTS;

const ASIDE: &str = ".replaced";
const PARTS: [&str; 4] = [CHECKPOINTS, RECIPE, METRICS, LOG];

/// Sets the run in a directory aside.
pub(super) fn set_aside(run: &Path) -> io::Result<()> {
    let aside = run.join(ASIDE);
    fs::create_dir(&aside)?;
    for part in PARTS {
        if run.join(part).exists() {
            fs::rename(run.join(part), aside.join(part))?;
        }
    }
    Ok(())
}

/// Puts the run back that was set aside, over what the new one left; nothing if there is none.
pub(super) fn put_back(run: &Path) -> io::Result<()> {
    let aside = run.join(ASIDE);
    if !aside.exists() {
        return Ok(());
    }
    for part in PARTS.iter().rev() {
        if aside.join(part).exists() {
            remove(&run.join(part))?;
            fs::rename(aside.join(part), run.join(part))?;
        }
    }
    remove(&aside)
}

/// Removes the run that was set aside: the new one has something of its own.
pub(super) fn forget(run: &Path) -> io::Result<()> {
    remove(&run.join(ASIDE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_set_aside_comes_back_whole_after_any_part_of_the_way() {
        for moved in 0..=PARTS.len() {
            let folder = tempfile::tempdir().unwrap();
            let run = folder.path();
            for part in PARTS {
                fs::write(run.join(part), format!("old {part}")).unwrap();
            }
            fs::create_dir(run.join(ASIDE)).unwrap();
            for part in &PARTS[..moved] {
                fs::rename(run.join(part), run.join(ASIDE).join(part)).unwrap();
                fs::write(run.join(part), "new").unwrap();
            }
            put_back(run).unwrap();
            for part in PARTS {
                assert_eq!(fs::read_to_string(run.join(part)).unwrap(), format!("old {part}"));
            }
            assert!(!run.join(ASIDE).exists());
        }
    }
}
