//! Who may ask, and when: keys, foreign pages, the phases of the server's life, panics.

use std::any::Any;
use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST};
use axum::http::uri::Authority;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::{Choice, ConstantTimeEq};
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::error::ApiError;
use crate::happening::Happening;
use crate::state::{Phase, Shared};

/// Lets a request pass that brings one of the keys, if there are any.
pub(crate) async fn require_key(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let keys = &shared.options.keys;
    if keys.is_empty() {
        return match shared.options.local_names.then(|| foreign_name(&request)).flatten() {
            None => next.run(request).await,
            Some(name) => ApiError::key(&format!(
                "without a key this server answers as localhost or by its address, not as {name:?}; call it so, or start \
                 it with a key"
            ))
            .into_response(),
        };
    }
    let refusal = match request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes) {
        None => "this server needs a key; send the header Authorization: Bearer KEY",
        Some(value) => match bearer(value) {
            None => "the Authorization header is not of the form Bearer KEY; send one of this form",
            Some(key) if is_one_of(key, keys) => return next.run(request).await,
            Some(_) => "the key is not one of this server's; check it for typing errors",
        },
    };
    ApiError::key(refusal).into_response()
}

/// The name that a request calls the server by, unless it is this machine's own or an address.
fn foreign_name(request: &Request) -> Option<String> {
    let header =
        request.headers().get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    let host = header.or_else(|| request.uri().authority().map(ToString::to_string))?;
    let name = match host.parse::<Authority>() {
        Ok(authority) => authority.host().trim_end_matches('.').to_ascii_lowercase(),
        Err(_) => return Some(host),
    };
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    (!address && name != "localhost" && !name.ends_with(".localhost")).then_some(name)
}

fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| key.trim_ascii())
}

/// Compares with every key to its last byte: how long it takes says nothing about how much of a guess is right.
fn is_one_of(key: &[u8], keys: &[String]) -> bool {
    keys.iter().fold(Choice::from(0), |found, own| found | own.as_bytes().ct_eq(key)).into()
}

/// Refuses what comes too early or too late.
pub(crate) async fn require_ready(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    match shared.phase() {
        Phase::Loading => loading().into_response(),
        Phase::Ready => next.run(request).await,
        Phase::Draining | Phase::Ending => ApiError::shutting_down().into_response(),
    }
}

/// The models are on their way.
pub(crate) fn loading() -> ApiError {
    ApiError::unavailable("loading", "the model is being loaded; ask again in a few seconds")
}

/// What pages of other origins may do.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let origin = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    CorsLayer::new()
        .allow_origin(origin)
        .allow_methods([Method::GET, Method::POST])
        // Clients of several makes send headers of their own names.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([HeaderName::from_static("x-request-id"), IGNORED])
}

/// The header that lists the fields which were not understood.
pub(crate) const IGNORED: HeaderName = HeaderName::from_static("x-ignored-fields");

/// The answer to a request whose handler panicked.
pub(crate) fn panicked(shared: &Shared, panic: &(dyn Any + Send)) -> Response {
    let words = panic.downcast_ref::<&str>().map(ToString::to_string);
    let message = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
    shared.log(&Happening::Panicked { message });
    ApiError::server("a fault of the server's own; its log has more").into_response()
}

/// No such path.
pub(crate) async fn no_path(request: Request) -> ApiError {
    let path = request.uri().path();
    ApiError::refused(
        StatusCode::NOT_FOUND,
        format!("there is no {path:?} here; /openapi.json lists what is"),
    )
}

/// Not with this method.
pub(crate) async fn no_method(request: Request) -> ApiError {
    let message = format!(
        "{} is not for {:?}; the header Allow of this answer says what is",
        request.method(),
        request.uri().path()
    );
    ApiError::refused(StatusCode::METHOD_NOT_ALLOWED, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_wrong_by_one_byte_in_any_place_is_none() {
        let keys = ["sk-abcdef".to_owned(), "other".to_owned()];
        assert!(is_one_of(b"sk-abcdef", &keys) && is_one_of(b"other", &keys));
        for at in 0..9 {
            let mut wrong = *b"sk-abcdef";
            wrong[at] ^= 1;
            assert!(!is_one_of(&wrong, &keys));
        }
        for wrong in ["", "sk-abcde", "sk-abcdefg", "othe", "sk-abcdefother"] {
            assert!(!is_one_of(wrong.as_bytes(), &keys));
        }
    }

    #[test]
    fn names_of_this_machine_and_addresses_are_not_foreign() {
        let named = |host: &str| {
            let request = Request::builder().header(HOST, host).body(axum::body::Body::empty()).unwrap();
            foreign_name(&request)
        };
        for own in [
            "localhost",
            "LOCALHOST:8080",
            "x.localhost:1",
            "127.0.0.1:8080",
            "[::1]:8080",
            "10.0.0.7",
            "localhost.",
        ] {
            assert_eq!(named(own), None, "{own}");
        }
        for foreign in ["evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example", "", "a b"] {
            assert!(named(foreign).is_some(), "{foreign}");
        }
        assert_eq!(
            foreign_name(&Request::new(axum::body::Body::empty())),
            None,
            "an old client names nobody"
        );
    }

    #[test]
    fn the_scheme_is_read_in_any_case() {
        assert_eq!(bearer(b"Bearer a b "), Some(&b"a b"[..]));
        assert_eq!(bearer(b"bearer x"), Some(&b"x"[..]));
        assert_eq!((bearer(b"Basic eA=="), bearer(b"Bear")), (None, None));
    }
}
