//! A fixed number of tokens after a prompt: no text, no stop, every position of the model used. What completes images.

use std::ops::ControlFlow;

use reformer_model::ModelError;

use crate::chain::Chain;
use crate::decode::Generator;
use crate::error::{GenerateError, Result};
use crate::request::Request;

impl Generator<'_> {
    /// Draws `count` tokens after the request's prompt, or fewer if `on_token` breaks, which is asked after each.
    ///
    /// The last token is read by nobody, so prompt and drawn tokens together may be one more than the model has
    /// positions.
    pub fn draw_tokens(
        &self,
        request: &Request<'_>,
        count: usize,
        on_token: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Vec<u32>> {
        let (decoder, prompt) = (self.decoder(), request.prompt);
        let (vocab_size, limit) = (decoder.model().config().vocab_size, self.positions());
        if prompt.is_empty() {
            return Err(GenerateError::EmptyPrompt);
        }
        if prompt.len() + count > limit.saturating_add(1) {
            return Err(GenerateError::ContextLength { prompt: prompt.len() + count, limit });
        }
        let chain = Chain::new(request.sampling)?.for_model(self.tokenizer(), vocab_size, &[])?;
        let mut state = decoder.state();
        let mut drawn = Vec::with_capacity(count);
        let mut logits = match decoder.prefill(self.cpu(), &mut state, prompt) {
            Err(ModelError::Stopped) => return Ok(drawn),
            logits => logits?,
        };
        while drawn.len() < count {
            let id = chain.sample(&mut logits, state.ids(), request.first_draw + drawn.len() as u64)?;
            drawn.push(id);
            if on_token().is_break() {
                break;
            }
            if drawn.len() < count {
                logits = decoder.step(self.cpu(), &mut state, id)?;
            }
        }
        Ok(drawn)
    }
}
