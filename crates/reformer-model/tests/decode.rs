//! Decoding: steps against the forward pass, many sequences against one, truncation, forks, files, limits.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use proptest::prelude::*;
use reformer_lsh::{BucketCount, Rotations};
use reformer_model::config::{ChunkWrap, Fields, Kind};
use reformer_model::{DecodeOptions, DecodeState, Decoder, FIRST_PIECE, Model, ModelError, Pass};
use reformer_tensor::{Cpu, Precision};
use reformer_testing::compare::{distance, worse};
use reformer_testing::models::{self, endless, fields, ids, model};

fn forward(model: &Model, cpu: &Cpu, ids: &[u32], pass: &Pass) -> Vec<Vec<f32>> {
    let logits = model.logits(cpu, ids, 1, ids.len(), None, pass).unwrap();
    (0..ids.len()).map(|t| logits.row(t).to_vec()).collect()
}

/// Largest distance between steps and the rows of one forward pass.
fn worst_with(model: &Model, ids: &[u32], prompt: usize, options: DecodeOptions) -> f64 {
    let cpu = Cpu::new(2).unwrap();
    let pass = Pass { attention: options.attention, ..Pass::evaluation() };
    let whole = forward(model, &cpu, ids, &pass);
    let mut state = model.decode_state_with(options);
    let mut worst = 0.0_f64;
    if prompt > 0 {
        let logits = model.prefill(&cpu, &mut state, &ids[..prompt]).unwrap();
        worst = worse(worst, distance(&logits, &whole[prompt - 1]));
    }
    for (t, &id) in ids.iter().enumerate().skip(prompt) {
        let logits = model.step(&cpu, &mut state, id).unwrap();
        worst = worse(worst, distance(&logits, &whole[t]));
    }
    assert_eq!(state.ids(), ids);
    worst
}

fn worst(model: &Model, ids: &[u32], prompt: usize) -> f64 {
    worst_with(model, ids, prompt, DecodeOptions::default())
}

#[test]
fn steps_of_local_and_full_layers_equal_the_forward_pass() {
    for before in [0, 1, 2] {
        let fields = Fields {
            attn_layers: vec![Kind::Local, Kind::Full, Kind::Local],
            local_num_chunks_before: before,
            ..fields()
        };
        let model = model(fields);
        for prompt in [0, 1, 5, 20] {
            assert!(worst(&model, &ids(45, 3), prompt) < 1e-4, "{before} chunks before, prompt {prompt}");
        }
    }
}

#[test]
fn steps_of_lsh_layers_equal_the_forward_pass_where_it_is_exact() {
    let fields = Fields { attn_layers: vec![Kind::Lsh, Kind::Lsh], lsh_exact_below: Some(64), ..fields() };
    // Longer than two chunks: the exact path sees every pair of a bucket, and so does a step.
    let model = model(fields);
    assert!(worst(&model, &ids(60, 4), 0) < 1e-4);
    assert!(worst(&model, &ids(60, 4), 31) < 1e-4);
}

#[test]
fn steps_in_full_equivalent_mode_are_exact_attention_at_any_length() {
    let model = model(fields());
    let full = DecodeOptions { attention: Some(Kind::Full), ..DecodeOptions::default() };
    for prompt in [0, 1, 70] {
        assert!(worst_with(&model, &ids(120, 4), prompt, full) < 1e-4, "prompt {prompt}");
    }
    assert!(worst(&model, &ids(120, 4), 70) > 1e-4, "hashing leaves something out");
}

