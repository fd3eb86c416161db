//! `GET /v1/models` and `GET /v1/models/{id}`: what is served here.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use reformer_model::memory::parameter_count;
use serde::Serialize;
use utoipa::ToSchema;

use crate::body::json;
use crate::error::{ApiError, ErrorBody};
use crate::models::ServedModel;
use crate::state::Shared;

/// All models.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    /// `list`.
    object: &'static str,
    data: Vec<ModelInfo>,
}

/// A model.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelInfo {
    /// The name that requests call it by.
    id: String,
    /// `model`.
    object: &'static str,
    /// Seconds since 1970.
    created: u64,
    /// `reformer`.
    owned_by: &'static str,
    meta: Meta,
}

/// What it is like.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Meta {
    /// Positions; null where they have no end.
    n_ctx: Option<usize>,
    /// Tokens of the vocabulary.
    n_vocab: usize,
    /// Parameters.
    n_params: usize,
    /// Layers.
    n_layers: usize,
    /// Whether it takes `/v1/chat/completions`.
    chat: bool,
    /// Whether `/inspect` looks inside.
    inspect: bool,
}

fn info(model: &ServedModel, shared: &Shared) -> ModelInfo {
    let config = model.engine.model().config();
    let meta = Meta {
        n_ctx: model.positions(),
        n_vocab: config.vocab_size,
        n_params: parameter_count(config),
        n_layers: config.layers(),
        chat: model.tokenizer().can_chat(),
        inspect: shared.options.inspect,
    };
    ModelInfo { id: model.name.clone(), object: "model", created: model.created, owned_by: "reformer", meta }
}

/// All models.
#[utoipa::path(get, path = "/v1/models", tag = "models", responses(
    (status = 200, description = "All models", body = ModelList),
    (status = 401, description = "No key, or a wrong one", body = ErrorBody),
    (status = 503, description = "Loading, or shutting down", body = ErrorBody),
))]
pub(crate) async fn list(State(shared): State<Arc<Shared>>) -> Response {
    let data = shared.models().iter().map(|model| info(model, &shared)).collect();
    json(StatusCode::OK, &ModelList { object: "list", data })
}

/// One model.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "models", params(("id" = String, Path, description = "Its name")),
    responses(
    (status = 200, description = "The model", body = ModelInfo),
    (status = 400, description = "The path is not UTF-8", body = ErrorBody),
    (status = 401, description = "No key, or a wrong one", body = ErrorBody),
    (status = 404, description = "No such model", body = ErrorBody),
    (status = 503, description = "Loading, or shutting down", body = ErrorBody),
))]
pub(crate) async fn one(
    State(shared): State<Arc<Shared>>,
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = path.map_err(|error| ApiError::invalid(error.body_text()))?;
    Ok(json(StatusCode::OK, &info(&*shared.model(Some(&id))?, &shared)))
}
