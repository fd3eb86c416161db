//! `reformer inspect`: what a checkpoint is, and the memory that training on it would take.
//!
//! Config, tokenizer and the headers of the weights are read and everything else is arithmetic, so that a model of
//! any size answers at once; only `--tensors` of a model reads its numbers. A `config.json` alone is enough for the
//! shape, and a model without a tokenizer is still a model.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use reformer::model::memory::{MemoryEstimate, check_step, decode_bytes_per_token, parameter_count};
use reformer::model::{Config, Model, Parameters, check_weights};
use reformer::text::{Form, Tokenizer};
use reformer::train::recipe::OptimizerKind;
use serde_json::{Value, json};

use crate::args::{Global, InspectArgs};
use crate::exit::usage;
use crate::open_model;
use crate::terminal::Terminal;
use crate::{json as print, number};

/// What is looked at.
struct Subject {
    /// The model's directory, or the `config.json` alone.
    path: PathBuf,
    config: Config,
    /// A model's tokenizer, or why there is none; `None` of a config alone.
    tokenizer: Option<Result<Tokenizer, String>>,
    /// The weights, if they were asked for and are there.
    model: Option<Box<Model>>,
}

/// A tensor's name, shape and, if there are weights, the root of its mean square.
type Row = (String, Vec<usize>, Option<f64>);

impl Subject {
    fn open(path: &Path, tensors: bool) -> anyhow::Result<Self> {
        if let Some(path) = config_alone(path) {
            let config = Config::load(&path).map_err(usage)?;
            return Ok(Self { path, config, tokenizer: None, model: None });
        }
        let path = open_model::checkpoint(path)?;
        let cannot = || format!("cannot open the model in {}", path.display());
        let config = Config::load(&path.join("config.json")).with_context(cannot)?;
        check_weights(&path, &config).with_context(cannot)?;
        let model = if tensors { Some(Box::new(open_model::weights(&path)?)) } else { None };
        let tokenizer = Some(Tokenizer::load(&path).map_err(|error| error.to_string()));
        Ok(Self { path, config, tokenizer, model })
    }

    fn tensors(&self) -> Vec<Row> {
        if let Some(model) = &self.model {
            let rows = model.parameters().iter();
            return rows
                .map(|(name, shape, values)| (name.to_owned(), shape.to_vec(), Some(rms(values))))
                .collect();
        }
        let specs = Parameters::specs(&self.config).into_iter().flatten();
        specs.map(|spec| (spec.name, spec.shape, None)).collect()
    }
}

/// The `config.json` that `path` is, or that lies in it without weights.
fn config_alone(path: &Path) -> Option<PathBuf> {
    if path.is_file() && path.extension().is_some_and(|end| end == "json") {
        return Some(path.to_owned());
    }
    let (config, in_it) = (path.join("config.json"), |name: &str| path.join(name).exists());
    let weights = ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"];
    (config.is_file() && !weights.into_iter().any(in_it)).then_some(config)
}

/// Opens what there is and prints about it.
pub(crate) fn run(args: &InspectArgs, _: &Global, _: Terminal) -> anyhow::Result<ExitCode> {
    let subject = Subject::open(&args.model, args.tensors)?;
    let memory = match args.memory {
        Some(0) => return Err(usage(anyhow::anyhow!("--memory 0 is no length: give at least 1"))),
        Some(len) => {
            check_step(&subject.config, 1, len).map_err(usage)?;
            let adamw = OptimizerKind::Adamw.state_bytes();
            Some((len, MemoryEstimate::training(&subject.config, 1, len, adamw)))
        }
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
    let config: Value = serde_json::from_str(&subject.config.to_json())?;
    let mut all = json!({
        "path": subject.path,
        "parameters": parameter_count(&subject.config),
        "positions": subject.config.position_limit(),
        "decode_bytes_per_token": decode_bytes_per_token(&subject.config),
        "config": config,
    });
    match &subject.tokenizer {
        Some(Ok(tokenizer)) => {
            all["tokenizer"] = json!({
                "kind": tokenizer.kind(), "vocab_size": tokenizer.vocab_size(), "chat": tokenizer.can_chat(),
                "form": tokenizer.form(),
            });
        }
        Some(Err(reason)) => all["tokenizer"] = json!({ "missing": reason }),
        None => {}
    }
    if tensors {
        let row = |(name, shape, rms): Row| {
            let elements: usize = shape.iter().product();
            let mut row = json!({ "name": name, "shape": shape, "elements": elements });
            if let Some(rms) = rms {
                row["rms"] = rms.into();
            }
            row
        };
        all["tensors"] = subject.tensors().into_iter().map(row).collect();
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
    let config = &subject.config;
    let mut out = crate::terminal::stdout();
    let kinds: Vec<String> =
        config.attn_layers.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
    let positions = config.position_limit().map_or_else(|| "no limit".into(), count);
    let mut rows =
        vec![("path", subject.path.display().to_string()), ("parameters", count(parameter_count(config)))];
    match &subject.tokenizer {
        Some(Ok(tokenizer)) => {
            let chat = match (tokenizer.can_chat(), tokenizer.form()) {
                (false, Form::Text) => "completion only (learned plain text)",
                (false, _) => "completion only",
                (true, Form::Template) => "chat by its own template",
                (true, Form::Course) => "chat as Person 1 and Person 2",
                (true, _) => "chat by role marks",
            };
            let (kind, size) = (tokenizer.kind(), count(tokenizer.vocab_size()));
            rows.push(("tokenizer", format!("{kind}, {size} tokens, {chat}")));
        }
        Some(Err(reason)) => rows.push(("tokenizer", format!("none: {reason}"))),
        None => rows.push(("weights", "none: this is a config alone".into())),
    }
    if config.is_decoder {
        let remembered = number::bytes(decode_bytes_per_token(config));
        rows.push(("decoding", format!("{remembered} a token of context")));
    } else {
        rows.push(("decoding", "none: bidirectional, a masked language model".into()));
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
    let rows: Vec<(String, String, usize, Option<f64>)> = subject
        .tensors()
        .into_iter()
        .map(|(name, shape, rms)| (name, format!("{shape:?}"), shape.iter().product(), rms))
        .collect();
    let name_width = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let shape_width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    writeln!(out, "\n{:name_width$}  {:shape_width$}  {:>12}  {:>9}", "tensor", "shape", "elements", "rms")?;
    for (name, shape, elements, rms) in rows {
        let elements = number::count(elements);
        let rms = rms.map_or_else(|| "-".into(), |rms| format!("{rms:.5}"));
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
