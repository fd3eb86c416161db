//! Around every request: an id, the time, a counter and a line for the log.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::happening::Happening;
use crate::state::Shared;

/// When a request came, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// Sixteen hexadecimal digits.
    pub(crate) id: String,
    /// On the server's clock.
    pub(crate) came: f64,
}

impl Arrival {
    /// Of a request that passed [`observe`].
    pub(crate) fn of(request: &Request, shared: &Shared) -> Self {
        request.extensions().get::<Self>().cloned().unwrap_or_else(|| Self::now(shared))
    }

    fn now(shared: &Shared) -> Self {
        Self { id: format!("{:016x}", (shared.options.random)()), came: (shared.options.clock)() }
    }
}

/// The header that carries a request's id.
const ID: HeaderName = HeaderName::from_static("x-request-id");

/// Notes what comes and how it was answered.
pub(crate) async fn observe(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    let arrival = Arrival::now(&shared);
    request.extensions_mut().insert(arrival.clone());
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let route = request.extensions().get::<MatchedPath>().map(|route| route.as_str().to_owned());
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&arrival.id) {
        response.headers_mut().insert(ID, id);
    }
    let status = response.status().as_u16();
    shared.metrics.answered(route.as_deref().unwrap_or("other"), status);
    let took = ((shared.options.clock)() - arrival.came).max(0.0);
    let took = Duration::try_from_secs_f64(took).unwrap_or_default();
    shared.log(&Happening::Answered { id: arrival.id, method, path, status, took });
    response
}
