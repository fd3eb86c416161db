//! Sampling settings: from defaults, the checkpoint's generation_config.json, flags and `/set`, in rising order.
//!
//! One table of keys serves the file, the flags and the REPL, because they are spelled alike. [`samples`] draws with
//! fixed settings: what a model says while it learns.

use std::hash::{BuildHasher, Hasher};
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context, bail};
use reformer::generate::{ChatSession, ContextPolicy, Conversation, Generator, Request, Sampling};
use reformer::model::Model;
use reformer::tensor::Cpu;
use reformer::text::Tokenizer;

use crate::args::decoding::{ContextChoice, SamplingArgs};
use crate::exit::usage;

/// The keys, as flags, `/set` and generation_config.json spell them.
pub(crate) const KEYS: [&str; 12] = [
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "repeat_last_n",
    "logit_bias",
    "seed",
    "max_tokens",
    "stop",
];

/// Tokens of a sample at most: enough for two sentences of bytes, short enough not to hold training up.
const SAMPLE_TOKENS: usize = 120;

/// Settings for the checkpoint in `folder`, under what was typed.
pub(crate) fn resolve(folder: &Path, typed: &SamplingArgs, seed: Option<u64>) -> anyhow::Result<Sampling> {
    let mut sampling = from_file(&folder.join("generation_config.json"))?;
    macro_rules! take {
        ($($key:ident),*) => { $(if let Some(value) = typed.$key { sampling.$key = value; })* };
    }
    take!(
        temperature,
        top_k,
        top_p,
        min_p,
        repetition_penalty,
        presence_penalty,
        frequency_penalty,
        repeat_last_n,
        max_tokens
    );
    if !typed.stop.is_empty() {
        sampling.stop.clone_from(&typed.stop);
    }
    if let Some(bias) = &typed.logit_bias {
        set(&mut sampling, "logit_bias", bias).map_err(usage)?;
    }
    if let Some(seed) = seed {
        sampling.seed = seed;
    }
    // Bad settings are the user's words: they end with 2, before a model is loaded.
    reformer::generate::Chain::new(&sampling).map_err(usage)?;
    Ok(sampling)
}

/// A seed for a chat that was given none, short enough to be typed again.
pub(crate) fn new_seed() -> u64 {
    // The standard library seeds each of its hash tables from the system's randomness.
    std::collections::hash_map::RandomState::new().build_hasher().finish() % 1_000_000
}

/// The context policy that was typed, or the command's own default.
pub(crate) fn policy(typed: &SamplingArgs, default: ContextPolicy) -> ContextPolicy {
    match typed.context {
        None => default,
        Some(ContextChoice::Refuse) => ContextPolicy::Refuse,
        Some(ContextChoice::Slide) => ContextPolicy::Slide,
    }
}

/// The tokens that end a text: generation_config.json's `eos_token_id`, else the tokenizer's end, else config.json's.
pub(crate) fn stop_tokens(folder: &Path, end: Option<u32>) -> anyhow::Result<Vec<u32>> {
    let ids = eos(&folder.join("generation_config.json"))?;
    if !ids.is_empty() {
        return Ok(ids);
    }
    end.map_or_else(|| eos(&folder.join("config.json")), |end| Ok(vec![end]))
}

/// `eos_token_id` of a file: one, a list, or none.
fn eos(path: &Path) -> anyhow::Result<Vec<u32>> {
    let named = match read(path)?.remove("eos_token_id") {
        None | Some(serde_json::Value::Null) => return Ok(Vec::new()),
        Some(serde_json::Value::Array(ids)) => ids,
        Some(id) => vec![id],
    };
    let id = |value: &serde_json::Value| value.as_u64().and_then(|id| id.try_into().ok());
    let ids: Option<Vec<u32>> = named.iter().map(id).collect();
    ids.with_context(|| {
        let got = serde_json::Value::from(named);
        format!("{}: eos_token_id is {got}, expected the id of a token, or a list of them", path.display())
    })
}

/// Reads those keys that we know from a file that may hold many more; a missing file is the defaults.
fn from_file(path: &Path) -> anyhow::Result<Sampling> {
    let file = read(path)?;
    let mut sampling = Sampling::default();
    for (key, value) in &file {
        // Hugging Face writes `max_new_tokens`; its `max_length` counts the prompt and is no setting of ours.
        let key = if key == "max_new_tokens" { "max_tokens" } else { key };
        if KEYS.contains(&key) && key != "seed" && !value.is_null() {
            set_json(&mut sampling, key, value.clone()).with_context(|| format!("in {}", path.display()))?;
        }
    }
    // Hugging Face's word for greedy; its temperature then means nothing.
    if file.get("do_sample") == Some(&serde_json::Value::Bool(false)) {
        sampling.temperature = 0.0;
    }
    Ok(sampling)
}

