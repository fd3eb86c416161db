//! Models that are served: each with an engine of its own, chosen by name.

use std::sync::Arc;

use reformer_generate::engine::Engine;
use reformer_generate::{Lead, Sampling};
use reformer_text::{Form, Tokenizer};
use tokio::sync::{Mutex, Semaphore};

use crate::error::ApiError;
use crate::lookups::{Remembered, Tables};

/// What a model's replies are like where a request does not say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    /// Sampling settings, of the checkpoint's `generation_config.json` and of whoever starts the server.
    pub sampling: Sampling,
    /// Tokens that end a text, by the checkpoint's settings.
    pub stop_tokens: Vec<u32>,
    /// The seed of requests that bring none; by default each gets one of its own.
    pub seed: Option<u64>,
}

/// A model that answers.
#[derive(Debug)]
pub struct ServedModel {
    pub(crate) name: String,
    pub(crate) engine: Engine,
    pub(crate) defaults: Defaults,
    pub(crate) created: u64,
    /// What its calls are answered from.
    pub(crate) tables: Option<Arc<dyn Tables>>,
    pub(crate) remembered: Remembered,
    /// Requests for vectors at once, in work or waiting.
    pub(crate) places: Semaphore,
    /// The one of them in work.
    pub(crate) turn: Mutex<()>,
}

impl ServedModel {
    /// A model that requests call `name`, made at `created`, in seconds since 1970.
    pub fn new(name: impl Into<String>, engine: Engine, defaults: Defaults, created: u64) -> Self {
        let places = Semaphore::new(engine.options().queue + 1);
        let (name, tables, remembered) = (name.into(), None, Remembered::default());
        Self { name, engine, defaults, created, tables, remembered, places, turn: Mutex::new(()) }
    }

    /// Lets the server run the model's calls.
    #[must_use]
    pub fn with_tables(mut self, tables: Arc<dyn Tables>) -> Self {
        self.tables = Some(tables);
        self
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        self.engine.tokenizer()
    }

    /// Positions; `None` where they have no end.
    pub(crate) fn positions(&self) -> Option<usize> {
        self.engine.model().config().position_limit()
    }

    /// Refuses a conversation for a model that only continues texts.
    pub(crate) fn require_chat(&self) -> Result<(), ApiError> {
        if self.tokenizer().can_chat() {
            return Ok(());
        }
        let message = format!(
            "{:?} is a completion model: it has no roles, so it cannot tell who speaks; send its text to \
             /v1/completions",
            self.name
        );
        Err(ApiError::field("model", message))
    }

    /// Refuses texts for a model of pixels.
    pub(crate) fn require_text(&self) -> Result<(), ApiError> {
        if self.tokenizer().raster().is_none() {
            return Ok(());
        }
        Err(ApiError::field(
            "model",
            format!("{:?} is a model of images, which is served no texts", self.name),
        ))
    }

    /// Tokens that end a turn of a conversation.
    pub(crate) fn turn_stops(&self) -> Vec<u32> {
        let tokenizer = self.tokenizer();
        let mut tokens = tokenizer.stop_tokens(tokenizer.form());
        tokens.extend(&self.defaults.stop_tokens);
        tokens
    }

    /// What leaves out the blank after a speaker's name, in the form that writes names.
    pub(crate) fn lead(&self) -> Option<Lead> {
        (self.tokenizer().form() == Form::Course).then(Lead::default)
    }
}
