//! A story told in turn: the reader's line, then the model's paragraph.
//!
//! ```text
//! It was a cold evening, and | the lamps were lit in the court …¶      a passage: the reader's words | the model's
//!                                                                      a blank line
//! Nobody came | but the old clerk …¶                                   the next one
//! ```
//! A story is one text. The model continues the reader's words to the end of the paragraph (a blank line, as novels
//! have between paragraphs); without words it begins a paragraph of its own. What the model's positions do not hold
//! of a long story is dropped from its beginning.
//!
//! Knows nothing of terminals and files: a story comes and goes as its text.

use std::ops::ControlFlow;

use crate::chain::Chain;
use crate::decode::{Cache, Generator};
use crate::error::{GenerateError, Result};
use crate::request::{ContextPolicy, Request};
use crate::sampling::Sampling;
use crate::sequence::{Completion, Finish};
use crate::stats::Stats;

/// What stands between paragraphs.
const BETWEEN: &str = "\n\n";

/// One exchange.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Passage {
    /// What the reader wrote; nothing where the model was asked to go on.
    pub reader: String,
    /// What the model wrote after it, the blank between the two included.
    pub model: String,
}

/// Passages, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    passages: Vec<Passage>,
}

impl Story {
    /// A story that begins with a text somebody wrote.
    pub fn of_text(text: &str) -> Self {
        let model = text.trim().to_owned();
        let passages =
            if model.is_empty() { Vec::new() } else { vec![Passage { reader: String::new(), model }] };
        Self { passages }
    }

    /// The passages.
    pub fn passages(&self) -> &[Passage] {
        &self.passages
    }

    /// The whole text, a blank line between passages.
    pub fn text(&self) -> String {
        let passages = self.passages.iter().map(|passage| format!("{}{}", passage.reader, passage.model));
        passages.collect::<Vec<_>>().join(BETWEEN)
    }
}

/// A story, a model and a decode state that grows with it.
pub struct StorySession<'a> {
    generator: Generator<'a>,
    story: Story,
    sampling: Sampling,
    stop_tokens: Vec<u32>,
    cache: Cache,
    draws: u64,
    last: Stats,
}

impl<'a> StorySession<'a> {
    /// A session over `story`; `stop_tokens` are what a checkpoint's settings name beyond its tokenizer.
    pub fn new(
        generator: Generator<'a>,
        story: Story,
        sampling: Sampling,
        stop_tokens: &[u32],
    ) -> Result<Self> {
        let cache = generator.cache();
        let stop_tokens = generator.tokenizer().end_token().into_iter().chain(stop_tokens.iter().copied());
        let stop_tokens = stop_tokens.collect();
        let session =
            Self { generator, story, sampling, stop_tokens, cache, draws: 0, last: Stats::default() };
        session.check(&session.sampling)?;
        Ok(session)
    }

    fn check(&self, sampling: &Sampling) -> Result<()> {
        let (tokenizer, model) = (self.generator.tokenizer(), self.generator.decoder().model());
        Chain::new(sampling)?.for_model(tokenizer, model.config().vocab_size, &self.stop_tokens)?;
        Ok(())
    }

    /// The story so far.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// Another story; the decode state keeps what the two have in common.
    pub fn set_story(&mut self, story: Story) {
        self.story = story;
    }

    /// The sampling settings.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// Changes the sampling settings, if they are legal.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<()> {
        self.check(&sampling)?;
        if sampling.seed != self.sampling.seed {
            self.draws = 0;
        }
        self.sampling = sampling;
        Ok(())
    }

    /// Counts and seconds of the last paragraph.
    pub fn last_stats(&self) -> Stats {
        self.last
    }

    /// Tokens in the decode state and the model's positions.
    pub fn context(&self) -> (usize, usize) {
        (self.cache.len(), self.generator.positions())
    }

    /// Writes the reader's words down and the paragraph that the model makes of them.
    ///
    /// A paragraph that is cancelled keeps what was written; if nothing was, or on an error, the reader's words are
    /// taken back.
    pub fn go_on(
        &mut self,
        words: &str,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion> {
        self.story.passages.push(Passage { reader: words.trim().to_owned(), model: String::new() });
        let written = self.write(on_text);
        let nothing = |done: &Completion| done.finish == Finish::Cancelled && done.text.trim().is_empty();
        if written.as_ref().map_or(true, nothing) {
            self.story.passages.pop();
        }
        written
    }

    /// Another paragraph after the same words, from fresh draws.
    pub fn retry(&mut self, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Completion> {
        let before = self.story.clone();
        let words = self.story.passages.pop().ok_or(GenerateError::NoTurn("paragraph to write anew"))?.reader;
        let written = self.go_on(&words, on_text);
        if self.story.passages.len() < before.passages.len() {
            self.story = before;
        }
        written
    }

    /// Takes the last passage back and returns it.
    pub fn undo(&mut self) -> Result<Passage> {
        self.story.passages.pop().ok_or(GenerateError::NoTurn("passage to take back"))
    }

    /// The last passage's paragraph; where the reader's words end one, the next.
    fn write(&mut self, on_text: &mut dyn FnMut(&str) -> ControlFlow<()>) -> Result<Completion> {
        let text = self.story.text();
        let done = self.continuation(&text, on_text)?;
        let ended_at_once = done.finish == Finish::Stop && done.text.trim().is_empty();
        let (between, mut done) = if ended_at_once && !text.is_empty() {
            (BETWEEN, self.continuation(&(text + BETWEEN), on_text)?)
        } else {
            ("", done)
        };
        done.text.truncate(done.text.trim_end().len());
        let passage = self.story.passages.last_mut().expect("pushed by the caller");
        passage.model = format!("{between}{}", done.text);
        Ok(done)
    }

    fn continuation(
        &mut self,
        text: &str,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Completion> {
        let tokenizer = self.generator.tokenizer();
        // Texts are trained one after another, each after the `<|end|>` of the one before: the first one too.
        let opening = tokenizer.end_token().filter(|_| tokenizer.has_marks());
        let prompt: Vec<u32> = opening.into_iter().chain(tokenizer.encode(text)?).collect();
        let mut sampling = self.sampling.clone();
        sampling.stop.push(BETWEEN.to_owned());
        let request = Request {
            prompt: &prompt,
            sampling: &sampling,
            stop_tokens: &self.stop_tokens,
            first_draw: self.draws,
            policy: ContextPolicy::Slide,
            log_probs: None,
        };
        let done = self.generator.generate(&mut self.cache, &request, on_text)?;
        // The draw that ended the paragraph counts too.
        self.draws += done.ids.len() as u64 + 1;
        self.last = done.stats;
        Ok(done)
    }
}
