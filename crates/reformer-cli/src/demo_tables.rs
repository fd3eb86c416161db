//! The tables that lie in a run's directory: the demo's own, which `train --demo` writes and a chat finds by itself.

use std::path::{Path, PathBuf};

use anyhow::Context;
use reformer::text::demo;
use reformer_tables::{Schema, build};

/// The database's name in a run's directory; its schema lies beside it.
const TABLES: &str = "tables.sqlite";
/// The file beside it that keeps what is booked.
const BOOKINGS: &str = "bookings.sqlite";

/// Writes the demo's town into a run's directory, unless it is there.
pub(crate) fn write(run: &Path) -> anyhow::Result<()> {
    let path = run.join(TABLES);
    if !path.exists() {
        let schema: Schema = serde_json::from_value(demo::schema()).context("the demo's schema is broken")?;
        build(schema, &path)?;
    }
    Ok(())
}

/// The tables of a run or of the run that a checkpoint is of, with the file for its bookings.
pub(crate) fn of_run(model: &Path, checkpoint: &Path) -> Option<(PathBuf, PathBuf)> {
    let places = std::iter::once(model).chain(checkpoint.ancestors().take(3));
    places.map(|folder| (folder.join(TABLES), folder.join(BOOKINGS))).find(|(tables, _)| tables.is_file())
}
