//! `GET /`: a page to talk on, one file, part of the program.
//!
//! Nothing runs in it but what carries this visit's nonce, and it speaks to nobody but this server. It needs no key to
//! be seen; what it sends does.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

use crate::state::Shared;

const PAGE: &str = include_str!("../../web/index.html");

/// The page.
pub(crate) async fn page(State(shared): State<Arc<Shared>>) -> Response {
    let draw = || (shared.options.random)();
    let nonce = format!("{:016x}{:016x}", draw(), draw());
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; img-src data:; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let mut response = PAGE.replace("NONCE", &nonce).into_response();
    let headers = response.headers_mut();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("x-content-type-options"), "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
