//! `reformer data ground`: an annotated corpus becomes dialogues with lookups.

use std::collections::BTreeSet;
use std::io::Write;

use reformer::text::{CorpusFormat, read_dialogues, write_dialogues};
use reformer_tables::Database;
use reformer_tables::ground::{Grounder, read_states};

use crate::args::tables::GroundArgs;
use crate::exit::usage;
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
    if let Some(plain) = &args.plain {
        if database.schema().tables.iter().all(|table| table.mentions.is_empty()) {
            return Err(usage(anyhow::anyhow!(
                "--plain {}: no table of the schema beside {} has \"mentions\", words by which people ask for it",
                plain.display(),
                args.tables.display()
            )));
        }
        let known: BTreeSet<String> = dialogues.iter().map(|dialogue| dialogue.id.clone()).collect();
        let mut more = 0;
        for dialogue in read_dialogues(plain, None)?.iter().filter(|dialogue| !known.contains(&dialogue.id)) {
            if let Some(grounded) = grounder.ground_mentioned(dialogue)? {
                dialogues.push(grounded);
                more += 1;
            }
        }
        terminal.say(format_args!(
            "{} of them without states, from {}",
            number::count(more),
            plain.display()
        ));
    }
    write_dialogues(&args.output, &dialogues, CorpusFormat::Messages)?;
    write!(terminal::stdout(), "{}", grounder.report())?;
    let count = number::count(dialogues.len());
    terminal.say(format_args!("{count} dialogues written to {}", args.output.display()));
    Ok(())
}
