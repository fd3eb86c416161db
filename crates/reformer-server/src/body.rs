//! Bodies: JSON in, within limits of size and time, and JSON out.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::Serialize;
use serde_json::Value;

use crate::error::ApiError;
use crate::options::Limits;

/// An answer of JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(bytes) => {
            let kind = HeaderValue::from_static("application/json");
            (status, [(CONTENT_TYPE, kind)], bytes).into_response()
        }
        // Our own structures always serialise; a status without a body is all that is left to say otherwise.
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The JSON object that a request brings.
pub(crate) async fn read_json(request: Request, limits: &Limits) -> Result<Value, ApiError> {
    let (head, body) = request.into_parts();
    check_type(&head.headers)?;
    let announced = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    if announced.is_some_and(|bytes: u64| bytes > limits.body as u64) {
        return Err(too_large(limits.body));
    }
    let read = tokio::time::timeout(limits.body_time, read(body, limits.body));
    let bytes = read.await.map_err(|_| too_slow(limits.body_time))??;
    if bytes.is_empty() {
        return Err(ApiError::invalid("the request has no body; send a JSON object"));
    }
    let value: Value = serde_json::from_slice(&bytes)
        .map_err(|error| ApiError::invalid(format!("the body is not JSON: {error}")))?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(ApiError::invalid(format!("the body is {}; send a JSON object", kind(&value))))
    }
}

/// A browser sends forms and plain text to anybody without asking: only JSON, for which it asks first, is read.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let got = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("none");
    let name = got.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    if name == "application/json" || (name.starts_with("application/") && name.ends_with("+json")) {
        return Ok(());
    }
    let message = format!("the Content-Type is {got:?}; send the header Content-Type: application/json");
    Err(ApiError::refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
}

async fn read(body: Body, limit: usize) -> Result<Vec<u8>, ApiError> {
    let mut stream = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| ApiError::invalid(format!("the body broke off: {error}")))?;
        if bytes.len() + piece.len() > limit {
            return Err(too_large(limit));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn too_large(limit: usize) -> ApiError {
    let message = format!("the body is larger than {limit} bytes, the most that is taken here; send less");
    ApiError::refused(StatusCode::PAYLOAD_TOO_LARGE, message)
}

fn too_slow(time: Duration) -> ApiError {
    let message = format!("the body did not arrive within {} seconds; send it at once", time.as_secs());
    ApiError::refused(StatusCode::REQUEST_TIMEOUT, message)
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
