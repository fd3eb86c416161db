//! `reformer inspect` and `reformer eval`.

use std::fs;

use crate::fixture::{assert_done, assert_fails, checkpoint_copy, folder, run, stderr, stdout, tiny};

#[test]
fn inspect_shows_configuration_parameters_tensors_and_memory() {
    let output = run(&["inspect", &tiny(), "--tensors", "--memory", "4096"]);
    assert_done(&output);
    for word in
        ["parameters", "lsh", "reformer.embeddings.word_embeddings.weight", "lm_head.bias", "4,096 tokens"]
    {
        assert!(stdout(&output).contains(word), "no {word:?} in:\n{}", stdout(&output));
    }
}

#[test]
fn inspect_json_is_one_object() {
    let output = run(&["inspect", &tiny(), "--tensors", "--memory", "100", "--json"]);
    assert_done(&output);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["config"]["model_type"], "reformer");
    assert!(json["parameters"].as_u64().unwrap() > 0);
    let counted: u64 =
        json["tensors"].as_array().unwrap().iter().map(|t| t["elements"].as_u64().unwrap()).sum();
    assert_eq!(json["parameters"], counted);
    assert!(json["memory"]["total_bytes"].as_u64().unwrap() > 0, "{}", json["memory"]);
}

/// The chatbot of the course's assignment: full attention, learned positions, a head of its own.
fn chatbot(layers: usize) -> String {
    let kinds = vec!["full"; layers];
    serde_json::json!({
        "model_type": "reformer", "vocab_size": 33000, "hidden_size": 512, "num_attention_heads": 8,
        "attention_head_size": 64, "feed_forward_size": 2048, "attn_layers": kinds, "axial_pos_embds": false,
        "max_position_embeddings": 2048, "tie_word_embeddings": false, "is_decoder": true, "num_buckets": 2,
    })
    .to_string()
}

#[test]
fn inspect_of_a_config_alone_shows_the_shape_without_weights() {
    let folder = folder();
    let path = folder.path().join("config.json");
    for (layers, parameters) in [(2, "58,072,296"), (6, "70,673,640")] {
        fs::write(&path, chatbot(layers)).unwrap();
        for place in [path.as_path(), folder.path()] {
            let output = run(&["inspect", place.to_str().unwrap(), "--tensors"]);
            assert_done(&output);
            for words in [parameters, "a config alone", "lm_head.decoder.weight", "[33000, 1024]"] {
                assert!(stdout(&output).contains(words), "no {words:?} in:\n{}", stdout(&output));
            }
        }
    }
    let output = run(&["inspect", path.to_str().unwrap(), "--memory", "2048", "--tensors", "--json"]);
    assert_done(&output);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["parameters"], 70_673_640);
    assert!(json["memory"]["total_bytes"].as_u64().unwrap() > 0 && json["tensors"][0].get("rms").is_none());
}

#[test]
fn inspect_of_a_config_that_is_none_names_the_file_and_what_is_wrong() {
    let folder = folder();
    let path = folder.path().join("config.json");
    let inspect = || run(&["inspect", path.to_str().unwrap()]);
    fs::write(&path, chatbot(2).replace("512", "0")).unwrap();
    assert_fails(&inspect(), 2, &["config.json", "hidden_size", "at least 1"]);
    fs::write(&path, "no json").unwrap();
    assert_fails(&inspect(), 2, &["config.json"]);
}

