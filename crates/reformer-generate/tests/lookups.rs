//! Replies that look things up, with an untrained model whose first token is demanded by a bias.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::AtomicBool;

use reformer_generate::{
    CALLS, ChatSession, Completion, ContextPolicy, Conversation, Finish, Generator, Host, Said, Sampling,
    Stats, said,
};
use reformer_model::config::{Fields, Kind};
use reformer_model::{Config, Model};
use reformer_tensor::Cpu;
use reformer_text::lookups::compact;
use reformer_text::{Call, Dialogue, Lookup, Role, Tokenizer, Turn};

struct Room {
    cpu: Cpu,
    model: Model,
    tokenizer: Tokenizer,
}

fn no_clock() -> f64 {
    0.0
}

impl Room {
    fn new() -> Self {
        let call = Call::of_table("lookup", "hotel", [("area", "north")]);
        let lookups = vec![Lookup { call, result: "3".into() }];
        let turns = vec![Turn::user("a hotel"), Turn { lookups, ..Turn::assistant("{hotel.name}") }];
        let corpus = [Dialogue::new("1", turns)];
        let specials = compact::specials(&corpus);
        let texts = compact::texts(&corpus);
        let tokenizer = Tokenizer::train_bpe_until(texts, &specials, 300, &AtomicBool::new(false)).unwrap();
        let fields = Fields {
            vocab_size: tokenizer.vocab_size(),
            hidden_size: 16,
            num_attention_heads: 2,
            attention_head_size: 8,
            feed_forward_size: 32,
            attn_layers: vec![Kind::Local, Kind::Lsh],
            axial_pos_shape: vec![64, 32],
            axial_pos_embds_dim: vec![8, 8],
            ..Fields::paper()
        };
        let model = Model::new(Config::check(fields).unwrap(), 3);
        Self { cpu: Cpu::new(1).unwrap(), model, tokenizer }
    }

    fn id(&self, token: &str) -> u32 {
        self.tokenizer.special_token(token).unwrap()
    }

    /// A chat whose model says these tokens if it may.
    fn session(&self, demanded: &[&str], max_tokens: usize) -> ChatSession<'_> {
        let logit_bias: BTreeMap<u32, f32> = demanded.iter().map(|token| (self.id(token), 1000.0)).collect();
        let sampling = Sampling { logit_bias, max_tokens, ..Sampling::greedy() };
        let generator = Generator::new(&self.cpu, &self.model, &self.tokenizer, &no_clock).unwrap();
        ChatSession::new(generator, Conversation::default(), sampling, ContextPolicy::Slide).unwrap()
    }
}

/// Remembers what it was told.
#[derive(Default)]
struct Desk {
    answered: usize,
    followed: Vec<usize>,
}

impl Host for Desk {
    fn answer(&mut self, call: &Call) -> Lookup {
        self.answered += 1;
        Lookup { call: call.clone(), result: "3".into() }
    }

    fn fill(&self, text: &str) -> String {
        text.replace("{hotel.name}", "Acorn")
    }

    fn follow(&mut self, turns: &[Turn]) {
        self.followed.push(turns.len());
    }
}

fn go(_: &str) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn a_model_that_loops_on_calls_speaks_in_the_end() {
    let room = Room::new();
    let mut session = room.session(&["<|lookup|>"], 8);
    let reply = session.send_with("hi", &mut Desk::default(), &mut go).unwrap();
    assert_eq!(reply.lookups.len(), CALLS);
    assert!(reply.lookups.iter().all(|lookup| lookup.said() == "not possible : the call is not finished"));
    assert!(reply.completion.ids.iter().all(|&id| !room.tokenizer.begins_call(id)));
    let turns = session.conversation().turns();
    assert_eq!(turns.len(), 2, "the calls stand in the turn that they served");
    assert_eq!(turns[1].lookups, reply.lookups);
}

#[test]
fn words_stream_filled_and_the_conversation_keeps_what_the_model_wrote() {
    let room = Room::new();
    let mut session = room.session(&["{hotel.name}"], 3);
    let mut seen = String::new();
    let mut see = |piece: &str| {
        seen.push_str(piece);
        ControlFlow::Continue(())
    };
    let reply = session.send_with("hi", &mut Desk::default(), &mut see).unwrap();
    assert_eq!((seen.as_str(), reply.completion.text.as_str()), ("AcornAcornAcorn", "AcornAcornAcorn"));
    assert_eq!(session.conversation().turns()[1].text, "{hotel.name}{hotel.name}{hotel.name}");
    assert!(reply.lookups.is_empty());
}

#[test]
fn undone_and_regenerated_turns_take_their_lookups_along_and_the_host_is_told() {
    let room = Room::new();
    let mut session = room.session(&["<|lookup|>"], 4);
    let mut desk = Desk::default();
    session.send_with("one", &mut desk, &mut go).unwrap();
    session.send_with("two", &mut desk, &mut go).unwrap();
    session.regenerate_with(&mut desk, &mut go).unwrap();
    assert_eq!(desk.followed, [2], "before the new reply the conversation was the first exchange alone");
    assert_eq!(session.conversation().turns().len(), 4);
    assert_eq!(session.undo().unwrap(), "two");
    assert_eq!(session.conversation().turns().len(), 2);
}

#[test]
fn a_reply_that_is_stopped_among_its_calls_leaves_nothing() {
    let room = Room::new();
    let mut session = room.session(&["<|lookup|>"], 4);
    let mut desk = Desk::default();
    let mut left = 3;
    let mut soon = |_: &str| {
        left -= 1;
        if left > 0 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let reply = session.send_with("one", &mut desk, &mut soon).unwrap();
    assert_eq!((reply.completion.finish, reply.completion.text.as_str()), (Finish::Cancelled, ""));
    assert_eq!(session.conversation().turns().len(), 0);
    assert_eq!(desk.followed, [0]);
}

#[test]
fn a_completion_tells_whoever_drives_an_engine_whether_it_is_words_or_a_call() {
    let room = Room::new();
    let completion = |ids: Vec<u32>, stop: Option<&str>| Completion {
        text: "words".into(),
        ids,
        finish: Finish::Stop,
        stop_token: stop.map(|token| room.id(token)),
        dropped_tokens: 0,
        log_probs: Vec::new(),
        stats: Stats::default(),
    };
    let north = room.tokenizer.encode("north").unwrap();
    let mut ids = vec![room.id("<|lookup|>"), room.id("{hotel}"), room.id("{hotel.area}")];
    ids.extend(north);
    let call = Call::of_table("lookup", "hotel", [("area", "north")]);
    assert_eq!(said(&room.tokenizer, &completion(ids.clone(), Some("<|result|>"))), Said::Call(call));
    let half = said(&room.tokenizer, &completion(ids[..3].to_vec(), Some("<|result|>")));
    assert_eq!(half, Said::Broken("the column area has no value".into()));
    assert_eq!(
        said(&room.tokenizer, &completion(ids, None)),
        Said::Broken("the call is not finished".into())
    );
    let user = room.tokenizer.role_token(Role::User).unwrap();
    let words = Completion { stop_token: Some(user), ..completion(vec![user + 40], None) };
    assert_eq!(said(&room.tokenizer, &words), Said::Words("words".into()));
}
