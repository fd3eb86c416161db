//! Generating and chatting with a small untrained model: what a caller may rely on.

#[path = "support/room.rs"]
mod room;

use std::ops::ControlFlow;

use reformer_generate::{
    ChatSession, Completion, ContextPolicy, Conversation, Finish, GenerateError, Request, Sampling,
};
use reformer_text::Role;
use room::{POSITIONS, Room, settings};

fn talk(room: &Room, sampling: Sampling, policy: ContextPolicy) -> ChatSession<'_> {
    ChatSession::new(room.generator(), Conversation::default(), sampling, policy).unwrap()
}

fn complete(
    room: &Room,
    prompt: &str,
    sampling: &Sampling,
    policy: ContextPolicy,
) -> Result<Completion, GenerateError> {
    let ids = room.tokenizer.encode(prompt).unwrap();
    let request = Request { policy, ..Request::new(&ids, sampling) };
    let generator = room.generator();
    generator.generate(&mut generator.cache(), &request, &mut go)
}

fn go(_: &str) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn the_same_seed_gives_the_same_text_for_any_number_of_threads() {
    let one = complete(&Room::new(1), "hello", &settings(5, 30), ContextPolicy::Refuse).unwrap();
    let two = complete(&Room::new(2), "hello", &settings(5, 30), ContextPolicy::Refuse).unwrap();
    let other = complete(&Room::new(1), "hello", &settings(6, 30), ContextPolicy::Refuse).unwrap();
    assert_eq!(one.ids, two.ids);
    assert_ne!(one.ids, other.ids);
}

#[test]
fn padding_and_ids_beyond_the_tokenizer_are_never_drawn() {
    let room = Room::new(1);
    let hot = Sampling { temperature: 50.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..settings(1, 80) };
    let done = complete(&room, "a", &hot, ContextPolicy::Refuse).unwrap();
    assert_eq!(done.ids.len(), 80);
    for id in done.ids {
        assert!(id != room.tokenizer.pad_token() && (id as usize) < room.tokenizer.vocab_size());
    }
}

#[test]
fn the_pieces_joined_are_the_text() {
    let room = Room::new(1);
    let generator = room.generator();
    let ids = room.tokenizer.encode("hello").unwrap();
    let sampling = settings(2, 40);
    let request = Request {
        prompt: &ids,
        sampling: &sampling,
        stop_tokens: &[],
        first_draw: 0,
        policy: ContextPolicy::Refuse,
        log_probs: None,
    };
    let mut seen = String::new();
    let done = generator.generate(&mut generator.cache(), &request, &mut |piece| {
        seen.push_str(piece);
        ControlFlow::Continue(())
    });
    assert_eq!(seen, done.unwrap().text);
}

