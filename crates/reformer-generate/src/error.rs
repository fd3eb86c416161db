//! What can go wrong while generating: each fault says what, got, expected and what to do.

use thiserror::Error;

/// A fault of the generator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// A sampling setting outside its range.
    #[error("sampling setting `{key}` is {got}, but must be {expected}")]
    Setting {
        /// The setting's name, spelled as the config key and the flag.
        key: &'static str,
        /// What was given.
        got: String,
        /// The legal range.
        expected: &'static str,
    },
    /// A logit bias on a token that there is not.
    #[error(
        "logit_bias names token {token}, but the vocabulary has the tokens 0 to {}; name one of these",
        vocab_size - 1
    )]
    BiasOutOfRange {
        /// The id.
        token: u32,
        /// Tokens that can be written.
        vocab_size: usize,
    },
    /// Nothing to continue: generation needs one token to start from.
    #[error("the prompt is empty: a model continues text, so give it at least one character")]
    EmptyPrompt,
    /// The prompt leaves no room for a reply.
    #[error(
        "the prompt has {prompt} tokens, but the model has {limit} positions and one must be left for the reply; \
         shorten the prompt, or let the oldest part be dropped with the context policy `slide`"
    )]
    ContextLength {
        /// Tokens of the prompt.
        prompt: usize,
        /// Positions of the model.
        limit: usize,
    },
    /// A token id the model has no embedding for.
    #[error(
        "token {token} is outside the model's vocabulary of {vocab_size}: \
         the tokenizer beside this checkpoint belongs to another model"
    )]
    TokenOutOfRange {
        /// The id.
        token: u32,
        /// The model's vocabulary size.
        vocab_size: usize,
    },
    /// The model produced a logit that is not a number.
    #[error(
        "the model's logits at position {position} are not finite: the weights are damaged or training diverged; \
         use an earlier checkpoint"
    )]
    NotFinite {
        /// Position in the sequence.
        position: usize,
    },
    /// A saved state that remembers or attends in another way.
    #[error("{}: a decode state of {got}, but {expected} is asked for; ask for the same, or make a new state", path.display())]
    OtherState {
        /// The state's file.
        path: std::path::PathBuf,
        /// What it holds.
        got: String,
        /// What was asked for.
        expected: String,
    },
    /// The tokenizer has no mark for the user's side.
    #[error(
        "this tokenizer has no role marks, so the model cannot play both sides; generate a reply with `chat`"
    )]
    OneSided,
    /// The engine's queue has no place.
    #[error("the queue of {queue} requests is full; try again when some are done")]
    QueueFull {
        /// Its places.
        queue: usize,
    },
    /// The engine ended before the reply did.
    #[error("the engine has been shut down")]
    EngineGone,
    /// The engine's thread could not be started.
    #[error("cannot start the decoding thread: {0}")]
    Thread(std::io::Error),
    /// Nothing is left to draw from.
    #[error("every token of the vocabulary is suppressed, so nothing can be drawn")]
    NothingToDraw,
    /// A regenerate or undo without a turn to work on.
    #[error("there is no {0} yet")]
    NoTurn(&'static str),
    /// A saved conversation that cannot be read.
    #[error(
        "not a conversation: {0}; expected [{{\"role\": \"user\", \"content\": \"…\"}}, …] or {{\"messages\": […]}}"
    )]
    Conversation(String),
    /// The model refused.
    #[error(transparent)]
    Model(#[from] reformer_model::ModelError),
    /// The tokenizer or the chat template refused.
    #[error(transparent)]
    Text(#[from] reformer_text::TextError),
}

/// Result of the generator.
pub type Result<T> = std::result::Result<T, GenerateError>;
