//! `reformer inspect`: what a checkpoint is, and the memory that training on it would take.
//!
//! A `config.json` alone is enough for everything but the weights' own values: the shape of a model can be looked at
//! before there is one.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use reformer::model::memory::MemoryEstimate;
use reformer::model::{Config, Parameters};
use reformer::text::Form;
use serde_json::{Value, json};

use crate::args::{Global, InspectArgs};
use crate::exit::usage;
use crate::open_model::{self, OpenModel};
use crate::terminal::Terminal;
use crate::{json as print, number};

/// Bytes of optimizer state a parameter: AdamW's two moments.
const ADAMW: usize = 8;

/// What is looked at.
enum Subject {
    /// A model with its weights and tokenizer.
    Model(Box<OpenModel>),
    /// A `config.json` without weights, and the tensors that it asks for.
    Shape { path: PathBuf, config: Box<Config>, parameters: Parameters },
}

impl Subject {
    fn open(path: &Path, global: &Global, terminal: Terminal) -> anyhow::Result<Self> {
        let Some(path) = config_alone(path) else {
            return Ok(Self::Model(Box::new(open_model::open(path, global, terminal)?)));
        };
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let config = Config::from_json(&text).map_err(usage).with_context(|| path.display().to_string())?;
        let parameters = Parameters::zeros(&config);
        Ok(Self::Shape { path, config: Box::new(config), parameters })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Model(opened) => &opened.folder,
            Self::Shape { path, .. } => path,
        }
    }

    fn config(&self) -> &Config {
        match self {
            Self::Model(opened) => opened.model.config(),
            Self::Shape { config, .. } => config,
        }
    }

    fn parameters(&self) -> &Parameters {
        match self {
            Self::Model(opened) => opened.model.parameters(),
            Self::Shape { parameters, .. } => parameters,
        }
    }

    /// The root mean square of a tensor, if it has values.
    fn rms(&self, values: &[f32]) -> Option<f64> {
        matches!(self, Self::Model(_)).then(|| rms(values))
    }
}

/// The `config.json` that `path` is, or that lies in it without weights.
fn config_alone(path: &Path) -> Option<PathBuf> {
    if path.is_file() && path.extension().is_some_and(|end| end == "json") {
        return Some(path.to_owned());
    }
    let (config, in_it) = (path.join("config.json"), |name: &str| path.join(name).exists());
    let weights = in_it("model.safetensors") || in_it("model.safetensors.index.json");
    (config.is_file() && !weights).then_some(config)
}

