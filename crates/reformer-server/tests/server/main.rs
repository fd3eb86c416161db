//! The server over real sockets: what clients get, whatever they send and however they leave.

mod chat;
mod client;
mod clients;
mod completions;
mod inspect;
mod limits;
mod models;
mod mutants;
mod refusals;
mod service;
mod shutdown;
mod streams;
mod tools;
