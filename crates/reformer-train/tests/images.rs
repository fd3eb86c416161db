//! Runs on images: rows of one image each, bits per pixel, and what does not fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use reformer_images::{Levels, read};
use reformer_model::Model;
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;
use reformer_train::corpora::{held_out_images, images_for};
use reformer_train::packing::Corpus;
use reformer_train::{
    EvalOptions, EvalReport, Event, Outcome, Recipe, Resume, Surroundings, TrainError, TrainOptions,
    evaluate_images, recipe_of_run, train,
};

const SIDE: usize = 6;

/// Squares of two shades: an image's first line tells the rest.
fn squares(count: usize) -> Vec<u8> {
    let head = [count, SIDE, SIDE].into_iter().flat_map(|n| (n as u32).to_be_bytes());
    let pixel = |n: usize| {
        let (image, x) = (n / (SIDE * SIDE), n % SIDE);
        if (x + image % 3).is_multiple_of(3) { 255 } else { 8 }
    };
    [0, 0, 8, 3].into_iter().chain(head).chain((0..count * SIDE * SIDE).map(pixel)).collect()
}

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("a temporary folder is writable");
    path
}

fn recipe(data: &Path, sets: &[(&str, &str)]) -> Recipe {
    let text = format!(
        "data = '{}'\nvalid = \"hold-out\"\nlength = 36\nbatch = 4\nsteps = 60\nlearning_rate = 1e-2\neval_every = 30\n\
         eval_tokens = 100\n\
         [model]\nhidden_size = 16\nheads = 2\nattn_layers = [\"local\", \"lsh\"]\nchunk_length = 6\naxial_shape = [6, 6]\n\
         [tokenizer]\nkind = \"pixels\"\nlevels = 4\n",
        data.display()
    );
    let sets: Vec<_> = sets.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    Recipe::parse(&text, &sets).expect("a legal recipe")
}

fn go(recipe: &Recipe, out: &Path, resume: Resume) -> Result<(Outcome, Vec<Event>), TrainError> {
    let (recipe, out, holder) = (recipe.clone(), out.to_owned(), "a test".to_owned());
    let options = TrainOptions { recipe, out, resume, threads: 1, memory: None, holder };
    let mut events = Vec::new();
    let around = Surroundings {
        clock: &|| 0.0,
        events: &mut |event| events.push(event.clone()),
        sampler: None,
        stop: &AtomicBool::new(false),
    };
    train(options, around).map(|outcome| (outcome, events))
}

fn measured(events: &[Event]) -> Vec<EvalReport> {
    events
        .iter()
        .filter_map(|event| if let Event::Eval { report, .. } = event { Some(*report) } else { None })
        .collect()
}

#[test]
fn a_run_on_images_learns_them_and_measures_bits_per_pixel_on_the_last_tenth() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = put(folder.path(), "squares", &squares(40));
    let out = folder.path().join("run");
    let (outcome, events) = go(&recipe(&data, &[]), &out, Resume::Fresh).expect("it trains");
    let Event::Start { dialogues, unit, valid_tokens, .. } = events[0] else { panic!("{events:?}") };
    // 4 of 40 are held out; an evaluation of at least 100 tokens is three whole images.
    assert_eq!((dialogues, unit, valid_tokens), (36, "images", 3 * 36));
    let reports = measured(&events);
    let (first, last) = (reports[0].bits_per_pixel.unwrap(), reports[1].bits_per_pixel.unwrap());
    assert!(last < first && last < 0.4, "{first} {last}");
    assert!(reports.iter().all(|report| report.bits_per_byte.is_none() && report.bytes == 108));
    assert!(events.iter().any(|event| event.to_string().contains("bits/pixel")));

    let Outcome::Finished { checkpoint, .. } = outcome else { panic!("not stopped") };
    let (cpu, model) = (Cpu::new(1).unwrap(), Model::load(&checkpoint).unwrap());
    let tokenizer = Tokenizer::load(&checkpoint).unwrap();
    let held_out = held_out_images(&recipe_of_run(&out, &[]).unwrap()).unwrap();
    assert_eq!(held_out.len(), 4);
    let measure = |images: &reformer_images::Images| {
        evaluate_images(&cpu, &model, &tokenizer, images, &EvalOptions::rows_of(5)).unwrap().loss
    };
    // An image says nothing of the next: together they lose what they lose alone.
    let (rest, one) = held_out.clone().split_last(1).unwrap();
    let alone = (3.0 * measure(&rest) + measure(&one)) / 4.0;
    assert!((measure(&held_out) - alone).abs() < 1e-6, "{alone}");

    // More steps go on with the same images, and with no others.
    let more = recipe(&data, &[("steps", "62")]);
    go(&more, &out, Resume::Newest).expect("it goes on");
    let other = recipe(&data, &[("steps", "64"), ("tokenizer.levels", "8")]);
    let error = go(&other, &out, Resume::Newest).unwrap_err().to_string();
    assert!(error.contains("in 4 levels") && error.contains("in 8"), "{error}");
}

#[test]
fn images_are_tokens_line_by_line_each_sequence_for_itself() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let images = read(&put(folder.path(), "squares", &squares(2))).unwrap();
    let corpus = Corpus::of_images(&images, Levels::new(4).unwrap());
    assert_eq!(
        (corpus.dialogues(), corpus.len(), corpus.text_bytes(), corpus.apart()),
        (2, 72, 72, Some(36))
    );
    assert_eq!(&corpus.tokens()[..6], [3, 0, 0, 3, 0, 0]);
    assert_eq!(corpus.dialogue(1).0[..6], [0, 0, 3, 0, 0, 3]);
    let tokenizer = Tokenizer::bytes();
    let part = |tokens| Corpus::of_images(&images, Levels::ALL).beginning(tokens, &tokenizer).len();
    assert_eq!([0, 1, 36, 37, 99].map(part), [72, 36, 36, 72, 72]);
}

#[test]
fn what_does_not_fit_a_run_on_images_is_told_with_what_would() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let data = put(folder.path(), "squares", &squares(4));
    let one = put(folder.path(), "one", &squares(1));
    let flat = put(
        folder.path(),
        "flat",
        &[&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2][..], &[0, 0]].concat(),
    );
    let out = folder.path().join("run");
    let told = |recipe: &Recipe| go(recipe, &out, Resume::Fresh).unwrap_err().to_string();
    let path = |path: &Path| path.display().to_string();
    for (error, words) in [
        (told(&recipe(&data, &[("length", "32")])), ["got 32", "write length = 36"]),
        (told(&recipe(&data, &[("valid", &path(&flat))])), ["flat", "2 × 1 pixels"]),
        (told(&recipe(&one, &[])), ["one", "valid = \"FILE\""]),
        (told(&recipe(Path::new("demo"), &[])), ["`data`", "is dialogues"]),
        (told(&recipe(&data, &[("valid", "demo")])), ["`valid`", "is dialogues"]),
        (told(&recipe(&folder.path().join("gone"), &[])), ["cannot read", "gone"]),
    ] {
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    }
    assert!(!out.join("checkpoints").exists());
    let error = images_for(&Tokenizer::bytes(), &data).unwrap_err().to_string();
    assert!(error.contains("learned text"), "{error}");
}

#[test]
fn levels_beyond_a_byte_are_refused_by_the_recipe() {
    for levels in ["1", "257"] {
        let sets = [("tokenizer.levels".to_owned(), levels.to_owned())];
        let error = Recipe::parse("", &sets).unwrap_err().to_string();
        assert!(error.contains("tokenizer.levels") && error.contains(levels), "{error}");
    }
}
