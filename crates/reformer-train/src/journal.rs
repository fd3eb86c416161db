//! A run's `metrics.jsonl` and `train.log`.
//!
//! Appended to event by event. A resumed run first cuts `metrics.jsonl` back to its own past: what was written
//! after the checkpoint belongs to steps that will be taken again, and a line that a kill cut short belongs to
//! nobody. `train.log` is a diary and is never cut.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::error::TrainError;
use crate::event::Event;

/// The metrics file's name in a run directory.
pub const METRICS: &str = "metrics.jsonl";
/// The log's name in a run directory.
pub const LOG: &str = "train.log";

/// Both files, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    metrics: (PathBuf, File),
    log: (PathBuf, File),
    log_every: u64,
}

impl Journal {
    /// Opens both. `keep` says which metrics lines of a resumed run stay; without it the file starts anew. Gives the
    /// last step that a line which stayed tells of, too.
    pub(crate) fn open(
        run: &Path,
        log_every: u64,
        keep: Option<&dyn Fn(&Value) -> bool>,
    ) -> Result<(Self, u64), TrainError> {
        let metrics = run.join(METRICS);
        let (past, told) = match keep {
            Some(keep) => past(&metrics, keep)?,
            None => (String::new(), 0),
        };
        crate::checkpoint::write_whole(&metrics, past.as_bytes())?;
        let open = |path: PathBuf| match OpenOptions::new().create(true).append(true).open(&path) {
            Ok(file) => Ok((path, file)),
            Err(error) => Err(failed(&path, &error)),
        };
        Ok((Self { metrics: open(metrics)?, log: open(run.join(LOG))?, log_every }, told))
    }

    /// Writes one event to both files; of the step events, every `log_every`-th.
    pub(crate) fn write(&mut self, event: &Event) -> Result<(), TrainError> {
        if let Event::Step { step, steps, .. } = event
            && !step.is_multiple_of(self.log_every)
            && step != steps
        {
            return Ok(());
        }
        let json = serde_json::to_string(event).expect("events are plain values");
        append(&mut self.metrics, &json)?;
        append(&mut self.log, &legible(&event.to_string()))
    }
}

/// A text without what a terminal would obey: samples and names may hold escape sequences, and logs are shown.
fn legible(text: &str) -> String {
    text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "\u{fffd}")
}

fn append((path, file): &mut (PathBuf, File), line: &str) -> Result<(), TrainError> {
    // One write a line: a kill leaves at most one line short.
    file.write_all(format!("{line}\n").as_bytes()).map_err(|error| failed(path, &error))
}

fn past(path: &Path, keep: &dyn Fn(&Value) -> bool) -> Result<(String, u64), TrainError> {
    let text = match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(path, &error)),
    };
    let (mut kept, mut told) = (String::new(), 0);
    for line in text.lines() {
        let Some(value) = serde_json::from_str(line).ok().filter(|value| keep(value)) else { continue };
        kept.extend([line, "\n"]);
        if value["event"] == "step" {
            told = value["step"].as_u64().unwrap_or(told);
        }
    }
    Ok((kept, told))
}

fn failed(path: &Path, error: &std::io::Error) -> TrainError {
    TrainError::Save { path: path.to_owned(), problem: error.to_string(), kept: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_holds_nothing_that_a_terminal_would_obey() {
        let run = tempfile::tempdir().unwrap();
        let (mut journal, _) = Journal::open(run.path(), 1, None).unwrap();
        let texts = vec!["\u{1b}]52;c;cm0=\u{7}\ta\u{9b}2J\nb".to_owned()];
        journal.write(&Event::Sample { step: 1, texts }).unwrap();
        let log = std::fs::read_to_string(run.path().join(LOG)).unwrap();
        assert_eq!(log, "step 1: sample\n    \u{fffd}]52;c;cm0=\u{fffd}\ta\u{fffd}2J\n    b\n");
    }
}
