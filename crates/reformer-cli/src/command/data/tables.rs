//! `reformer data tables`: a folder of CSV and JSON becomes a database that a dialogue can ask.

use reformer_tables::{Schema, import};

use crate::args::tables::TablesArgs;
use crate::number;
use crate::terminal::Terminal;

pub(super) fn run(args: &TablesArgs, terminal: Terminal) -> anyhow::Result<()> {
    let schema = args.schema.as_deref().map(Schema::load).transpose()?;
    let imported = import(&args.folder, schema, &args.output)?;
    for (table, rows) in &imported.rows {
        terminal.say(format_args!("{table:16} {:>9} rows", number::count(*rows)));
    }
    let beside = Schema::path_beside(&args.output);
    terminal.say(format_args!("written to {}, its schema to {}", args.output.display(), beside.display()));
    Ok(())
}
