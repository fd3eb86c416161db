//! The engine: many at once say what each says alone, and nobody holds up anybody else.

#[path = "support/room.rs"]
mod room;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reformer_generate::engine::{Engine, EngineOptions, Event, Job, Reply};
use reformer_generate::{Completion, ContextPolicy, Finish, GenerateError, Request};
use reformer_tensor::Cpu;
use room::{Room, settings};

/// Seconds that tests turn by hand.
#[derive(Clone, Default)]
struct Hands(Arc<AtomicU64>);

impl Hands {
    fn turn(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }
}

fn start(options: EngineOptions, threads: usize) -> (Engine, Hands) {
    let room = Room::new(1);
    let hands = Hands::default();
    let seconds = hands.clone();
    let clock = Arc::new(move || seconds.0.load(Ordering::SeqCst) as f64);
    let (model, tokenizer) = (Arc::new(room.model), Arc::new(room.tokenizer));
    let engine = Engine::start(options, Cpu::new(threads).unwrap(), model, None, tokenizer, clock).unwrap();
    (engine, hands)
}

fn job(prompt: &str, seed: u64, max_tokens: usize) -> Job {
    let prompt = Room::new(1).tokenizer.encode(prompt).unwrap();
    Job { policy: ContextPolicy::Slide, ..Job::new(prompt, settings(seed, max_tokens)) }
}

/// A job that goes on until somebody stops it.
fn endless() -> Job {
    job("on and on", 1, 1_000_000)
}

fn alone(job: &Job) -> Completion {
    let room = Room::new(1);
    let request = Request {
        stop_tokens: &job.stop_tokens,
        policy: job.policy,
        log_probs: job.log_probs,
        ..Request::new(&job.prompt, &job.sampling)
    };
    let generator = room.generator();
    generator.generate(&mut generator.cache(), &request, &mut |_| ControlFlow::Continue(())).unwrap()
}

fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..5000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("waited ten seconds in vain");
}

/// Reads a reply and checks that its pieces are its text.
fn read(reply: Reply) -> Completion {
    let (mut text, mut ids) = (String::new(), Vec::new());
    for event in reply {
        match event {
            Event::Token { id, text: piece, .. } => {
                text.push_str(&piece);
                ids.extend(id);
            }
            Event::Done(done) => {
                assert_eq!((&text, &ids), (&done.text, &done.ids));
                return *done;
            }
            Event::Failed(error) => panic!("{error}"),
        }
    }
    panic!("a reply without an end");
}

#[test]
fn everyone_says_what_he_says_alone_whoever_else_is_served() {
    // Prompts and lengths of all sizes, some beyond the positions, so that they slide; more jobs than places.
    let jobs: Vec<Job> = (0..12)
        .map(|i| job(&"lorem ipsum ".repeat(1 + i % 9), i as u64, 3 + (i * 37) % 140))
        .chain([Job { log_probs: Some(3), ..job("logs", 5, 9) }])
        .collect();
    for (sequences, threads) in [(1, 1), (5, 2), (16, 1)] {
        let (engine, _) = start(EngineOptions { sequences, ..EngineOptions::default() }, threads);
        let replies: Vec<Reply> = jobs.iter().map(|job| engine.submit(job.clone()).unwrap()).collect();
        // Readers in any order: each reply has a channel of its own.
        let done: Vec<Completion> = std::thread::scope(|scope| {
            let readers: Vec<_> = replies.into_iter().map(|reply| scope.spawn(|| read(reply))).collect();
            readers.into_iter().map(|reader| reader.join().unwrap()).collect()
        });
        for (job, mut done) in jobs.iter().zip(done) {
            let mut expected = alone(job);
            (done.stats, expected.stats) = Default::default();
            assert_eq!(done, expected);
        }
        let busy = engine.busy();
        assert_eq!((busy.waiting, sequences == 1), (0, busy.tokens == busy.steps), "{busy:?}");
    }
}

