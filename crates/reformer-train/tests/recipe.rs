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
    assert!(error("qqqqzz = 4\n").starts_with("unknown key `qqqqzz` (line 1): the keys"));
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
    assert!(error.starts_with("the recipe is not valid TOML in line 2"), "{error}");
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