#[test]
fn keys_and_values_in_bf16_cost_a_rounding_and_half_the_memory() {
    let model = model(endless(fields()));
    let bf16 = DecodeOptions { storage: Precision::Bf16, undo: 0, ..DecodeOptions::default() };
    let exact = Fields { attn_layers: vec![Kind::Local, Kind::Full], ..endless(fields()) };
    let off = worst_with(&models::model(exact), &ids(60, 4), 30, bf16);
    assert!((1e-6..3e-2).contains(&off), "{off}");
    let bytes = |options: DecodeOptions| {
        let mut state = model.decode_state_with(options);
        model.prefill(&Cpu::single(), &mut state, &ids(3000, 4)).unwrap();
        (state.bytes(), state.bytes_per_token())
    };
    let (wide, narrow) = (bytes(DecodeOptions { undo: 0, ..DecodeOptions::default() }), bytes(bf16));
    assert!(narrow.0 < wide.0 * 7 / 10, "{narrow:?} {wide:?}");
    assert!(narrow.1 < wide.1 * 7 / 10, "{narrow:?} {wide:?}");
}

#[test]
fn the_memory_of_a_token_is_what_the_state_says() {
    let model = model(endless(fields()));
    let (cpu, mut state) =
        (Cpu::single(), model.decode_state_with(DecodeOptions { undo: 64, ..DecodeOptions::default() }));
    model.prefill(&cpu, &mut state, &ids(2000, 4)).unwrap();
    let before = state.bytes();
    model.prefill(&cpu, &mut state, &ids(6000, 5)).unwrap();
    let grown = (state.bytes() - before) as f64 / 6000.0;
    let said = state.bytes_per_token() as f64;
    // Vectors double as they grow.
    assert!((0.7..1.6).contains(&(grown / said)), "grew by {grown}, said {said}");
}

#[test]
fn steps_of_foreign_lsh_layers_equal_the_forward_pass_up_to_a_chunk() {
    let fields = Fields {
        attn_layers: vec![Kind::Lsh],
        lsh_same_bucket_only: false,
        lsh_duplicate_correction: false,
        lsh_chunk_wrap: ChunkWrap::Circular,
        ..fields()
    };
    let model = model(fields);
    assert!(worst(&model, &ids(8, 4), 3) < 1e-4);
    // Beyond it a step is Hugging Face's, which is not the forward pass; it must run, also after a padded prompt.
    assert!(worst(&model, &ids(30, 4), 13).is_finite());
}

#[test]
fn reading_many_tokens_after_others_is_reading_them_one_by_one() {
    let (model, cpu) = (model(endless(fields())), Cpu::new(2).unwrap());
    let ids = ids(90, 6);
    let mut together = model.decode_state();
    model.prefill(&cpu, &mut together, &ids[..30]).unwrap();
    let mut single = together.clone();
    let at_once = model.prefill(&cpu, &mut together, &ids[30..]).unwrap();
    let mut last = Vec::new();
    for &id in &ids[30..] {
        last = model.step(&cpu, &mut single, id).unwrap();
    }
    assert!(distance(&at_once, &last) < 1e-4);
}

#[test]
fn a_long_prompt_is_read_in_pieces_and_any_thread_count_gives_the_same_bits() {
    let model = model(Fields { vocab_size: 29, ..endless(fields()) });
    let prompt = ids(FIRST_PIECE + 1500, 2);
    let read = |threads: usize| {
        let mut state = model.decode_state();
        let logits = model.prefill(&Cpu::new(threads).unwrap(), &mut state, &prompt).unwrap();
        assert_eq!(state.len(), prompt.len());
        logits
    };
    let one = read(1);
    assert_eq!(one, read(2));
    // Piece by piece from outside is the same.
    let (decoder, cpu) = (Decoder::new(&model), Cpu::single());
    let (mut state, mut rest, mut logits) = (decoder.state(), &prompt[..], None);
    while !rest.is_empty() {
        let (piece, later) = rest.split_at(decoder.next_piece(&state, rest.len()));
        logits = decoder.prefill_piece(&cpu, &mut state, piece, later.is_empty()).unwrap();
        rest = later;
    }
    assert_eq!(logits.unwrap(), one);
}

