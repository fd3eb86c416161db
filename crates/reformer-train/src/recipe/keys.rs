//! Every key of a recipe with its meaning: what `reformer recipe --explain` prints and `docs/recipe.md` holds.
//!
//! Defaults are not written here: they are those of the recipe that an empty file is. A test holds the list to the keys
//! that the reader asks for.

use toml::Value;

use super::Recipe;

/// Key and meaning, in the order of the page.
const KEYS: [(&str, &str); 67] = [
    (
        "data",
        "The training corpus: a file of dialogues or text, or `\"demo\"`, the built-in one; of images an IDX file or a folder of PNGs",
    ),
    (
        "valid",
        "The validation corpus: a file, `\"demo\"`, or `\"hold-out\"`: every 50th dialogue, or the last twentieth of less; of images the last tenth",
    ),
    ("length", "Tokens of a row"),
    ("batch", "Rows of a forward and backward pass"),
    ("steps", "Optimizer steps"),
    ("epochs", "Passes over the corpus, instead of `steps`"),
    ("learning_rate", "Peak learning rate"),
    ("seed", "Seed of every random number of the run"),
    ("dtype", "Number type of the products' operands: `\"f32\"`, or `\"bf16\"` where the processor has it"),
    ("gradient_streams", "Number type in which the streams' gradients are kept: `\"f32\"` or `\"bf16\"`"),
    ("accumulate", "Passes of an optimizer step"),
    ("log_every", "Steps between step events in `metrics.jsonl`"),
    ("eval_every", "Steps between evaluations; 0: only at the end"),
    ("eval_tokens", "Validation tokens of an evaluation, always the same first ones; 0: all"),
    ("save_every", "Steps between checkpoints; 0: only at evaluations, samples and the end"),
    ("sample_every", "Steps between samples; 0: never"),
    ("sample_prompts", "What the samples answer, or continue"),
    ("keep", "Checkpoints kept beside the best"),
    ("model.hidden_size", "Width of each of the two residual streams"),
    ("model.heads", "Attention heads; one for 64 of the width, if that divides it"),
    ("model.head_size", "Width of a head, or `\"auto\"`: the width by the heads"),
    ("model.feed_forward_size", "Width of the feed-forward layers; four times the streams'"),
    (
        "model.attn_layers",
        "The layers' attention, `\"lsh\"`, `\"local\"` or `\"full\"`, repeated to `model.layers`",
    ),
    ("model.layers", "Reversible blocks; as many as `attn_layers` names"),
    ("model.vocab_rows", "Rows of the embedding, if more than tokens; or `\"auto\"`"),
    ("model.num_hashes", "Rounds of hashing"),
    (
        "model.num_buckets",
        "Buckets of a round, a number or its factors, or `\"auto\"`: about one for a chunk",
    ),
    ("model.chunk_length", "Positions of an LSH chunk"),
    ("model.local_chunk_length", "Positions of a local chunk; as of an LSH chunk"),
    ("model.chunks_before", "Chunks before its own that a position sees"),
    ("model.same_bucket_only", "Whether a query sees keys of its own bucket only (the paper's definition)"),
    (
        "model.duplicate_correction",
        "Whether a key met in several rounds counts once (the paper's definition)",
    ),
    ("model.positions", "`\"axial\"`, `\"learned\"` or `\"sinusoidal\"`"),
    ("model.max_positions", "The longest context; as long as a row"),
    ("model.axial_shape", "Factors of the axial tables, or `\"auto\"`"),
    ("model.axial_dims", "The share of the width that each axial table fills, or `\"auto\"`"),
    (
        "model.activation",
        "`\"gelu\"`, `\"gelu_new\"`, `\"gelu_fast\"`, `\"gelu_pytorch_tanh\"` or `\"relu\"`",
    ),
    ("model.dropout", "Dropout of hidden states and feed-forward layers"),
    ("model.attention_dropout", "Dropout of attention probabilities"),
    ("model.tie_embeddings", "Whether the head shares the embedding's table"),
    ("model.initializer_range", "Standard deviation of initial weights"),
    ("model.resample_rotations", "New rotations for every batch instead of fixed ones"),
    (
        "tokenizer.kind",
        "`\"bpe\"`, learned from the training corpus, `\"bytes\"`, or `\"pixels\"`: the corpus is images, a row is one of them",
    ),
    ("tokenizer.vocab_size", "Tokens of a learned vocabulary at most, marks included"),
    ("tokenizer.lowercase", "Read every text in lower case (`bpe`): for a corpus that has only lower case"),
    ("tokenizer.levels", "Levels of grey that pixels are rounded to, 2 to 256"),
    ("tokenizer.path", "A directory with a `tokenizer.json` to use as it is, instead of `kind`"),
    (
        "packing.form",
        "How a dialogue is written: `\"marks\"` (special tokens), `\"course\"` (` Person 1: … Person 2: …`) or `\"text\"`, which plain texts get by themselves",
    ),
    (
        "packing.rows",
        "`\"joined\"`: dialogues end to end, cut without gaps; `\"buckets\"`: one a row, padded",
    ),
    ("packing.draw", "`\"shuffle\"`: every dialogue once an epoch; `\"random\"`: each drawn from all"),
    (
        "packing.longer",
        "Dialogues longer than a row: `\"split\"`, they go on in another; `\"drop\"`, they are left out",
    ),
    ("packing.shortest", "The shortest length bucket"),
    ("packing.loss_on", "Which tokens the loss counts in full: `\"all\"` or `\"assistant\"`"),
    ("packing.loss_elsewhere", "The weight of every other token"),
    ("packing.loss_calls", "The weight of the assistant's lookups; what they are answered weighs nothing"),
    ("optimizer.kind", "`\"adamw\"` or `\"adafactor\"`"),
    ("optimizer.beta1", "AdamW: decay of the first moment"),
    ("optimizer.beta2", "AdamW: decay of the second moment"),
    (
        "optimizer.eps",
        "AdamW: added to the root of the second moment; Adafactor (1e-30): to the squared gradient",
    ),
    ("optimizer.weight_decay", "Decoupled decay of weight matrices per unit of learning rate"),
    ("optimizer.clip", "Largest gradient norm; 0: no clipping"),
    ("optimizer.clip_by", "Whose norm that is: `\"global\"`, or `\"group\"` with `in_backward`"),
    ("optimizer.in_backward", "Update layers in the reverse pass: no whole set of gradients exists"),
    ("optimizer.scale_parameter", "Adafactor: steps relative to the parameter's own size"),
    ("schedule.kind", "After the warm-up: `\"constant\"`, `\"warmup_rsqrt\"` or `\"cosine\"`"),
    ("schedule.warmup", "Steps of linear warm-up; a twentieth of `steps`, at most 1,000"),
    ("schedule.final", "Cosine: the last learning rate as a fraction of the peak"),
];

