//! What a run does to its directory: one trainer at a time, nothing lost by overwriting, nothing left by a failed
//! start, and an honest word on resuming what is complete, damaged, changed or somebody else's.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use reformer_train::recipe::TokenizerRecipe;
use reformer_train::{
    Event, METRICS, Outcome, Recipe, Resume, Surroundings, TrainError, TrainOptions, resolve_checkpoint,
    train,
};

/// Sixty dialogues, `word` in each.
fn corpus(folder: &Path, name: &str, word: &str) -> String {
    let path = folder.join(name);
    let line = |n: usize| {
        let turns = serde_json::json!([
            { "speaker": "user", "text": format!("a table for {}", n % 7) },
            { "speaker": "system", "text": format!("{word} for {}.", n % 7) },
        ]);
        serde_json::json!({ "id": n.to_string(), "turns": turns }).to_string() + "\n"
    };
    fs::write(&path, (0..60).map(line).collect::<String>()).unwrap();
    path.to_str().unwrap().to_owned()
}

fn recipe(folder: &Path) -> Recipe {
    let (data, valid) = (corpus(folder, "train.jsonl", "booked"), corpus(folder, "valid.jsonl", "booked"));
    let text = format!(
        "data = '{data}'\nvalid = '{valid}'\nlength = 48\nbatch = 2\nsteps = 6\neval_every = 3\nsave_every = 2\n\
         sample_every = 0\n[model]\nhidden_size = 16\nheads = 2\nattn_layers = [\"local\", \"lsh\"]\nchunk_length = 8\n\
         [tokenizer]\nkind = \"bytes\"\n"
    );
    Recipe::parse(&text, &[]).unwrap()
}

type Told = (Result<Outcome, TrainError>, Vec<Event>);

/// Trains and calls `at` after every event, which may raise the wish to stop.
fn go(recipe: &Recipe, out: &Path, resume: Resume, at: &mut dyn FnMut(&Event, &AtomicBool)) -> Told {
    let (stop, mut events) = (AtomicBool::new(false), Vec::new());
    let holder = "process 1 on here".to_owned();
    let options = TrainOptions {
        recipe: recipe.clone(),
        out: out.to_owned(),
        resume,
        threads: 1,
        memory: None,
        holder,
    };
    let around = Surroundings {
        clock: &|| 0.0,
        events: &mut |event| {
            at(event, &stop);
            events.push(event.clone());
        },
        sampler: None,
        stop: &stop,
    };
    (train(options, around), events)
}

fn whole(recipe: &Recipe, out: &Path, resume: Resume) -> Told {
    go(recipe, out, resume, &mut |_, _| {})
}

fn until(recipe: &Recipe, out: &Path, resume: Resume, step: u64) -> Told {
    go(recipe, out, resume, &mut |event, stop| {
        if matches!(event, Event::Step { step: now, .. } if *now == step) {
            stop.store(true, Ordering::Relaxed);
        }
    })
}

fn warnings(told: &Told) -> Vec<String> {
    let warnings = told.1.iter().filter_map(|event| match event {
        Event::Warning { message, .. } => Some(message.clone()),
        _ => None,
    });
    warnings.collect()
}

/// Every file below a folder with its bytes.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            all.push((path.clone(), fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()));
        } else if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.push((path.clone(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_second_trainer_is_refused_with_the_name_of_the_first_which_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    let mut refused = Vec::new();
    let first = go(&recipe, &out, Resume::Fresh, &mut |event, _| {
        if matches!(event, Event::Step { step: 3, .. }) {
            for resume in [Resume::Fresh, Resume::Newest, Resume::Overwrite] {
                refused.push(whole(&recipe, &out, resume).0.unwrap_err().to_string());
            }
        }
    });
    first.0.unwrap();
    assert_eq!(refused.len(), 3);
    assert!(refused.iter().all(|text| text.contains("process 1 on here trains here")), "{refused:?}");
    assert!(!out.join("lock").exists());
    let metrics = fs::read_to_string(out.join(METRICS)).unwrap();
    assert_eq!(metrics.lines().filter(|line| line.contains("\"step\",\"step\"")).count(), 6, "{metrics}");
}

#[test]
fn overwriting_touches_nothing_until_everything_was_checked_and_the_first_checkpoint_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (good, out) = (recipe(folder.path()), folder.path().join("run"));
    whole(&good, &out, Resume::Fresh).0.unwrap();
    let before = contents(&out);
    for data in
        ["nowhere.jsonl".to_owned(), corpus(folder.path(), "empty.jsonl", "x").replace("empty", "train")]
    {
        let bad = Recipe { data, valid: "nowhere either".into(), ..good.clone() };
        whole(&bad, &out, Resume::Overwrite).0.unwrap_err();
        assert!(contents(&out) == before, "a start that failed changed something");
    }
    // The wish to stop before the first step leaves the old run, too.
    let told = go(&good, &out, Resume::Overwrite, &mut |_, stop| stop.store(true, Ordering::Relaxed));
    assert!(matches!(told.0.unwrap(), Outcome::Interrupted { checkpoint: None, step: 0 }));
    assert!(contents(&out) == before);

    let mut seen = Vec::new();
    let shorter = Recipe { steps: 4, ..good };
    let told = go(&shorter, &out, Resume::Overwrite, &mut |event, _| {
        let aside = out.join(".replaced/checkpoints/step-000006").is_dir();
        match event {
            Event::Step { step, .. } => seen.push((*step, aside)),
            Event::Saved { .. } => assert!(!aside),
            _ => {}
        }
    });
    told.0.unwrap();
    assert_eq!(seen, [(1, true), (2, true), (3, false), (4, false)]);
    assert!(!out.join("checkpoints/step-000006").exists() && out.join("checkpoints/step-000004").is_dir());
}

#[test]
fn a_run_whose_overwriting_was_killed_early_is_put_back() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    whole(&recipe, &out, Resume::Fresh).0.unwrap();
    let before = contents(&out);
    fs::create_dir(out.join(".replaced")).unwrap();
    for part in ["checkpoints", "recipe.toml", "metrics.jsonl", "train.log"] {
        fs::rename(out.join(part), out.join(".replaced").join(part)).unwrap();
    }
    fs::write(out.join("recipe.toml"), "of the new run").unwrap();
    let told = whole(&recipe, &out, Resume::Fresh);
    assert!(matches!(told.0.unwrap_err(), TrainError::Occupied(_)));
    assert!(contents(&out) == before);
}