fn corpus(folder: &std::path::Path) -> String {
    let path = folder.join("test.jsonl");
    let turn = r#"{"id":"a","domains":[],"turns":[{"speaker":"user","text":"a cheap hotel, please"},{"speaker":"system","text":"Where?"}]}"#;
    let other = turn.replace("\"a\"", "\"b\"");
    fs::write(&path, format!("{turn}\n{other}\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn eval_prints_one_json_object_with_loss_perplexity_bits_tokens_and_bytes() {
    let folder = folder();
    let output = run(&["eval", &tiny(), "--data", &corpus(folder.path()), "--json"]);
    assert_done(&output);
    assert_eq!(stdout(&output).lines().count(), 1);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    for key in ["loss", "perplexity", "bits_per_byte", "accuracy", "tokens", "bytes"] {
        assert!(json[key].is_number(), "no {key} in {json}");
    }
    assert_eq!(json["bytes"], 2 * 27);
}

#[test]
fn eval_compares_numbers_of_hashes_exact_attention_and_none() {
    let folder = folder();
    let corpus = corpus(folder.path());
    let runs = run(&["eval", &tiny(), "--data", &corpus, "--num-hashes", "1,4", "--json"]);
    assert_done(&runs);
    let runs: serde_json::Value = serde_json::from_str(&stdout(&runs)).unwrap();
    assert_eq!(runs["runs"][1]["num_hashes"], 4);
    let full = run(&["eval", &tiny(), "--data", &corpus, "--attention", "full", "--length", "1"]);
    assert_done(&full);
    let loss = |kind: &str| {
        let output = run(&["eval", &tiny(), "--data", &corpus, "--attention", kind, "--json"]);
        assert_done(&output);
        let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(json["attention"], kind, "{json}");
        json["loss"].as_f64().unwrap()
    };
    assert!((loss("lsh") - loss("off")).abs() > 1e-6, "LSH layers that are off give nothing");
}

#[test]
fn eval_compares_steps_of_decoding_with_the_forward_pass() {
    let folder = folder();
    let corpus = corpus(folder.path());
    let args = ["eval", &tiny(), "--data", &corpus, "--length", "24", "--decode=2", "--json"];
    let output = run(&args);
    assert_done(&output);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(json["tokens"], 48);
    // Shorter than two chunks, so both are exact.
    assert!(json["mean_difference"].as_f64().unwrap() < 1e-4, "{json}");
    assert_done(&run(&[&args[..6], &["--decode"]].concat()));
    let bf16 = run(&["eval", &tiny(), "--data", &corpus, "--weights", "bf16", "--json"]);
    assert_done(&bf16);
    assert_fails(&run(&["eval", &tiny(), "--data", &corpus, "--length", "400", "--decode"]), 1, &["too few"]);
}

#[test]
fn eval_of_length_zero_or_beyond_the_positions_is_refused() {
    let folder = folder();
    let corpus = corpus(folder.path());
    assert_fails(&run(&["eval", &tiny(), "--data", &corpus, "--length", "0"]), 2, &["--length 0"]);
    assert_fails(&run(&["eval", &tiny(), "--data", &corpus, "--length", "513"]), 2, &["513", "512"]);
}

#[test]
fn inspect_works_without_a_tokenizer_and_says_that_there_is_none() {
    let folder = folder();
    let checkpoint = checkpoint_copy(folder.path());
    fs::write(checkpoint.join("tokenizer.json"), "{}").unwrap();
    let output = run(&["inspect", checkpoint.to_str().unwrap()]);
    assert_done(&output);
    for words in ["parameters", "tokenizer      none: ", "tokenizer.json"] {
        assert!(stdout(&output).contains(words), "no {words:?} in:\n{}", stdout(&output));
    }
    assert_fails(&run(&["chat", checkpoint.to_str().unwrap(), "-p", "hello"]), 1, &["tokenizer.json"]);
}

#[test]
fn weights_that_are_not_finite_are_an_error_that_names_the_tensor() {
    let folder = folder();
    let checkpoint = checkpoint_copy(folder.path());
    let weights = checkpoint.join("model.safetensors");
    let mut bytes = fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    fs::write(&weights, bytes).unwrap();
    let data = corpus(folder.path());
    let output = run(&["eval", checkpoint.to_str().unwrap(), "--data", &data, "--json"]);
    assert_fails(&output, 1, &["reformer.encoder.layers.1.", "inf", "model.safetensors"]);
    assert_eq!(stdout(&output), "");
    // The headers are sound, so there is something to look at.
    assert_done(&run(&["inspect", checkpoint.to_str().unwrap()]));
}

#[test]
fn a_tokenizer_without_lookups_cannot_be_measured_on_the_demo_corpus_and_says_so() {
    let output = run(&["eval", &tiny(), "--data", "demo", "--json"]);
    assert_fails(&output, 1, &["has lookups", "train a tokenizer on dialogues with lookups"]);
}

#[test]
fn the_table_of_eval_has_length_attention_and_rounds() {
    let folder = folder();
    let data = corpus(folder.path());
    let output = run(&["eval", &tiny(), "--data", &data, "--length", "32"]);
    assert_done(&output);
    let table = stdout(&output);
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(words[0][..3], ["length", "attention", "rounds"]);
    assert_eq!(words[1][..3], ["32", "lsh", "2"]);
    assert!(table.lines().all(|line| line.chars().count() <= 88), "{table}");
}

#[test]
fn a_bidirectional_model_gets_the_loss_of_masked_tokens_and_no_bits_per_byte() {
    let folder = folder();
    let checkpoint = checkpoint_copy(folder.path());
    let config = checkpoint.join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"is_decoder\": true", "\"is_decoder\": false")).unwrap();
    let data = corpus(folder.path());
    let output = run(&["eval", checkpoint.to_str().unwrap(), "--data", &data, "--json"]);
    assert_done(&output);
    let json: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(
        (&json["objective"], &json["bits_per_byte"]),
        (&"masked token".into(), &serde_json::Value::Null)
    );
    assert!(json["loss"].as_f64().unwrap() > 0.0 && json["tokens"].as_u64().unwrap() > 50, "{json}");
    for writes in ["generate", "chat"] {
        let output = run(&[writes, checkpoint.to_str().unwrap(), "-p", "hello"]);
        assert_fails(&output, 1, &["config.json", "is_decoder", "cannot continue a text"]);
    }
    let decode = run(&["eval", checkpoint.to_str().unwrap(), "--data", &data, "--decode"]);
    assert_fails(&decode, 2, &["bidirectional"]);
}

