//! A run that begins with another model's weights: what is taken, what is resized, what is left.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use reformer_model::Model;
use reformer_train::{
    Event, InitReport, Outcome, Recipe, Resume, Surroundings, TrainError, TrainOptions, train,
};

/// Trains two steps on dialogues about `what`.
fn trained(
    folder: &Path,
    name: &str,
    what: &str,
    more: &str,
    resume: Resume,
) -> (Result<Outcome, TrainError>, Vec<Event>) {
    let corpus = folder.join(format!("{name}.jsonl"));
    let line = |n: usize| {
        let turns = serde_json::json!([
            { "speaker": "user", "text": format!("{what} for {}", n % 7) },
            { "speaker": "system", "text": format!("{what} is booked for {}.", n % 7) },
        ]);
        serde_json::json!({ "id": n.to_string(), "turns": turns }).to_string() + "\n"
    };
    fs::write(&corpus, (0..40).map(line).collect::<String>()).unwrap();
    let text = format!(
        "data = '{0}'\nvalid = '{0}'\nlength = 32\nbatch = 1\nsteps = 2\neval_every = 2\nsave_every = 2\n\
         sample_every = 0\n[model]\nhidden_size = 16\nheads = 2\nchunk_length = 8\n{more}",
        corpus.display()
    );
    let recipe = Recipe::parse(&text, &[]).unwrap();
    let mut events = Vec::new();
    let options = TrainOptions {
        recipe,
        out: folder.join(name),
        resume,
        threads: 1,
        memory: None,
        holder: "a test".to_owned(),
    };
    let around = Surroundings {
        clock: &|| 0.0,
        events: &mut |event| events.push(event.clone()),
        sampler: None,
        stop: &AtomicBool::new(false),
    };
    (train(options, around), events)
}

const BPE: &str = "[tokenizer]\nkind = 'bpe'\nvocab_size = 300\n";

fn first(folder: &Path) -> PathBuf {
    let more = format!("attn_layers = ['local', 'lsh']\nmax_positions = 64\naxial_shape = [8, 8]\n{BPE}");
    trained(folder, "first", "a table", &more, Resume::Fresh).0.unwrap();
    folder.join("first/checkpoints/last")
}

fn report(events: &[Event]) -> InitReport {
    let told = events.iter().find_map(|event| match event {
        Event::Initialized { report, step: 0 } => Some(report.clone()),
        _ => None,
    });
    told.expect("the beginning is told")
}

#[test]
fn a_model_of_the_same_shape_begins_with_the_same_weights_at_step_0() {
    let folder = tempfile::tempdir().unwrap();
    let from = first(folder.path());
    let more = format!("attn_layers = ['local', 'lsh']\nmax_positions = 64\naxial_shape = [8, 8]\n{BPE}");
    let (outcome, events) = trained(folder.path(), "second", "a table", &more, Resume::Init(from.clone()));
    outcome.unwrap();
    let told = report(&events);
    assert_eq!((told.resized.len(), told.fresh.len(), told.left.len()), (0, 0, 0), "{told}");
    assert_eq!(told.taken, Model::load(&from).unwrap().parameters().iter().count());
    let evaluated = |name: &str| fs::read_to_string(folder.path().join(name).join("train.log")).unwrap();
    // It goes on where the other ended, so its first loss is below the other's.
    let loss = |log: String| -> f64 {
        let line = log.lines().find(|line| line.starts_with("step 1/2")).unwrap().to_owned();
        line.split("loss ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
    };
    assert!(loss(evaluated("second")) < loss(evaluated("first")));
}

#[test]
fn another_vocabulary_longer_positions_and_more_layers_take_what_fits() {
    let folder = tempfile::tempdir().unwrap();
    let from = first(folder.path());
    let more = format!(
        "attn_layers = ['local', 'lsh', 'local']\nmax_positions = 128\naxial_shape = [16, 8]\n{}",
        BPE.replace("300", "320")
    );
    let (outcome, events) = trained(folder.path(), "second", "a zebra", &more, Resume::Init(from.clone()));
    outcome.unwrap();
    let told = report(&events);
    let words = told.resized.iter().find(|line| line.contains("word_embeddings")).expect("a new vocabulary");
    assert!(words.contains("rows, by their tokens"), "{words}");
    assert!(told.resized.iter().any(|line| line.contains("repeated from 8 to 16 rows")), "{told}");
    assert!(told.fresh.iter().all(|name| name.contains("layers.2.")) && !told.fresh.is_empty(), "{told}");
    assert_eq!(told.left, Vec::<String>::new());
    // Shorter again, and with fewer layers.
    let longer = folder.path().join("second/checkpoints/last");
    let more = format!("attn_layers = ['local', 'lsh']\nmax_positions = 64\naxial_shape = [8, 8]\n{BPE}");
    let (outcome, events) = trained(folder.path(), "third", "a table", &more, Resume::Init(longer));
    outcome.unwrap();
    let told = report(&events);
    assert!(told.resized.iter().any(|line| line.contains("cut from 16 to 8 rows")), "{told}");
    assert!(told.left.iter().all(|name| name.contains("layers.2.")) && !told.left.is_empty(), "{told}");
}

#[test]
fn an_occupied_directory_and_weights_that_are_not_there_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let from = first(folder.path());
    let more = format!("attn_layers = ['lsh']\nmax_positions = 64\naxial_shape = [8, 8]\n{BPE}");
    let (begun, _) = trained(folder.path(), "other", "a table", &more, Resume::Init(from.clone()));
    begun.unwrap();
    let (again, _) = trained(folder.path(), "other", "a table", &more, Resume::Init(from.clone()));
    assert!(matches!(again, Err(TrainError::Occupied(_))), "{again:?}");
    let (nowhere, _) =
        trained(folder.path(), "more", "a table", &more, Resume::Init(folder.path().join("none")));
    let message = nowhere.unwrap_err().to_string();
    assert!(message.contains("none"), "{message}");
}