#[test]
fn a_full_queue_refuses_and_a_dropped_reply_makes_room() {
    let options = EngineOptions { sequences: 1, queue: 1, buffer: 1, ..EngineOptions::default() };
    let (engine, _) = start(options, 1);
    let first = engine.submit(endless()).unwrap();
    until(|| engine.busy().active == 1);
    let second = engine.try_submit(job("next", 2, 4)).unwrap();
    let refused = engine.try_submit(job("too much", 3, 4)).unwrap_err();
    assert!(matches!(refused, GenerateError::QueueFull { queue: 1 }), "{refused}");
    assert_eq!(engine.busy().waiting, 1);
    // Nobody reads the first reply; dropping it cancels it, and the second is served.
    drop(first);
    assert_eq!(read(second).finish, Finish::Length);
    until(|| engine.busy().active == 0);
}

#[test]
fn a_job_dropped_while_it_waits_is_never_begun() {
    let options = EngineOptions { sequences: 1, queue: 4, buffer: 1, ..EngineOptions::default() };
    let (engine, _) = start(options, 1);
    let first = engine.submit(endless()).unwrap();
    until(|| engine.busy().active == 1);
    drop(engine.submit(endless()).unwrap());
    let last = engine.submit(job("last", 2, 3)).unwrap();
    drop(first);
    assert_eq!(read(last).finish, Finish::Length);
    until(|| engine.busy().active == 0);
    // The engine lives on.
    assert_eq!(engine.submit(job("again", 2, 3)).unwrap().complete().unwrap().ids.len(), 3);
}

#[test]
fn a_consumer_that_stops_reading_holds_up_itself_only_and_is_given_up_in_the_end() {
    let options = EngineOptions { sequences: 2, buffer: 2, patience: 10.0, ..EngineOptions::default() };
    let (engine, hands) = start(options, 1);
    let silent = engine.submit(endless()).unwrap();
    for seed in 0..5 {
        let job = job("a brisk reader", seed, 30);
        assert_eq!(read(engine.submit(job.clone()).unwrap()).ids, alone(&job).ids);
    }
    // The silent one is still waited for.
    until(|| engine.busy().active == 1);
    hands.turn(11);
    until(|| engine.busy().active == 0);
    // What had been sent is there; then the channel ends.
    assert!(silent.take(5).count() < 5);
}

#[test]
fn a_reader_who_was_slow_goes_on_where_he_was() {
    let options = EngineOptions { sequences: 2, buffer: 1, ..EngineOptions::default() };
    let (engine, _) = start(options, 1);
    let slow = job("slow", 3, 40);
    let reply = engine.submit(slow.clone()).unwrap();
    assert_eq!(engine.submit(job("quick", 4, 20)).unwrap().complete().unwrap().ids.len(), 20);
    assert_eq!(read(reply).ids, alone(&slow).ids);
}

#[test]
fn a_prompt_that_goes_on_from_an_earlier_sequence_reads_the_rest_and_says_what_a_cache_would_say() {
    let (engine, _) = start(EngineOptions { prefixes: 1 << 20, ..EngineOptions::default() }, 1);
    let reusing = |prompt: Vec<u32>| Job { reuse: true, prompt, ..job("x", 5, 12) };
    let first = reusing(Room::new(1).tokenizer.encode("a conversation that goes on").unwrap());
    let one = engine.submit(first.clone()).unwrap().complete().unwrap();
    assert_eq!(one.stats.reused_tokens, 0);
    let more = [&first.prompt[..], &one.ids, &[40, 41, 42]].concat();
    // Its last token was drawn, but read by nobody.
    let read = first.prompt.len() + one.ids.len() - 1;
    let second = reusing(more.clone());
    let two = engine.submit(second.clone()).unwrap().complete().unwrap();
    assert_eq!(two.stats.reused_tokens, read);

    // The same by a generator whose cache holds the first.
    let room = Room::new(1);
    let generator = room.generator();
    let mut cache = generator.cache();
    for (job, done) in [(&first, &one), (&second, &two)] {
        let request = Request { policy: job.policy, ..Request::new(&job.prompt, &job.sampling) };
        let expected = generator.generate(&mut cache, &request, &mut |_| ControlFlow::Continue(())).unwrap();
        assert_eq!((&expected.ids, expected.stats.reused_tokens), (&done.ids, done.stats.reused_tokens));
    }

    // Who does not ask for it reads all of it, and says what he says alone.
    let fresh = Job { reuse: false, ..second };
    let three = engine.submit(fresh.clone()).unwrap().complete().unwrap();
    assert_eq!((three.stats.reused_tokens, three.ids), (0, alone(&fresh).ids));
}