/// The page.
pub(super) fn explain() -> String {
    let defaults = defaults();
    let mut page = String::from(
        "# Keys of a recipe\n\nA recipe is a TOML file. Every key may be left out, and `--set KEY=VALUE` replaces one on the \
         command line. Sections\nare tables: `model.layers` is `layers` under `[model]`. A run's directory holds its \
         recipe with every key resolved.\n\nThis page is what `reformer recipe --explain` prints.\n",
    );
    let mut section = None;
    for (key, meaning) in KEYS {
        let of = key.split_once('.').map_or("", |(section, _)| section);
        if section != Some(of) {
            section = Some(of);
            let title = if of.is_empty() { "Top level".to_owned() } else { format!("`[{of}]`") };
            page.extend(["\n## ", &title, "\n\n| key | default | meaning |\n|---|---|---|\n"]);
        }
        let default = defaults.iter().find(|(name, _)| name == key).map(|(_, value)| format!("`{value}`"));
        page.extend(["| `", key, "` | ", default.as_deref().unwrap_or("–"), " | ", meaning, " |\n"]);
    }
    page
}

/// The keys of the recipe that an empty file is, with their values.
fn defaults() -> Vec<(String, Value)> {
    let recipe = Recipe::parse("", &[]).expect("an empty file is a recipe");
    let table: toml::Table = recipe.to_toml().parse().expect("a resolved recipe is TOML");
    let mut all = Vec::new();
    for (key, value) in table {
        match value {
            Value::Table(section) => {
                all.extend(section.into_iter().map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            value => all.push((key, value)),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::document::Document;
    use super::*;

    #[test]
    fn every_key_that_is_read_is_explained_and_no_other() {
        let mut doc = Document::parse("", &[]).unwrap();
        Recipe::read(&mut doc).unwrap();
        let read: BTreeSet<&str> = doc.asked().iter().map(String::as_str).collect();
        let explained: BTreeSet<&str> = KEYS.iter().map(|(key, _)| *key).collect();
        assert_eq!(read, explained);
        assert!(defaults().iter().all(|(key, _)| explained.contains(key.as_str())));
    }

    #[test]
    fn the_page_of_the_documentation_is_what_the_command_prints() {
        let page = include_str!("../../../../docs/recipe.md");
        assert!(page == explain(), "docs/recipe.md is old: write `reformer recipe --explain` into it");
    }
}
