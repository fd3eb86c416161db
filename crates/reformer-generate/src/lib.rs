//! Generating with Reformers: sampling chain, decode loop, engine, conversations.
//!
//! *Should I be using this crate?* To get text out of a trained model, yes: [`Generator`] continues a prompt,
//! [`ChatSession`] holds a conversation, [`Engine`] serves many at once. To train one, see `reformer-train`; for a
//! command line, `reformer-cli`.
//!
//! ```text
//! messages → template → ids → prefill → { logits → chain → token → whole characters → you } until stop
//! ```
//!
//! Nothing here prints, reads files or looks at the clock: text goes to a callback, which can break at any token;
//! conversations come and go as JSON strings; seconds come from a function.

#![forbid(unsafe_code)]

mod beam;
mod chain;
mod chat;
mod conversation;
mod decode;
mod dialogue;
mod emitter;
pub mod engine;
mod error;
mod fixed;
mod log_probs;
mod request;
mod rules;
mod sampling;
mod sequence;
mod stats;
mod story;

pub use beam::{BeamSearch, Hypothesis};
pub use chain::Chain;
pub use chat::lookups::{CALL_TOKENS, CALLS, Filling, Host, Said, broken, said};
pub use chat::{ChatSession, Reply, prompt_of};
pub use conversation::Conversation;
pub use decode::{Cache, Generator};
pub use dialogue::{DialogueEvent, SelfTalk, first_sentence};
pub use emitter::Lead;
pub use engine::Engine;
pub use error::{GenerateError, Result};
pub use log_probs::{LogProbs, TokenLogProb};
pub use request::{ContextPolicy, Request};
pub use rules::Rule;
pub use sampling::Sampling;
pub use sequence::{Completion, Finish};
pub use stats::Stats;
pub use story::{Passage, Story, StorySession};
