//! Beam search, log-probabilities and the prompt cache.

#[path = "support/room.rs"]
mod room;

use std::ops::ControlFlow;

use reformer_generate::{BeamSearch, Cache, Completion, Generator, Request, Sampling};
use room::{Room, settings};

fn greedy(
    generator: &Generator<'_>,
    prompt: &[u32],
    max_tokens: usize,
    log_probs: Option<usize>,
) -> Completion {
    let sampling = Sampling { max_tokens, ..Sampling::greedy() };
    let request = Request { log_probs, ..Request::new(prompt, &sampling) };
    generator.generate(&mut generator.cache(), &request, &mut |_| ControlFlow::Continue(())).unwrap()
}

/// A search of so many tokens at most.
fn of_tokens(max_tokens: usize) -> BeamSearch {
    BeamSearch { sampling: Sampling { max_tokens, ..Sampling::greedy() }, ..BeamSearch::default() }
}

fn go(_: &str) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn beams_obey_biases_penalties_and_stop_strings() {
    let room = Room::new(1);
    let generator = room.generator();
    let prompt = room.tokenizer.encode("hello").unwrap();
    let with = |change: &dyn Fn(&mut Sampling)| {
        let mut search = BeamSearch { beams: 2, ..of_tokens(12) };
        change(&mut search.sampling);
        generator.beam_search(&prompt, &search, &mut go)
    };
    let x = room.tokenizer.encode("x").unwrap()[0];
    let demanded = with(&|s| s.logit_bias = [(x, 1000.0)].into()).unwrap();
    assert_eq!(demanded[0].ids, [x; 12]);
    let stopped = with(&|s| (s.logit_bias, s.stop) = ([(x, 1000.0)].into(), vec!["xxx".into()])).unwrap();
    assert_eq!((stopped[0].text.as_str(), stopped[0].ids.len(), stopped[0].stopped), ("", 3, true));
    let fresh = with(&|s| (s.frequency_penalty, s.repeat_last_n) = (1000.0, 0)).unwrap();
    let mut seen = fresh[0].ids.clone();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 12, "a token came twice: {:?}", fresh[0].ids);
    let beyond = with(&|s| s.logit_bias = [(99_999, 1.0)].into()).unwrap_err().to_string();
    assert!(beyond.contains("99999"), "{beyond}");
}

#[test]
fn a_search_can_be_broken_off_between_steps() {
    let room = Room::new(1);
    let generator = room.generator();
    let prompt = room.tokenizer.encode("hello").unwrap();
    let mut steps = 0;
    let mut until_third = |_: &str| {
        steps += 1;
        if steps > 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let found = generator.beam_search(&prompt, &of_tokens(50), &mut until_third).unwrap();
    assert!(found.iter().all(|h| h.ids.len() <= 3) && !found.is_empty(), "{found:?}");
}

#[test]
fn one_beam_is_greedy_decoding() {
    let room = Room::new(1);
    let generator = room.generator();
    let prompt = room.tokenizer.encode("hello").unwrap();
    let search = BeamSearch { beams: 1, ..of_tokens(20) };
    let found = generator.beam_search(&prompt, &search, &mut go).unwrap();
    let expected = greedy(&generator, &prompt, 20, Some(1));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].ids, expected.ids);
    assert_eq!(found[0].text, expected.text);
    let sum: f64 = expected.log_probs.iter().map(|l| f64::from(l.chosen.log_prob)).sum();
    // Suppressed tokens have a share of the probability in the one and none in the other.
    assert!(found[0].log_prob >= sum - 1e-3, "{} {sum}", found[0].log_prob);
}

#[test]
fn enough_beams_find_what_trying_everything_finds() {
    let room = Room::new(2);
    let generator = room.generator();
    let prompt = room.tokenizer.encode("ab").unwrap();
    let vocab = room.tokenizer.vocab_size();
    let all = BeamSearch { beams: vocab, length_penalty: 0.0, ..of_tokens(2) };
    let found = generator.beam_search(&prompt, &all, &mut go).unwrap();
    // Every pair by force.
    let log_softmax = |logits: &[f32]| -> Vec<f64> {
        let allowed = |id: usize| id < vocab && id as u32 != room.tokenizer.pad_token();
        let sum: f64 = (0..vocab).filter(|&id| allowed(id)).map(|id| f64::from(logits[id]).exp()).sum();
        (0..vocab)
            .map(|id| if allowed(id) { f64::from(logits[id]) - sum.ln() } else { f64::NEG_INFINITY })
            .collect()
    };
    let mut state = room.model.decode_state();
    let first = log_softmax(&room.model.prefill(&room.cpu, &mut state, &prompt).unwrap());
    let mut best = (f64::NEG_INFINITY, [0, 0]);
    for (a, &p_a) in first.iter().enumerate().filter(|(_, p)| **p > f64::NEG_INFINITY) {
        let second = log_softmax(&room.model.step(&room.cpu, &mut state.clone(), a as u32).unwrap());
        for (b, p) in second.iter().enumerate() {
            if p_a + p > best.0 {
                best = (p_a + p, [a as u32, b as u32]);
            }
        }
    }
    assert_eq!(found[0].ids, best.1);
    assert!((found[0].log_prob - best.0).abs() < 1e-4);
    assert!(found.windows(2).all(|w| w[0].score >= w[1].score));
    // Fewer beams find something no better, and never twice the same.
    let few = BeamSearch { beams: 3, ..all };
    let few = generator.beam_search(&prompt, &few, &mut go).unwrap();
    assert!(few.len() == 3 && few[0].log_prob <= found[0].log_prob + 1e-9);
    assert!(few[0].ids != few[1].ids && few[1].ids != few[2].ids);
}

