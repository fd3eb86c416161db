//! `reformer generate`.

use std::io::Read;
use std::process::{Command, Stdio};

use crate::fixture::{assert_done, assert_fails, reformer, run, stdout, tiny};

#[test]
fn the_text_begins_with_the_prompt_and_is_the_same_for_the_same_seed() {
    let model = tiny();
    let args = ["generate", &model, "-p", "I need a", "--max-tokens", "20", "--seed", "5"];
    let output = run(&args);
    assert_done(&output);
    assert!(stdout(&output).starts_with("I need a"));
    assert!(stdout(&output).ends_with('\n'));
    assert_eq!(output.stdout, run(&args).stdout);
}

#[test]
fn json_is_one_object_with_text_tokens_finish_and_stats() {
    let output = run(&["generate", &tiny(), "-p", "a", "--max-tokens", "7", "--json", "--temperature", "0"]);
    assert_done(&output);
    let done: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(done["text"].is_string());
    assert!(done["ids"].as_array().unwrap().len() <= 7);
    assert!(done["stats"]["decode_seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{done}");
    assert!(["stop", "length"].contains(&done["finish"].as_str().unwrap()), "{done}");
}

#[test]
fn the_prompt_comes_from_a_pipe_or_a_dash() {
    for dash in [&[][..], &["-p", "-"]] {
        let model = tiny();
        let args = [&["generate", &model, "--max-tokens", "3"], dash].concat();
        let output = reformer().args(args).write_stdin("The train").output().unwrap();
        assert_done(&output);
        assert!(stdout(&output).starts_with("The train"));
    }
}

#[test]
fn a_stop_string_is_never_part_of_the_text() {
    let model = tiny();
    let free = run(&["generate", &model, "-p", "the ", "--max-tokens", "60", "--seed", "1", "--json"]);
    let free: serde_json::Value = serde_json::from_str(&stdout(&free)).unwrap();
    let text = free["text"].as_str().unwrap();
    let stop: String = text.chars().skip(5).take(2).collect();
    let stopped = run(&[
        "generate",
        &model,
        "-p",
        "the ",
        "--max-tokens",
        "60",
        "--seed",
        "1",
        "--json",
        "--stop",
        &stop,
    ]);
    let stopped: serde_json::Value = serde_json::from_str(&stdout(&stopped)).unwrap();
    assert_eq!(stopped["finish"], "stop");
    let expected = &text[..text.find(&stop).unwrap()];
    assert_eq!(stopped["text"].as_str().unwrap(), expected);
}

#[test]
fn an_empty_prompt_and_bad_settings_are_usage_errors() {
    let model = tiny();
    assert_fails(&run(&["generate", &model, "-p", ""]), 2, &["prompt is empty"]);
    assert_fails(&run(&["generate", &model, "-p", "a", "--temperature", "-1"]), 2, &["temperature"]);
    assert_fails(&run(&["generate", &model, "-p", "a", "--top-p", "0"]), 2, &["top_p"]);
    assert_fails(&run(&["generate", &model, "-p", "a", "--top-k", "many"]), 2, &["--top-k"]);
}

#[test]
fn a_prompt_longer_than_the_model_names_both_numbers_or_slides() {
    let model = tiny();
    let long = "x".repeat(600);
    assert_fails(&run(&["generate", &model, "-p", &long]), 1, &["600 tokens", "512 positions"]);
    let slid = run(&["generate", &model, "-p", &long, "--context", "slide", "--max-tokens", "2", "--json"]);
    assert_done(&slid);
    let slid: serde_json::Value = serde_json::from_str(&stdout(&slid)).unwrap();
    assert!(slid["dropped_tokens"].as_u64().unwrap() > 88, "{slid}");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let mut child = Command::new(assert_cmd::cargo::cargo_bin("reformer"))
        .args(["generate", &tiny(), "-p", "a", "--max-tokens", "400", "--temperature", "2", "--threads", "1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_dialogue_is_played_turn_by_turn_from_the_courses_prompt() {
    let prompt = " Person 1: I need a hotel. Person 2: ";
    let args = [
        "generate",
        &tiny(),
        "-p",
        prompt,
        "--dialogue",
        "--turns",
        "3",
        "--max-tokens",
        "60",
        "--seed",
        "2",
    ];
    let output = run(&args);
    assert_done(&output);
    let lines: Vec<String> = stdout(&output).lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "Person 1: I need a hotel.");
    for (i, line) in lines.iter().enumerate() {
        assert!(line.starts_with(["Person 1:", "Person 2:"][i % 2]), "{lines:?}");
    }
    assert!((2..=3).contains(&lines.len()), "{lines:?}");
    let json = run(&[&args[..], &["--json"]].concat());
    let json: serde_json::Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(json["turns"].as_array().unwrap().len(), lines.len());
    assert_eq!(json["turns"][0]["role"], "user");
    assert_fails(&run(&["generate", &tiny(), "-p", " Person 1:  Person 2: ", "--dialogue"]), 1, &["empty"]);
}

#[test]
fn beams_are_ranked_and_one_beam_is_greedy() {
    let model = tiny();
    let args = ["generate", &model, "-p", "I need", "--max-tokens", "6", "--json"];
    let found = run(&[&args[..], &["--beams", "3"]].concat());
    assert_done(&found);
    let found: serde_json::Value = serde_json::from_str(&stdout(&found)).unwrap();
    let scores: Vec<f64> =
        found["hypotheses"].as_array().unwrap().iter().map(|h| h["score"].as_f64().unwrap()).collect();
    assert!(scores.len() == 3 && scores.windows(2).all(|w| w[0] >= w[1]), "{scores:?}");
    let one: serde_json::Value =
        serde_json::from_str(&stdout(&run(&[&args[..], &["--beams", "1"]].concat()))).unwrap();
    let greedy: serde_json::Value =
        serde_json::from_str(&stdout(&run(&[&args[..], &["--temperature", "0"]].concat()))).unwrap();
    assert_eq!(one["hypotheses"][0]["ids"], greedy["ids"]);
    assert_fails(&run(&[&args[..], &["--beams", "0"]].concat()), 2, &["beams"]);
}

#[test]
fn log_probabilities_come_with_every_token_when_asked_for() {
    let args = ["generate", &tiny(), "-p", "a", "--max-tokens", "4", "--temperature", "0", "--json"];
    let output = run(&[&args[..], &["--log-probs", "2"]].concat());
    assert_done(&output);
    let done: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    let of = done["log_probs"].as_array().unwrap();
    assert_eq!(of.len(), done["ids"].as_array().unwrap().len());
    assert!(
        of.iter()
            .all(|l| l["chosen"]["log_prob"].as_f64().unwrap() <= 0.0
                && l["top"].as_array().unwrap().len() == 2)
    );
    let plain: serde_json::Value = serde_json::from_str(&stdout(&run(&args))).unwrap();
    assert!(plain["log_probs"].is_null());
}

#[test]
fn a_prompt_is_read_from_a_file_as_corpora_are() {
    let folder = crate::fixture::folder();
    let story = "Once upon a time in the north";
    let wide: Vec<u8> =
        [0xff, 0xfe].into_iter().chain(story.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut packed, format!("{story}\n").as_bytes()).unwrap();
    let files = [
        ("story.txt", format!("{story}\n").into_bytes()),
        ("marked.txt", format!("\u{feff}{story}").into_bytes()),
        ("story.txt.gz", packed.finish().unwrap()),
        ("wide.txt", wide),
    ];
    let generate = |path: &std::path::Path| {
        run(&["generate", &tiny(), "-f", path.to_str().unwrap(), "-n", "4", "--temperature", "0"])
    };
    let written: Vec<String> = files
        .into_iter()
        .map(|(name, bytes)| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let output = generate(&path);
            assert_done(&output);
            stdout(&output)
        })
        .collect();
    assert!(written[0].starts_with(story));
    assert!(written.iter().all(|text| *text == written[0]), "{written:?}");

    let other = folder.path().join("other.txt");
    std::fs::write(&other, b"caf\xe9 au lait, s'il vous pla\xeet").unwrap();
    assert_fails(&generate(&other), 1, &["other.txt", "invalid UTF-8"]);
    if cfg!(unix) {
        assert_fails(&generate("/dev/zero".as_ref()), 1, &["/dev/zero", "a device, expected a regular file"]);
    }
}

#[test]
fn a_prompt_cache_is_written_used_and_refused_for_another_model() {
    let folder = crate::fixture::folder();
    let text = folder.path().join("story.txt");
    std::fs::write(&text, "Once upon a time in the north there was a star\n").unwrap();
    let cache = folder.path().join("story.state");
    let model = tiny();
    let args = [
        "generate",
        &model,
        "-f",
        text.to_str().unwrap(),
        "--prompt-cache",
        cache.to_str().unwrap(),
        "--max-tokens",
        "5",
        "--temperature",
        "0",
        "--json",
    ];
    let (first, second) = (run(&args), run(&args));
    assert_done(&first);
    assert_done(&second);
    let read = |output| -> serde_json::Value { serde_json::from_str(&stdout(output)).unwrap() };
    let (first, second) = (read(&first), read(&second));
    assert_eq!(first["ids"], second["ids"]);
    assert_eq!(
        (first["stats"]["reused_tokens"].as_u64(), second["stats"]["reused_tokens"].as_u64()),
        (Some(0), Some(46))
    );
    std::fs::write(&cache, b"something else").unwrap();
    assert_fails(&run(&args), 1, &["prompt cache", "story.state", "not a decode state"]);
}

#[test]
fn bf16_weights_and_cache_generate_too() {
    let args =
        ["generate", &tiny(), "-p", "I need a", "--max-tokens", "8", "--weights", "bf16", "--cache", "bf16"];
    let output = run(&[&args[..], &["--json", "--logit-bias", "{\"70\": 100}"]].concat());
    assert_done(&output);
    let done: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(done["ids"], serde_json::json!(vec![70; 8]));
    let drawn = run(&args);
    assert_done(&drawn);
    assert!(stdout(&drawn).len() > "I need a\n".len(), "nothing but the prompt: {:?}", stdout(&drawn));
}

#[test]
fn a_prompt_that_is_refused_is_not_printed_and_one_can_be_left_out() {
    let model = tiny();
    let long = "x".repeat(600);
    let refused = run(&["generate", &model, "-p", &long]);
    assert_fails(&refused, 1, &["512 positions"]);
    assert!(stdout(&refused).is_empty());
    let args = ["generate", &model, "-p", "I need a", "-n", "8", "--seed", "5"];
    let (with, without) = (run(&args), run(&[&args[..], &["--no-prompt"]].concat()));
    assert_done(&without);
    assert_eq!(stdout(&with).strip_prefix("I need a").unwrap(), stdout(&without));
    let beams = run(&[&args[..], &["--no-prompt", "--beams", "2"]].concat());
    assert!(!stdout(&beams).starts_with("I need a"), "{}", stdout(&beams));
}

#[test]
fn beams_obey_what_they_can_and_refuse_the_rest() {
    let model = tiny();
    let args = ["generate", &model, "-p", "a", "--max-new-tokens", "6", "--beams", "2", "--json"];
    let beams = |more: &[&str]| run(&[&args[..], more].concat());
    let stopped = beams(&["--logit-bias", "{\"70\": 1000}", "--stop", "DD"]);
    assert_done(&stopped);
    let stopped: serde_json::Value = serde_json::from_str(&stdout(&stopped)).unwrap();
    assert_eq!(
        (&stopped["hypotheses"][0]["text"], &stopped["hypotheses"][0]["stopped"]),
        (&"".into(), &true.into())
    );
    for refused in [["--temp", "1"], ["--top-k", "3"], ["--min-p", "0.1"], ["--log-probs", "1"]] {
        assert_fails(&beams(&refused), 2, &["--beams", refused[0].trim_end_matches("temp")]);
    }
    for args in [&["--beams", "2"][..], &[]] {
        let far = run(&[&["generate", &model, "-p", "a", "--logit-bias", "{\"9999\": 1}"], args].concat());
        assert_fails(&far, 2, &["9999", "0 to 260"]);
        assert!(stdout(&far).is_empty());
    }
}

#[test]
fn an_end_that_is_also_the_padding_ends_a_text() {
    let folder = crate::fixture::folder();
    let checkpoint = crate::fixture::checkpoint_copy(folder.path());
    // Byte 68 ("B") is the end here, and 0, the padding, is a second one.
    std::fs::write(checkpoint.join("generation_config.json"), r#"{"eos_token_id": [68, 0]}"#).unwrap();
    let dir = checkpoint.to_str().unwrap();
    for id in ["68", "0"] {
        for beams in [&[][..], &["--beams", "2"]] {
            let bias = format!("{{\"{id}\": 1000}}");
            let args = ["generate", dir, "-p", "a", "-n", "4", "--json", "--logit-bias", &bias];
            let done = run(&[&args[..], beams].concat());
            assert_done(&done);
            let done: serde_json::Value = serde_json::from_str(&stdout(&done)).unwrap();
            let ended = done["finish"] == "stop" || done["hypotheses"][0]["stopped"] == true;
            assert!(ended, "{id}: {done}");
        }
        let chat = run(&[
            "chat",
            dir,
            "-p",
            "a",
            "-n",
            "4",
            "--json",
            "--logit-bias",
            &format!("{{\"{id}\": 1000}}"),
        ]);
        assert_done(&chat);
        assert!(stdout(&chat).contains("\"finish\":\"stop\""), "{}", stdout(&chat));
    }
    std::fs::write(checkpoint.join("generation_config.json"), r#"{"eos_token_id": "end"}"#).unwrap();
    let refused = run(&["generate", dir, "-p", "a"]);
    assert_fails(&refused, 1, &["generation_config.json", "eos_token_id", "\"end\""]);
}

#[test]
fn exact_attention_generates_and_never_from_a_hashed_prompt() {
    let folder = crate::fixture::folder();
    let cache = folder.path().join("hashed.state");
    let model = tiny();
    let exact = ["generate", &model, "-p", "I need a train", "--max-tokens", "8", "--attention", "full"];
    assert_done(&run(&exact));
    let cached = ["--prompt-cache", cache.to_str().unwrap()];
    assert_done(&run(&[&exact[..6], &cached[..]].concat()));
    assert_fails(
        &run(&[&exact[..], &cached[..]].concat()),
        1,
        &["hashed.state", "full attention is asked for"],
    );
    let rounded = [&exact[..6], &cached[..], &["--cache", "bf16"]].concat();
    assert_fails(&run(&rounded), 1, &["keys and values in f32", "keys and values in bf16"]);
}

#[test]
fn a_logit_bias_demands_tokens_and_bad_ones_are_usage_errors() {
    let biased =
        |bias| run(&["generate", &tiny(), "-p", "a", "--max-tokens", "3", "--json", "--logit-bias", bias]);
    let output = biased(r#"{"5": 100}"#);
    assert_done(&output);
    let done: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(done["ids"], serde_json::json!([5, 5, 5]));
    assert_fails(&biased("{5}"), 2, &["logit_bias must be an object", "{5}"]);
    assert_fails(&biased(r#"{"5": 1e40}"#), 2, &["logit_bias"]);
}

#[cfg(unix)]
#[test]
fn a_prompt_cache_that_is_a_device_or_a_folder_is_refused() {
    for path in ["/dev/zero", "/dev/full", "/tmp"] {
        let output = run(&["generate", &tiny(), "-p", "a", "--max-tokens", "2", "--prompt-cache", path]);
        assert_fails(&output, 1, &["prompt cache", path, "no regular file"]);
    }
}
