//! `POST /inspect`: a look inside. The buckets that a text's tokens fall into in one head of one layer, and whom a
//! token attends to. Only there if the program allows it: a look computes as much as many prompts.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use reformer_generate::GenerateError;
use reformer_model::Kind;
use reformer_text::{ChatMessage, turns_of};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::tell_unknown;
use crate::body::{json, read_json};
use crate::encoding::{encode, encode_turns};
use crate::error::{ApiError, ErrorBody};
use crate::fields::{Count, Fields};
use crate::models::ServedModel;
use crate::state::Shared;
use crate::wire::completion::Prompt;

/// Tokens that are looked at: a colour for each of more could not be told apart.
const TOKENS: usize = 2048;

/// What to look at.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct InspectFields {
    /// The model, one of `/v1/models`; may be left out where there is only one.
    model: Option<String>,
    /// A conversation, up to where the next turn begins.
    #[schema(schema_with = crate::wire::schemas::messages)]
    messages: Option<Vec<ChatMessage>>,
    /// Or a text.
    prompt: Option<String>,
    /// The layer, counted from 0; the first that hashes, if none is named.
    #[schema(value_type = Option<u64>)]
    layer: Option<Count>,
    /// The head, counted from 0.
    #[schema(value_type = Option<u64>)]
    head: Option<Count>,
    /// The token whose attention is wanted; the last one, if none is named.
    #[schema(value_type = Option<u64>)]
    query: Option<Count>,
}

/// What is seen.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Seen {
    /// The tokens' texts; of a piece of a character, the bytes' names.
    tokens: Vec<String>,
    /// The kinds of all layers: `lsh`, `local`, `full`.
    layers: Vec<&'static str>,
    /// Heads of each layer.
    heads: usize,
    layer: usize,
    head: usize,
    query: usize,
    /// Buckets that there are; null in a layer that does not hash.
    num_buckets: Option<usize>,
    /// For each round, the bucket of each token.
    buckets: Option<Vec<Vec<u32>>>,
    /// The weight of each token for the query; they add up to 1.
    weights: Vec<f32>,
}

/// A look inside.
#[utoipa::path(post, path = "/inspect", tag = "inspect", request_body = InspectFields, responses(
    (status = 200, description = "What is seen", body = Seen),
    (status = 400, description = "Not understood, or not possible", body = ErrorBody),
    (status = 401, description = "No key, or a wrong one", body = ErrorBody),
    (status = 404, description = "No such model, or not allowed here", body = ErrorBody),
    (status = 408, description = "The body came too slowly", body = ErrorBody),
    (status = 413, description = "The body is too large", body = ErrorBody),
    (status = 415, description = "The body is not JSON", body = ErrorBody),
    (status = 429, description = "The queue is full", body = ErrorBody),
    (status = 500, description = "A fault of the server's", body = ErrorBody),
    (status = 503, description = "Loading, or shutting down", body = ErrorBody),
))]
pub(crate) async fn inspect(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let body = read_json(request, &shared.options.limits).await?;
    let mut fields = Fields::new(&body);
    let asked: InspectFields = fields.take()?;
    let unknown = fields.unknown();
    let model = shared.model(asked.model.as_deref())?;
    model.require_text()?;
    let ids = match (asked.messages, asked.prompt) {
        (Some(messages), None) => {
            model.require_chat()?;
            let turns = turns_of(messages).map_err(|problem| ApiError::field("messages", problem))?;
            encode_turns(&model, model.remembered.restore(&turns)).await?
        }
        (None, Some(text)) => {
            let texts = encode(&model, vec![Prompt::Text(text)], "prompt").await?;
            texts.into_iter().next().map(|(_, ids)| ids).unwrap_or_default()
        }
        _ => return Err(ApiError::invalid("send messages or a prompt, and not both")),
    };
    check_length(&model, ids.len())?;
    let config = model.engine.model().config();
    let below = |field: &str, asked: Option<Count>, default: usize, count: usize| match asked {
        Some(Count(n)) if n >= count => {
            Err(ApiError::field(field, format!("{field} is {n}, but there are 0 to {}", count - 1)))
        }
        Some(Count(n)) => Ok(n),
        None => Ok(default),
    };
    let hashing = config.attn_layers.iter().position(|kind| *kind == Kind::Lsh).unwrap_or(0);
    let layer = below("layer", asked.layer, hashing, config.layers())?;
    let head = below("head", asked.head, 0, config.num_attention_heads)?;
    let query = below("query", asked.query, ids.len() - 1, ids.len())?;

    let _place = model.places.try_acquire().map_err(|_| {
        ApiError::of(&GenerateError::QueueFull { queue: model.engine.options().queue }, "prompt")
    })?;
    let _turn = model.turn.lock().await;
    let looking = Arc::clone(&model);
    let seen = tokio::task::spawn_blocking(move || look(&looking, &ids, layer, head, query));
    let seen = seen.await.map_err(|_| ApiError::server("looking failed"))??;
    let mut response = json(StatusCode::OK, &seen);
    tell_unknown(&shared, "/inspect", &unknown, &mut response);
    Ok(response)
}

fn check_length(model: &ServedModel, tokens: usize) -> Result<(), ApiError> {
    let most = model.positions().map_or(TOKENS, |positions| positions.min(TOKENS));
    if tokens <= most {
        return Ok(());
    }
    let message = format!("the text has {tokens} tokens, but {most} can be looked at; shorten it");
    Err(ApiError::too_long("prompt", message))
}

fn look(model: &ServedModel, ids: &[u32], layer: usize, head: usize, query: usize) -> Result<Seen, ApiError> {
    let engine = &model.engine;
    let look = engine.model().look(engine.cpu(), ids, layer, head, query);
    let look = look.map_err(|error| ApiError::server(error.to_string()))?;
    let config = engine.model().config();
    let rounds = |buckets: &reformer_lsh::Buckets| {
        (0..buckets.rounds()).map(|round| buckets.round(round)[..ids.len()].to_vec()).collect()
    };
    Ok(Seen {
        tokens: ids.iter().map(|&id| model.tokenizer().token_name(id)).collect(),
        layers: config.attn_layers.iter().map(|kind| name(*kind)).collect(),
        heads: config.num_attention_heads,
        layer,
        head,
        query,
        num_buckets: look.buckets.as_ref().map(reformer_lsh::Buckets::num_buckets),
        buckets: look.buckets.as_ref().map(rounds),
        weights: look.weights,
    })
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Lsh => "lsh",
        Kind::Local => "local",
        Kind::Full => "full",
    }
}
