//! Checkpoints of strangers: what is no language model, what is damaged, and numbers that ask for more than there is.

use std::fs;
use std::path::Path;

use allocation_counter::measure;
use reformer_model::config::{Buckets, Config, Fields, Kind};
use reformer_model::memory::{
    MemoryEstimate, check_step, decode_bytes_per_token, model_bytes, parameter_count,
};
use reformer_model::{Model, check_weights};
use reformer_testing::models::{fields, model};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

/// What a refusal may hold on to at most: texts and tables, nothing of a tensor's size.
const SMALL: u64 = 1 << 20;

/// A saved model in a folder of its own.
fn saved() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    model(fields()).save(folder.path()).unwrap();
    folder
}

fn set(folder: &Path, key: &str, value: serde_json::Value) {
    let path = folder.join("config.json");
    let mut config: serde_json::Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    config[key] = value;
    fs::write(&path, config.to_string()).unwrap();
}

fn refusal(folder: &Path) -> String {
    Model::load(folder).unwrap_err().to_string()
}

/// Rewrites the weights under other names.
fn rename(folder: &Path, to: impl Fn(&str) -> Option<String>) {
    let path = folder.join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let kept: Vec<(String, TensorView<'_>)> =
        file.tensors().into_iter().filter_map(|(name, view)| Some((to(&name)?, view))).collect();
    fs::write(&path, safetensors::serialize(kept, None).unwrap()).unwrap();
}

#[test]
fn a_shape_of_fifty_billion_parameters_is_counted_and_nothing_of_it_is_made() {
    let shape = Fields {
        vocab_size: 128_000,
        hidden_size: 8192,
        num_attention_heads: 64,
        attention_head_size: 128,
        feed_forward_size: 32_768,
        attn_layers: [Kind::Local, Kind::Lsh].repeat(32),
        axial_pos_shape: vec![1024, 1024],
        axial_pos_embds_dim: vec![2048, 6144],
        num_buckets: Some(Buckets::Factored(vec![128, 128])),
        ..Fields::paper()
    };
    let mut told = (0, 0, 0);
    let made = measure(|| {
        let config = Config::check(shape.clone()).unwrap();
        check_step(&config, 1, 1 << 20).unwrap();
        let estimate = MemoryEstimate::training(&config, 1, 1 << 20, 8);
        told = (parameter_count(&config), estimate.total_bytes(), model_bytes(&config));
    });
    assert!(told.0 > 50_000_000_000 && told.1 > 16 * told.0 && told.2 > 4 * told.0, "{told:?}");
    assert!(made.bytes_max < SMALL, "{made:?}");
}

#[test]
fn parameters_are_counted_by_shapes_as_they_are_made() {
    for layers in [vec![Kind::Lsh], [Kind::Local, Kind::Lsh, Kind::Full].repeat(2)] {
        let config = Config::check(Fields { attn_layers: layers, ..fields() }).unwrap();
        let made = reformer_model::Parameters::zeros(&config);
        assert_eq!(parameter_count(&config), made.count());
        let bytes: usize = made.groups().iter().map(reformer_model::Group::bytes).sum();
        assert_eq!(MemoryEstimate::training(&config, 1, 8, 8).parameters, bytes);
        let state = Model::new(config.clone(), 1).decode_state();
        assert_eq!(decode_bytes_per_token(&config), state.bytes_per_token());
    }
}

#[test]
fn absurd_numbers_of_a_config_are_refused_before_anything_is_allocated() {
    let folder = saved();
    let original = fs::read_to_string(folder.path().join("config.json")).unwrap();
    let big = 2_000_000_000u64;
    for (key, value, words) in [
        ("vocab_size", big.into(), "2000000000"),
        ("hidden_size", big.into(), "hidden_size"),
        ("feed_forward_size", big.into(), "feed_forward"),
        ("num_attention_heads", big.into(), "2000000000"),
        ("num_hashes", big.into(), "num_hashes"),
        ("num_buckets", big.into(), "num_buckets"),
        ("axial_pos_shape", serde_json::json!([30_000, 70_000]), "position_embeddings"),
        ("hidden_dropout_prob", 0.99999999.into(), "hidden_dropout_prob"),
    ] {
        fs::write(folder.path().join("config.json"), &original).unwrap();
        set(folder.path(), key, value);
        let mut text = String::new();
        let made = measure(|| text = refusal(folder.path()));
        let file = folder.path().join("config.json").display().to_string();
        let weights = folder.path().join("model.safetensors").display().to_string();
        assert!(text.contains(words) && (text.contains(&file) || text.contains(&weights)), "{key}: {text}");
        assert!(made.bytes_max < SMALL, "{key}: {made:?}");
    }
}

#[test]
fn a_step_beyond_any_machine_is_refused_before_its_formula_overflows() {
    let config = Config::check(fields()).unwrap();
    check_step(&config, 1, 1 << 20).unwrap();
    for (rows, len) in [(usize::MAX, 1), (1, usize::MAX), (1 << 40, 1 << 40)] {
        let text = check_step(&config, rows, len).unwrap_err().to_string();
        assert!(text.contains("more than any machine has"), "{text}");
    }
}

#[test]
fn a_head_for_another_task_is_called_by_its_name() {
    let other = |decoder: &str| {
        let folder = saved();
        rename(folder.path(), |name| match name {
            "lm_head.decoder.weight" if decoder.is_empty() => None,
            "lm_head.decoder.weight" => Some(decoder.to_owned()),
            name => Some(name.to_owned()),
        });
        (refusal(folder.path()), folder)
    };
    for (decoder, words) in [
        ("classifier.dense.weight", "classification head"),
        ("qa_outputs.weight", "question-answering head"),
        ("", "without a head"),
    ] {
        let (text, _folder) = other(decoder);
        assert!(text.contains("not a language model") && text.contains(words), "{text}");
        assert!(text.contains("model.safetensors"), "{text}");
    }
}

#[test]
fn pickled_weights_beside_a_config_are_named_with_the_way_to_convert_them() {
    let folder = saved();
    fs::rename(folder.path().join("model.safetensors"), folder.path().join("pytorch_model.bin")).unwrap();
    let text = refusal(folder.path());
    assert!(text.contains("pytorch_model.bin") && text.contains("save_pretrained"), "{text}");
}

#[test]
fn what_is_no_file_of_weights_is_named_as_what_it_is() {
    for (content, words) in [
        (&b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"[..], "Git LFS"),
        (b"<!DOCTYPE html><html></html>", "HTML"),
        (b"PK\x03\x04............", "zip archive"),
        (b"", "0 bytes"),
    ] {
        let folder = saved();
        fs::write(folder.path().join("model.safetensors"), content).unwrap();
        let text = refusal(folder.path());
        assert!(text.contains(words) && text.contains("model.safetensors"), "{text}");
    }
}

#[test]
#[cfg(unix)]
fn devices_and_folders_in_the_place_of_files_are_not_opened() {
    for name in ["model.safetensors", "config.json"] {
        let folder = saved();
        fs::remove_file(folder.path().join(name)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", folder.path().join(name)).unwrap();
        let text = refusal(folder.path());
        assert!(text.contains(name) && text.contains("file"), "{text}");
    }
}

#[test]
fn a_weight_that_is_not_finite_is_an_error_that_names_its_tensor() {
    for value in [f32::NAN, f32::INFINITY] {
        let folder = tempfile::tempdir().unwrap();
        let mut damaged = model(fields());
        damaged.parameters_mut().find_mut("lm_head.decoder.weight").unwrap()[3] = value;
        damaged.save(folder.path()).unwrap();
        let text = refusal(folder.path());
        for word in ["lm_head.decoder.weight", "index 3", "model.safetensors", "damaged"] {
            assert!(text.contains(word), "{text}");
        }
        // Its headers are as they should be.
        check_weights(folder.path(), damaged.config()).unwrap();
    }
}

#[test]
fn a_byte_order_mark_before_a_config_is_passed_over() {
    let folder = saved();
    let path = folder.path().join("config.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("\u{feff}{text}")).unwrap();
    Model::load(folder.path()).unwrap();
}
