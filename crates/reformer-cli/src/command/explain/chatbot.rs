//! The unit on the chatbot: dialogues as text, text as batches, the model, its training, and talking to it.

use std::ops::ControlFlow;

use anyhow::Context;
use reformer::generate::{ContextPolicy, Generator, Sampling};
use reformer::model::config::Buckets;
use reformer::model::{Config, Fields, Kind, memory};
use reformer::text::{Form, Role, Tokenizer, Turn};
use reformer::train::{Recipe, Schedule};

use super::lesson::{Lesson, Step};
use crate::figure::{Axis, Figure, Scale, Series};
use crate::machine;
use crate::number::count;
use crate::open_model::OpenModel;

const PROMPTS: [&str; 3] =
    ["Are there theatres in town?", "Is there a hospital nearby?", "Can you book a taxi?"];
/// The course's vocabulary, turns a dialogue, tokens a dialogue.
const VOCAB: usize = 33_000;
const TURNS: usize = 6;
const TOKENS: usize = 120;

pub(crate) fn lesson(text: Option<&str>, opened: Option<&OpenModel>, seed: u64) -> anyhow::Result<Lesson> {
    let first = text.unwrap_or(
        "am looking for a place to to stay that has cheap price range it should be in a type of hotel",
    );
    let steps = vec![dialogue(first)?, batches(), model()?, training()?, talking(text, opened, seed)?];
    Ok(Lesson { unit: "chatbot", steps })
}

fn dialogue(first: &str) -> anyhow::Result<Step> {
    let turns = [
        Turn::user(first),
        Turn::assistant("Okay, do you have a specific area you want to stay in?"),
        Turn::user("no, i just need to make sure it's cheap. oh, and i need parking"),
    ];
    let text = Form::Course.render(&turns);
    let tokens = Tokenizer::bytes().encode(&text)?.len();
    Ok(Step::new("A dialogue becomes one text")
        .say("The turns of a dialogue stand one after another, each with who speaks before it. The model learns to continue such a text; who speaks next is part of it:")
        .say(&text)
        .say(format!("{} letters, {tokens} tokens of bytes; a vocabulary of subwords makes a quarter of that. This project's own form marks roles with tokens of their own, which no text can imitate (`packing.form` in a recipe).", text.chars().count()))
        .number("text", text)
        .number("bytes", tokens))
}

fn batches() -> Step {
    let lengths = [128usize, 256, 512, 1024, 2048];
    let row =
        |len: usize| format!("{:>6}   {:>4}   {:>6}", count(len), 2048 / len, count(len * (2048 / len)));
    Step::new("Texts become batches")
        .say("Dialogues longer than 2,048 tokens are left out. The others go into buckets by length, are padded to the bucket's, and short buckets have more rows, so that a batch is about as much work whichever it is:")
        .table(std::iter::once("length   rows   tokens".to_owned()).chain(lengths.map(row)))
        .say("(Buckets of length: not those of hashing.) Padding is masked and weighs nothing in the loss.")
}

/// The assignment's model.
fn config(layers: usize) -> anyhow::Result<Config> {
    Ok(Config::check(Fields {
        vocab_size: VOCAB,
        hidden_size: 512,
        attn_layers: vec![Kind::Full; layers],
        num_attention_heads: 8,
        attention_head_size: 64,
        feed_forward_size: 2048,
        axial_pos_embds: false,
        max_position_embeddings: 2048,
        tie_word_embeddings: false,
        is_decoder: true,
        num_buckets: Some(Buckets::Single(2)),
        ..Fields::paper()
    })?)
}

fn model() -> anyhow::Result<Step> {
    let (two, six) = (memory::parameter_count(&config(2)?), memory::parameter_count(&config(6)?));
    let block = (six - two) / 4;
    let rows = [
        ("words", "33,000 × 512", VOCAB * 512),
        ("positions", "2,048 × 512", 2048 * 512),
        ("a block", "4 × 512 × 512, 2 × 512 × 2,048, norms, biases", block),
        ("another block", "the same", block),
        ("final norm", "of both streams, 2 × 1,024", 2048),
        ("head", "1,024 × 33,000 and a bias", VOCAB * 1025),
    ];
    let mut lines: Vec<String> =
        rows.iter().map(|(name, of, n)| format!("{name:<14} {:>11}   {of}", count(*n))).collect();
    lines.push(format!("{:<14} {:>11}   with six blocks {}", "together", count(two), count(six)));
    Ok(Step::new("The model")
        .say("The assignment's ReformerLM: full attention in two reversible blocks over 33,000 subwords.")
        .table(lines)
        .say("`reformer inspect config.json` counts the same for any configuration.")
        .number("two_layers", two)
        .number("six_layers", six))
}