/// Opens the model and prints about it.
pub(crate) fn run(args: &InspectArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let subject = Subject::open(&args.model, global, terminal)?;
    let memory = match args.memory {
        Some(0) => return Err(usage(anyhow::anyhow!("--memory 0 is no length: give at least 1"))),
        Some(len) => Some((len, MemoryEstimate::training(subject.config(), 1, len, ADAMW))),
        None => None,
    };
    if args.json {
        print::line(&as_json(&subject, args.tensors, memory)?)?;
    } else {
        as_text(&subject, args.tensors, memory)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(
    subject: &Subject,
    tensors: bool,
    memory: Option<(usize, MemoryEstimate)>,
) -> anyhow::Result<Value> {
    let config: Value = serde_json::from_str(&subject.config().to_json())?;
    let mut all = json!({
        "path": subject.path(),
        "parameters": subject.parameters().count(),
        "positions": subject.config().position_limit(),
        "config": config,
    });
    if let Subject::Model(opened) = subject {
        let tokenizer = &opened.tokenizer;
        all["tokenizer"] = json!({
            "kind": tokenizer.kind(),
            "vocab_size": tokenizer.vocab_size(),
            "chat": opened.chats(),
            "form": tokenizer.form(),
        });
        all["decode_bytes_per_token"] = opened.model.decode_state().bytes_per_token().into();
    }
    if tensors {
        let rows = subject.parameters().iter();
        all["tensors"] = rows
            .map(|(name, shape, values)| {
                let mut row = json!({ "name": name, "shape": shape, "elements": values.len() });
                if let Some(rms) = subject.rms(values) {
                    row["rms"] = rms.into();
                }
                row
            })
            .collect();
    }
    if let Some((len, estimate)) = memory {
        all["memory"] = estimate
            .parts()
            .into_iter()
            .map(|(part, bytes)| (part.to_owned(), Value::from(bytes)))
            .collect::<serde_json::Map<_, _>>()
            .into();
        all["memory"]["length"] = len.into();
        all["memory"]["total_bytes"] = estimate.total_bytes().into();
    }
    Ok(all)
}

fn as_text(subject: &Subject, tensors: bool, memory: Option<(usize, MemoryEstimate)>) -> anyhow::Result<()> {
    let count = number::count;
    let config = subject.config();
    let mut out = crate::terminal::stdout();
    let kinds: Vec<String> =
        config.attn_layers.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
    let positions = config.position_limit().map_or_else(|| "no limit".into(), count);
    let mut rows = vec![
        ("path", subject.path().display().to_string()),
        ("parameters", count(subject.parameters().count())),
    ];
    match subject {
        Subject::Model(opened) => {
            let chat = match (opened.chats(), opened.tokenizer.form()) {
                (false, Form::Text) => "completion only (learned plain text)",
                (false, _) => "completion only",
                (true, Form::Template) => "chat by its own template",
                (true, Form::Course) => "chat as Person 1 and Person 2",
                (true, _) => "chat by role marks",
            };
            let (kind, size) = (opened.tokenizer.kind(), count(opened.tokenizer.vocab_size()));
            rows.push(("tokenizer", format!("{kind}, {size} tokens, {chat}")));
            let remembered = number::bytes(opened.model.decode_state().bytes_per_token());
            rows.push(("decoding", format!("{remembered} a token of context")));
        }
        Subject::Shape { .. } => rows.push(("weights", "none: this is a config alone".into())),
    }
    rows.extend([
        ("vocabulary", count(config.vocab_size)),
        ("positions", format!("{positions} ({:?})", config.positions()).to_lowercase()),
        ("hidden_size", count(config.hidden_size)),
        ("heads", format!("{} of {}", config.num_attention_heads, config.attention_head_size)),
        ("feed_forward", format!("{}, {}", count(config.feed_forward_size), config.hidden_act)),
        ("attn_layers", kinds.join(", ")),
        (
            "lsh",
            format!(
                "{} rounds, buckets {:?}, chunks of {}, {} before, {} after",
                config.num_hashes,
                config.buckets().factors(),
                config.lsh_attn_chunk_length,
                config.lsh_num_chunks_before,
                config.lsh_num_chunks_after
            ),
        ),
        (
            "",
            format!(
                "same bucket only: {}, duplicate correction: {}",
                yes(config.lsh_same_bucket_only),
                yes(config.lsh_duplicate_correction)
            ),
        ),
    ]);
    for (name, value) in rows {
        writeln!(out, "{name:14} {value}")?;
    }
    if tensors {
        print_tensors(&mut out, subject)?;
    }
    if let Some((len, estimate)) = memory {
        writeln!(out, "\nmemory of a training step on {} tokens, AdamW:", count(len))?;
        if config.position_limit().is_some_and(|limit| len > limit) {
            writeln!(out, "  (more tokens than this model has positions for)")?;
        }
        for (part, bytes) in estimate.parts() {
            writeln!(out, "  {part:24} {:>12}", number::bytes(bytes))?;
        }
        writeln!(out, "  {:24} {:>12}", "total", number::bytes(estimate.total_bytes()))?;
    }
    Ok(())
}

fn print_tensors(out: &mut impl Write, subject: &Subject) -> io::Result<()> {
    let rows: Vec<(&str, String, &[f32])> = subject
        .parameters()
        .iter()
        .map(|(name, shape, values)| (name, format!("{shape:?}"), values))
        .collect();
    let name_width = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let shape_width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    writeln!(out, "\n{:name_width$}  {:shape_width$}  {:>12}  {:>9}", "tensor", "shape", "elements", "rms")?;
    for (name, shape, values) in rows {
        let elements = number::count(values.len());
        let rms = subject.rms(values).map_or_else(|| "-".into(), |rms| format!("{rms:.5}"));
        writeln!(out, "{name:name_width$}  {shape:shape_width$}  {elements:>12}  {rms:>9}")?;
    }
    Ok(())
}

fn rms(values: &[f32]) -> f64 {
    let sum: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
    (sum / values.len().max(1) as f64).sqrt()
}

fn yes(flag: bool) -> &'static str {
    if flag { "yes" } else { "no" }
}
