//! What was typed: one definition of every command and flag.
//!
//! `-h`, `--help` and the shells' completions come from here. Flags are spelled as the config keys are. What the flags
//! *mean* (which checkpoint, how many threads, colour or not) is resolved by each command before it runs.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod decoding;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod plan;
pub(crate) mod plot;
pub(crate) mod serve;
pub(crate) mod tables;
pub(crate) mod task;

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use reformer::tensor::Precision;
use reformer::tensor::simd::{Level, LevelError};

/// Train, chat with and look into Reformers: Transformers for very long sequences.
#[derive(Debug, Parser)]
#[command(name = "reformer", version, max_term_width = 100)]
#[command(after_help = "First steps, with no files and no network:\n  \
    reformer train --demo\n  reformer chat runs/demo\n\n\
    Exit codes: 0 done, 1 ran and failed, 2 usage or configuration, 130 interrupted (checkpoint saved).")]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Say less: only warnings and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Threads to compute with [default: as many as there are cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Vector instructions (auto, portable, avx2, avx512); chosen ones give the same bits on any processor that has
    /// them, a little slower
    #[arg(long, global = true, value_name = "LEVEL", value_parser = simd_level, default_value = "auto", hide_default_value = true)]
    pub(crate) simd: Simd,
    /// Seed of everything random [default: the recipe's; 0 for generate; a new one for each chat]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// When to use colour; NO_COLOR switches it off too
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// Vector instructions: what the processor has, or a chosen set.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Simd {
    /// The best that there is, and product libraries that find it themselves.
    Auto,
    /// Just these, in our own kernels.
    Level(Level),
}

fn simd_level(name: &str) -> Result<Simd, LevelError> {
    if name == "auto" { Ok(Simd::Auto) } else { name.parse().map(Simd::Level) }
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train a model by a recipe, or the demo with no files at all
    Train(TrainArgs),
    /// Measure a model: loss, perplexity and bits per byte on a corpus, or how well it helps in a task's dialogues
    Eval(EvalArgs),
    /// Continue a text
    Generate(generate::GenerateArgs),
    /// Talk to a model
    Chat(chat::ChatArgs),
    /// Serve models over HTTP, with OpenAI's API
    Serve(serve::ServeArgs),
    /// Show a model's configuration, parameters, tensors and memory
    Inspect(InspectArgs),
    /// Look at and convert dialogue corpora
    #[command(subcommand)]
    Data(DataCommand),
    /// Print a recipe with every key at its default, or explain the keys
    Recipe(RecipeArgs),
    /// Say what a recipe's training step costs at a length, and what to change to fit a memory
    Plan(plan::PlanArgs),
    /// Measure how fast attention, hashing, products, training and generating are here
    #[command(
        subcommand,
        after_help = "One JSON object a line with --json; lists are every combination. MB are 2^20 bytes."
    )]
    Bench(bench::BenchCommand),
    /// Draw benchmarks of attention, or the loss of runs or evaluations, as SVG or PNG
    Plot(plot::PlotArgs),
    /// Explain how a Reformer works, step by step, with small real numbers and pictures
    Explain(explain::ExplainArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// `reformer train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArgs {
    /// The recipe, a TOML file
    #[arg(value_name = "RECIPE", required_unless_present_any = ["demo", "resume"], conflicts_with = "demo")]
    pub(crate) recipe: Option<PathBuf>,
    /// Train the built-in demo: a small model on a bundled dialogue corpus
    #[arg(long)]
    pub(crate) demo: bool,
    /// Change a key of the recipe; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(crate) sets: Vec<(String, String)>,
    /// Number type of products, the recipe's `dtype`: bf16 rounds their operands and takes about half the time
    #[arg(long, value_name = "TYPE", value_parser = precision())]
    pub(crate) dtype: Option<Precision>,
    /// Continue from the newest checkpoint of the run, or of DIR
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "absent, bare and with a value are three things")]
    pub(crate) resume: Option<Option<PathBuf>>,
    /// Begin with the weights of this run or checkpoint, with a fresh optimizer: vocabulary and positions are resized,
    /// what does not fit is left out, and all of it is told
    #[arg(long, value_name = "DIR", conflicts_with_all = ["resume", "overwrite"])]
    pub(crate) init: Option<PathBuf>,
    /// Replace the run that is in the directory, once this one has saved its first checkpoint
    #[arg(long, conflicts_with = "resume")]
    pub(crate) overwrite: bool,
    /// Print parameters, tokens, steps, memory and time by arithmetic, and train nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The run's directory [default: runs/ and the recipe's name]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Print the plan or the result as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// `reformer recipe`.
