//! One file a command: arguments resolved to a plan, the plan run, its result printed.

pub(crate) mod bench;
pub(crate) mod chat;
pub(crate) mod complete;
pub(crate) mod completions;
pub(crate) mod data;
pub(crate) mod eval;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod inspect;
pub(crate) mod plan;
pub(crate) mod plot;
pub(crate) mod recipe;
mod requests;
pub(crate) mod serve;
pub(crate) mod story;
pub(crate) mod task;
pub(crate) mod train;