#[test]
fn a_failed_start_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let good = recipe(folder.path());
    let before = contents(folder.path());
    let out = folder.path().join("runs/deep/run");
    for bad in [
        Recipe { data: "nowhere.jsonl".into(), ..good.clone() },
        Recipe { valid: "nowhere.jsonl".into(), ..good.clone() },
        Recipe {
            tokenizer: TokenizerRecipe { path: Some("nowhere".into()), ..good.tokenizer.clone() },
            ..good.clone()
        },
    ] {
        whole(&bad, &out, Resume::Fresh).0.unwrap_err();
    }
    whole(&good, &out, Resume::Newest).0.unwrap_err();
    assert!(contents(folder.path()) == before && !folder.path().join("runs").exists());
}

#[test]
fn a_complete_run_says_so_and_trains_on_with_more_steps() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    whole(&recipe, &out, Resume::Fresh).0.unwrap();
    // What a kill around the last save leaves.
    fs::remove_file(out.join("checkpoints/last")).unwrap();
    let told = whole(&recipe, &out, Resume::Newest);
    assert!(matches!(told.0.unwrap(), Outcome::Complete { step: 6, steps: 6, .. }) && told.1.is_empty());
    assert!(out.join("checkpoints/last/config.json").is_file(), "`last` is mended");
    let more = Recipe { steps: 8, ..recipe };
    assert!(matches!(whole(&more, &out, Resume::Newest).0.unwrap(), Outcome::Finished { .. }));
}

#[test]
fn another_runs_end_that_leaves_nothing_to_train_is_an_error_and_makes_no_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    whole(&recipe, &out, Resume::Fresh).0.unwrap();
    let other = folder.path().join("other");
    let end = Resume::From(out.join("checkpoints/step-000006"));
    let error = whole(&recipe, &other, end.clone()).0.unwrap_err();
    assert!(matches!(error, TrainError::NothingLeft { step: 6, .. }), "{error}");
    assert!(error.to_string().contains("--set steps=12") && !other.exists(), "{error}");
    whole(&Recipe { steps: 8, ..recipe }, &other, end).0.unwrap();
}

#[test]
fn a_model_without_training_state_is_not_resumed_and_nobody_is_told_to_remove_it() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    whole(&recipe, &out, Resume::Fresh).0.unwrap();
    let pretrained = folder.path().join("pretrained");
    fs::rename(out.join("checkpoints/step-000006"), &pretrained).unwrap();
    fs::remove_file(pretrained.join("training_state.json")).unwrap();
    let error =
        whole(&recipe, &folder.path().join("new"), Resume::From(pretrained)).0.unwrap_err().to_string();
    assert!(error.contains("pretrained") && error.contains("no training to resume"), "{error}");
    assert!(!error.contains("remove"), "{error}");
}

#[test]
fn a_checkpoint_counts_only_with_all_its_files_and_a_damaged_one_names_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    until(&recipe, &out, Resume::Fresh, 5).0.unwrap();
    let newest = out.join("checkpoints/step-000005");
    let moments = fs::read(newest.join("training_state.safetensors")).unwrap();
    fs::write(newest.join("training_state.safetensors"), &moments[..moments.len() / 2]).unwrap();
    let error = whole(&recipe, &out, Resume::Newest).0.unwrap_err().to_string();
    for words in ["training_state.safetensors", "--resume=", "step-000004", "--out"] {
        assert!(error.contains(words), "{error}");
    }
    assert!(!error.contains("remove"), "{error}");
    for name in ["model.safetensors", "training_state.safetensors", "training_state.json", "config.json"] {
        fs::rename(newest.join(name), folder.path().join("kept")).unwrap();
        let told = until(&recipe, &out, Resume::Newest, 0);
        assert!(matches!(&told.1[0], Event::Start { step: 4, .. }), "without {name}: {:?}", told.1[0]);
        // The run went to its end and took the step again.
        fs::remove_dir_all(&out).unwrap();
        until(&recipe, &out, Resume::Fresh, 5).0.unwrap();
    }
}

