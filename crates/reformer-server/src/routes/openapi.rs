//! `GET /openapi.json`: what is served here, for programs that make clients and tests of it.

use axum::http::StatusCode;
use axum::response::Response;
use utoipa::openapi::schema::{AllOfBuilder, Schema};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{Modify, OpenApi};

use super::{chat, completions, embeddings, health, inspect, metrics, models, tokens};
use crate::body::json;
use crate::wire::chat::ChatFields;
use crate::wire::completion::CompletionFields;
use crate::wire::sampling::SamplingFields;
use crate::wire::tools::ToolFields;

#[derive(OpenApi)]
#[openapi(
    info(title = "reformer", description = "Reformers with OpenAI's API. Unknown fields are ignored and listed in the \
        header x-ignored-fields; known fields that mean something which is not supported are refused."),
    paths(
        chat::chat,
        completions::completions,
        embeddings::embeddings,
        models::list,
        models::one,
        tokens::tokenize,
        tokens::detokenize,
        inspect::inspect,
        health::health,
        metrics::metrics
    ),
    components(schemas(ChatFields, CompletionFields, SamplingFields, ToolFields)),
    security(("key" = [])),
    modifiers(&Completed)
)]
struct Document;

/// What the derived document cannot say: requests that consist of two structures, and the key.
struct Completed;

impl Modify for Completed {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Default::default);
        for (request, own) in
            [("ChatRequest", &["ChatFields", "ToolFields"][..]), ("CompletionRequest", &["CompletionFields"])]
        {
            let parts = own.iter().chain(&["SamplingFields"]).map(|name| Ref::from_schema_name(*name));
            let all = parts.fold(AllOfBuilder::new(), AllOfBuilder::item);
            components.schemas.insert(request.to_owned(), RefOr::T(Schema::AllOf(all.build())));
        }
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("key", SecurityScheme::Http(bearer));
    }
}

/// The document.
pub(crate) async fn openapi() -> Response {
    json(StatusCode::OK, &Document::openapi())
}
