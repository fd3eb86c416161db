//! What changed between a checkpoint and the recipe that goes on from it.

use crate::error::TrainError;
use crate::recipe::Recipe;

/// Keys that differ from the checkpoint's recipe and make the continuation another run's; an error for those that make
/// it impossible.
pub(super) fn changes(was: &str, now: &Recipe) -> Result<Vec<String>, TrainError> {
    let was = Recipe::parse(was, &[])?;
    let differing = |a: &toml::Table, b: &toml::Table| -> Vec<(String, String, String)> {
        let show =
            |value: Option<&toml::Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
        b.iter()
            .filter(|(key, value)| a.get(*key) != Some(value))
            .map(|(key, value)| (key.clone(), show(a.get(key)), value.to_string()))
            .collect()
    };
    let table = |recipe: &Recipe| recipe.to_toml().parse::<toml::Table>().expect("a resolved recipe is TOML");
    let (was, now) = (table(&was), table(now));
    for section in ["model", "tokenizer"] {
        let (Some(a), Some(b)) = (was[section].as_table(), now[section].as_table()) else { continue };
        // Rates may change between sessions; shapes cannot.
        let changed = differing(a, b).into_iter().find(|(key, ..)| !key.contains("dropout"));
        if let Some((key, was, now)) = changed {
            return Err(TrainError::Changed { key: format!("{section}.{key}"), was, now });
        }
    }
    let harmless = [
        "log_every",
        "eval_every",
        "eval_tokens",
        "save_every",
        "sample_every",
        "sample_prompts",
        "keep",
        // The corpora are compared by what is in them, not by their names.
        "data",
        "valid",
    ];
    let mut keys: Vec<String> = differing(&was, &now)
        .into_iter()
        .map(|(key, ..)| key)
        .filter(|key| !harmless.contains(&key.as_str()))
        .collect();
    keys.sort();
    Ok(keys)
}
