//! `GET /health`: whether to send requests here. Needs no key.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::body::json;
use crate::error::{ApiError, ErrorBody};
use crate::guard;
use crate::state::{Phase, Shared};

/// All is well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Health {
    /// `ok`.
    status: &'static str,
}

/// 200 when the models are there; 503 before, and when the server is about to end.
#[utoipa::path(get, path = "/health", tag = "server", security(()), responses(
    (status = 200, description = "Ready", body = Health),
    (status = 503, description = "Not yet, or no more", body = ErrorBody),
))]
pub(crate) async fn health(State(shared): State<Arc<Shared>>) -> Response {
    match shared.phase() {
        Phase::Ready => json(StatusCode::OK, &Health { status: "ok" }),
        Phase::Loading => guard::loading().into_response(),
        Phase::Draining | Phase::Ending => ApiError::shutting_down().into_response(),
    }
}
