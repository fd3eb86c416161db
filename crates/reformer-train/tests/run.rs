//! Whole runs in one process: learning, resuming, stopping, failing.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use reformer_train::{
    Event, METRICS, Outcome, Recipe, Resume, Surroundings, TrainError, TrainOptions, dry_run, recipe_of_run,
    resolve_checkpoint, train,
};

/// Sixty short dialogues with a pattern to learn.
fn corpus(folder: &Path) -> PathBuf {
    let path = folder.join("dialogues.jsonl");
    let line = |n: usize| {
        let (asked, answered) = (format!("a table for {}", n % 7), format!("booked for {}.", n % 7));
        let turns = serde_json::json!([
            { "speaker": "user", "text": asked },
            { "speaker": "system", "text": answered },
        ]);
        serde_json::json!({ "id": n.to_string(), "turns": turns }).to_string() + "\n"
    };
    let lines: String = (0..60).map(line).collect();
    fs::write(&path, lines).expect("a temporary folder is writable");
    path
}

/// The same dialogues under another name, to measure on.
fn copy(folder: &Path) -> PathBuf {
    let path = folder.join("valid.jsonl");
    fs::copy(corpus(folder), &path).expect("a temporary folder is writable");
    path
}

fn recipe(folder: &Path, more: &str) -> Recipe {
    let text = format!(
        "data = '{0}'\nvalid = '{1}'\nlength = 48\nbatch = 2\nsteps = 12\nlearning_rate = 1e-2\neval_every = 4\n\
         save_every = 3\nkeep = 3\nsample_every = 0\n{more}\n\
         [model]\nhidden_size = 16\nheads = 2\nattn_layers = [\"local\", \"lsh\"]\nchunk_length = 8\ndropout = 0.1\n\
         attention_dropout = 0.1\n\
         [tokenizer]\nkind = \"bytes\"\n",
        corpus(folder).display(),
        copy(folder).display(),
    );
    Recipe::parse(&text, &[]).expect("a legal recipe")
}

struct Told {
    outcome: Result<Outcome, TrainError>,
    events: Vec<Event>,
}

fn options(recipe: &Recipe, out: &Path, resume: Resume, threads: usize) -> TrainOptions {
    let (recipe, out, holder) = (recipe.clone(), out.to_owned(), "a test".to_owned());
    TrainOptions { recipe, out, resume, threads, memory: None, holder }
}

/// Trains, wishing to stop after `stop_after` steps if given.
fn go(recipe: &Recipe, out: &Path, resume: Resume, threads: usize, stop_after: Option<u64>) -> Told {
    let (stop, ticks) = (AtomicBool::new(false), Cell::new(0.0));
    let mut events = Vec::new();
    let outcome = train(
        options(recipe, out, resume, threads),
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
    events
        .iter()
        .filter_map(|event| if let Event::Step { loss, .. } = event { Some(*loss) } else { None })
        .collect()
}

#[test]
fn a_run_learns_and_leaves_a_complete_directory() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    let recipe = recipe(folder.path(), "");
    let told =
        go(&Recipe { steps: 60, eval_every: 20, save_every: 20, ..recipe }, &out, Resume::Fresh, 2, None);
    let Outcome::Finished { checkpoint, best } = told.outcome.expect("it trains") else {
        panic!("not stopped")
    };
    let losses = losses(&told.events);
    assert!(losses[0] > 5.0 && losses[59] < 2.0, "{losses:?}");
    assert!(best.expect("it was evaluated").bits_per_byte.expect("of bytes") < 6.0);
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

#[test]
fn every_evaluation_measures_the_tokens_asked_for() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let measured = |eval_tokens| {
        let recipe = Recipe { eval_tokens, ..recipe(folder.path(), "") };
        let told = go(&recipe, &folder.path().join(eval_tokens.to_string()), Resume::Fresh, 1, None);
        told.outcome.expect("it trains");
        let tokens = told.events.iter().filter_map(|event| match event {
            Event::Eval { report, .. } => Some(report.tokens),
            _ => None,
        });
        tokens.collect::<Vec<_>>()
    };
    let (some, all) = (measured(100), measured(0));
    assert_eq!((some.len(), all.len()), (3, 3));
    assert!(some.iter().all(|&tokens| (100..300).contains(&tokens)), "{some:?}");
    assert!(all.iter().all(|&tokens| tokens == all[0] && tokens > 1000), "{all:?}");
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = recipe(folder.path(), "");
    let runs = [1, 2, 3].map(|threads| {
        let out = folder.path().join(threads.to_string());
        go(&recipe, &out, Resume::Fresh, threads, None).outcome.expect("it trains");
        weights(&out)
    });
    assert!(runs[0] == runs[1] && runs[1] == runs[2]);
}