#[test]
fn packed_weights_say_what_the_rounded_model_says() {
    let mut model = model(fields());
    let before = model.clone();
    let packed = model.pack_bf16();
    assert_ne!(model.parameters(), before.parameters());
    let (cpu, ids) = (Cpu::new(2).unwrap(), ids(40, 3));
    let (plain, halved) = (Decoder::new(&model), Decoder::new(&model).with_packed(Some(&packed)));
    assert!(halved.weight_bytes() * 2 == plain.weight_bytes());
    let (mut a, mut b) = (plain.state(), plain.state());
    plain.prefill(&cpu, &mut a, &ids[..20]).unwrap();
    halved.prefill(&cpu, &mut b, &ids[..20]).unwrap();
    for &id in &ids[20..] {
        // The same numbers, added in the same order.
        assert_eq!(plain.step(&cpu, &mut a, id).unwrap(), halved.step(&cpu, &mut b, id).unwrap());
    }
    assert_eq!(model.pack_bf16().bytes(), packed.bytes(), "packing what is packed changes nothing");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn sequences_decoded_together_are_bit_identical_to_each_alone(
        lengths in prop::collection::vec(1_usize..70, 1..7),
        seed in 0_usize..100,
        threads in 1_usize..4,
        pack: bool,
        foreign: bool,
    ) {
        let wrap = if foreign { ChunkWrap::Circular } else { ChunkWrap::Bounded };
        let same = !foreign;
        let fields = Fields {
            lsh_chunk_wrap: wrap,
            lsh_same_bucket_only: same,
            lsh_duplicate_correction: same,
            ..fields()
        };
        let mut model = model(fields);
        let packed = pack.then(|| model.pack_bf16());
        let decoder = Decoder::new(&model).with_packed(packed.as_ref());
        let (alone, team) = (Cpu::single(), Cpu::new(threads).unwrap());
        let mut states: Vec<DecodeState> = lengths
            .iter()
            .enumerate()
            .map(|(i, &len)| {
                let mut state = decoder.state();
                decoder.prefill(&alone, &mut state, &ids(len, seed + i)).unwrap();
                state
            })
            .collect();
        let mut singles = states.clone();
        for step in 0..5 {
            // One joins or leaves at every step.
            let at_work: Vec<usize> = (0..states.len()).filter(|i| (i + step) % 3 != 0 || states.len() == 1).collect();
            if at_work.is_empty() {
                continue;
            }
            let next: Vec<u32> = at_work.iter().map(|i| ((i * 7 + step * 11 + seed) % 29) as u32).collect();
            let mut together: Vec<&mut DecodeState> =
                states.iter_mut().enumerate().filter(|(i, _)| at_work.contains(i)).map(|(_, s)| s).collect();
            let logits = decoder.step_many(&team, &mut together, &next).unwrap();
            for (row, (&i, &id)) in at_work.iter().zip(&next).enumerate() {
                let single = decoder.step(&alone, &mut singles[i], id).unwrap();
                prop_assert_eq!(logits.row(row), &single[..]);
            }
        }
    }
}

#[test]
fn a_truncated_state_continues_as_if_the_rest_had_never_been() {
    let (model, cpu) = (model(fields()), Cpu::single());
    let ids = ids(40, 7);
    let mut state = model.decode_state();
    model.prefill(&cpu, &mut state, &ids[..25]).unwrap();
    let expected = model.step(&cpu, &mut state, 9).unwrap();
    for &id in &ids[25..] {
        model.step(&cpu, &mut state, id).unwrap();
    }
    state.truncate(25, model.config()).unwrap();
    assert_eq!(state.len(), 25);
    assert_eq!(model.step(&cpu, &mut state, 9).unwrap(), expected);
    state.truncate(0, model.config()).unwrap();
    assert!(state.is_empty());
    model.prefill(&cpu, &mut state, &ids[..25]).unwrap();
    assert_eq!(model.step(&cpu, &mut state, 9).unwrap(), expected);
}