#[test]
fn corpora_that_changed_under_a_run_are_noticed_and_their_losses_not_compared() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    until(&recipe, &out, Resume::Fresh, 4).0.unwrap();
    // Under another name, or moved with the run, it is the same corpus.
    let elsewhere = folder.path().join("moved.jsonl");
    fs::copy(&recipe.data, &elsewhere).unwrap();
    let moved = Recipe { data: elsewhere.to_str().unwrap().into(), ..recipe.clone() };
    assert!(warnings(&until(&moved, &out, Resume::Newest, 5)).is_empty());
    corpus(folder.path(), "train.jsonl", "reserved");
    corpus(folder.path(), "valid.jsonl", "quite another answer");
    let told = whole(&recipe, &out, Resume::Newest);
    let said = warnings(&told);
    assert!(
        said.len() == 2 && said[0].contains("training corpus") && said[1].contains("validation corpus"),
        "{said:?}"
    );
    let best = told.1.iter().any(|event| matches!(event, Event::Eval { best: true, .. }));
    assert!(best, "the first loss on another set is the best of that set");
}

#[test]
fn validation_that_is_the_training_text_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path());
    recipe.valid.clone_from(&recipe.data);
    let told = whole(&recipe, &folder.path().join("run"), Resume::Fresh);
    assert!(warnings(&told).concat().contains("measures the training corpus"), "{:?}", warnings(&told));
}

#[test]
fn a_cut_metrics_file_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    until(&recipe, &out, Resume::Fresh, 4).0.unwrap();
    fs::remove_file(out.join(METRICS)).unwrap();
    let told = whole(&recipe, &out, Resume::Newest);
    assert!(warnings(&told).concat().contains("metrics.jsonl ends at step 0"), "{:?}", warnings(&told));
}

#[test]
fn a_directory_that_is_moved_while_it_trains_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    let moved = folder.path().join("moved");
    let told = go(&recipe, &out, Resume::Fresh, &mut |event, _| {
        if matches!(event, Event::Step { step: 3, .. }) {
            fs::rename(&out, &moved).unwrap();
            fs::create_dir(&out).unwrap();
        }
    });
    let error = told.0.unwrap_err().to_string();
    assert!(error.contains("moved") || error.contains("cannot save"), "{error}");
    assert!(contents(&out).is_empty(), "the new directory is not this run's");
    whole(&recipe, &moved, Resume::Newest).0.unwrap();
}

#[test]
fn a_step_beyond_the_machines_memory_is_refused_before_anything_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path());
    recipe.data = "nowhere.jsonl".into();
    let options = TrainOptions {
        recipe: Recipe { batch: 100_000, ..recipe },
        out: folder.path().join("run"),
        resume: Resume::Fresh,
        threads: 1,
        memory: Some(1 << 30),
        holder: String::new(),
    };
    let around =
        Surroundings { clock: &|| 0.0, events: &mut |_| {}, sampler: None, stop: &AtomicBool::new(false) };
    let error = train(options, around).unwrap_err();
    assert!(matches!(error, TrainError::Memory { available: 1_073_741_824, .. }), "{error}");
    assert!(error.to_string().contains("batch"), "{error}");
}

#[test]
fn an_evaluation_that_is_no_number_never_stays_the_best() {
    let folder = tempfile::tempdir().unwrap();
    let (recipe, out) = (recipe(folder.path()), folder.path().join("run"));
    until(&recipe, &out, Resume::Fresh, 4).0.unwrap();
    let best = out.join("checkpoints/best");
    fs::write(best.join("eval.json"), "{\"loss\": null}").unwrap();
    assert!(resolve_checkpoint(&out).unwrap().ends_with("step-000004"), "the last instead");
    let told = whole(&recipe, &out, Resume::Newest);
    assert!(told.1.iter().any(|event| matches!(event, Event::Eval { best: true, step: 6, .. })));
}

#[test]
fn epochs_become_steps_when_the_corpus_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        recipe(folder.path()).to_toml().replace("steps = 6\n", "epochs = 2.0\n").replace("warmup = 0", "");
    let recipe = Recipe::parse(&text, &[]).unwrap();
    let (_, events) = until(&recipe, &folder.path().join("run"), Resume::Fresh, 1);
    let Event::Start { steps, epoch_tokens, tokens_per_step, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(*steps, (2.0 * *epoch_tokens as f64 / *tokens_per_step as f64).ceil() as u64);
    let resolved = Recipe::load(&folder.path().join("run/recipe.toml"), &[]).unwrap();
    assert_eq!((resolved.steps, resolved.epochs), (*steps, 0.0));
    assert_eq!(resolved.schedule.warmup, steps / 20);
}
