//! `reformer recipe`: a recipe with every key at its default, or the page that explains them.

use std::io::Write;
use std::process::ExitCode;

use reformer::train::Recipe;

use crate::args::RecipeArgs;

/// Prints one or the other.
pub(crate) fn run(args: &RecipeArgs) -> anyhow::Result<ExitCode> {
    let text = if args.explain { Recipe::explain() } else { Recipe::parse("", &[])?.to_toml() };
    write!(crate::terminal::styled_stdout(), "{text}")?;
    Ok(ExitCode::SUCCESS)
}