#[test]
fn a_stopped_run_resumes_bit_for_bit_wherever_it_stopped() {
    for more in ["", "accumulate = 3\n[optimizer]\nkind = \"adafactor\"\n", "[packing]\nrows = \"buckets\"\n"]
    {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let recipe = recipe(folder.path(), more);
        let whole = folder.path().join("whole");
        let told = go(&recipe, &whole, Resume::Fresh, 1, None);
        told.outcome.expect("it trains");
        let parts = folder.path().join("parts");
        // 4 is due for an evaluation, which the stop leaves owed; 5 is due for nothing; 9 for a save.
        let mut resume = Resume::Fresh;
        for stop in [4, 5, 9] {
            let told = go(&recipe, &parts, resume, 1, Some(stop));
            match told.outcome.expect("it stops") {
                Outcome::Interrupted { step, checkpoint } => {
                    assert_eq!(step, stop);
                    assert!(checkpoint.expect("a step was taken").ends_with(format!("step-{stop:06}")));
                }
                other => panic!("it should have stopped at {stop}: {other:?}"),
            }
            resume = Resume::Newest;
        }
        go(&recipe, &parts, Resume::Newest, 2, None).outcome.expect("it finishes");
        assert!(weights(&whole) == weights(&parts), "{more}");
        let trace = |run: &Path| -> Vec<(u64, String, String)> {
            let metrics = fs::read_to_string(run.join(METRICS)).expect("metrics");
            let lines =
                metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
            let measured = lines.filter(|line| line["event"] == "step" || line["event"] == "eval");
            measured
                .map(|line| {
                    (
                        line["step"].as_u64().expect("a step"),
                        line["event"].to_string(),
                        line["loss"].to_string(),
                    )
                })
                .collect()
        };
        assert_eq!(trace(&whole), trace(&parts), "every step and evaluation once, with the same losses");
    }
}

#[test]
fn a_kill_leaves_rubbish_that_is_ignored_and_cleared_away() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (recipe, out) = (recipe(folder.path(), ""), folder.path().join("run"));
    let whole = folder.path().join("whole");
    go(&recipe, &whole, Resume::Fresh, 1, None).outcome.expect("it trains");
    go(&recipe, &out, Resume::Fresh, 1, Some(5)).outcome.expect("it stops");
    let checkpoints = out.join("checkpoints");
    // A save cut short, a link to nothing, a metrics line cut short.
    fs::create_dir(checkpoints.join(".unfinished-step-000006")).expect("writable");
    fs::write(checkpoints.join(".unfinished-step-000006/model.safetensors"), "half").expect("writable");
    fs::create_dir(checkpoints.join("step-000007")).expect("writable");
    fs::remove_file(checkpoints.join("last")).expect("a link");
    let metrics =
        fs::read_to_string(out.join(METRICS)).expect("metrics") + "{\"event\":\"step\",\"step\":6,\"lo";
    fs::write(out.join(METRICS), metrics).expect("writable");
    assert!(resolve_checkpoint(&out).expect("it falls back").ends_with("step-000004"), "the best is left");
    go(&recipe, &out, Resume::Newest, 1, None).outcome.expect("it finishes");
    assert!(weights(&whole) == weights(&out));
    assert!(!checkpoints.join(".unfinished-step-000006").exists());
}

#[test]
fn old_checkpoints_go_but_the_best_and_the_last_stay() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (recipe, out) = (recipe(folder.path(), ""), folder.path().join("run"));
    // A rate far too high after the first evaluations makes an early one the best.
    let recipe = Recipe { keep: 2, learning_rate: 0.0, ..recipe };
    go(&recipe, &out, Resume::Fresh, 1, None).outcome.expect("it trains");
    let mut names: Vec<String> = fs::read_dir(out.join("checkpoints"))
        .expect("checkpoints")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["best", "last", "step-000004", "step-000009", "step-000012"],
        "equal losses: the first is best"
    );
}

#[test]
fn accumulation_equals_one_big_batch() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut base = recipe(folder.path(), "");
    (base.model.dropout, base.model.attention_dropout) = (0.0, 0.0);
    let runs = [(4, 1), (1, 4)].map(|(batch, accumulate)| {
        let recipe = Recipe { batch, accumulate, ..base.clone() };
        let told = go(&recipe, &folder.path().join(format!("{batch}")), Resume::Fresh, 1, None);
        told.outcome.expect("it trains");
        losses(&told.events)
    });
    for (big, small) in runs[0].iter().zip(&runs[1]) {
        assert!((big - small).abs() < 2e-3 * big, "{runs:?}");
    }
}