#[test]
fn a_state_goes_back_as_far_as_its_local_layers_remember_and_says_where_that_ends() {
    let (model, cpu) = (model(endless(fields())), Cpu::single());
    let mut state = model.decode_state_with(DecodeOptions { undo: 100, ..DecodeOptions::default() });
    model.prefill(&cpu, &mut state, &ids(1000, 1)).unwrap();
    let before = state.len();
    let fault = state.truncate(300, model.config()).unwrap_err();
    assert!(matches!(fault, ModelError::Forgotten { wanted: 300, .. }), "{fault}");
    assert_eq!(state.len(), before);
    let mut fresh = model.decode_state();
    model.prefill(&cpu, &mut fresh, &ids(1000, 1)).unwrap();
    let expected = {
        let mut at = fresh.clone();
        at.truncate(900, model.config()).unwrap();
        model.step(&cpu, &mut at, 3).unwrap()
    };
    state.truncate(900, model.config()).unwrap();
    assert_eq!(model.step(&cpu, &mut state, 3).unwrap(), expected);
    state.truncate(0, model.config()).unwrap();
    assert!(state.is_empty());
}

#[test]
fn forks_go_their_own_ways() {
    let (model, cpu) = (model(fields()), Cpu::single());
    let mut left = model.decode_state();
    model.prefill(&cpu, &mut left, &ids(33, 1)).unwrap();
    let mut right = left.clone();
    let expected = {
        let mut other = left.clone();
        model.step(&cpu, &mut other, 5).unwrap();
        model.step(&cpu, &mut other, 6).unwrap()
    };
    for id in 0..20 {
        model.step(&cpu, &mut left, id).unwrap();
    }
    model.step(&cpu, &mut right, 5).unwrap();
    assert_eq!(model.step(&cpu, &mut right, 6).unwrap(), expected);
}

#[test]
fn a_saved_state_continues_as_if_it_had_never_been_put_away() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.state");
    let (model, cpu) = (model(fields()), Cpu::single());
    for options in [
        DecodeOptions { undo: 0, ..DecodeOptions::default() },
        DecodeOptions { storage: Precision::Bf16, ..DecodeOptions::default() },
        DecodeOptions { attention: Some(Kind::Full), ..DecodeOptions::default() },
    ] {
        for len in [0, 1, 100] {
            let mut state = model.decode_state_with(options);
            if len > 0 {
                model.prefill(&cpu, &mut state, &ids(len, 1)).unwrap();
            }
            let logits = (len > 1).then(|| vec![0.5; model.config().vocab_size]);
            state.save(&path, &model, logits.as_deref()).unwrap();
            let (mut back, after) = DecodeState::load(&path, &model).unwrap();
            assert_eq!(after, logits);
            assert_eq!((back.ids(), back.options()), (state.ids(), &options));
            for id in 0..4 {
                let expected = model.step(&cpu, &mut state, id).unwrap();
                assert_eq!(model.step(&cpu, &mut back, id).unwrap(), expected, "{options:?} {len}");
            }
        }
    }
}

#[test]
fn a_state_file_whose_metadata_or_types_were_changed_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.state");
    let (own, cpu) = (model(fields()), Cpu::single());
    let mut state = own.decode_state();
    own.prefill(&cpu, &mut state, &ids(50, 1)).unwrap();
    state.save(&path, &own, None).unwrap();
    let good = std::fs::read(&path).unwrap();
    let header = |bytes: &[u8]| u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
    let text = String::from_utf8(good[8..header(&good)].to_vec()).unwrap();
    let layer = (0..9).find(|l| text.contains(&format!("layers.{l}.buckets"))).unwrap();
    // Each of the same length, so that the offsets of the tensors stay right.
    for (from, to) in [
        (format!("\"layers.{layer}.lowered\":\"0\""), format!("\"layers.{layer}.lowered\":\"x\"")),
        (format!("\"layers.{layer}.lowered\":\"0\""), format!("\"layers.{layer}.lowered\":\"1\"")),
        ("\"undo\":\"1024\"".into(), "\"undo\":\"1023\"".into()),
        ("\"dtype\":\"U32\"".into(), "\"dtype\":\"F32\"".into()),
        ("\"dtype\":\"F32\"".into(), "\"dtype\":\"I32\"".into()),
    ] {
        assert!(text.contains(&from), "no {from} in {text}");
        let mut bytes = good[..8].to_vec();
        bytes.extend(text.replacen(&from, &to, 1).bytes());
        bytes.extend(&good[header(&good)..]);
        std::fs::write(&path, &bytes).unwrap();
        let refusal = DecodeState::load(&path, &own).unwrap_err().to_string();
        assert!(refusal.contains("prompt.state") && refusal.contains("checksum"), "{to}: {refusal}");
    }
}

