//! The engine's thread: takes jobs in, reads prompts piece by piece, steps everyone together.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use reformer_model::{DecodeState, Decoder, Model, Packed};
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;

use super::prefixes::Prefixes;
use super::{Clock, EngineOptions, Event, Load, Offer, Queued, Sink};
use crate::decode::slide;
use crate::error::GenerateError;
use crate::request::{ContextPolicy, positions};
use crate::sequence::{Advance, Finish, Sequence};

/// How long to rest when every consumer is behind.
const REST: Duration = Duration::from_millis(2);

/// What the thread owns.
pub(super) struct Worker {
    pub(super) options: EngineOptions,
    pub(super) cpu: Cpu,
    pub(super) model: Arc<Model>,
    pub(super) packed: Option<Arc<Packed>>,
    pub(super) tokenizer: Arc<Tokenizer>,
    pub(super) clock: Clock,
    pub(super) stop: Arc<AtomicBool>,
    pub(super) load: Arc<Load>,
}

/// A sequence in work.
struct Active {
    /// `None` when it has ended and only its last events are on their way.
    sequence: Option<Sequence>,
    state: DecodeState,
    /// Tokens to read before the next draw: the prompt, or what is left of it.
    unread: Vec<u32>,
    /// Logits to draw the next token from.
    logits: Option<Vec<f32>>,
    /// A token drawn and not yet read.
    next: Option<u32>,
    policy: ContextPolicy,
    deadline: Option<f64>,
    /// Its state may be kept for others.
    reuse: bool,
    sink: Box<dyn Sink>,
    outbox: VecDeque<Event>,
    /// Since when its consumer has been behind.
    behind_since: Option<f64>,
    prefilled_at: f64,
}

impl Active {
    /// Sends what waits; `false` if its consumer has gone.
    fn deliver(&mut self, now: f64) -> bool {
        while let Some(event) = self.outbox.pop_front() {
            match self.sink.offer(event) {
                Offer::Taken => self.behind_since = None,
                Offer::Full(event) => {
                    self.outbox.push_front(event);
                    self.behind_since.get_or_insert(now);
                    return true;
                }
                Offer::Gone => return false,
            }
        }
        true
    }

    /// Ends with what there is.
    fn end(&mut self, finish: Finish, now: f64) {
        let Some(mut sequence) = self.sequence.take() else { return };
        let text = sequence.flush();
        if !text.is_empty() {
            self.outbox.push_back(Event::Token { id: None, text, log_probs: None });
        }
        if self.unread.is_empty() {
            sequence.stats.decode_seconds = now - self.prefilled_at;
        }
        self.outbox.push_back(Event::Done(Box::new(sequence.complete(finish))));
    }

    fn fail(&mut self, error: GenerateError) {
        (self.sequence, self.reuse) = (None, false);
        self.outbox.push_back(Event::Failed(error));
    }

    /// In work, and its consumer keeps up.
    fn ready(&self) -> bool {
        self.sequence.is_some() && self.outbox.is_empty()
    }
}

impl Worker {
    pub(super) fn run(self, jobs: &Receiver<Box<Queued>>) {
        let decoder =
            Decoder::new(&self.model).with_packed(self.packed.as_deref()).with_options(self.options.decoding);
        let mut active: Vec<Active> = Vec::new();
        let mut prefixes = Prefixes::new(self.options.prefixes);
        // Which prompt is read next: prompts take turns, piece by piece.
        let mut turn = 0;
        loop {
            if active.is_empty() {
                self.note(&active);
                // No more jobs will come if the engine is gone.
                let Ok(queued) = jobs.recv() else { break };
                self.take_in(&decoder, *queued, &mut active, &mut prefixes);
            }
            while active.len() < self.options.sequences {
                let Ok(queued) = jobs.try_recv() else { break };
                self.take_in(&decoder, *queued, &mut active, &mut prefixes);
            }
            if self.stop.load(Ordering::Acquire) {
                break;
            }
            self.note(&active);
            let read = self.read_piece(&decoder, &mut active, &mut turn);
            self.draw(&decoder, &mut active);
            let stepped = self.step(&decoder, &mut active);
            let delivered = self.tidy(&decoder, &mut active, &mut prefixes);
            self.note(&active);
            if !read && !stepped && !delivered {
                std::thread::park_timeout(REST);
            }
        }
    }

    /// Tells those who ask how busy it is.
    fn note(&self, active: &[Active]) {
        self.load.active.store(active.len(), Ordering::Relaxed);
        let context = active.iter().map(|one| one.state.len()).sum();
        self.load.context.store(context, Ordering::Relaxed);
    }

    /// A job becomes a sequence, unless nobody waits for it any more.
    fn take_in(
        &self,
        decoder: &Decoder<'_>,
        queued: Queued,
        active: &mut Vec<Active>,
        prefixes: &mut Prefixes,
    ) {
        self.load.waiting.fetch_sub(1, Ordering::Relaxed);
        let Queued { job, sink } = queued;
        if sink.gone() {
            return;
        }
        let made = Sequence::start(&self.model, &self.tokenizer, &job.request());
        let made = made.map(|(sequence, prompt)| (sequence, prompt.to_vec()));
        let (policy, deadline) = (job.policy, job.deadline);
        let mut one = Active {
            sequence: None,
            state: decoder.state(),
            unread: Vec::new(),
            logits: None,
            next: None,
            policy,
            deadline,
            reuse: job.reuse,
            sink,
            outbox: VecDeque::new(),
            behind_since: None,
            prefilled_at: 0.0,
        };
        match made {
            Ok((mut sequence, mut prompt)) => {
                let read = if job.reuse { prefixes.fork(&prompt, self.model.config()) } else { None };
                if let Some(state) = read {
                    sequence.stats.reused_tokens = state.len();
                    prompt.drain(..state.len());
                    one.state = state;
                }
                (one.sequence, one.unread) = (Some(sequence), prompt);
                if job.sampling.max_tokens == 0 {
                    one.end(Finish::Length, (self.clock)());
                }
            }
            Err(error) => one.fail(error),
        }
        active.push(one);
    }

