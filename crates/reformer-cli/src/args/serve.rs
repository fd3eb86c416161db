//! `reformer serve`: which models, where, for whom, and how much.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::decoding::{DecodingArgs, SamplingArgs};

/// `reformer serve`.
#[derive(Debug, Args)]
#[command(
    after_help = "A page to talk on is at /. The API is OpenAI's: /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/models; beside it /tokenize, \
    /detokenize, /health, /metrics and /openapi.json. Ctrl-C ends it when what is in work is done."
)]
pub(crate) struct ServeArgs {
    /// Runs or checkpoint directories
    #[arg(value_name = "DIR", required = true)]
    pub(crate) models: Vec<PathBuf>,
    /// The name that requests call a model by, one for each DIR [default: the directory's]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    /// The address to listen on
    #[arg(long, value_name = "IP", default_value = "127.0.0.1", value_parser = address)]
    pub(crate) host: IpAddr,
    /// The port to listen on; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub(crate) port: u16,
    /// A key that every request must bring; others see it in the list of processes, but not in the variable or a file
    #[arg(long, value_name = "KEY", env = "REFORMER_API_KEY", hide_env_values = true)]
    pub(crate) api_key: Option<String>,
    /// A file with such keys, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) api_key_file: Option<PathBuf>,
    /// Listen on an address that other machines reach, or answer to any name, though nobody needs a key
    #[arg(long)]
    pub(crate) insecure: bool,
    /// Let pages of this origin call, such as https://chat.example; may be repeated, `*` is every page
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) cors_origin: Vec<String>,
    /// Let models look things up in this SQLite file (see `reformer data tables`) [default: tables.sqlite in the run's
    /// directory, if it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) tables: Option<PathBuf>,
    /// Keep bookings in this file, which is made if it is not there [default: bookings.sqlite beside the run's tables;
    /// with --tables, forget them at the end]
    #[arg(long, value_name = "FILE")]
    pub(crate) bookings: Option<PathBuf>,
    /// Let clients look inside: the page's view of buckets and of who attends to whom
    #[arg(long)]
    pub(crate) inspect: bool,
    /// Serve no page at /
    #[arg(long)]
    pub(crate) no_ui: bool,
    #[command(flatten)]
    pub(crate) bounds: BoundArgs,
    /// How to write the log, a line for each request and each reply, to stderr
    #[arg(long, value_name = "FORM", default_value = "text")]
    pub(crate) log: LogForm,
    #[command(flatten)]
    pub(crate) sampling: SamplingArgs,
    #[command(flatten)]
    pub(crate) decoding: DecodingArgs,
}

/// How much is taken on.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Bounds")]
pub(crate) struct BoundArgs {
    /// Replies of one model that are made together
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parallel: u16,
    /// Replies of one model that wait beyond them; more are refused with 429
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub(crate) queue: u16,
    /// The most MiB of conversations that are remembered, so that a next turn reads only what is new; 0 reads all of it
    #[arg(long, value_name = "MIB", default_value_t = 256)]
    pub(crate) prefix_cache: u32,
    /// The most tokens that a request may ask for [default: as many as the model has positions]
    #[arg(long, value_name = "N")]
    pub(crate) limit_tokens: Option<usize>,
    /// The most bytes of a request
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 20)]
    pub(crate) limit_body: usize,
    /// The most seconds of a reply, its wait included; it then ends with what there is
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) timeout: u32,
    /// Seconds that replies in work have to end after Ctrl-C or SIGTERM
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(crate) grace: u32,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogForm {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
    /// Not at all.
    None,
}

fn address(name: &str) -> Result<IpAddr, String> {
    if name == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    name.parse().map_err(|_| {
        "expected an address of this machine, such as 127.0.0.1, 0.0.0.0 for all of them, or ::1".to_owned()
    })
}