/// A JSON object; a missing file is an empty one.
fn read(path: &Path) -> anyhow::Result<serde_json::Map<String, serde_json::Value>> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            serde_json::from_str(&text).with_context(|| format!("{} is not a JSON object", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(serde_json::Map::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Changes one setting by name, for `/set`.
pub(crate) fn set(sampling: &mut Sampling, key: &str, value: &str) -> anyhow::Result<()> {
    if !KEYS.contains(&key) {
        bail!("no setting `{key}`; there are {}", KEYS.join(", "));
    }
    let value = match key {
        "stop" if value == "none" => serde_json::json!([]),
        "stop" => serde_json::json!([value.trim_matches('"')]),
        "logit_bias" if value == "none" => serde_json::json!({}),
        "logit_bias" => match serde_json::from_str::<serde_json::Map<_, _>>(value) {
            Ok(biases) => biases.into(),
            Err(_) => bail!("logit_bias must be an object such as {{\"42\": -100}}, or none; got `{value}`"),
        },
        _ => match serde_json::from_str::<serde_json::Number>(value) {
            Ok(number) => number.into(),
            Err(_) => bail!("{key} must be a number, got `{value}`"),
        },
    };
    set_json(sampling, key, value)
}

fn set_json(sampling: &mut Sampling, key: &str, value: serde_json::Value) -> anyhow::Result<()> {
    let shown = value.to_string();
    let mut all = serde_json::to_value(&*sampling)?;
    all[key] = value;
    let changed: Sampling =
        serde_json::from_value(all).with_context(|| format!("{key} cannot be {shown}"))?;
    reformer::generate::Chain::new(&changed)?;
    *sampling = changed;
    Ok(())
}

/// The settings, one a line.
pub(crate) fn describe(sampling: &Sampling) -> anyhow::Result<String> {
    Ok(KEYS.iter().map(|key| describe_one(sampling, key)).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// One setting.
pub(crate) fn describe_one(sampling: &Sampling, key: &str) -> anyhow::Result<String> {
    Ok(match &serde_json::to_value(sampling)?[key] {
        // f32 in JSON shows its f64 digits (0.800000011920929).
        serde_json::Value::Number(n) if n.is_f64() => {
            format!("{key:20} {}", n.as_f64().unwrap_or_default() as f32)
        }
        other => format!("{key:20} {other}"),
    })
}

/// What a model says while it learns, one text for each of the recipe's sample prompts: what was said and what the
/// model answered.
///
/// A sample is for looking at, so a fault becomes its text and training goes on.
pub(crate) fn samples(
    cpu: &Cpu,
    model: &Model,
    tokenizer: &Tokenizer,
    prompts: &[String],
    seed: u64,
) -> Vec<String> {
    prompts.iter().map(|prompt| sample(cpu, model, tokenizer, prompt, seed)).collect()
}

fn sample(cpu: &Cpu, model: &Model, tokenizer: &Tokenizer, prompt: &str, seed: u64) -> String {
    // Nobody reads these seconds.
    let clock = || 0.0;
    let settings = Sampling { temperature: 0.5, max_tokens: SAMPLE_TOKENS, seed, ..Sampling::default() };
    if !tokenizer.can_chat() {
        // A model of texts is not asked; it goes on.
        let continued = tokenizer.encode(prompt).map_err(Into::into).and_then(|ids| {
            let generator = Generator::new(cpu, model, tokenizer, &clock)?;
            let request = Request::new(&ids, &settings);
            generator.generate(&mut generator.cache(), &request, &mut |_| ControlFlow::Continue(()))
        });
        return match continued {
            Ok(completion) => format!("{prompt}{}", completion.text),
            Err(error) => format!("{prompt}\n({error})"),
        };
    }
    let reply = Generator::new(cpu, model, tokenizer, &clock)
        .and_then(|generator| {
            ChatSession::new(generator, Conversation::default(), settings, ContextPolicy::Slide)
        })
        .and_then(|mut session| session.send(prompt, &mut |_| ControlFlow::Continue(())));
    match reply {
        Ok(reply) => format!("> {prompt}\n{}", reply.completion.text.trim()),
        Err(error) => format!("> {prompt}\n({error})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_of_the_table_is_a_setting_and_the_other_way_round() {
        let all = serde_json::to_value(Sampling::default()).unwrap();
        let names: Vec<&str> = all.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, KEYS);
    }

    #[test]
    fn set_refuses_unknown_keys_words_and_values_out_of_range() {
        let mut sampling = Sampling::default();
        assert!(set(&mut sampling, "temprature", "1").unwrap_err().to_string().contains("temperature"));
        assert!(set(&mut sampling, "top_k", "many").is_err());
        assert!(set(&mut sampling, "top_p", "2").is_err());
        assert_eq!(sampling, Sampling::default());
        set(&mut sampling, "stop", "Person 1:").unwrap();
        set(&mut sampling, "temperature", "0").unwrap();
        assert_eq!((sampling.stop.len(), sampling.temperature), (1, 0.0));
    }
}