#[test]
fn a_run_that_blows_up_stops_names_the_place_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut recipe, out) = (recipe(folder.path(), ""), folder.path().join("run"));
    go(&recipe, &out, Resume::Fresh, 1, Some(6)).outcome.expect("it stops");
    recipe.learning_rate = 1e30;
    let error = go(&recipe, &out, Resume::Newest, 1, None).outcome.expect_err("it cannot go on");
    assert!(matches!(&error, TrainError::NonFinite { step: 8, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("step 8: ") && text.contains("step-000006"), "{text}");
    assert!(!out.join("checkpoints/step-000007").exists());
}

#[test]
fn a_checkpoint_with_a_broken_weight_is_named_and_not_called_good() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (recipe, out) = (recipe(folder.path(), ""), folder.path().join("run"));
    go(&recipe, &out, Resume::Fresh, 1, Some(6)).outcome.expect("it stops");
    let path = out.join("checkpoints/step-000006/model.safetensors");
    let mut bytes = fs::read(&path).expect("weights");
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    fs::write(&path, bytes).expect("writable");
    let error = go(&recipe, &out, Resume::Newest, 1, None).outcome.expect_err("it cannot go on").to_string();
    assert!(error.contains("step-000006/model.safetensors") && error.contains("NaN"), "{error}");
    assert!(!error.contains("last good"), "{error}");
}

#[test]
fn an_absurd_learning_rate_ends_in_an_error_and_not_in_a_broken_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("run");
    let mut recipe = recipe(folder.path(), "");
    recipe.learning_rate = 1e30;
    recipe.schedule.warmup = 0;
    let error = go(&recipe, &out, Resume::Fresh, 1, None).outcome.expect_err("it cannot go on");
    assert!(matches!(error, TrainError::NonFinite { .. }), "{error}");
    assert!(error.to_string().contains("no checkpoint was saved yet"), "{error}");
}

#[test]
fn an_occupied_directory_is_neither_overwritten_nor_resumed_unasked() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (recipe, out) = (recipe(folder.path(), ""), folder.path().join("run"));
    let error = go(&recipe, &out, Resume::Newest, 1, None).outcome.expect_err("nothing there");
    assert!(error.to_string().contains("no complete checkpoint"), "{error}");
    go(&recipe, &out, Resume::Fresh, 1, Some(3)).outcome.expect("it stops");
    let error = go(&recipe, &out, Resume::Fresh, 1, None).outcome.expect_err("occupied");
    assert!(error.to_string().contains("--resume"), "{error}");
    go(&recipe, &out, Resume::Overwrite, 1, Some(1)).outcome.expect("asked to");
    assert!(!out.join("checkpoints/step-000003").exists());
}

#[test]
fn a_shape_cannot_change_on_resuming_and_another_change_is_warned_of() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (mut recipe, out) = (recipe(folder.path(), ""), folder.path().join("run"));
    go(&recipe, &out, Resume::Fresh, 1, Some(3)).outcome.expect("it stops");
    recipe.learning_rate = 1e-4;
    recipe.save_every = 1;
    let told = go(&recipe, &out, Resume::Newest, 1, Some(5));
    told.outcome.expect("it stops");
    let warnings: Vec<String> = told
        .events
        .iter()
        .filter(|event| matches!(event, Event::Warning { .. }))
        .map(ToString::to_string)
        .collect();
    assert!(warnings.len() == 1 && warnings[0].contains("learning_rate"), "{warnings:?}");
    recipe.model.num_hashes = 3;
    let error = go(&recipe, &out, Resume::Newest, 1, None).outcome.expect_err("another shape");
    assert_eq!(
        error.to_string(),
        "cannot resume: `model.num_hashes` was 2 and is now 3; restore it, or start a new run with another --out"
    );
}

#[test]
fn damaged_training_state_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (recipe, out) = (recipe(folder.path(), ""), folder.path().join("run"));
    go(&recipe, &out, Resume::Fresh, 1, Some(3)).outcome.expect("it stops");
    let checkpoint = out.join("checkpoints/step-000003");
    let moments = checkpoint.join("training_state.safetensors");
    let bytes = fs::read(&moments).expect("moments");
    fs::write(&moments, &bytes[..bytes.len() / 2]).expect("writable");
    let error = go(&recipe, &out, Resume::Newest, 1, None).outcome.expect_err("cut short").to_string();
    assert!(error.contains("training_state.safetensors") && error.contains("no safetensors file"), "{error}");
    fs::write(checkpoint.join("training_state.json"), "{").expect("writable");
    let error = go(&recipe, &out, Resume::Newest, 1, None).outcome.expect_err("no JSON").to_string();
    assert!(error.contains("training_state.json") && error.contains("is no training state"), "{error}");
}