fn training() -> anyhow::Result<Step> {
    let text = "data = \"demo\"\nlength = 128\nsteps = 4000\nlearning_rate = 0.01\n[schedule]\nkind = \"warmup_rsqrt\"\nwarmup = 1000\n";
    let schedule = Schedule::new(&Recipe::parse(text, &[])?);
    let at = |step: u64| format!("step {:>5}   {:.6}", count(step as usize), schedule.rate(step));
    let rates: Vec<(f64, f64)> =
        (0..=100).map(|i| 40 * i + 1).map(|step: u64| (step as f64, schedule.rate(step))).collect();
    let even = (VOCAB as f64).ln();
    let figure = Figure {
        title: "The learning rate of the assignment".into(),
        subtitle: "warm-up over 1,000 steps to 0.01, then falling with the root of the step".into(),
        x: Axis { label: "step".into(), scale: Scale::Linear },
        y: Axis { label: "learning rate".into(), scale: Scale::Linear },
        series: vec![Series {
            name: "warmup_rsqrt".into(),
            points: rates,
            dashed: false,
            marks: false,
            look: 0,
        }],
    };
    Ok(Step::new("Training")
        .say("Adam, with a learning rate that warms up and then falls with the root of the step:")
        .table([1, 500, 1000, 4000].map(at))
        .say(format!("A model that knows nothing gives each of 33,000 tokens the same chance: its loss is ln 33,000 = {even:.3}. The notebook prints 10.419 after its first step and 10.154 after ten."))
        .say("`reformer train recipes/course-chatbot.toml` does it; `--dry-run` counts first.")
        .number("even_loss", even)
        .picture("learning_rate.svg", figure.svg()))
}

fn talking(text: Option<&str>, opened: Option<&OpenModel>, seed: u64) -> anyhow::Result<Step> {
    let step = Step::new("Talking");
    let own;
    let prompts: &[&str] = match text {
        Some(text) => {
            own = [text];
            &own
        }
        None => &PROMPTS,
    };
    let Some(opened) = opened else {
        return Ok(step
            .say("The assignment lets the model play both sides from a first sentence: its text is continued until the other is to speak, 120 tokens, temperature 0.2. The three sentences:")
            .table(PROMPTS.map(String::from))
            .say("With a trained model: `reformer explain chatbot --model RUN` plays them here, `reformer generate RUN --dialogue -p \"Can you book a taxi?\"` any other, and `reformer chat RUN` lets you speak."));
    };
    let clock = machine::clock();
    let generator = Generator::new(&opened.cpu, &opened.model, &opened.tokenizer, &clock)?;
    let sampling = Sampling { temperature: 0.2, max_tokens: TOKENS, seed, ..Sampling::default() };
    let (mut lines, mut talks) = (Vec::new(), Vec::new());
    for prompt in prompts {
        let talk = generator
            .talk_to_itself(prompt, TURNS, &sampling, ContextPolicy::Refuse, &mut |_| {
                ControlFlow::Continue(())
            })
            .with_context(|| format!("the model in {} cannot play a dialogue", opened.folder.display()))?;
        for turn in &talk.turns {
            let who = if turn.role == Role::User { "Person 1" } else { "Person 2" };
            lines.push(format!("{who}: {}", turn.text.trim()));
        }
        lines.push(String::new());
        talks.push(serde_json::to_value(&talk.turns)?);
    }
    lines.pop();
    let step = step.say(format!(
        "The model in {} plays both sides, {TOKENS} tokens at temperature 0.2:",
        opened.folder.display()
    ));
    Ok(lines.iter().fold(step, Step::line).number("dialogues", talks))
}