#[derive(Debug, Args)]
pub(crate) struct RecipeArgs {
    /// Print every key with its default and its meaning, as Markdown
    #[arg(long)]
    pub(crate) explain: bool,
}

/// Hashed attention, exact, or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum AttentionChoice {
    /// As the model was trained.
    #[default]
    Lsh,
    /// Every LSH layer attends exactly.
    Full,
    /// No LSH layer attends: what the others do alone.
    Off,
}

/// `reformer eval`.
#[derive(Debug, Args)]
pub(crate) struct EvalArgs {
    /// A run or a checkpoint directory
    #[arg(value_name = "DIR", required_unless_present_any = ["score", "oracle"], conflicts_with_all = ["score", "oracle"])]
    pub(crate) model: Option<PathBuf>,
    /// The corpus: a file as training reads it, `demo`: the held-out dialogues of the built-in one, or `hold-out`:
    /// what the model's run held out
    #[arg(long, value_name = "FILE", required_unless_present_any = ["dialogues", "score", "requests"])]
    pub(crate) data: Option<PathBuf>,
    /// Put N requests of the demo's people to a run of `train --demo`, and ask its tables whether the replies are right
    #[arg(long, value_name = "N", conflicts_with_all = ["data", "dialogues", "score", "oracle", "attention", "num_hashes", "length", "decode"])]
    pub(crate) requests: Option<usize>,
    /// Attend in LSH layers as trained, exactly, or not at all
    #[arg(long, value_name = "KIND", default_value = "lsh")]
    pub(crate) attention: AttentionChoice,
    /// Hash rounds to evaluate with, one result each [default: as trained]
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) num_hashes: Vec<u16>,
    /// Tokens in a row [default: as trained]
    #[arg(long, value_name = "N")]
    pub(crate) length: Option<usize>,
    /// Compare with decoding: predict rows token by token too, ROWS of them
    #[arg(long, value_name = "ROWS", num_args = 0..=1, default_missing_value = "8", require_equals = true, conflicts_with = "num_hashes")]
    pub(crate) decode: Option<usize>,
    /// Number type of the weights: bf16 shows what rounding them for decoding costs
    #[arg(long, value_name = "TYPE", default_value = "f32", value_parser = precision())]
    pub(crate) weights: Precision,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) task: task::TaskArgs,
}

/// Reads a number type; lists those that exist.
pub(crate) fn precision() -> impl TypedValueParser<Value = Precision> {
    let values = [
        PossibleValue::new(Precision::F32.name()).help("32-bit floats"),
        PossibleValue::new(Precision::Bf16.name()).help("8 bits of mantissa"),
    ];
    PossibleValuesParser::new(values).try_map(|name| name.parse::<Precision>())
}

