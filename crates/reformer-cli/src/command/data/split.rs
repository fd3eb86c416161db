//! `reformer data split`: parts to train, validate and test on, as files of a folder.

use std::path::Path;

use anyhow::{Context, bail};
use reformer::text::{CorpusFormat, Dialogue, Parts, write_dialogues};

use crate::exit::usage;
use crate::number;
use crate::terminal::Terminal;

/// Writes `train`, `valid` and `test` files; a part without dialogues is not written, one that is there not
/// overwritten.
pub(crate) fn run(
    dialogues: &[Dialogue],
    (valid, test): (f64, f64),
    folder: &Path,
    to: CorpusFormat,
    seed: Option<u64>,
    terminal: Terminal,
) -> anyhow::Result<()> {
    let share = |share: f64| (0.0..1.0).contains(&share);
    if !share(valid) || !share(test) || valid + test >= 1.0 || valid + test <= 0.0 {
        return Err(usage(anyhow::anyhow!(
            "--valid {valid} and --test {test} are no shares of a corpus: give numbers from 0 that add up to more than 0 \
             and less than 1, for example --valid 0.1"
        )));
    }
    let parts = Parts::of(dialogues, valid, test, seed.unwrap_or(0))?;
    let ending = if to == CorpusFormat::Text { "txt" } else { "jsonl" };
    let files = [("train", &parts.train), ("valid", &parts.valid), ("test", &parts.test)];
    let files = files.map(|(name, part)| (folder.join(format!("{name}.{ending}")), part));
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        bail!("{} is there already; choose another folder with -o", path.display());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (path, part) in files.iter().filter(|(_, part)| !part.is_empty()) {
        write_dialogues(path, part, to)?;
        terminal.say(format_args!("{:>9} in {}", number::count(part.len()), path.display()));
    }
    Ok(())
}
