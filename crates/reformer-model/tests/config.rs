//! `config.json`: Hugging Face's defaults, our own, and every illegal value by its key.

use proptest::prelude::*;
use reformer_model::config::{Buckets, ChunkWrap, Config, Fields, Kind, PositionKind};

fn refusal(json: &str) -> String {
    match Config::from_json(json) {
        Ok(_) => panic!("{json} was taken"),
        Err(e) => e.to_string(),
    }
}

#[test]
fn an_empty_file_is_hugging_faces_default() {
    let config = Config::from_json("{}").unwrap();
    assert_eq!((config.hidden_size, config.num_attention_heads, config.vocab_size), (256, 12, 320));
    assert_eq!(config.attn_layers, [Kind::Local, Kind::Lsh].repeat(3));
    assert_eq!(config.num_hidden_layers, Some(6));
    assert_eq!(config.position_limit(), Some(4096));
    assert_eq!(config.num_buckets, None);
    assert_eq!(config.buckets().factors(), [128]);
    assert_eq!(config.lsh_chunk_wrap, ChunkWrap::Circular);
    assert!(!config.lsh_same_bucket_only && !config.lsh_duplicate_correction && !config.is_decoder);
    assert_eq!(config.lsh_exact_below, None);
    assert!(config.adds_head_bias());
}

#[test]
fn our_own_start_is_the_papers_attention() {
    let config = Config::check(Fields::paper()).unwrap();
    assert!(config.is_decoder && config.lsh_same_bucket_only && config.lsh_duplicate_correction);
    assert_eq!(config.padded_length(4095), 4095, "bounded chunks take any length");
    assert!(!config.adds_head_bias());
}

#[test]
fn unknown_keys_and_nulls_come_back_as_they_were() {
    let text = r#"{"num_buckets": null, "hash_seed": null, "summary_type": {"a": [1, 2.5]}, "eos_token_id": [1, 2]}"#;
    let config = Config::from_json(text).unwrap();
    let written: serde_json::Value = serde_json::from_str(&config.to_json()).unwrap();
    assert_eq!(written["summary_type"], serde_json::json!({"a": [1, 2.5]}));
    assert_eq!(written["eos_token_id"], serde_json::json!([1, 2]));
    assert!(written["num_buckets"].is_null() && written.get("num_buckets").is_some());
    assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
}

