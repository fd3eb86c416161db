//! `GET /metrics`: counters in Prometheus' text form.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use crate::error::{ApiError, ErrorBody};
use crate::state::Shared;

const TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Requests, queue, tokens in and out, seconds of prefill and decode, context in use, cancellations.
#[utoipa::path(get, path = "/metrics", tag = "server", responses(
    (status = 200, description = "Counters", body = String, content_type = "application/openmetrics-text"),
    (status = 401, description = "No key, or a wrong one", body = ErrorBody),
))]
pub(crate) async fn metrics(State(shared): State<Arc<Shared>>) -> Result<Response, ApiError> {
    let text = shared.metrics.encode(&shared.models());
    let text = text.map_err(|_| ApiError::server("the counters cannot be written"))?;
    Ok(([(CONTENT_TYPE, TEXT)], text).into_response())
}