    /// One piece of the next prompt that has one.
    fn read_piece(&self, decoder: &Decoder<'_>, active: &mut [Active], turn: &mut usize) -> bool {
        let count = active.len();
        let waits = |a: &Active| a.ready() && !a.unread.is_empty();
        let Some(i) = (0..count).map(|i| (*turn + i) % count).find(|&i| waits(&active[i])) else {
            return false;
        };
        *turn = i + 1;
        let started = (self.clock)();
        let one = &mut active[i];
        let piece = decoder.next_piece(&one.state, one.unread.len());
        let last = piece == one.unread.len();
        match decoder.prefill_piece(&self.cpu, &mut one.state, &one.unread[..piece], last) {
            Ok(logits) => {
                one.unread.drain(..piece);
                one.logits = logits;
                one.prefilled_at = (self.clock)();
                if let Some(sequence) = &mut one.sequence {
                    sequence.stats.prefill_seconds += one.prefilled_at - started;
                }
            }
            Err(error) => one.fail(error.into()),
        }
        true
    }

    /// Draws a token for everyone who has logits.
    fn draw(&self, decoder: &Decoder<'_>, active: &mut [Active]) {
        for one in active.iter_mut().filter(|a| a.ready()) {
            let Some(mut logits) = one.logits.take() else { continue };
            let Some(sequence) = &mut one.sequence else { continue };
            match sequence.advance(&self.tokenizer, &mut logits, one.state.ids()) {
                Ok(Advance::Stop) => one.end(Finish::Stop, (self.clock)()),
                Ok(Advance::Token { id, text, log_probs, over }) => {
                    one.outbox.push_back(Event::Token { id: Some(id), text, log_probs });
                    if let Some(finish) = over {
                        one.end(finish, (self.clock)());
                    } else if one.state.len() + 1 < positions(&self.model) {
                        one.next = Some(id);
                    } else if one.policy == ContextPolicy::Refuse {
                        one.end(Finish::ContextFull, (self.clock)());
                    } else {
                        one.unread = slide(&one.state, id);
                        sequence.dropped_tokens += one.state.len() + 1 - one.unread.len();
                        one.state = decoder.state();
                    }
                }
                Err(error) => one.fail(error),
            }
        }
    }

    /// One step for everyone who has a token to read.
    fn step(&self, decoder: &Decoder<'_>, active: &mut [Active]) -> bool {
        let mut at_work: Vec<&mut Active> = active.iter_mut().filter(|a| a.next.is_some()).collect();
        let ids: Vec<u32> = at_work.iter().filter_map(|a| a.next).collect();
        if ids.is_empty() {
            return false;
        }
        let mut states: Vec<&mut DecodeState> = at_work.iter_mut().map(|a| &mut a.state).collect();
        let result = decoder.step_many(&self.cpu, &mut states, &ids);
        drop(states);
        self.load.steps.fetch_add(1, Ordering::Relaxed);
        self.load.tokens.fetch_add(ids.len(), Ordering::Relaxed);
        match result {
            Ok(logits) => {
                for (row, one) in at_work.iter_mut().enumerate() {
                    (one.next, one.logits) = (None, Some(logits.row(row).to_vec()));
                }
            }
            Err(error) => {
                // The states are as before; which of them is to blame shows when each goes alone.
                let blamed = at_work.len() == 1;
                for one in &mut at_work {
                    one.next = None;
                }
                if blamed {
                    at_work[0].fail(error.into());
                } else {
                    for (one, id) in at_work.iter_mut().zip(ids) {
                        match decoder.step(&self.cpu, &mut one.state, id) {
                            Ok(logits) => one.logits = Some(logits),
                            Err(error) => one.fail(error.into()),
                        }
                    }
                }
            }
        }
        true
    }

    /// Delivers, ends what is too late, and lets go of what is over. Whether anything was delivered.
    fn tidy(&self, decoder: &Decoder<'_>, active: &mut Vec<Active>, prefixes: &mut Prefixes) -> bool {
        let now = (self.clock)();
        let mut delivered = false;
        let mut stays = |one: &mut Active| {
            if one.sink.gone() {
                return false;
            }
            if one.deadline.is_some_and(|deadline| now >= deadline) {
                one.next = None;
                one.end(Finish::Deadline, now);
            }
            let before = one.outbox.len();
            if !one.deliver(now) {
                return false;
            }
            delivered |= one.outbox.len() < before;
            let given_up = one.behind_since.is_some_and(|since| now - since >= self.options.patience);
            !given_up && (one.sequence.is_some() || !one.outbox.is_empty())
        };
        active.retain_mut(|one| {
            let stay = stays(one);
            // A reply that was stopped is gone on from as well as one that ended.
            if !stay && one.reuse {
                prefixes.keep(std::mem::replace(&mut one.state, decoder.state()));
            }
            stay
        });
        delivered
    }
}
