//! Tensor names on disk, Hugging Face's letter for letter.
//!
//! Files of head models carry the prefix `reformer.`, files of the bare model do not; [`canonical`] gives the one name
//! that [`crate::parameters`] uses. Old files also hold constants and a second name of the output bias.

use std::borrow::Cow;

/// The decoder of the head.
pub const DECODER: &str = "lm_head.decoder.weight";
/// The output bias.
pub const BIAS: &str = "lm_head.bias";
/// The output bias' other name in files of transformers 4.
pub const BIAS_OF_4: &str = "lm_head.decoder.bias";
/// The word embeddings.
pub const WORDS: &str = "reformer.embeddings.word_embeddings.weight";

/// The name with its prefix; `None` for what holds no parameter (mask constants, position ids).
pub fn canonical(name: &str) -> Option<Cow<'_, str>> {
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.contains("mask_value") || last == "position_ids" {
        return None;
    }
    if name.starts_with("embeddings.") || name.starts_with("encoder.") {
        return Some(Cow::Owned(format!("reformer.{name}")));
    }
    Some(Cow::Borrowed(name))
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn bare_names_get_the_prefix_and_constants_are_passed_over() {
        assert_eq!(canonical("encoder.layer_norm.bias").unwrap(), "reformer.encoder.layer_norm.bias");
        assert_eq!(
            canonical("reformer.encoder.layer_norm.bias").unwrap(),
            "reformer.encoder.layer_norm.bias"
        );
        assert_eq!(canonical("lm_head.bias").unwrap(), "lm_head.bias");
        assert_eq!(canonical("encoder.layers.0.attention.self_attention.self_mask_value_float16"), None);
    }
}
