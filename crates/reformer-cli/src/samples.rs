//! What a model says while it learns: its replies to the recipe's sample prompts.

use std::ops::ControlFlow;

use reformer::generate::{ChatSession, ContextPolicy, Conversation, Generator, Sampling};
use reformer::model::Model;
use reformer::tensor::Cpu;
use reformer::text::Tokenizer;

/// Tokens of a sample at most: enough for two sentences of bytes, short enough not to hold training up.
const TOKENS: usize = 120;

/// One text a prompt: what was said and what the model answered.
///
/// A sample is for looking at, so a fault becomes its text and training goes on.
pub(crate) fn samples(
    cpu: &Cpu,
    model: &Model,
    tokenizer: &Tokenizer,
    prompts: &[String],
    seed: u64,
) -> Vec<String> {
    prompts.iter().map(|prompt| sample(cpu, model, tokenizer, prompt, seed)).collect()
}

fn sample(cpu: &Cpu, model: &Model, tokenizer: &Tokenizer, prompt: &str, seed: u64) -> String {
    // Nobody reads these seconds.
    let clock = || 0.0;
    let settings = Sampling { temperature: 0.5, max_tokens: TOKENS, seed, ..Sampling::default() };
    let reply = Generator::new(cpu, model, tokenizer, &clock)
        .and_then(|generator| {
            ChatSession::new(generator, Conversation::default(), settings, ContextPolicy::Slide)
        })
        .and_then(|mut session| session.send(prompt, &mut |_| ControlFlow::Continue(())));
    match reply {
        Ok(reply) => format!("> {prompt}\n{}", reply.completion.text.trim()),
        Err(error) => format!("> {prompt}\n({error})"),
    }
}
