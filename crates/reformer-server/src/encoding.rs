//! From what clients send to tokens, where it holds up nobody: a long text takes its time.

use std::sync::Arc;

use reformer_generate::{GenerateError, prompt_of};
use reformer_text::Turn;

use crate::error::ApiError;
use crate::models::ServedModel;
use crate::wire::completion::Prompt;

/// A conversation, up to where the model's next turn begins.
pub(crate) async fn encode_turns(model: &Arc<ServedModel>, turns: Vec<Turn>) -> Result<Vec<u32>, ApiError> {
    let model = Arc::clone(model);
    let prompt = tokio::task::spawn_blocking(move || prompt_of(model.tokenizer(), &turns));
    let prompt = prompt.await.map_err(|_| ApiError::server("encoding the conversation failed"))?;
    prompt.map_err(|error| ApiError::of(&error, "messages"))
}

/// Prompts as texts and as ids; `field` is where they came from.
pub(crate) async fn encode(
    model: &Arc<ServedModel>,
    prompts: Vec<Prompt>,
    field: &str,
) -> Result<Vec<(String, Vec<u32>)>, ApiError> {
    let model = Arc::clone(model);
    let encoded = tokio::task::spawn_blocking(move || {
        prompts.into_iter().map(|prompt| one(&model, prompt)).collect::<Result<Vec<_>, GenerateError>>()
    });
    let encoded = encoded.await.map_err(|_| ApiError::server("encoding the text failed"))?;
    encoded.map_err(|error| match error {
        GenerateError::TokenOutOfRange { token, vocab_size } => {
            let message =
                format!("token {token} is none of the vocabulary's, which are 0 to {}", vocab_size - 1);
            ApiError::field(field, message)
        }
        other => ApiError::of(&other, field),
    })
}

fn one(model: &ServedModel, prompt: Prompt) -> Result<(String, Vec<u32>), GenerateError> {
    let tokenizer = model.tokenizer();
    let vocab_size = tokenizer.vocab_size();
    match prompt {
        // Nothing to go on from: the model begins a text of its own, after the end of another one.
        Prompt::Text(text) if text.is_empty() => {
            let end = tokenizer.end_token().ok_or(GenerateError::EmptyPrompt)?;
            Ok((text, vec![end]))
        }
        Prompt::Text(text) => {
            let ids = tokenizer.encode(&text)?;
            Ok((text, ids))
        }
        Prompt::Ids(ids) if ids.is_empty() => Err(GenerateError::EmptyPrompt),
        Prompt::Ids(ids) => match ids.iter().find(|id| **id as usize >= vocab_size) {
            Some(&token) => Err(GenerateError::TokenOutOfRange { token, vocab_size }),
            None => Ok((tokenizer.decode(&ids), ids)),
        },
    }
}
