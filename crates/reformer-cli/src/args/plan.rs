//! `reformer plan`: a recipe, a length, a limit.

use std::path::PathBuf;

use clap::Args;

use super::key_value;

/// `reformer plan`.
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is read but the recipe: no corpus, no tokenizer (`reformer train --dry-run` reads both). \
    A byte-pair vocabulary is taken as large as the recipe allows.\n\n\
    Example:\n  reformer plan recipes/multiwoz.toml --length 1048576 --memory 16GB"
)]
pub(crate) struct PlanArgs {
    /// The recipe, a TOML file
    #[arg(value_name = "RECIPE", required_unless_present = "demo", conflicts_with = "demo")]
    pub(crate) recipe: Option<PathBuf>,
    /// Plan the built-in demo
    #[arg(long)]
    pub(crate) demo: bool,
    /// Tokens of a row [default: the recipe's]; positions are made for them if the recipe has fewer
    #[arg(long, value_name = "N")]
    pub(crate) length: Option<usize>,
    /// Say what to change so that a step takes no more than this: 16GB, 800MB, 7.5GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) memory: Option<usize>,
    /// Change a key of the recipe; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) sets: Vec<(String, String)>,
    /// Billions of operations a second and thread that a step is expected to reach [default: 80, in bf16 130]
    #[arg(long, value_name = "RATE", conflicts_with = "measure")]
    pub(crate) gflops: Option<f64>,
    /// Time steps of this model on a short row instead, and scale by operations
    #[arg(long)]
    pub(crate) measure: bool,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `16GB` = 16·10⁹ bytes, `16GiB` = 16·2³⁰.
fn size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => f64::from(1 << 20),
        "gib" => f64::from(1 << 30),
        "tib" => 2f64.powi(40),
        _ => return Err(format!("no unit `{}`: write for example 16GB, 800MB or 7.5GiB", unit.trim())),
    };
    match number.parse::<f64>() {
        Ok(number) if number * factor >= 1.0 && number.is_finite() => Ok((number * factor) as usize),
        _ => Err("expected a size above zero, for example 16GB, 800MB or 7.5GiB".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_decimal_or_binary_by_their_unit() {
        assert_eq!(size("16GB"), Ok(16_000_000_000));
        assert_eq!(size("7.5 GiB"), Ok(15 << 29));
        assert_eq!(size("800m"), Ok(800_000_000));
        for wrong in ["", "GB", "0", "-1GB", "16XB", "1.2.3GB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