/// `reformer inspect`.
#[derive(Debug, Args)]
pub(crate) struct InspectArgs {
    /// A run or a checkpoint directory, or a config.json alone
    #[arg(value_name = "DIR")]
    pub(crate) model: PathBuf,
    /// List every tensor
    #[arg(long)]
    pub(crate) tensors: bool,
    /// Estimate the memory of a training step on one row of this many tokens
    #[arg(long, value_name = "LEN")]
    pub(crate) memory: Option<usize>,
    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// `reformer data`.
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Write a corpus as JSON lines or as a script, whatever it was
    Convert {
        /// The corpus: files and folders, read one after another; `demo` is the built-in one
        #[arg(value_name = "FILE", required = true)]
        inputs: Vec<PathBuf>,
        /// Where to; .gz and .zst are packed [default: stdout]
        #[arg(short, long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// What to write: jsonl (turns), messages (OpenAI's), texts, or text (a script)
        #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
        to: String,
        /// The corpus's format [default: by its name and content]
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// Dialogues to write at most
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
    },
    /// Cut a corpus into parts to train, validate and test on
    Split {
        /// The corpus: files and folders, read one after another; `demo` is the built-in one
        #[arg(value_name = "FILE", required = true)]
        inputs: Vec<PathBuf>,
        /// The folder that gets train.jsonl, valid.jsonl and test.jsonl
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        /// Share to validate on
        #[arg(long, value_name = "SHARE", default_value_t = 0.1)]
        valid: f64,
        /// Share to test on
        #[arg(long, value_name = "SHARE", default_value_t = 0.0)]
        test: f64,
        /// What to write: jsonl (turns), messages (OpenAI's), texts, or text (a script)
        #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
        to: String,
        /// The corpus's format [default: by its name and content]
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
    },
    /// Say what a corpus is: its format, its first dialogue, who speaks how much, and what is odd
    Describe {
        /// The corpora, files or folders; `demo` is the built-in one
        #[arg(value_name = "FILE", required = true)]
        inputs: Vec<PathBuf>,
        /// The corpora's format [default: by name and content]
        #[arg(long, value_name = "FORMAT")]
        format: Option<String>,
        /// Print one JSON object a corpus
        #[arg(long)]
        json: bool,
    },
    /// Make a database of a folder of CSV and JSON, for a dialogue to look things up in
    Tables(tables::TablesArgs),
    /// Turn dialogues with a state after each user turn to dialogues with lookups
    Ground(tables::GroundArgs),
}

fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err(format!("expected KEY=VALUE, for example `steps=100`, got `{text}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Cli::command().debug_assert();
    }

    /// The words of a command line, as a shell splits them, up to a comment or a pipe.
    fn words(line: &str) -> Vec<Vec<String>> {
        let (mut commands, mut word, mut quote) = (vec![Vec::new()], None::<String>, None);
        for c in line.chars().chain([' ']) {
            match (quote, c) {
                (Some(open), c) if c == open => quote = None,
                (None, '"' | '\'') => {
                    quote = Some(c);
                    word.get_or_insert_default();
                }
                (None, '#') if word.is_none() => break,
                (None, '|') => commands.push(Vec::new()),
                (None, c) if c.is_whitespace() => commands.last_mut().unwrap().extend(word.take()),
                (_, c) => word.get_or_insert_default().push(c),
            }
        }
        commands
    }

    #[test]
    fn every_command_of_the_documents_is_understood() {
        let documents = [
            include_str!("../../../README.md"),
            include_str!("../../../ARCHITECTURE.md"),
            include_str!("../../../CONTRIBUTING.md"),
            include_str!("../../../docs/evaluation.md"),
        ];
        let mut understood = 0;
        for line in documents.iter().flat_map(|text| text.lines()) {
            let line = line.trim_start_matches("$ ").replace("cargo run --release -- ", "reformer ");
            if !line.starts_with("reformer ") {
                continue;
            }
            for command in
                words(&line).into_iter().filter(|command| command.first().is_some_and(|w| w == "reformer"))
            {
                let parsed = Cli::try_parse_from(&command);
                assert!(parsed.is_ok(), "{line}\n{}", parsed.unwrap_err());
                understood += 1;
            }
        }
        assert!(understood >= 15, "only {understood} commands were found");
    }

    #[test]
    fn resume_is_absent_bare_or_with_a_directory() {
        let resume = |args: &[&str]| match Cli::try_parse_from(args).unwrap().command {
            Command::Train(train) => train.resume,
            other => panic!("{other:?}"),
        };
        assert_eq!(resume(&["reformer", "train", "--demo"]), None);
        assert_eq!(resume(&["reformer", "train", "--resume"]), Some(None));
        assert_eq!(resume(&["reformer", "train", "--resume=runs/a"]), Some(Some("runs/a".into())));
    }

    #[test]
    fn a_set_without_a_value_is_refused() {
        assert!(Cli::try_parse_from(["reformer", "train", "--demo", "--set", "steps"]).is_err());
    }
}
