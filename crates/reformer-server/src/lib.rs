//! Reformers over HTTP: OpenAI's API for models of ours, as a [`Router`](axum::Router) to mount or a server to run.
//!
//! *Should I be using this crate?* To give a model to programs that speak OpenAI's API, yes: [`Server::router`] goes
//! into a program of yours, [`Server::serve`] is one. To generate inside one program, `reformer-generate` is enough.
//!
//! ```text
//! connection (limits) → observe → CORS → key → route → fields → jobs → engine → pieces → JSON or server-sent events
//! ```
//!
//! | to… | see |
//! |---|---|
//! | add a model | [`Server::add`], [`ServedModel`] |
//! | allow or refuse things | [`ServerOptions`], [`Limits`] |
//! | let a model look things up | [`Tables`], [`ServedModel::with_tables`] |
//! | know what happens | [`Happening`], handed to [`ServerOptions::log`] |
//!
//! Decoding is the engine's of `reformer-generate`: many at once, each bit-identical to itself alone. Nothing here
//! prints, reads files, the environment or the clock: those come as functions.

#![forbid(unsafe_code)]

mod body;
mod connection;
mod encoding;
mod error;
mod fields;
mod generation;
mod guard;
mod happening;
mod lookups;
mod metrics;
mod models;
mod observe;
mod options;
mod routes;
mod server;
mod speaking;
mod state;
mod streaming;
mod token;
mod wire;

pub use happening::{Ended, Happening};
pub use lookups::Tables;
pub use models::{Defaults, ServedModel};
pub use options::{Limits, ServerOptions};
pub use server::Server;
