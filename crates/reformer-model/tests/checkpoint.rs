//! Checkpoint directories: round trips, Hugging Face's own, and everything that can be wrong with one.

use std::path::{Path, PathBuf};

use reformer_model::config::{Fields, PositionKind};
use reformer_model::{Model, Pass};
use reformer_tensor::Cpu;
use reformer_testing::compare::distance;
use reformer_testing::models::{fields, ids, model};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

fn tiny() -> PathBuf {
    let folder = std::env::var_os("REFORMER_FIXTURES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures"), PathBuf::from);
    folder.join("hf_checkpoint_tiny")
}

/// Name, type, shape, bytes of every tensor of a file.
type Listed = Vec<(String, Dtype, Vec<usize>, Vec<u8>)>;

fn list(path: &Path) -> Listed {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Listed = file
        .tensors()
        .into_iter()
        .map(|(name, t)| (name, t.dtype(), t.shape().to_vec(), t.data().to_vec()))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn write(path: &Path, tensors: &Listed) {
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    std::fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

/// A copy of the tiny checkpoint whose tensors are changed.
fn altered(change: impl FnOnce(&mut Listed)) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(tiny().join("config.json"), dir.path().join("config.json")).unwrap();
    let mut tensors = list(&tiny().join("model.safetensors"));
    change(&mut tensors);
    write(&dir.path().join("model.safetensors"), &tensors);
    dir
}

fn refusal(dir: &Path) -> String {
    Model::load(dir).unwrap_err().to_string()
}

#[test]
fn a_saved_model_comes_back_bit_for_bit() {
    let learned = Fields { position_embedding_type: Some(PositionKind::Learned), ..fields() };
    let tied = Fields { tie_word_embeddings: true, hash_seed: Some(5), ..fields() };
    for fields in [fields(), learned, tied] {
        let model = model(fields);
        let dir = tempfile::tempdir().unwrap();
        model.save(dir.path()).unwrap();
        let again = Model::load(dir.path()).unwrap();
        assert_eq!(again.config(), model.config());
        assert_eq!(again.parameters(), model.parameters());
        assert_eq!(again.rotations(1), model.rotations(1));
        let mut left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["config.json", "model.safetensors"], "nothing temporary stays");
    }
}

#[test]
fn a_tied_model_computes_the_same_with_its_decoder_written_out() {
    let model = model(Fields { tie_word_embeddings: true, ..fields() });
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    let config = std::fs::read_to_string(dir.path().join("config.json")).unwrap();
    let untied = config.replace("\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false");
    std::fs::write(dir.path().join("config.json"), untied).unwrap();
    let untied = Model::load(dir.path()).unwrap();
    let (cpu, ids) = (Cpu::single(), ids(20, 1));
    let logits =
        |m: &Model| m.logits(&cpu, &ids, 1, 20, None, &Pass::evaluation()).unwrap().as_slice().to_vec();
    assert!(distance(&logits(&untied), &logits(&model)) < 1e-5);
}

#[test]
fn hugging_faces_checkpoint_loads_and_is_written_back_name_for_name() {
    let model = Model::load(&tiny()).unwrap();
    assert!(!model.config().adds_head_bias(), "transformers 5 never adds it");
    let dir = tempfile::tempdir().unwrap();
    model.save(dir.path()).unwrap();
    assert_eq!(list(&dir.path().join("model.safetensors")), list(&tiny().join("model.safetensors")));
    let read = |dir: &Path| -> serde_json::Map<String, serde_json::Value> {
        serde_json::from_str(&std::fs::read_to_string(dir.join("config.json")).unwrap()).unwrap()
    };
    let (ours, theirs) = (read(dir.path()), read(&tiny()));
    for (key, value) in theirs {
        assert_eq!(ours[&key], value, "{key}");
    }
    let logits = model.logits(&Cpu::single(), &[1, 2, 3], 1, 3, None, &Pass::evaluation()).unwrap();
    assert!(logits.as_slice().iter().all(|x| x.is_finite()));
}

#[test]
fn half_precision_and_names_without_the_prefix_are_read() {
    let plain = Model::load(&tiny()).unwrap();
    let halves = |to: fn(f32) -> [u8; 2], dtype: Dtype| {
        altered(|tensors| {
            for (name, d, _, data) in tensors.iter_mut() {
                *name = name.trim_start_matches("reformer.").to_owned();
                *data = data.as_chunks().0.iter().flat_map(|&b| to(f32::from_le_bytes(b))).collect();
                *d = dtype;
            }
        })
    };
    let f16 = halves(|x| half::f16::from_f32(x).to_le_bytes(), Dtype::F16);
    let bf16 = halves(|x| half::bf16::from_f32(x).to_le_bytes(), Dtype::BF16);
    for (dir, error) in [(f16, 1e-3), (bf16, 8e-3)] {
        let read = Model::load(dir.path()).unwrap();
        for ((name, _, a), (_, _, b)) in read.parameters().iter().zip(plain.parameters().iter()) {
            assert!(distance(a, b) < error, "{name}");
        }
    }
}

