//! Generating with Reformers: sampling chain, decode loop, conversations.
//!
//! *Should I be using this crate?* To get text out of a trained model, yes: [`Generator`] continues a prompt,
//! [`ChatSession`] holds a conversation. To train one, see `reformer-train`; for a command line, `reformer-cli`.
//!
//! ```text
//! messages → template → ids → prefill → { logits → chain → token → whole characters → you } until stop
//! ```
//!
//! Nothing here prints, reads files or looks at the clock: text goes to a callback, which can break at any token;
//! conversations come and go as JSON strings; seconds come from a function.

#![forbid(unsafe_code)]

mod chat;
mod conversation;
mod decode;
mod error;
mod sampler;
mod stats;

pub use chat::{ChatSession, Reply};
pub use conversation::Conversation;
pub use decode::{Cache, Completion, ContextPolicy, Finish, Generator, Request};
pub use error::{GenerateError, Result};
pub use sampler::{Chain, Rule, Sampling};
pub use stats::Stats;
