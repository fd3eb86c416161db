//! The server over real sockets: what clients get, whatever they send and however they leave.

mod chat;
mod client;
mod completions;
mod limits;
mod models;
mod refusals;
mod service;
mod shutdown;
mod streams;
