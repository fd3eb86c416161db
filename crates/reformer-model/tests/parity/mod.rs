//! Checkers of whole models, reversible blocks and axial positions against Hugging Face and reformer-pytorch.
//!
//! Allowances are relative to a tensor's largest magnitude. Where several rounds are combined, the peers round the
//! row of a position that can see only itself (the first, always) by up to 0.4 % (see `reformer_attention::ALONE`),
//! and every later row of the model reads that one.

mod axial;
mod block;
mod generation;
mod lm;

use reformer_testing::fixture::{Report, Tensors};

/// Checks a fixture of a kind this room knows; `None` for other kinds.
pub(crate) fn check(
    kind: &str,
    config: &serde_json::Value,
    tensors: &Tensors,
) -> Option<Result<Report, String>> {
    Some(match kind {
        "hf_model_lm" => lm::hf_model_lm(config, tensors),
        "hf_eval" => lm::hf_eval(config, tensors),
        "hf_generation" => generation::hf_generation(config, tensors),
        "hf_axial" => axial::hf_axial(config, tensors),
        "lucid_axial" => axial::lucid_axial(config, tensors),
        "hf_reversible_layer" => block::hf_reversible_layer(config, tensors),
        "lucid_reversible_block" => block::lucid_reversible_block(config, tensors),
        _ => return None,
    })
}

/// A list of sizes in a fixture's config.
fn sizes(config: &serde_json::Value, key: &str) -> Result<Vec<usize>, String> {
    let list = config[key].as_array().ok_or_else(|| format!("config has no list {key}"))?;
    list.iter().map(|v| v.as_u64().map(|v| v as usize).ok_or_else(|| format!("{key} holds {v}"))).collect()
}