#[test]
fn kept_states_are_bounded_and_what_shares_little_is_read_afresh() {
    let (engine, _) = start(EngineOptions { prefixes: 1, ..EngineOptions::default() }, 1);
    for _ in 0..2 {
        let asked = Job { reuse: true, ..job("a conversation that is too large to be kept", 1, 4) };
        assert_eq!(engine.submit(asked).unwrap().complete().unwrap().stats.reused_tokens, 0);
    }
    let (engine, _) = start(EngineOptions { prefixes: 1 << 20, ..EngineOptions::default() }, 1);
    for text in ["a short beginning", "a short prompt, and another one"] {
        let asked = Job { reuse: true, ..job(text, 1, 4) };
        assert_eq!(engine.submit(asked).unwrap().complete().unwrap().stats.reused_tokens, 0);
    }
}

#[test]
fn a_deadline_ends_a_reply_with_what_there_is() {
    let (engine, hands) = start(EngineOptions { buffer: 1000, ..EngineOptions::default() }, 1);
    let late = Job { deadline: Some(0.0), ..endless() };
    let done = read(engine.submit(late).unwrap());
    assert_eq!(done.finish, Finish::Deadline);
    assert!(done.ids.len() <= 1, "{}", done.ids.len());

    let reply = engine.submit(Job { deadline: Some(5.0), ..endless() }).unwrap();
    assert!(matches!(reply.next_event(), Some(Event::Token { .. })));
    hands.turn(6);
    let done = reply.complete().unwrap();
    assert_eq!(done.finish, Finish::Deadline);
    assert!(!done.ids.is_empty());
}

#[test]
fn jobs_that_can_never_work_are_refused_at_the_door() {
    let (engine, _) = start(EngineOptions::default(), 1);
    let refuse = |job: Job| engine.submit(job).unwrap_err().to_string();
    let plain = |prompt: Vec<u32>| Job::new(prompt, settings(1, 5));
    assert!(refuse(plain(Vec::new())).contains("the prompt is empty"));
    assert!(refuse(plain(vec![5, 9999])).contains("token 9999"));
    assert!(refuse(plain(vec![5; 200])).contains("200 tokens"));
    let mut bad = plain(vec![5]);
    bad.sampling.top_p = 7.0;
    assert!(refuse(bad).contains("top_p"));
    assert_eq!(engine.busy().waiting, 0);
    let none = engine.submit(Job::new(vec![5], settings(1, 0))).unwrap().complete().unwrap();
    assert_eq!((none.ids.len(), none.finish), (0, Finish::Length));
    let options = EngineOptions { sequences: 0, ..EngineOptions::default() };
    let room = Room::new(1);
    let nothing = Engine::start(
        options,
        Cpu::single(),
        Arc::new(room.model),
        None,
        Arc::new(room.tokenizer),
        Arc::new(|| 0.0),
    );
    assert!(nothing.unwrap_err().to_string().contains("sequences"));
}

#[test]
fn shutting_down_ends_every_reply() {
    let (engine, _) = start(EngineOptions { sequences: 1, ..EngineOptions::default() }, 1);
    let (running, waiting) = (engine.submit(endless()).unwrap(), engine.submit(endless()).unwrap());
    drop(engine);
    assert!(matches!(running.complete(), Err(GenerateError::EngineGone)));
    assert!(matches!(waiting.complete(), Err(GenerateError::EngineGone)));
}
