//! A chat in a page: a conversation with a model, streamed, with its decode state reused from turn to turn.
//!
//! `cargo run --release -p reformer --example chat_loop -- runs/demo`; without a directory it talks to an untrained
//! model, which answers noise.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::io::{BufRead, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use reformer::generate::{ChatSession, ContextPolicy, Conversation, Generator, Sampling};
use reformer::model::{Config, Fields, Model};
use reformer::tensor::Cpu;
use reformer::text::Tokenizer;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (model, tokenizer) = if let Some(dir) = std::env::args().nth(1) {
        let checkpoint = reformer::train::resolve_checkpoint(Path::new(&dir))?;
        (Model::load(&checkpoint)?, Tokenizer::load(&checkpoint)?)
    } else {
        let tokenizer = Tokenizer::bytes();
        let fields = Fields { vocab_size: tokenizer.vocab_size(), ..Fields::paper() };
        (Model::new(Config::check(fields)?, 1), tokenizer)
    };
    let cpu = Cpu::new(2)?;
    let start = Instant::now();
    let clock = move || start.elapsed().as_secs_f64();
    let generator = Generator::new(&cpu, &model, &tokenizer, &clock)?;
    let settings = Sampling { max_tokens: 100, ..Sampling::default() };
    let mut session = ChatSession::new(generator, Conversation::default(), settings, ContextPolicy::Slide)?;

    for line in std::io::stdin().lock().lines() {
        let reply = session.send(&line?, &mut |piece| {
            print!("{piece}");
            // A reader that left ends the reply.
            if std::io::stdout().flush().is_err() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        println!("\n[{:.0} tokens/s]", reply.completion.stats.decode_tokens_per_second());
    }
    Ok(())
}