#[test]
fn a_state_file_that_is_changed_anywhere_is_refused_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.state");
    let (own, cpu) = (model(fields()), Cpu::single());
    let mut state = own.decode_state();
    own.prefill(&cpu, &mut state, &ids(50, 1)).unwrap();
    state.save(&path, &own, Some(&vec![0.25; own.config().vocab_size])).unwrap();
    let good = std::fs::read(&path).unwrap();
    // A mutation fuzzer with a fixed seed: bytes changed, pieces cut out, doubled or put at the end.
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random as usize % below.max(1)
    };
    for round in 0..300 {
        let mut bytes = good.clone();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize + 8;
        let at = if round % 2 == 0 { draw(header) } else { draw(bytes.len()) };
        let piece = 1 + draw(40.min(bytes.len() - at));
        match draw(5) {
            0 => bytes[at] ^= 1 << draw(8),
            1 => bytes[at] = b'0' + draw(10) as u8,
            2 => drop(bytes.drain(at..at + piece)),
            3 => bytes.truncate(at),
            _ => {
                let twice = bytes[at..at + piece].to_vec();
                bytes.splice(at..at, twice);
            }
        }
        if bytes == good {
            continue;
        }
        std::fs::write(&path, &bytes).unwrap();
        let refusal = DecodeState::load(&path, &own).map(|(state, _)| state.ids().len());
        match refusal {
            Err(error) => assert!(error.to_string().contains("prompt.state"), "{error}"),
            Ok(len) => panic!("round {round}: a state of {len} tokens was read from a changed file"),
        }
    }
}

#[test]
fn a_state_file_of_another_model_or_a_damaged_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.state");
    let (own, cpu) = (model(fields()), Cpu::single());
    let mut state = own.decode_state();
    own.prefill(&cpu, &mut state, &ids(50, 1)).unwrap();
    state.save(&path, &own, None).unwrap();
    let refuse = |model: &Model| DecodeState::load(&path, model).unwrap_err().to_string();

    let mut trained = own.clone();
    trained.parameters_mut().groups_mut()[2].tensor_mut(2)[0] += 1.0;
    assert!(refuse(&trained).contains("other parameters made it"), "{}", refuse(&trained));
    let other = model(Fields { num_hashes: 3, ..fields() });
    assert!(refuse(&other).contains("another model's config"), "{}", refuse(&other));
    assert!(other.step(&cpu, &mut state.clone(), 1).unwrap_err().to_string().contains("another model"));
    assert!(state.save(&folder.path().join("b"), &other, None).is_err());

    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 3;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(refuse(&own).contains("checksum"), "{}", refuse(&own));
    std::fs::write(&path, &bytes[..last]).unwrap();
    assert!(refuse(&own).contains("cannot be read"), "{}", refuse(&own));
    std::fs::write(&path, b"not a state").unwrap();
    assert!(refuse(&own).contains("cannot be read"), "{}", refuse(&own));
    std::fs::remove_file(&path).unwrap();
    assert!(refuse(&own).contains("cannot read"), "{}", refuse(&own));
}

