//! `POST /v1/embeddings`: a vector for each text, the mean of the last hidden states.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use reformer_generate::GenerateError;

use super::tell_unknown;
use crate::body::{json, read_json};
use crate::encoding::encode;
use crate::error::{ApiError, ErrorBody};
use crate::fields::{Count, Fields};
use crate::models::ServedModel;
use crate::state::Shared;
use crate::wire::embedding::{Embedding, EmbeddingFields, EmbeddingList, EmbeddingUsage, Vector};
use crate::wire::unsupported::Noted;

/// Vectors of texts.
#[utoipa::path(post, path = "/v1/embeddings", tag = "embeddings", request_body = EmbeddingFields, responses(
    (status = 200, description = "A vector for each text", body = EmbeddingList),
    (status = 400, description = "Not understood, or not possible", body = ErrorBody),
    (status = 401, description = "No key, or a wrong one", body = ErrorBody),
    (status = 404, description = "No such model", body = ErrorBody),
    (status = 408, description = "The body came too slowly", body = ErrorBody),
    (status = 413, description = "The body is too large", body = ErrorBody),
    (status = 415, description = "The body is not JSON", body = ErrorBody),
    (status = 429, description = "The queue is full", body = ErrorBody),
    (status = 500, description = "A fault of the server's", body = ErrorBody),
    (status = 503, description = "Loading, or shutting down", body = ErrorBody),
))]
pub(crate) async fn embeddings(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let limits = shared.options.limits;
    let body = read_json(request, &limits).await?;
    let mut fields = Fields::new(&body);
    let asked: EmbeddingFields = fields.take()?;
    fields.take::<Noted>()?;
    let unknown = fields.unknown();
    let model = shared.model(asked.model.as_deref())?;
    model.require_text()?;
    let size = 2 * model.engine.model().config().hidden_size;
    if let Some(Count(wanted)) = asked.dimensions.filter(|&Count(wanted)| wanted != size) {
        let message = format!("dimensions is {wanted}, but this model has {size}; leave it out");
        return Err(ApiError::field("dimensions", message));
    }
    let texts = asked.input.0;
    if texts.is_empty() {
        return Err(ApiError::field("input", "input is an empty list; send at least one text"));
    }
    if texts.len() > limits.replies {
        let message =
            format!("input has {} texts, but {} are the most; send less", texts.len(), limits.replies);
        return Err(ApiError::field("input", message));
    }
    let texts = encode(&model, texts, "input").await?;
    let prompt_tokens = texts.iter().map(|(_, ids)| ids.len()).sum();
    let mut data = Vec::with_capacity(texts.len());
    // A place is had or not at once; those who have one take turns, so that texts do not crowd out replies.
    let _place = model.places.try_acquire().map_err(|_| {
        ApiError::of(&GenerateError::QueueFull { queue: model.engine.options().queue }, "input")
    })?;
    let _turn = model.turn.lock().await;
    for (index, (_, ids)) in texts.into_iter().enumerate() {
        let numbers = embed(&model, ids).await?;
        let vector = Vector::new(numbers, asked.encoding_format.unwrap_or_default());
        data.push(Embedding { object: "embedding", index, vector });
    }
    let usage = EmbeddingUsage { prompt_tokens, total_tokens: prompt_tokens };
    let list = EmbeddingList { object: "list", data, model: model.name.clone(), usage };
    let mut response = json(StatusCode::OK, &list);
    tell_unknown(&shared, "/v1/embeddings", &unknown, &mut response);
    Ok(response)
}

/// One text's vector, made where it holds up nobody; a client who leaves stops before the next text.
async fn embed(model: &Arc<ServedModel>, ids: Vec<u32>) -> Result<Vec<f32>, ApiError> {
    if let Some(limit) = model.positions().filter(|&limit| ids.len() > limit) {
        let message = format!(
            "this model has {limit} positions, but a text of input has {} tokens; shorten it",
            ids.len()
        );
        return Err(ApiError::too_long("input", message));
    }
    let model = Arc::clone(model);
    let made = tokio::task::spawn_blocking(move || {
        let engine = &model.engine;
        engine.model().embedding(engine.cpu(), &ids)
    });
    let made = made.await.map_err(|_| ApiError::server("computing a vector failed"))?;
    let numbers = made.map_err(|error| ApiError::server(error.to_string()))?;
    if numbers.iter().any(|x| !x.is_finite()) {
        return Err(ApiError::server("the vector is not finite: the model's weights are damaged"));
    }
    Ok(numbers)
}
