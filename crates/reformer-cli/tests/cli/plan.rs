//! `reformer plan`: numbers, advice and refusals.

use serde_json::Value;

use crate::fixture::{assert_done, assert_fails, folder, recipe, run, stdout};

fn plan(args: &[&str]) -> Value {
    let output = run(&[&["plan", "--demo", "--json"], args].concat());
    assert_done(&output);
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn a_plan_has_parameters_operations_seconds_and_memory_of_four_ways() {
    let plan = plan(&["--length", "65536", "--gflops", "50"]);
    for key in ["parameters", "flops_per_step", "seconds_per_step", "tokens_per_second", "score_matrix_bytes"]
    {
        assert!(plan[key].as_f64() > Some(0.0), "no {key} in {plan}");
    }
    let seconds = plan["flops_per_step"].as_f64().unwrap() / 50e9;
    assert!((plan["seconds_per_step"].as_f64().unwrap() / seconds - 1.0).abs() < 1e-6);
    let ways = plan["ways"].as_array().unwrap();
    assert_eq!(ways.len(), 4);
    assert_eq!((&ways[0]["exact"], &ways[0]["reversible"]), (&Value::Bool(false), &Value::Bool(true)));
    assert_eq!(plan["total_bytes"], ways[0]["total_bytes"]);
    assert!(ways[1]["total_bytes"].as_u64() > ways[0]["total_bytes"].as_u64());
}

#[test]
fn what_does_not_fit_comes_with_changes_that_a_recipe_takes() {
    let plan = plan(&["--length", "65536", "--set", "batch=4", "--memory", "600MB"]);
    assert_eq!(plan["fits"], false);
    let changes = plan["changes"].as_array().unwrap();
    let last = changes.last().unwrap();
    assert_eq!(last["fits"], true, "{plan}");
    // Sets that come later win, so the changes are laid over what was asked for.
    let sets: Vec<String> = last["sets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|set| format!("{}={}", set[0].as_str().unwrap(), set[1].as_str().unwrap()))
        .collect();
    let mut args = vec!["plan", "--demo", "--json", "--length", "65536", "--memory", "600MB"];
    for set in &sets {
        args.extend(["--set", set]);
    }
    let output = run(&args);
    assert_done(&output);
    assert_eq!(serde_json::from_str::<Value>(&stdout(&output)).unwrap()["fits"], true, "{sets:?}");
}

#[test]
fn a_person_reads_the_changes_as_flags_and_learns_what_fits() {
    let small = run(&["plan", "--demo", "--length", "65536", "--set", "batch=4", "--memory", "600MB"]);
    assert_done(&small);
    for words in ["does not fit", "--set batch=", ", fits", "total", "reversible", "all kept", "tokens/s"] {
        assert!(stdout(&small).contains(words), "no {words:?} in:\n{}", stdout(&small));
    }
    let large = run(&["plan", "--demo", "--memory", "900GB"]);
    assert!(stdout(&large).contains("fits into"), "{}", stdout(&large));
    let tiny = run(&["plan", "--demo", "--memory", "1MB"]);
    assert!(stdout(&tiny).contains("still it does not"), "{}", stdout(&tiny));
}

#[test]
fn positions_are_raised_for_a_length_that_the_recipe_has_none_for() {
    let folder = folder();
    let recipe = recipe(folder.path(), &[]);
    let output = run(&["plan", recipe.to_str().unwrap(), "--length", "4096", "--json", "--measure"]);
    assert_done(&output);
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&plan["positions_raised"], &plan["measured"]), (&Value::Bool(true), &Value::Bool(true)));
    assert!(plan["gflops"].as_f64() > Some(0.0));
}

#[test]
fn what_is_no_plan_is_refused() {
    let demo = |args: &[&str]| run(&[&["plan", "--demo"], args].concat());
    assert_fails(&run(&["plan", "nowhere.toml"]), 2, &["nowhere.toml"]);
    assert_fails(&demo(&["--length", "0"]), 2, &["--length 0"]);
    assert_fails(&demo(&["--length", "9000000000000"]), 2, &["length", "must be below"]);
    assert_fails(&demo(&["--length", "4000000000", "--set", "batch=4000000"]), 2, &["4000000000"]);
    assert_fails(&demo(&["--memory", "16XB"]), 2, &["16GB"]);
    assert_fails(&demo(&["--gflops", "0"]), 2, &["--gflops 0"]);
    assert_fails(&demo(&["--set", "batchh=2"]), 2, &["batch"]);
}
