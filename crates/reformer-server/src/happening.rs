//! What a server tells its program, to log or to count: values, no lines.
//!
//! Strings of clients stand here as they came; whoever writes them to a log escapes them. Bodies, keys and other
//! headers never come here.

use std::time::Duration;

/// How a generation ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// All of it was made.
    Done,
    /// The client left, and the rest was not made.
    Left,
    /// It failed.
    Failed,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// A request was answered; of a stream, its head was sent.
    Answered {
        /// The request's id, as in `x-request-id`.
        id: String,
        /// `GET`, `POST`, …
        method: String,
        /// The path, without the query.
        path: String,
        /// The status.
        status: u16,
        /// From the head's arrival to the answer's head.
        took: Duration,
    },
    /// A generation is over.
    Generated {
        /// The request's id.
        id: String,
        /// The model's name.
        model: String,
        /// Tokens of the prompts.
        prompt_tokens: usize,
        /// Tokens generated.
        completion_tokens: usize,
        /// From the request to the end.
        seconds: f64,
        /// How it ended.
        ended: Ended,
    },
    /// Clients send fields that nobody here knows; told once for each.
    UnknownField {
        /// The path of the request.
        path: String,
        /// The field's name.
        field: String,
    },
    /// A handler panicked: a fault of ours, answered with 500.
    Panicked {
        /// What it said.
        message: String,
    },
    /// A connection could not be accepted, or was lost.
    Connection {
        /// What the system said.
        problem: String,
    },
}
