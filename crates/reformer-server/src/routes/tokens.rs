//! `POST /tokenize` and `POST /detokenize`: a model's own tokenizer, as llama.cpp offers it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tell_unknown;
use crate::body::{json, read_json};
use crate::error::{ApiError, ErrorBody};
use crate::fields::Fields;
use crate::state::Shared;

/// A text to be encoded.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Tokenize {
    /// The text.
    content: String,
    /// Whose tokenizer; may be left out where there is only one model.
    model: Option<String>,
    /// Whether to tell each token's text too.
    with_pieces: Option<bool>,
}

/// Its tokens.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Tokens {
    /// In order.
    tokens: Vec<ShownToken>,
}

/// A token.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum ShownToken {
    /// Its id.
    Id(u32),
    /// Its id and its text.
    WithPiece {
        /// Its id.
        id: u32,
        /// Its text; of a piece of a character, the bytes' names.
        piece: String,
    },
}

/// Tokens to be decoded.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Detokenize {
    /// Their ids.
    tokens: Vec<u32>,
    /// Whose tokenizer; may be left out where there is only one model.
    model: Option<String>,
}

/// Their text.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Text {
    /// Without special tokens.
    content: String,
}

/// The tokens of a text, in which marks mean nothing.
#[utoipa::path(post, path = "/tokenize", tag = "tokens", request_body = Tokenize, responses(
    (status = 200, description = "The tokens", body = Tokens),
    (status = 400, description = "Not understood", body = ErrorBody),
    (status = 401, description = "No key, or a wrong one", body = ErrorBody),
    (status = 404, description = "No such model", body = ErrorBody),
    (status = 408, description = "The body came too slowly", body = ErrorBody),
    (status = 413, description = "The body is too large", body = ErrorBody),
    (status = 415, description = "The body is not JSON", body = ErrorBody),
    (status = 503, description = "Loading, or shutting down", body = ErrorBody),
))]
pub(crate) async fn tokenize(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = read_json(request, &shared.options.limits).await?;
    let mut fields = Fields::new(&body);
    let Tokenize { content, model, with_pieces } = fields.take()?;
    let unknown = fields.unknown();
    let model = shared.model(model.as_deref())?;
    model.require_text()?;
    let told = tokio::task::spawn_blocking(move || {
        let tokenizer = model.tokenizer();
        let show = |id| match with_pieces {
            Some(true) => ShownToken::WithPiece { id, piece: tokenizer.token_name(id) },
            _ => ShownToken::Id(id),
        };
        Ok(Tokens { tokens: tokenizer.encode(&content)?.into_iter().map(show).collect() })
    });
    let told: Result<Tokens, reformer_text::TextError> =
        told.await.map_err(|_| ApiError::server("encoding failed"))?;
    let told = told.map_err(|error| ApiError::field("content", error.to_string()))?;
    let mut response = json(StatusCode::OK, &told);
    tell_unknown(&shared, "/tokenize", &unknown, &mut response);
    Ok(response)
}

/// The text of tokens.
#[utoipa::path(post, path = "/detokenize", tag = "tokens", request_body = Detokenize, responses(
    (status = 200, description = "The text", body = Text),
    (status = 400, description = "Not understood", body = ErrorBody),
    (status = 401, description = "No key, or a wrong one", body = ErrorBody),
    (status = 404, description = "No such model", body = ErrorBody),
    (status = 408, description = "The body came too slowly", body = ErrorBody),
    (status = 413, description = "The body is too large", body = ErrorBody),
    (status = 415, description = "The body is not JSON", body = ErrorBody),
    (status = 503, description = "Loading, or shutting down", body = ErrorBody),
))]
pub(crate) async fn detokenize(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = read_json(request, &shared.options.limits).await?;
    let mut fields = Fields::new(&body);
    let Detokenize { tokens, model } = fields.take()?;
    let unknown = fields.unknown();
    let model = shared.model(model.as_deref())?;
    model.require_text()?;
    let vocab_size = model.tokenizer().vocab_size();
    if let Some(token) = tokens.iter().find(|token| **token as usize >= vocab_size) {
        let message = format!("token {token} is none of the vocabulary's, which are 0 to {}", vocab_size - 1);
        return Err(ApiError::field("tokens", message));
    }
    let mut response = json(StatusCode::OK, &Text { content: model.tokenizer().decode(&tokens) });
    tell_unknown(&shared, "/detokenize", &unknown, &mut response);
    Ok(response)
}
