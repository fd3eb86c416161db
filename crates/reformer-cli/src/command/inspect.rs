//! `reformer inspect`: what a checkpoint is, and the memory that training on it would take.

use std::io::{self, Write};
use std::process::ExitCode;

use reformer::model::Model;
use reformer::model::memory::MemoryEstimate;
use serde_json::{Value, json};

use crate::args::{Global, InspectArgs};
use crate::exit::usage;
use crate::opened::{self, Opened};
use crate::terminal::Terminal;
use crate::{json as print, number};

/// Bytes of optimizer state a parameter: AdamW's two moments.
const ADAMW: usize = 8;

/// Opens the model and prints about it.
pub(crate) fn run(args: &InspectArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let opened = opened::open(&args.model, global, terminal)?;
    let memory = match args.memory {
        Some(0) => return Err(usage(anyhow::anyhow!("--memory 0 is no length: give at least 1"))),
        Some(len) => Some((len, MemoryEstimate::training(opened.model.config(), 1, len, ADAMW))),
        None => None,
    };
    if args.json {
        print::line(&as_json(&opened, args.tensors, memory)?)?;
    } else {
        as_text(&opened, args.tensors, memory)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(opened: &Opened, tensors: bool, memory: Option<(usize, MemoryEstimate)>) -> anyhow::Result<Value> {
    let config: Value = serde_json::from_str(&opened.model.config().to_json())?;
    let mut all = json!({
        "path": opened.folder,
        "parameters": opened.model.parameters().count(),
        "tokenizer": { "kind": opened.tokenizer.kind(), "vocab_size": opened.tokenizer.vocab_size(), "chat": opened.chats() },
        "positions": opened.model.config().position_limit(),
        "decode_bytes_per_token": opened.model.decode_state().bytes_per_token(),
        "config": config,
    });
    if tensors {
        let rows = opened.model.parameters().iter();
        all["tensors"] = rows
            .map(|(name, shape, values)| json!({ "name": name, "shape": shape, "elements": values.len(), "rms": rms(values) }))
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

fn as_text(opened: &Opened, tensors: bool, memory: Option<(usize, MemoryEstimate)>) -> anyhow::Result<()> {
    let count = number::count;
    let config = opened.model.config();
    let mut out = io::stdout().lock();
    let kinds: Vec<String> =
        config.attn_layers.iter().map(|kind| format!("{kind:?}").to_lowercase()).collect();
    let positions = config.position_limit().map_or_else(|| "no limit".into(), count);
    let chat = if opened.chats() { "chat" } else { "completion only" };
    let rows = [
        ("path", opened.folder.display().to_string()),
        ("parameters", count(opened.model.parameters().count())),
        (
            "tokenizer",
            format!("{}, {} tokens, {chat}", opened.tokenizer.kind(), count(opened.tokenizer.vocab_size())),
        ),
        ("vocabulary", count(config.vocab_size)),
        ("positions", format!("{positions} ({:?})", config.positions()).to_lowercase()),
        (
            "decoding",
            format!("{} a token of context", number::bytes(opened.model.decode_state().bytes_per_token())),
        ),
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
    ];
    for (name, value) in rows {
        writeln!(out, "{name:14} {value}")?;
    }
    if tensors {
        print_tensors(&mut out, &opened.model)?;
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

fn print_tensors(out: &mut impl Write, model: &Model) -> io::Result<()> {
    let rows: Vec<(&str, String, &[f32])> =
        model.parameters().iter().map(|(name, shape, values)| (name, format!("{shape:?}"), values)).collect();
    let name_width = rows.iter().map(|row| row.0.len()).max().unwrap_or(0);
    let shape_width = rows.iter().map(|row| row.1.len()).max().unwrap_or(0);
    writeln!(out, "\n{:name_width$}  {:shape_width$}  {:>12}  {:>9}", "tensor", "shape", "elements", "rms")?;
    for (name, shape, values) in rows {
        let elements = number::count(values.len());
        writeln!(out, "{name:name_width$}  {shape:shape_width$}  {elements:>12}  {:>9.5}", rms(values))?;
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