#[test]
fn the_end_of_the_positions_is_an_error_that_leaves_the_state() {
    let (model, cpu) = (model(fields()), Cpu::single());
    let mut state = model.decode_state();
    model.prefill(&cpu, &mut state, &ids(127, 1)).unwrap();
    let error = model.prefill(&cpu, &mut state, &[1, 2]).unwrap_err().to_string();
    assert!(error.contains("129 is more than the 128 positions"), "{error}");
    assert_eq!(state.len(), 127);
    model.step(&cpu, &mut state, 1).unwrap();
    assert!(model.step(&cpu, &mut state, 1).is_err());
    assert!(model.prefill(&cpu, &mut state, &[]).is_err());
    assert_eq!(state.len(), 128);
}

#[test]
fn one_bad_sequence_of_several_leaves_all_of_them_as_they_were() {
    let (model, cpu) = (model(fields()), Cpu::single());
    let decoder = Decoder::new(&model);
    let (mut good, mut full) = (decoder.state(), decoder.state());
    decoder.prefill(&cpu, &mut good, &ids(5, 1)).unwrap();
    decoder.prefill(&cpu, &mut full, &ids(128, 1)).unwrap();
    assert!(decoder.step_many(&cpu, &mut [&mut good, &mut full], &[1, 1]).is_err());
    let error = decoder.step_many(&cpu, &mut [&mut good], &[99]).unwrap_err().to_string();
    assert!(error.contains("token id 99"), "{error}");
    assert!(decoder.step_many(&cpu, &mut [&mut good], &[1, 2]).is_err());
    assert!(decoder.step_many(&cpu, &mut [], &[]).is_err());
    assert_eq!((good.len(), full.len()), (5, 128));
}

#[test]
fn a_model_that_sees_the_future_does_not_decode() {
    let model = model(Fields { is_decoder: false, ..fields() });
    let error = model.step(&Cpu::single(), &mut model.decode_state(), 1).unwrap_err();
    assert!(error.to_string().contains("is_decoder"));
}

#[test]
fn a_read_that_fails_in_the_middle_leaves_the_state_as_it_was() {
    let (model, cpu) = (model(fields()), Cpu::single());
    // Rotations for more buckets than the config's: their ids do not fit the tables of layer 1. By then the local layer
    // below it has remembered the tokens.
    let (heads, count) = (0..2, BucketCount::new(&[64]).unwrap());
    let foreign = heads.map(|head| Rotations::draw(5, 1, head, 8, 2, &count).unwrap()).collect();
    let bad = Decoder::new(&model).with_rotations(Arc::new(vec![foreign])).unwrap();
    for tokens in [0, 20] {
        let mut state = model.decode_state();
        if tokens > 0 {
            model.prefill(&cpu, &mut state, &ids(tokens, 1)).unwrap();
        }
        let mut untouched = state.clone();
        bad.prefill(&cpu, &mut state, &ids(30, 2)).unwrap_err();
        assert_eq!(state.ids(), untouched.ids());
        let read = |state: &mut DecodeState| model.prefill(&cpu, state, &ids(6, 3)).unwrap();
        assert_eq!(read(&mut state), read(&mut untouched), "after {tokens} tokens");
    }
}

#[test]
fn a_prompt_that_is_to_stop_leaves_the_state_as_it_was() {
    let (model, cpu) = (model(fields()), Cpu::single());
    let stop = AtomicBool::new(true);
    let stopping = Decoder::new(&model).with_stop(Some(&stop));
    let mut state = model.decode_state();
    let fault = stopping.prefill(&cpu, &mut state, &ids(40, 1)).unwrap_err();
    assert!(matches!(fault, ModelError::Stopped) && state.is_empty(), "{fault}");
    model.prefill(&cpu, &mut state, &ids(40, 1)).unwrap();
    let mut kept = state.clone();
    assert!(stopping.prefill(&cpu, &mut state, &ids(20, 2)).is_err());
    let expected = model.step(&cpu, &mut kept, 3).unwrap();
    assert_eq!(model.step(&cpu, &mut state, 3).unwrap(), expected);
}
