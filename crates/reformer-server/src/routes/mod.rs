//! The routes, each in a file named for it, and what stands around them.

pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod embeddings;
pub(crate) mod health;
pub(crate) mod inspect;
pub(crate) mod metrics;
pub(crate) mod models;
pub(crate) mod openapi;
pub(crate) mod page;
pub(crate) mod tokens;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::http::HeaderValue;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;

use crate::guard::{self, IGNORED};
use crate::observe::observe;
use crate::state::Shared;

/// All routes.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let state = || Arc::clone(shared);
    let models = Router::new()
        .route("/v1/models", get(models::list))
        // Names may have slashes.
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/chat/completions", post(chat::chat))
        .route("/v1/completions", post(completions::completions))
        .route("/v1/embeddings", post(embeddings::embeddings))
        .route("/tokenize", post(tokens::tokenize))
        .route("/detokenize", post(tokens::detokenize));
    let models =
        if shared.options.inspect { models.route("/inspect", post(inspect::inspect)) } else { models };
    let models = models.route_layer(from_fn_with_state(state(), guard::require_ready));
    let guarded = models
        .route("/metrics", get(metrics::metrics))
        .route("/openapi.json", get(openapi::openapi))
        .route_layer(from_fn_with_state(state(), guard::require_key));
    let open = guarded.route("/health", get(health::health));
    let open = if shared.options.page { open.route("/", get(page::page)) } else { open };
    let all = open.fallback(guard::no_path).method_not_allowed_fallback(guard::no_method).with_state(state());
    let panicked = state();
    let all = all.layer(CatchPanicLayer::custom(move |panic: Box<dyn std::any::Any + Send>| {
        guard::panicked(&panicked, &*panic)
    }));
    let origins = &shared.options.cors_origins;
    let all = if origins.is_empty() { all } else { all.layer(guard::cors(origins)) };
    all.layer(from_fn_with_state(state(), observe))
}

/// Tells of fields that were not understood, in the log and in a header of the answer.
fn tell_unknown(shared: &Shared, path: &str, unknown: &BTreeSet<String>, response: &mut Response) {
    if unknown.is_empty() {
        return;
    }
    shared.tell_unknown(path, unknown);
    // A header holds neither line ends nor other alphabets, nor everything that a client may have made up.
    let names = unknown.iter().take(16).map(|name| name.escape_default().take(64).collect::<String>());
    if let Ok(list) = HeaderValue::from_str(&names.collect::<Vec<_>>().join(", ")) {
        response.headers_mut().insert(IGNORED, list);
    }
}
