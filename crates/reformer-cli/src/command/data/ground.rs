//! `reformer data ground`: an annotated corpus becomes dialogues with lookups.

use std::io::Write;

use reformer::text::{CorpusFormat, write_dialogues};
use reformer_tables::Database;
use reformer_tables::ground::{Grounder, read_states};

use crate::args::tables::GroundArgs;
use crate::number;
use crate::terminal::{self, Terminal};

pub(super) fn run(args: &GroundArgs, terminal: Terminal) -> anyhow::Result<()> {
    let database = Database::open_beside(&args.tables)?;
    let mut grounder = Grounder::new(&database)?;
    let mut dialogues = Vec::new();
    for input in &args.inputs {
        for stated in read_states(input)?.iter().take(args.limit.unwrap_or(usize::MAX)) {
            dialogues.push(grounder.ground(stated)?);
        }
    }
    write_dialogues(&args.output, &dialogues, CorpusFormat::Messages)?;
    write!(terminal::stdout(), "{}", grounder.report())?;
    let count = number::count(dialogues.len());
    terminal.say(format_args!("{count} dialogues written to {}", args.output.display()));
    Ok(())
}
