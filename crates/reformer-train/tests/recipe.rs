//! Recipes: every slip is caught, named, placed, and answered with what to write.

use reformer_train::Recipe;
use reformer_train::recipe::ModelTokens;

fn sets(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn error(text: &str) -> String {
    Recipe::parse(text, &[]).expect_err("an illegal recipe").to_string()
}

#[test]
fn an_empty_recipe_is_all_defaults_and_legal() {
    let recipe = Recipe::parse("", &[]).expect("all defaults");
    assert_eq!(recipe.data, "demo");
    assert_eq!(recipe.length, 2048);
}

#[test]
fn products_are_f32_unless_the_recipe_says_bf16() {
    use reformer_tensor::Precision;
    assert_eq!(Recipe::parse("", &[]).expect("all defaults").dtype, Precision::F32);
    let recipe = Recipe::parse("dtype = \"bf16\"", &[]).expect("a legal recipe");
    assert_eq!(recipe.dtype, Precision::Bf16);
    assert!(recipe.to_toml().contains("dtype = \"bf16\""));
    assert!(error("dtype = \"f16\"").contains("choose one of \"f32\", \"bf16\""));
}

#[test]
fn the_committed_recipes_are_legal() {
    Recipe::demo(&[]).expect("recipes/demo.toml");
    for (name, text) in [
        ("course-chatbot", include_str!("../../../recipes/course-chatbot.toml")),
        ("fashion-mnist", include_str!("../../../recipes/fashion-mnist.toml")),
        ("story", include_str!("../../../recipes/story.toml")),
        ("whole-novel", include_str!("../../../recipes/whole-novel.toml")),
    ] {
        let recipe = Recipe::parse(text, &[]).unwrap_or_else(|error| panic!("recipes/{name}.toml: {error}"));
        let positions: usize = recipe.model.axial_shape.iter().product();
        assert!(positions == recipe.length || positions == 1, "{name}: {:?}", recipe.model.axial_shape);
    }
    let text = include_str!("../../../recipes/multiwoz.toml");
    let recipe = Recipe::parse(text, &[]).expect("recipes/multiwoz.toml");
    assert!(recipe.length >= 2048);
    assert!(recipe.model.attn_layers.iter().any(|layer| layer == "lsh"));
}

#[test]
fn a_resolved_recipe_parses_to_itself() {
    for text in
        ["", "length = 300\n[model]\npositions = \"learned\"", include_str!("../../../recipes/multiwoz.toml")]
    {
        let recipe = Recipe::parse(text, &sets(&[("optimizer.kind", "adafactor")])).expect("a legal recipe");
        let again = Recipe::parse(&recipe.to_toml(), &[]).expect("a resolved recipe");
        assert_eq!(recipe, again);
    }
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_the_nearest_key() {
    assert_eq!(
        error("data = \"demo\"\nlearning_rat = 0.1\n"),
        "unknown key `learning_rat` (line 2): did you mean `learning_rate`?"
    );
    assert_eq!(
        error("[model]\n\nhiden_size = 64\n"),
        "unknown key `model.hiden_size` (line 3): did you mean `model.hidden_size`?"
    );
    assert_eq!(
        error("num_hashes = 4\n"),
        "unknown key `num_hashes` (line 1): did you mean `model.num_hashes`?",
        "the right key in the wrong section"
    );
    assert!(error("qqqqzz = 4\n").starts_with("unknown key `qqqqzz` (line 1): `reformer recipe --explain`"));
}

#[test]
fn overrides_go_through_the_same_checks() {
    let parse = |key: &str, value: &str| Recipe::parse("length = 64", &sets(&[(key, value)]));
    assert_eq!(parse("length", "128").expect("legal").length, 128);
    assert_eq!(parse("data", "some/file.jsonl.gz").expect("no quotes needed").data, "some/file.jsonl.gz");
    let layers = parse("model.attn_layers", "[\"full\", \"lsh\"]").expect("a list").model.attn_layers;
    assert_eq!(layers, ["full", "lsh"]);
    assert_eq!(
        parse("model.num_hash", "2").expect_err("a typo").to_string(),
        "unknown key `model.num_hash` (--set): did you mean `model.num_hashes`?"
    );
    assert_eq!(
        parse("batch", "many").expect_err("a text").to_string(),
        "`batch` (--set): got the string `\"many\"`; write a whole number"
    );
}

#[test]
fn wrong_types_and_values_say_what_to_write() {
    assert_eq!(error("steps = \"ten\""), "`steps` (line 1): got the string `\"ten\"`; write a whole number");
    assert_eq!(error("length = 0"), "`length` (line 1): got 0; must be at least 1");
    assert_eq!(error("batch = -3"), "`batch` (line 1): got -3; must be at least 1");
    assert_eq!(
        error("learning_rate = nan"),
        "`learning_rate` (line 1): got NaN; must lie between 0 and 1000"
    );
    assert_eq!(error("[model]\ndropout = 1.0"), "`model.dropout` (line 2): got 1; must be below 1");
    assert_eq!(
        error("[schedule]\nkind = \"cosin\""),
        "`schedule.kind` (line 2): got \"cosin\"; choose one of \"constant\", \"warmup_rsqrt\", \"cosine\", \
         did you mean \"cosine\"?"
    );
    assert_eq!(
        error("[model]\nattn_layers = []"),
        "`model.attn_layers` (line 2): got an empty list; name at least one of \"lsh\", \"local\", \"full\""
    );
}

#[test]
fn about_one_bucket_a_chunk_in_small_factors_where_there_are_many() {
    let expected: [(usize, &[usize]); 6] = [
        (1, &[2]),
        (2048, &[32]),
        (16_384, &[256]),
        (32_768, &[16, 32]),
        (65_536, &[32, 32]),
        (1_048_576, &[16, 32, 32]),
    ];
    for (length, expected) in expected {
        let text = format!("length = {length}\n[model]\nchunk_length = 64");
        let recipe = Recipe::parse(&text, &[]).expect("a legal recipe");
        assert_eq!(recipe.model.num_buckets, expected, "{length}");
    }
}

#[test]
fn impossible_shapes_are_refused() {
    assert!(error("length = 100\n[model]\naxial_shape = [4, 8]").contains("covers 32 positions of 100"));
    assert!(error("[model]\nnum_buckets = 7").contains("got the odd number 7"));
    assert!(error("[model]\nnum_buckets = [4, 3]").contains("got the odd number 3"));
    assert!(error("[model]\nhidden_size = 100\nheads = 3").contains("got 3 heads for hidden_size 100"));
    assert!(error("length = 512\n[model]\nmax_positions = 256").contains("must be at least 512"));
    assert!(error("[model]\naxial_dims = [10, 20]").contains("adding up to hidden_size"));
}

#[test]
fn the_axial_shape_covers_every_length() {
    for length in [1, 2, 3, 7, 64, 100, 1000, 2048, 4097, 65536] {
        let recipe = Recipe::parse(&format!("length = {length}"), &[]).expect("any length has a shape");
        let shape = &recipe.model.axial_shape;
        let covered: usize = shape.iter().product();
        assert!(covered >= length && covered < 2 * length + 2, "{length}: {shape:?}");
    }
}

#[test]
fn broken_toml_names_the_line() {
    let error = error("length = 5\nbatch = = 3\n");
    assert!(error.starts_with("not valid TOML in line 2"), "{error}");
}

#[test]
fn numbers_that_no_machine_bears_are_refused_by_their_key() {
    let refused = |key: &str, value: &str| {
        let sets = [(key.to_owned(), value.to_owned())];
        match Recipe::parse("", &sets) {
            Err(error) => error.to_string(),
            Ok(recipe) => reformer_train::planned_config(&recipe).expect_err(key).to_string(),
        }
    };
    for (key, value, words) in [
        ("batch", "4000000000", "`batch`"),
        ("accumulate", "4000000000", "`batch`"),
        ("model.layers", "4000000000", "`model.layers`"),
        ("model.hidden_size", "500000000", "hidden_size 500000000"),
        ("model.num_hashes", "2000000000", "num_hashes"),
        ("model.axial_shape", "[4000000000000, 4000000000000]", "axial_pos_shape"),
        ("model.axial_dims", "[9000000000000000000, 9000000000000000000]", "`model.axial_dims`"),
        ("model.dropout", "0.99999999", "`model.dropout`"),
        ("optimizer.eps", "0", "`optimizer.eps`"),
        ("tokenizer.vocab_size", "4000000000", "vocab_size"),
    ] {
        let text = refused(key, value);
        assert!(text.contains(words), "{key} = {value}: {text}");
    }
}

#[test]
fn epochs_and_steps_contradict_each_other_unless_one_is_laid_over_the_other() {
    let set = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
    let error = Recipe::parse("steps = 5\nepochs = 2", &[]).unwrap_err().to_string();
    assert!(error.contains("`epochs`") && error.contains("steps = 5"), "{error}");
    assert_eq!(Recipe::parse("steps = 5", &set("epochs", "2.5")).unwrap().epochs, 2.5);
    let by_steps = Recipe::parse("epochs = 2", &set("steps", "7")).unwrap();
    assert_eq!((by_steps.epochs, by_steps.steps), (0.0, 7));
}

#[test]
fn what_is_wrong_in_a_file_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    for (text, words) in [("steps = = 3", "TOML"), ("stepps = 3", "stepps"), ("steps = 0", "`steps`")] {
        std::fs::write(&path, text).unwrap();
        let error = Recipe::load(&path, &[]).unwrap_err().to_string();
        assert!(error.contains("mine.toml") && error.contains(words), "{error}");
    }
    std::fs::write(&path, "\u{feff}steps = 3").unwrap();
    assert_eq!(Recipe::load(&path, &[]).unwrap().steps, 3);
}

#[test]
fn the_rows_of_the_vocabulary_may_be_more_than_the_tokens_but_not_fewer() {
    let recipe = |rows: usize| {
        let text = format!(
            "length = 2048\n[model]\nhidden_size = 512\nattn_layers = [\"full\"]\nlayers = 2\n\
             positions = \"learned\"\nvocab_rows = {rows}"
        );
        let tokens = ModelTokens { vocab_size: 32_000, pad: 0, end: None };
        Recipe::parse(&text, &[]).unwrap().model.config(tokens, 1)
    };
    // The chatbot of the course.
    assert_eq!(reformer_model::memory::parameter_count(&recipe(33_000).unwrap()), 58_072_296);
    let error = recipe(31_000).unwrap_err().to_string();
    assert!(error.contains("vocab_rows") && error.contains("32000"), "{error}");
}