#[test]
fn every_illegal_value_is_refused_by_its_key() {
    for (json, key) in [
        (r#"{"num_buckets": 15}"#, "num_buckets"),
        (r#"{"num_buckets": [4, 3]}"#, "num_buckets"),
        (r#"{"num_buckets": 0}"#, "num_buckets"),
        (r#"{"num_buckets": []}"#, "num_buckets"),
        (r#"{"num_buckets": "many"}"#, "num_buckets"),
        (r#"{"axial_pos_embds_dim": [64, 191]}"#, "axial_pos_embds_dim"),
        (r#"{"axial_pos_embds_dim": [256]}"#, "axial_pos_embds_dim"),
        (r#"{"axial_pos_embds_dim": [256, 0]}"#, "axial_pos_embds_dim"),
        (r#"{"axial_pos_shape": [64, 0]}"#, "axial_pos_shape"),
        (r#"{"axial_pos_shape": [4294967296, 4294967296]}"#, "axial_pos_shape"),
        (r#"{"axial_pos_shape": []}"#, "axial_pos_shape"),
        (r#"{"attn_layers": []}"#, "attn_layers"),
        (r#"{"attn_layers": ["lsh", "sparse"]}"#, "attn_layers"),
        (r#"{"num_hidden_layers": 5}"#, "num_hidden_layers"),
        (r#"{"lsh_attn_chunk_length": 0}"#, "lsh_attn_chunk_length"),
        (r#"{"local_attn_chunk_length": 0}"#, "local_attn_chunk_length"),
        (r#"{"num_attention_heads": 0}"#, "num_attention_heads"),
        (r#"{"num_hashes": 0}"#, "num_hashes"),
        (r#"{"hidden_size": -256}"#, "hidden_size"),
        (r#"{"hidden_size": 256.5}"#, "hidden_size"),
        (r#"{"vocab_size": 9999999999}"#, "vocab_size"),
        (r#"{"hidden_act": "swoosh"}"#, "hidden_act"),
        (r#"{"hidden_dropout_prob": 1.0}"#, "hidden_dropout_prob"),
        (r#"{"lsh_attention_probs_dropout_prob": -0.1}"#, "lsh_attention_probs_dropout_prob"),
        (r#"{"layer_norm_eps": 0}"#, "layer_norm_eps"),
        (r#"{"initializer_range": -1}"#, "initializer_range"),
        (r#"{"pad_token_id": 320}"#, "pad_token_id"),
        (r#"{"lsh_chunk_wrap": "round"}"#, "lsh_chunk_wrap"),
        (r#"{"model_type": "longformer"}"#, "model_type"),
        (r#"{"axial_pos_embds": "yes"}"#, "axial_pos_embds"),
    ] {
        let text = refusal(json);
        assert!(text.contains(&format!("config key \"{key}\"")), "{json}: {text}");
    }
}

#[test]
fn lengths_beyond_the_positions_are_refused_and_sinusoids_have_no_end() {
    let config = Config::from_json("{}").unwrap();
    assert!(config.check_length(4096).is_ok());
    let text = config.check_length(4097).unwrap_err().to_string();
    assert!(text.contains("4097") && text.contains("4096") && text.contains("axial_pos_shape"), "{text}");
    let learned = Config::from_json(r#"{"axial_pos_embds": false, "max_position_embeddings": 10}"#).unwrap();
    assert!(learned.check_length(11).unwrap_err().to_string().contains("max_position_embeddings"));
    let endless = Fields { position_embedding_type: Some(PositionKind::Sinusoidal), ..Fields::paper() };
    assert!(Config::check(endless).unwrap().check_length(1 << 40).is_ok());
}

#[test]
fn foreign_chunks_are_padded_to_their_common_multiple_above_the_shortest() {
    let config = Config::from_json(r#"{"lsh_attn_chunk_length": 8, "local_attn_chunk_length": 12}"#).unwrap();
    let padded = |len| config.padded_length(len);
    assert_eq!([padded(1), padded(8), padded(9), padded(24), padded(25)], [1, 8, 24, 24, 48]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_json_object_makes_the_parser_panic(
        key in prop::sample::select(vec![
            "hidden_size", "num_buckets", "attn_layers", "axial_pos_shape", "axial_pos_embds_dim", "num_hashes",
            "lsh_attn_chunk_length", "eos_token_id", "vocab_size", "lsh_exact_below", "hash_seed", "dtype",
        ]),
        value in prop_oneof![
            any::<i64>().prop_map(serde_json::Value::from),
            any::<f64>().prop_map(serde_json::Value::from),
            "\\PC{0,8}".prop_map(serde_json::Value::from),
            prop::collection::vec(any::<u64>(), 0..4).prop_map(serde_json::Value::from),
            Just(serde_json::Value::Null),
        ],
    ) {
        let mut map = serde_json::Map::new();
        map.insert(key.into(), value);
        if let Ok(config) = Config::from_json(&serde_json::Value::Object(map).to_string()) {
            prop_assert_eq!(&Config::from_json(&config.to_json()).unwrap(), &config);
        }
    }

    #[test]
    fn legal_bucket_factors_survive_a_round_trip(factors in prop::collection::vec(1usize..9, 1..3)) {
        let factors: Vec<usize> = factors.iter().map(|f| 2 * f).collect();
        let fields = Fields { num_buckets: Some(Buckets::Factored(factors.clone())), ..Fields::paper() };
        let config = Config::check(fields).unwrap();
        prop_assert_eq!(config.buckets().factors(), &factors[..]);
        prop_assert_eq!(Config::from_json(&config.to_json()).unwrap(), config);
    }
}
