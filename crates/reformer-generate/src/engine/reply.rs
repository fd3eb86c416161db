//! What comes of a job, and where it goes: events into a sink, which never makes the engine wait.
//!
//! A program with threads reads a [`Reply`], whose sink is a channel of the standard library; one with tasks brings a
//! sink of its own ([`Engine::try_submit_to`](super::Engine::try_submit_to)), so that no thread need wait for tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

use crate::error::{GenerateError, Result};
use crate::log_probs::LogProbs;
use crate::sequence::Completion;

/// What comes of a job, in order: pieces of text, then how it ended.
#[derive(Debug)]
pub enum Event {
    /// A token.
    Token {
        /// The token, `None` for text released at the very end.
        id: Option<u32>,
        /// Whole characters, often none.
        text: String,
        /// If they were asked for.
        log_probs: Option<LogProbs>,
    },
    /// The generation as a whole; the last event.
    Done(Box<Completion>),
    /// What went wrong; the last event.
    Failed(GenerateError),
}

/// What became of an event that was offered.
#[derive(Debug)]
pub enum Offer {
    /// It is on its way.
    Taken,
    /// There is no room for it yet.
    Full(Event),
    /// Nobody reads any more.
    Gone,
}

/// Where a job's events go.
pub trait Sink: Send {
    /// Hands an event over without waiting.
    fn offer(&mut self, event: Event) -> Offer;

    /// Whether the reader has left: the job is then given up before its next token, though nothing was offered.
    fn gone(&self) -> bool;
}

/// A job's events as they come. Dropping it cancels the job.
#[derive(Debug)]
pub struct Reply {
    events: Receiver<Event>,
    cancelled: Arc<AtomicBool>,
}

/// The engine's end of a [`Reply`].
pub(super) struct Channel {
    events: SyncSender<Event>,
    cancelled: Arc<AtomicBool>,
}

/// A reply that holds `buffer` events, and the engine's end of it.
pub(super) fn channel(buffer: usize) -> (Channel, Reply) {
    let (events, receiver) = sync_channel(buffer);
    let cancelled = Arc::new(AtomicBool::new(false));
    let reply = Reply { events: receiver, cancelled: Arc::clone(&cancelled) };
    (Channel { events, cancelled }, reply)
}

impl Sink for Channel {
    fn offer(&mut self, event: Event) -> Offer {
        match self.events.try_send(event) {
            Ok(()) => Offer::Taken,
            Err(TrySendError::Full(event)) => Offer::Full(event),
            Err(TrySendError::Disconnected(_)) => Offer::Gone,
        }
    }

    fn gone(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }
}

impl Reply {
    /// The next event; `None` after the last, or if the engine has gone.
    pub fn next_event(&self) -> Option<Event> {
        self.events.recv().ok()
    }

    /// Reads to the end.
    pub fn complete(self) -> Result<Completion> {
        loop {
            match self.next_event() {
                Some(Event::Token { .. }) => {}
                Some(Event::Done(completion)) => return Ok(*completion),
                Some(Event::Failed(error)) => return Err(error),
                None => return Err(GenerateError::EngineGone),
            }
        }
    }
}

impl Iterator for Reply {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.next_event()
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Release);
    }
}
