//! Whole runs in one process: learning, resuming, stopping, failing.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use reformer_train::{
    Event, METRICS, Outcome, Recipe, Resume, Surroundings, TrainError, TrainOptions, recipe_of_run,
    resolve_checkpoint, train,
};

/// Twenty short dialogues with a pattern to learn.
fn corpus(folder: &Path) -> PathBuf {
    let path = folder.join("dialogues.jsonl");
    let lines: String = (0..60)
        .map(|n| {
            format!(
                "{{\"id\":\"{n}\",\"turns\":[{{\"speaker\":\"user\",\"text\":\"a table for {}\"}},\
                 {{\"speaker\":\"system\",\"text\":\"booked for {}.\"}}]}}\n",
                n % 7,
                n % 7
            )
        })
        .collect();
    fs::write(&path, lines).expect("a temporary folder is writable");
    path
}

fn recipe(folder: &Path, more: &str) -> Recipe {
    let text = format!(
        "data = {:?}\nvalid = {:?}\nlength = 48\nbatch = 2\nsteps = 12\nlearning_rate = 1e-2\neval_every = 4\n\
         save_every = 3\nkeep = 3\nsample_every = 0\n{more}\n\
         [model]\nhidden_size = 16\nheads = 2\nattn_layers = [\"local\", \"lsh\"]\nchunk_length = 8\ndropout = 0.1\n\
         attention_dropout = 0.1\n\
         [tokenizer]\nkind = \"bytes\"\n",
        corpus(folder),
        corpus(folder),
    );
    Recipe::parse(&text, &[]).expect("a legal recipe")
}

struct Told {
    outcome: Result<Outcome, TrainError>,
    events: Vec<Event>,
}

/// Trains, wishing to stop after `stop_after` steps if given.
fn go(recipe: &Recipe, out: &Path, resume: Resume, threads: usize, stop_after: Option<u64>) -> Told {
    let (stop, ticks) = (AtomicBool::new(false), Cell::new(0.0));
    let mut events = Vec::new();
    let outcome = train(
        TrainOptions { recipe: recipe.clone(), out: out.to_owned(), resume, threads },
        Surroundings {
            clock: &|| {
                ticks.set(ticks.get() + 0.5);
                ticks.get()
            },
            events: &mut |event| {
                if matches!(event, Event::Step { step, .. } if Some(*step) == stop_after) {
                    stop.store(true, Ordering::Relaxed);
                }
                events.push(event.clone());
            },
            sampler: None,
            stop: &stop,
        },
    );
    Told { outcome, events }
}

fn weights(run: &Path) -> Vec<u8> {
    fs::read(run.join("checkpoints/last/model.safetensors")).expect("a finished run has weights")
}

fn losses(events: &[Event]) -> Vec<f64> {
    events.iter().filter_map(|event| if let Event::Step { loss, .. } = event { Some(*loss) } else { None }).collect()
}

#[test]
fn a_run_learns_and_leaves_a_complete_directory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    let recipe = recipe(folder.path(), "");
    let told = go(&Recipe { steps: 60, eval_every: 20, save_every: 20, ..recipe }, &out, Resume::Fresh, 2, None);
    let Outcome::Finished { checkpoint, best } = told.outcome.expect("it trains") else { panic!("not stopped") };
    let losses = losses(&told.events);
    assert!(losses[0] > 5.0 && losses[59] < 2.0, "{losses:?}");
    assert!(best.expect("it was evaluated").bits_per_byte < 6.0);
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer_config.json",
        "generation_config.json",
        "training_state.json",
        "training_state.safetensors",
        "eval.json",
    ] {
        assert!(checkpoint.join(name).is_file(), "{name}");
    }
    let metrics = fs::read_to_string(out.join(METRICS)).expect("metrics");
    assert_eq!(metrics.lines().filter(|line| line.contains("\"event\":\"step\"")).count(), 60);
    assert!(out.join("train.log").is_file());
    assert!(resolve_checkpoint(&out).expect("the best").join("config.json").is_file());
    assert_eq!(recipe_of_run(&out, &[]).expect("the resolved recipe").steps, 60);
}
