//! Trains a tiny byte-level Reformer on the built-in dialogues, step by step, and measures it before and after.
//!
//! `cargo run --release -p reformer --example train_tiny`

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use reformer::model::Model;
use reformer::tensor::Cpu;
use reformer::text::{Dialogue, Form, Tokenizer, demo};
use reformer::train::packing::{Corpus, Packer, Weighting};
use reformer::train::recipe::ModelTokens;
use reformer::train::{EvalOptions, Recipe, Trainer, evaluate};

const RECIPE: &str = r#"
length = 256
batch = 2
steps = 60
learning_rate = 3e-3

[model]
hidden_size = 64
feed_forward_size = 128
attn_layers = ["local", "lsh"]
chunk_length = 32

[tokenizer]
kind = "bytes"
"#;

/// The built-in dialogues without their lookups, for which bytes have no tokens.
fn dialogues(seed: u64, count: usize) -> Vec<Dialogue> {
    let mut dialogues = demo::dialogues(seed, count);
    dialogues.iter_mut().flat_map(|dialogue| &mut dialogue.turns).for_each(|turn| turn.lookups.clear());
    dialogues
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let recipe = Recipe::parse(RECIPE, &[])?;
    let tokenizer = Tokenizer::bytes();
    let corpus = Corpus::encode(&tokenizer, &dialogues(1, 500), Form::Marks, Weighting::ALL, "training")?;
    let (end, pad) = (tokenizer.end_token(), tokenizer.pad_token());
    let config =
        recipe.model.config(ModelTokens { vocab_size: tokenizer.vocab_size(), pad, end }, recipe.seed)?;
    let model = Model::new(config, recipe.seed);
    println!("{} parameters, {} tokens", model.parameters().count(), corpus.len());

    let held_out = dialogues(2, 10);
    let measure =
        |cpu: &Cpu, model: &Model| evaluate(cpu, model, &tokenizer, &held_out, &EvalOptions::rows_of(256));
    let packer = Packer::new(corpus, &recipe, end.unwrap_or(pad), pad);
    let mut trainer = Trainer::new(Cpu::new(2)?, model, packer, &recipe);
    let before = measure(trainer.cpu(), trainer.model())?;

    while trainer.done() < recipe.steps {
        let report = trainer.step()?;
        if trainer.done().is_multiple_of(10) {
            println!("step {:3}  loss {:.3}", trainer.done(), report.loss.loss / report.loss.weight);
        }
    }

    let after = measure(trainer.cpu(), trainer.model())?;
    let bits = [before, after].map(|report| report.bits_per_byte.expect("every byte is known"));
    println!("bits per byte on dialogues it has not seen: {:.2} → {:.2}", bits[0], bits[1]);
    assert!(bits[1] < bits[0]);
    Ok(())
}