#[test]
fn a_beam_that_reaches_a_stop_token_is_finished_without_it() {
    let room = Room::new(1);
    let generator = room.generator();
    let prompt = room.tokenizer.encode("hello").unwrap();
    let free = greedy(&generator, &prompt, 10, None);
    let stop_tokens = vec![free.ids[4]];
    let search = BeamSearch { beams: 1, length_penalty: 0.0, stop_tokens, ..of_tokens(30) };
    let found = generator.beam_search(&prompt, &search, &mut go).unwrap();
    // Without a length penalty nothing that goes on can beat it, and the beam's way is the greedy one.
    assert!(found[0].stopped);
    assert!(found[0].ids.len() <= 4 && free.ids.starts_with(&found[0].ids), "{:?}", found[0].ids);
}

#[test]
fn beams_at_the_end_of_the_positions_end_there_and_bad_settings_are_named() {
    let room = Room::new(1);
    let generator = room.generator();
    let prompt = vec![5; room::POSITIONS - 3];
    let long = BeamSearch { beams: 2, ..of_tokens(50) };
    let found = generator.beam_search(&prompt, &long, &mut go).unwrap();
    assert_eq!((found[0].ids.len(), found[0].stopped), (4, false));
    assert!(generator.beam_search(&[], &long, &mut go).is_err());
    for (search, key) in [
        (BeamSearch { beams: 0, ..long.clone() }, "beams"),
        (BeamSearch { length_penalty: f32::NAN, ..long.clone() }, "length_penalty"),
    ] {
        assert!(generator.beam_search(&prompt, &search, &mut go).unwrap_err().to_string().contains(key));
    }
}

#[test]
fn log_probabilities_are_the_models_own_and_the_greedy_token_leads_them() {
    let room = Room::new(1);
    let generator = room.generator();
    let prompt = room.tokenizer.encode("hello").unwrap();
    let done = greedy(&generator, &prompt, 8, Some(5));
    assert_eq!(done.log_probs.len(), 8);
    for (id, of) in done.ids.iter().zip(&done.log_probs) {
        assert_eq!((of.chosen.id, of.top.len()), (*id, 5));
        assert!(of.top.iter().any(|top| top.id == *id) || of.chosen.log_prob <= of.top[4].log_prob);
        assert!(of.top.windows(2).all(|w| w[0].log_prob >= w[1].log_prob));
    }
    assert!(greedy(&generator, &prompt, 8, None).log_probs.is_empty());
    // Temperature changes what is drawn, not what the model thinks of it.
    let hot = Sampling { temperature: 9.0, ..settings(1, 1) };
    let request = Request { log_probs: Some(1), ..Request::new(&prompt, &hot) };
    let hot =
        generator.generate(&mut generator.cache(), &request, &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(hot.log_probs[0].top[0], done.log_probs[0].top[0]);
}

#[test]
fn a_run_from_a_prompt_cache_says_what_the_run_that_wrote_it_said() {
    let room = Room::new(1);
    let generator = room.generator();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.state");
    // Many lengths: whether a step from a cut state repeats the parallel pass depends on where chunks end.
    for len in 1..60 {
        let prompt: Vec<u32> = (0..len).map(|i| 2 + (i * 37 + len * 11) % 256).collect();
        let sampling = settings(u64::from(len), 8);
        let request = Request::new(&prompt, &sampling);
        let mut cache = generator.cache().keeping_prompts();
        let first = generator.generate(&mut cache, &request, &mut go).unwrap();
        cache.save(&path, &generator).unwrap();
        let mut back = Cache::load(&path, &generator).unwrap();
        let again = generator.generate(&mut back, &request, &mut go).unwrap();
        assert_eq!(again.ids, first.ids, "{len} tokens");
    }
}

#[test]
fn a_prompt_cache_spares_the_next_run_the_prompt() {
    let room = Room::new(1);
    let generator = room.generator();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("prompt.state");
    let prompt = room.tokenizer.encode("the same long preface, and then").unwrap();
    let sampling = Sampling { max_tokens: 6, ..Sampling::greedy() };
    let request = Request::new(&prompt, &sampling);
    let mut cache = generator.cache().keeping_prompts();
    let first = generator.generate(&mut cache, &request, &mut go).unwrap();
    assert!(cache.save(&path, &generator).unwrap());

    let mut back = Cache::load(&path, &generator).unwrap();
    assert_eq!(back.ids(), prompt);
    let again = generator.generate(&mut back, &request, &mut go).unwrap();
    assert_eq!(again.ids, first.ids);
    assert_eq!(again.stats.reused_tokens, prompt.len());
    // A reader that left off halfway kept nothing to write.
    assert!(!generator.cache().save(&path, &generator).unwrap());
    assert!(Cache::load(&folder.path().join("none"), &generator).is_err());
}
