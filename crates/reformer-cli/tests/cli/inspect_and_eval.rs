//! `reformer inspect` and `reformer eval`.

use std::fs;

use crate::fixture::{assert_done, assert_fails, folder, run, stdout, tiny};

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
    fs::write(&path, format!("{turn}\n{turn}\n")).unwrap();
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
fn eval_compares_numbers_of_hashes_and_exact_attention() {
    let folder = folder();
    let corpus = corpus(folder.path());
    let runs = run(&["eval", &tiny(), "--data", &corpus, "--num-hashes", "1,4", "--json"]);
    assert_done(&runs);
    let runs: serde_json::Value = serde_json::from_str(&stdout(&runs)).unwrap();
    assert_eq!(runs["runs"][1]["num_hashes"], 4);
    let full = run(&["eval", &tiny(), "--data", &corpus, "--attention", "full", "--length", "1"]);
    assert_done(&full);
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