#[test]
fn shards_are_read_through_their_index_and_only_from_their_own_directory() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(tiny().join("config.json"), dir.path().join("config.json")).unwrap();
    let all = list(&tiny().join("model.safetensors"));
    let (a, b) = all.split_at(9);
    write(&dir.path().join("model-00001-of-00002.safetensors"), &a.to_vec());
    write(&dir.path().join("model-00002-of-00002.safetensors"), &b.to_vec());
    let index = |second: &str| {
        let of = |part: &Listed, file: &str| {
            part.iter().map(|t| format!("\"{}\": \"{file}\"", t.0)).collect::<Vec<_>>()
        };
        let mut entries = of(&a.to_vec(), "model-00001-of-00002.safetensors");
        entries.extend(of(&b.to_vec(), second));
        format!("{{\"weight_map\": {{{}}}}}", entries.join(", "))
    };
    let path = dir.path().join("model.safetensors.index.json");
    std::fs::write(&path, index("model-00002-of-00002.safetensors")).unwrap();
    assert_eq!(Model::load(dir.path()).unwrap().parameters(), Model::load(&tiny()).unwrap().parameters());
    std::fs::write(&path, index("../model.safetensors")).unwrap();
    assert!(refusal(dir.path()).contains("not a plain file name"));
}

#[test]
fn a_missing_tensor_is_named_with_the_shape_it_should_have() {
    let dir =
        altered(|t| t.retain(|(name, ..)| name != "reformer.encoder.layers.1.attention.output.dense.weight"));
    let text = refusal(dir.path());
    assert!(text.contains("layers.1.attention.output.dense.weight") && text.contains("[16, 16]"), "{text}");
}

#[test]
fn a_tensor_too_many_is_named() {
    let dir = altered(|t| t.push(("classifier.dense.weight".into(), Dtype::F32, vec![2], vec![0; 8])));
    let text = refusal(dir.path());
    assert!(text.contains("1 tensors") && text.contains("classifier.dense.weight"), "{text}");
}

#[test]
fn a_wrong_shape_is_named_with_what_was_expected() {
    let dir = altered(|t| {
        let words = t.iter_mut().find(|(name, ..)| name.ends_with("word_embeddings.weight")).unwrap();
        words.2 = vec![16, 37];
    });
    let text = refusal(dir.path());
    assert!(
        text.contains("word_embeddings.weight") && text.contains("[16, 37]") && text.contains("[37, 16]"),
        "{text}"
    );
}

#[test]
fn integers_are_not_weights() {
    let dir = altered(|t| {
        let norm = t.iter_mut().find(|(name, ..)| name == "reformer.encoder.layer_norm.bias").unwrap();
        norm.1 = Dtype::I32;
    });
    assert!(refusal(dir.path()).contains("is I32, expected F32, F16 or BF16"));
}

#[test]
fn a_file_cut_anywhere_is_refused_without_a_panic() {
    let whole = std::fs::read(tiny().join("model.safetensors")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(tiny().join("config.json"), dir.path().join("config.json")).unwrap();
    for keep in [0, 3, 8, 100, 2000, whole.len() - 1] {
        std::fs::write(dir.path().join("model.safetensors"), &whole[..keep]).unwrap();
        let text = refusal(dir.path());
        assert!(text.contains("model.safetensors") && text.contains("truncated"), "{keep}: {text}");
    }
}

#[test]
fn missing_files_and_foreign_configs_are_said_plainly() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refusal(dir.path()).contains("config.json: cannot read"));
    std::fs::write(dir.path().join("config.json"), "{\"model_type\": \"bert\"}").unwrap();
    assert!(refusal(dir.path()).contains("another model's config"));
    std::fs::write(dir.path().join("config.json"), "[1").unwrap();
    assert!(refusal(dir.path()).contains("not a JSON object"));
    std::fs::copy(tiny().join("config.json"), dir.path().join("config.json")).unwrap();
    assert!(refusal(dir.path()).contains("model.safetensors: cannot read"));
}

#[test]
fn an_old_files_second_bias_name_is_understood() {
    let dir = altered(|t| {
        for (name, _, _, data) in t.iter_mut() {
            if name == "lm_head.bias" {
                *name = "lm_head.decoder.bias".into();
                data.fill(0);
                data[..4].copy_from_slice(&1.5f32.to_le_bytes());
            }
        }
    });
    let path = dir.path().join("config.json");
    let config = std::fs::read_to_string(&path).unwrap().replace("5.23.0", "4.57.6");
    std::fs::write(&path, config).unwrap();
    let model = Model::load(dir.path()).unwrap();
    assert!(model.config().adds_head_bias(), "transformers 4 added it");
    assert_eq!(model.parameters().find("lm_head.bias").unwrap().1[0], 1.5);
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_with_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let text = model(fields()).save(&file.join("inside")).unwrap_err().to_string();
    assert!(text.contains("file/inside") && text.contains("cannot create"), "{text}");
}