#[test]
fn breaking_stops_before_the_next_token() {
    let room = Room::new(1);
    let mut session = talk(&room, settings(1, 50), ContextPolicy::Refuse);
    let mut calls = 0;
    let reply = session.send("hello", &mut |_| {
        calls += 1;
        if calls == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let done = reply.unwrap().completion;
    assert_eq!((calls, done.ids.len(), done.finish), (4, 4, Finish::Cancelled));
}

#[test]
fn a_stop_token_ends_the_text_and_is_not_part_of_it() {
    let room = Room::new(1);
    let free = complete(&room, "hello", &settings(1, 20), ContextPolicy::Refuse).unwrap();
    let stop = [free.ids[7]];
    let first = free.ids.iter().position(|id| *id == stop[0]).unwrap();
    let ids = room.tokenizer.encode("hello").unwrap();
    let sampling = settings(1, 20);
    let request = Request {
        prompt: &ids,
        sampling: &sampling,
        stop_tokens: &stop,
        first_draw: 0,
        policy: ContextPolicy::Refuse,
        log_probs: None,
    };
    let generator = room.generator();
    let done = generator.generate(&mut generator.cache(), &request, &mut go).unwrap();
    assert_eq!(done.ids, free.ids[..first]);
    assert_eq!(done.finish, Finish::Stop);
}

#[test]
fn lengths_of_zero_and_one_are_no_trouble() {
    let room = Room::new(1);
    assert!(matches!(
        complete(&room, "", &settings(1, 5), ContextPolicy::Refuse),
        Err(GenerateError::EmptyPrompt)
    ));
    assert_eq!(complete(&room, "a", &settings(1, 0), ContextPolicy::Refuse).unwrap().ids.len(), 0);
    assert_eq!(complete(&room, "a", &settings(1, 1), ContextPolicy::Refuse).unwrap().ids.len(), 1);
}

#[test]
fn a_prompt_that_does_not_fit_is_an_error_with_both_numbers_or_slides_with_a_count() {
    let room = Room::new(1);
    let long = "x".repeat(100);
    let refused = complete(&room, &long, &settings(1, 5), ContextPolicy::Refuse).unwrap_err().to_string();
    assert!(refused.contains("100 tokens") && refused.contains("96 positions"), "{refused}");
    let slid = complete(&room, &long, &settings(1, 5), ContextPolicy::Slide).unwrap();
    assert_eq!(slid.dropped_tokens, 100 - POSITIONS / 2);
    assert_eq!(slid.ids.len(), 5);
}

#[test]
fn a_reply_that_reaches_the_last_position_ends_there_or_slides_on() {
    let room = Room::new(1);
    let refused = complete(&room, "hello", &settings(1, 200), ContextPolicy::Refuse).unwrap();
    // The last token drawn needs no position of its own: nothing is computed from it.
    assert_eq!((refused.finish, refused.ids.len()), (Finish::ContextFull, POSITIONS - 5));
    let slid = complete(&room, "hello", &settings(1, 200), ContextPolicy::Slide).unwrap();
    assert_eq!((slid.finish, slid.ids.len()), (Finish::Length, 200));
    assert!(slid.dropped_tokens >= 48);
    assert_eq!(slid.ids[..POSITIONS - 5], refused.ids[..]);
}

#[test]
fn a_token_of_another_vocabulary_is_refused() {
    let room = Room::new(1);
    let sampling = settings(1, 5);
    let request = Request {
        prompt: &[5, 9999],
        sampling: &sampling,
        stop_tokens: &[],
        first_draw: 0,
        policy: ContextPolicy::Refuse,
        log_probs: None,
    };
    let generator = room.generator();
    let fault = generator.generate(&mut generator.cache(), &request, &mut go).unwrap_err();
    assert!(fault.to_string().contains("9999"), "{fault}");
}

#[test]
fn a_later_turn_computes_only_what_is_new_and_says_what_a_fresh_session_says() {
    let room = Room::new(1);
    let greedy = Sampling { max_tokens: 6, ..Sampling::greedy() };
    let mut session = talk(&room, greedy.clone(), ContextPolicy::Refuse);
    session.send("one", &mut go).unwrap();
    let mut fresh = talk(&room, greedy, ContextPolicy::Refuse);
    fresh.set_conversation(session.conversation().clone());

    let warm = session.send("two", &mut go).unwrap().completion;
    let cold = fresh.send("two", &mut go).unwrap().completion;
    assert!(warm.stats.reused_tokens > 0 && cold.stats.reused_tokens == 0);
    assert_eq!(warm.ids, cold.ids);
}

#[test]
fn undo_and_resend_says_the_same_and_regenerate_says_something_else() {
    let room = Room::new(1);
    let greedy = Sampling { max_tokens: 6, ..Sampling::greedy() };
    let mut session = talk(&room, greedy, ContextPolicy::Refuse);
    let first = session.send("one", &mut go).unwrap().completion.ids;
    assert_eq!(session.undo().unwrap(), "one");
    assert!(session.conversation().turns().is_empty());
    assert_eq!(session.send("one", &mut go).unwrap().completion.ids, first);

    let mut session = talk(&room, settings(4, 12), ContextPolicy::Refuse);
    let first = session.send("one", &mut go).unwrap().completion;
    let again = session.regenerate(&mut go).unwrap().completion;
    assert_ne!(first.ids, again.ids);
    assert_eq!(session.conversation().turns().len(), 2);
    assert_eq!(session.conversation().turns()[1].text, again.text);
}

#[test]
fn a_reply_ends_at_a_role_mark_or_the_end_of_the_dialogue() {
    let room = Room::new(1);
    let marks: Vec<u32> = Role::ALL.iter().filter_map(|role| room.tokenizer.role_token(*role)).collect();
    let mut session = talk(
        &room,
        Sampling { temperature: 30.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..settings(9, 60) },
        ContextPolicy::Slide,
    );
    for turn in 0..8 {
        let done = session.send(&format!("{turn}"), &mut go).unwrap().completion;
        assert!(done.ids.iter().all(|id| !marks.contains(id) && Some(*id) != room.tokenizer.end_token()));
    }
}

#[test]
fn a_turn_that_fails_or_says_nothing_is_taken_back() {
    let room = Room::new(1);
    let mut session = talk(&room, settings(1, 10), ContextPolicy::Refuse);
    assert!(session.send(&"x".repeat(200), &mut go).is_err());
    assert!(session.conversation().turns().is_empty());
    session.send("one", &mut go).unwrap();
    let before = session.conversation().clone();
    let silent = session.regenerate(&mut |_| ControlFlow::Break(())).unwrap().completion;
    if silent.text.is_empty() {
        assert_eq!(session.conversation(), &before);
    }
    session.clear();
    assert!(matches!(session.undo(), Err(GenerateError::NoTurn(_))));
    assert!(matches!(session.regenerate(&mut go), Err(GenerateError::NoTurn(_))));
}

#[test]
fn a_long_conversation_drops_its_oldest_turns_and_keeps_the_system_prompt() {
    let room = Room::new(1);
    let mut session = talk(&room, settings(1, 8), ContextPolicy::Slide);
    session.set_system(Some("sys".into()));
    let mut dropped = 0;
    for _ in 0..10 {
        let reply = session.send("ten bytes!", &mut go).unwrap();
        assert_eq!(reply.completion.dropped_tokens, 0);
        dropped = reply.dropped_turns;
    }
    assert!(dropped > 0 && dropped.is_multiple_of(2), "{dropped}");
    assert_eq!(session.conversation().turns().len(), 20);
}

#[test]
fn drawing_a_fixed_number_of_tokens_uses_every_position_and_stops_when_told() {
    let room = Room::new(1);
    let generator = room.generator();
    let (sampling, prompt) = (settings(4, 1), room.tokenizer.encode("hello").unwrap());
    let request = Request::new(&prompt, &sampling);
    // The last token is read by nobody, so it needs no position.
    let most = POSITIONS + 1 - prompt.len();
    let all = generator.draw_tokens(&request, most, &mut || ControlFlow::Continue(())).unwrap();
    assert_eq!(all.len(), most);
    let mut left = 3;
    let some = generator
        .draw_tokens(&request, most, &mut || {
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .unwrap();
    assert_eq!(some, all[..3]);
    let error = generator.draw_tokens(&request, most + 1, &mut || ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, GenerateError::ContextLength { .. }), "{error}");
    assert!(generator.draw_tokens(&request, 0, &mut || ControlFlow::Continue(())).unwrap().is_empty());
}