#[test]
fn a_directory_that_cannot_be_written_is_an_error_that_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = recipe(folder.path(), "");
    let file = folder.path().join("file");
    fs::write(&file, "not a directory").expect("writable");
    let error = go(&recipe, &file.join("run"), Resume::Fresh, 1, None).outcome.expect_err("no directory");
    assert!(matches!(error, TrainError::Save { .. }) && error.to_string().contains("cannot save"), "{error}");

    // Permissions do not stop a superuser, so what stands in the way of the next save is a name taken by a link loop.
    let out = folder.path().join("run");
    go(&recipe, &out, Resume::Fresh, 1, Some(3)).outcome.expect("it stops");
    let (stop, blocked) = (AtomicBool::new(false), out.join("checkpoints"));
    let outcome = train(
        options(&recipe, &out, Resume::Newest, 1),
        Surroundings {
            clock: &|| 0.0,
            events: &mut |event| {
                if matches!(event, Event::Step { step: 4, .. }) {
                    fs::rename(&blocked, out.join("aside")).expect("writable");
                    fs::write(&blocked, "in the way").expect("writable");
                }
            },
            sampler: None,
            stop: &stop,
        },
    );
    let error = outcome.expect_err("nowhere to save");
    assert!(matches!(error, TrainError::Save { .. }), "{error}");
    assert!(out.join("aside/step-000003/model.safetensors").is_file());
}

#[test]
fn empty_malformed_and_missing_corpora_are_errors() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let base = recipe(folder.path(), "");
    for (name, content) in
        [("empty.jsonl", ""), ("broken.jsonl", "{\"id\":\"1\",\"turns\":[{]}\n"), ("latin.jsonl", "\u{0}")]
    {
        let path = folder.path().join(name);
        fs::write(&path, content).expect("writable");
        let recipe = Recipe { data: path.to_string_lossy().into_owned(), ..base.clone() };
        let error = go(&recipe, &folder.path().join("run"), Resume::Fresh, 1, None).outcome;
        assert!(!error.expect_err("no dialogues").to_string().is_empty(), "{name}");
    }
    let recipe = Recipe { data: "no/such/file.jsonl".to_owned(), ..base };
    let error = go(&recipe, &folder.path().join("run"), Resume::Fresh, 1, None).outcome.expect_err("missing");
    assert!(error.to_string().contains("no/such/file.jsonl"), "{error}");
}

#[test]
fn rows_of_length_one_train() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!(
        "data = '{}'\nlength = 1\nbatch = 5\nsteps = 3\n[model]\nhidden_size = 8\nheads = 1\n[tokenizer]\nkind = \"bytes\"\n",
        corpus(folder.path()).display()
    );
    let recipe = Recipe::parse(&text, &[]).expect("length 1 is legal");
    go(&recipe, &folder.path().join("run"), Resume::Fresh, 1, None).outcome.expect("it trains");
}

#[test]
fn a_run_branches_off_another_but_does_not_go_back_inside_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (recipe, out) = (recipe(folder.path(), ""), folder.path().join("run"));
    go(&recipe, &out, Resume::Fresh, 1, None).outcome.expect("it trains");
    let old = out.join("checkpoints/step-000009");
    let error =
        go(&recipe, &out, Resume::From(old.clone()), 1, None).outcome.expect_err("there is a later one");
    assert!(matches!(error, TrainError::NotNewest { .. }) && error.to_string().contains("--out"), "{error}");
    let other = folder.path().join("other");
    let told = go(&recipe, &other, Resume::From(old), 1, None);
    told.outcome.expect("it goes on elsewhere");
    assert_eq!(losses(&told.events).len(), 3);
    assert!(weights(&out) == weights(&other));
}

#[test]
fn a_dry_run_adds_up_and_reads_no_corpus() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let recipe = recipe(folder.path(), "accumulate = 2");
    fs::write(&recipe.data, "no dialogues").expect("writable");
    let plan = dry_run(&recipe).expect("a plan");
    assert_eq!((plan.steps, plan.tokens_per_step, plan.tokens), (Some(12), 192, Some(12 * 192)));
    assert_eq!(plan.corpus_bytes, Some(12));
    assert!(plan.memory.total_bytes() > 16 * plan.parameters);
    fs::remove_file(&recipe.data).expect("it is there");
    let without = dry_run(&recipe).expect("a plan needs no corpus");
    assert_eq!((without.corpus_bytes, without.missing), (None, vec![recipe.data.clone()]));
    assert_eq!((without.parameters, without.tokens), (plan.parameters, plan.tokens));
}
