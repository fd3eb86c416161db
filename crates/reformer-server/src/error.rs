//! Everything that is refused or fails, in OpenAI's form: `{"error":{"message","type","param","code"}}`.
//!
//! | status | type | code |
//! |---|---|---|
//! | 400 | `invalid_request_error` | none, or `context_length_exceeded` |
//! | 401 | `invalid_request_error` | `invalid_api_key` |
//! | 404 · 405 · 408 · 413 · 415 | `invalid_request_error` | `model_not_found`, or none |
//! | 429 | `rate_limit_error` | `queue_full`, with `Retry-After` |
//! | 500 | `server_error` | none |
//! | 503 | `unavailable_error` | `loading`, `shutting_down`, `timeout` |

use axum::http::header::{CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use reformer_generate::GenerateError;
use serde::Serialize;
use utoipa::ToSchema;

/// The body of an answer that is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    error: Fault,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Fault {
    /// What, got, expected and what to do.
    message: String,
    /// Whose fault it is.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The field at fault.
    param: Option<String>,
    /// A word for programs.
    code: Option<&'static str>,
}

/// A refusal or a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    fault: Fault,
    retry_after: Option<u32>,
}

const INVALID: &str = "invalid_request_error";

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let fault = Fault { message: message.into(), kind, param: None, code: None };
        Self { status, fault, retry_after: None }
    }

    /// 400 for a field.
    pub(crate) fn field(param: impl Into<String>, message: impl Into<String>) -> Self {
        let mut error = Self::invalid(message);
        error.fault.param = Some(param.into());
        error
    }

    /// 400 for a text that does not fit the model's positions.
    pub(crate) fn too_long(param: &str, message: String) -> Self {
        Self::field(param, message).with_code("context_length_exceeded")
    }

    /// 400 for a request as a whole.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, INVALID, message)
    }

    /// Another status of the client's making.
    pub(crate) fn refused(status: StatusCode, message: impl Into<String>) -> Self {
        Self::new(status, INVALID, message)
    }

    /// 401.
    pub(crate) fn key(message: &str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, INVALID, message).with_code("invalid_api_key")
    }

    /// 404 for a model.
    pub(crate) fn no_model(name: &str, there: &[&str]) -> Self {
        let message = format!("no model {name:?} is served here; there are: {}", there.join(", "));
        let mut error = Self::refused(StatusCode::NOT_FOUND, message).with_code("model_not_found");
        error.fault.param = Some("model".to_owned());
        error
    }

    /// 500.
    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// 503.
    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        let error = Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable_error", message);
        Self { retry_after: Some(5), ..error.with_code(code) }
    }

    /// The server is about to end.
    pub(crate) fn shutting_down() -> Self {
        Self::unavailable("shutting_down", "the server is shutting down; ask again when it is back")
    }

    fn with_code(mut self, code: &'static str) -> Self {
        self.fault.code = Some(code);
        self
    }

    /// What the engine or the tokenizer refused; `prompt` is the field that the prompt came in.
    pub(crate) fn of(error: &GenerateError, prompt: &str) -> Self {
        let message = error.to_string();
        match error {
            GenerateError::Setting { key, .. } => Self::field(*key, message),
            GenerateError::BiasOutOfRange { .. } | GenerateError::NothingToDraw => {
                Self::field("logit_bias", message)
            }
            GenerateError::ContextLength { prompt: tokens, limit } => {
                let message = format!(
                    "this model has {limit} positions, but the prompt has {tokens} tokens and one position must be \
                     left for the reply; shorten the {prompt}"
                );
                Self::too_long(prompt, message)
            }
            GenerateError::EmptyPrompt | GenerateError::TokenOutOfRange { .. } | GenerateError::Text(_) => {
                Self::field(prompt, message)
            }
            GenerateError::QueueFull { .. } => {
                let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", message);
                Self { retry_after: Some(1), ..error.with_code("queue_full") }
            }
            GenerateError::EngineGone => Self::shutting_down(),
            _ => Self::server(message),
        }
    }

    /// The body, for the middle of a stream.
    pub(crate) fn body(&self) -> ErrorBody {
        ErrorBody { error: self.fault.clone() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = crate::body::json(self.status, &self.body());
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        // What is left of a body that was too large, or too slow, is not read: the connection cannot go on.
        if matches!(self.status, StatusCode::PAYLOAD_TOO_LARGE | StatusCode::REQUEST_TIMEOUT) {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
