//! What goes over the wire: OpenAI's structures, read in every form that clients write and written as clients read.

pub(crate) mod chat;
pub(crate) mod completion;
pub(crate) mod embedding;
pub(crate) mod log_probs;
pub(crate) mod sampling;
pub(crate) mod schemas;
pub(crate) mod tools;
pub(crate) mod unsupported;
pub(crate) mod usage;
