//! `reformer bench`: every case on small sizes, and what it refuses.

use serde_json::Value;

use crate::fixture::{assert_done, assert_fails, run, stderr, stdout, tiny};

const KEYS: [&str; 8] =
    ["seconds", "min_seconds", "runs", "threads", "peak_rss_mb", "start_rss_mb", "scratch_mb", "growth_mb"];

/// Runs a bench with `--json --runs 2` and returns its lines.
#[track_caller]
fn bench(args: &[&str]) -> Vec<Value> {
    let output = run(&[&["bench"], args, &["--json", "--runs", "2"]].concat());
    assert_done(&output);
    let lines: Vec<Value> = stdout(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for line in &lines {
        for key in KEYS {
            assert!(line[key].is_number(), "no {key} in {line}");
        }
        assert_eq!((line["bench"].as_str(), line["runs"].as_u64()), (Some(args[0]), Some(2)));
        assert!(line["seconds"].as_f64() >= line["min_seconds"].as_f64(), "{line}");
    }
    lines
}

#[test]
fn attention_lists_are_every_combination_with_their_formula_and_semantics() {
    let sizes = ["--num-heads", "2", "--head-dim", "16", "--chunk-length", "16"];
    let lists = [
        "--kind",
        "lsh,full",
        "--num-hashes",
        "1,2",
        "--length",
        "64,128",
        "--pass",
        "forward,forward-backward",
    ];
    let lines = bench(&[&["attention"], &sizes[..], &lists[..]].concat());
    // Rounds mean nothing to full attention: 2·2·2 of LSH, 2·2 of full.
    assert_eq!(lines.len(), 12);
    let first = &lines[0];
    assert_eq!((first["kind"].as_str(), first["semantics"].as_str()), (Some("lsh"), Some("paper")));
    let operations = first["gflops"].as_f64().unwrap() * 1e9 * first["seconds"].as_f64().unwrap();
    assert!((operations / (4.0 * 64.0 * 32.0 * 32.0) - 1.0).abs() < 0.02, "{first}");
    assert!(first["flops_formula"].as_str().unwrap().contains("num_hashes"), "{first}");
    assert!(
        lines[11].get("num_hashes").is_none() && lines[11]["pass"] == "forward-backward",
        "{}",
        lines[11]
    );
}

#[test]
fn every_semantics_and_bidirectional_attention_can_be_measured() {
    for semantics in ["paper", "hugging-face", "trax", "lucid"] {
        let sizes = ["--length", "128", "--num-heads", "1", "--head-dim", "8", "--chunk-length", "16"];
        let lines =
            bench(&[&["attention"], &sizes[..], &["--semantics", semantics, "--causal", "false"]].concat());
        assert_eq!(
            (lines[0]["semantics"].as_str(), lines[0]["causal"].as_bool()),
            (Some(semantics), Some(false))
        );
    }
    let local = bench(&["attention", "--kind", "local", "--length", "70", "--num-heads", "1"]);
    assert!(local[0].get("semantics").is_none());
}

#[test]
fn hash_gemm_and_train_tell_their_rates() {
    let hash = bench(&["hash", "--length", "500", "--sort"]);
    assert!(hash[0]["vectors_per_second"].as_f64() > Some(0.0));
    let gemm = bench(&["gemm", "--m", "8", "--n", "8,16", "--k", "4", "--form", "nn,nt,tn"]);
    assert_eq!(gemm.len(), 6);
    let shape =
        ["--layers", "2", "--d-model", "32", "--num-heads", "2", "--vocab", "32", "--chunk-length", "16"];
    let train = bench(&[&["train"], &shape[..], &["--length", "100", "--kinds", "lsh,local,full"]].concat());
    let on_the_way =
        bench(&[&["train"], &shape[..], &["--length", "32", "--in-backward", "--clip-by", "group"]].concat());
    assert_eq!(
        (on_the_way[0]["in_backward"].as_bool(), on_the_way[0]["clip_by"].as_str()),
        (Some(true), Some("group"))
    );
    assert_eq!(train[0]["kinds"], serde_json::json!(["lsh", "local"]));
    assert!(train[0]["tokens_per_second"].as_f64() > Some(0.0));
    assert!(train[0]["parameters"].as_u64() > Some(0));
}

#[test]
fn generate_measures_a_fresh_model_or_one_on_disk() {
    let shape =
        ["--layers", "1", "--d-model", "32", "--num-heads", "2", "--vocab", "32", "--chunk-length", "16"];
    let lengths = ["--prompt", "40", "--new", "1"];
    for which in [&shape[..], &["--model", &tiny()]] {
        let lines = bench(&[&["generate"], which, &lengths[..]].concat());
        for key in ["prefill_seconds", "prefill_tokens_per_second", "decode_tokens_per_second", "state_mb"] {
            assert!(lines[0][key].as_f64() > Some(0.0), "no {key} in {}", lines[0]);
        }
    }
    let many =
        bench(&[&["generate"], &shape[..], &lengths[..], &["--batch", "3", "--dtype", "bf16"]].concat());
    assert_eq!((many[0]["batch"].as_u64(), many[0]["dtype"].as_str()), (Some(3), Some("bf16")));
    assert_fails(&run(&["bench", "generate", "--model", &tiny(), "--prompt", "600"]), 2, &["512"]);
    assert_fails(&run(&["bench", "generate", "--model", "nowhere"]), 2, &["nowhere"]);
}

#[test]
fn a_person_gets_an_aligned_table_that_says_what_was_computed() {
    let output = run(&["bench", "attention", "--length", "100,200", "--num-heads", "1", "--runs", "1"]);
    assert_done(&output);
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 4, "{text}");
    assert!(lines[0].contains("semantics: paper") && lines[0].contains("1 thread"), "{text}");
    assert_eq!(lines[2].chars().count(), lines[3].chars().count(), "{text}");
}