#[test]
fn a_recipes_keys_are_explained_and_its_defaults_are_a_recipe() {
    let explained = run(&["recipe", "--explain"]);
    assert_done(&explained);
    for key in ["`data`", "`epochs`", "`tokenizer.path`", "`model.num_hashes`", "`schedule.final`"] {
        assert!(stdout(&explained).contains(key), "no {key}");
    }
    let folder = folder();
    let path = folder.path().join("default.toml");
    fs::write(&path, stdout(&run(&["recipe"]))).unwrap();
    assert_done(&run(&["plan", path.to_str().unwrap()]));
}

#[test]
fn a_plan_of_fifty_billion_parameters_is_arithmetic() {
    let sets = [
        "model.hidden_size=8192",
        "model.heads=64",
        "model.feed_forward_size=32768",
        "model.layers=64",
        "tokenizer.vocab_size=128000",
    ];
    let sets: Vec<&str> = sets.iter().flat_map(|set| ["--set", set]).collect();
    for command in [&["plan", "--demo", "--json"][..], &["train", "--demo", "--dry-run", "--json"]] {
        let output = run(&[command, &sets].concat());
        assert_done(&output);
        let plan: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert!(plan["parameters"].as_u64().unwrap() > 50_000_000_000, "{plan}");
    }
}

#[test]
fn text_that_the_vocabulary_cannot_write_is_counted_and_bits_per_byte_are_withheld() {
    let folder = folder();
    let checkpoint = checkpoint_copy(folder.path());
    let tokenizer = r#"{"version":"1.0","added_tokens":[{"id":0,"content":"<unk>","single_word":false,"lstrip":false,
        "rstrip":false,"normalized":false,"special":true}],"pre_tokenizer":{"type":"Whitespace"},
        "model":{"type":"WordLevel","vocab":{"<unk>":0,"the":1,"tide":2},"unk_token":"<unk>"}}"#;
    fs::write(checkpoint.join("tokenizer.json"), tokenizer).unwrap();
    fs::write(checkpoint.join("tokenizer_config.json"), r#"{"unk_token":"<unk>"}"#).unwrap();
    let text = folder.path().join("book.txt");
    let eval = |words: &str| {
        fs::write(&text, words.repeat(20)).unwrap();
        let output = run(&["eval", checkpoint.to_str().unwrap(), "--data", text.to_str().unwrap(), "--json"]);
        assert_done(&output);
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        (report, stderr(&output))
    };
    let (report, said) = eval("the tide ");
    assert_eq!(report["unknown"], 0);
    assert!(report["bits_per_byte"].is_number() && !said.contains("cannot write"), "{report} {said}");
    let (report, said) = eval("das meer ");
    assert_eq!(report["unknown"], report["tokens"]);
    assert!(report["bits_per_byte"].is_null(), "{report}");
    assert!(said.contains("the vocabulary cannot write, so bits per byte are withheld"), "{said}");
}
