//! Trains a recipe with nothing but this crate: `cargo run --release -p reformer-train --example train -- RECIPE OUT
//! [key=value…]`. The command line `reformer train` draws more and handles signals.
#![allow(clippy::print_stdout, reason = "an example")]

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use reformer_train::{Recipe, Resume, Surroundings, TrainError, TrainOptions, train};

fn main() -> Result<(), TrainError> {
    let mut arguments = std::env::args().skip(1);
    let recipe = arguments.next().unwrap_or_else(|| "recipes/demo.toml".to_owned());
    let out: PathBuf = arguments.next().unwrap_or_else(|| "runs/example".to_owned()).into();
    let sets: Vec<(String, String)> = arguments
        .filter_map(|set| set.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned())))
        .collect();
    let recipe = Recipe::load(Path::new(&recipe), &sets)?;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let options = TrainOptions {
        recipe,
        out,
        resume: Resume::Overwrite,
        threads,
        memory: None,
        holder: "the example".into(),
    };
    let begun = Instant::now();
    let around = Surroundings {
        clock: &|| begun.elapsed().as_secs_f64(),
        events: &mut |event| println!("{event}"),
        sampler: None,
        stop: &AtomicBool::new(false),
    };
    let outcome = train(options, around)?;
    println!("{outcome:?}");
    Ok(())
}