#[test]
fn what_cannot_be_measured_is_refused_with_the_flag_to_change() {
    let attention = |args: &[&str]| run(&[&["bench", "attention"], args].concat());
    assert_fails(&attention(&["--length", "0"]), 2, &["--length 0"]);
    assert_fails(&attention(&["--head-dim", "0"]), 2, &["--head-dim 0"]);
    assert_fails(&attention(&["--kind", "sparse"]), 2, &["sparse", "lsh"]);
    assert_fails(&attention(&["--length", "9000000000000000000"]), 2, &["free", "--length"]);
    assert_fails(&attention(&["--num-buckets", "7"]), 2, &["7"]);
    assert_fails(&attention(&["--dtype", "bf16"]), 2, &["f32"]);
    assert_fails(&attention(&["--runs", "0"]), 2, &["--runs"]);
    let train = |args: &[&str]| run(&[&["bench", "train"], args].concat());
    assert_fails(&train(&["--d-model", "100", "--num-heads", "8"]), 2, &["--d-model 100"]);
    assert_fails(&train(&["--vocab", "99999999999999"]), 2, &["free", "--vocab"]);
    assert_fails(&train(&["--batch", "9999999999999999"]), 2, &["free", "--batch"]);
    assert_fails(&run(&["bench", "gemm", "--m", "0"]), 2, &["--m 0"]);
    assert_fails(&run(&["bench", "gemm", "--n", "99999999999999"]), 2, &["free"]);
    assert_fails(&run(&["bench", "hash", "--length", "0"]), 2, &["--length 0"]);
    assert_fails(&run(&["bench", "generate", "--new", "0"]), 2, &["--new 0"]);
    assert_eq!(run(&["bench"]).status.code(), Some(2));
}

#[test]
fn bf16_is_measured_where_the_processor_has_it_and_never_claimed_where_it_has_not() {
    let output = run(&[
        "bench", "gemm", "--m", "64", "--n", "64", "--k", "64", "--dtype", "f32,bf16", "--runs", "1",
        "--json",
    ]);
    assert_done(&output);
    let dtypes: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["dtype"].clone())
        .collect();
    let warned = stderr(&output).contains("no bf16 products");
    assert_eq!(dtypes, if warned { ["f32", "f32"] } else { ["f32", "bf16"] });
}
