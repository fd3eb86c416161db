//! Who runs a model's calls: the server with tables of its own, or the client that brought `tools`.
//!
//! A client of the server's tables sees words only, and sends words back. What was looked up for them is remembered
//! here ([`Remembered`]), found again by the conversation so far, and put in its place, so that a second turn knows the
//! hotel that the first one found.

use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};

use lru::LruCache;
use reformer_generate::Host;
use reformer_generate::engine::Job;
use reformer_text::{Role, Turn};

/// Replies whose lookups are remembered.
const REPLIES: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// What a program gives a model to look things up in.
pub trait Tables: fmt::Debug + Send + Sync {
    /// Answers the calls of one conversation, which has these turns so far.
    fn host(&self, turns: &[Turn]) -> Box<dyn Host + Send>;
}

/// Who runs calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Calling {
    /// The server.
    ByServer,
    /// The client, who offers these functions.
    ByClient { offered: Vec<String> },
}

/// What a reply that may look things up needs.
pub(crate) struct Looking {
    /// The job of its words.
    pub(crate) words: Job,
    /// The conversation as its client sent it.
    pub(crate) seen: Vec<Turn>,
    /// The same with what was looked up for it.
    pub(crate) turns: Vec<Turn>,
    pub(crate) calling: Calling,
    /// Answers calls and fills words.
    pub(crate) host: Option<Box<dyn Host + Send>>,
}

/// Turns as the model wrote them, found by the conversation as its client saw it.
#[derive(Debug)]
pub(crate) struct Remembered {
    // Chosen at the start, so that nobody can make up a conversation that is taken for another.
    hashing: RandomState,
    turns: Mutex<LruCache<u64, Turn>>,
}

impl Default for Remembered {
    fn default() -> Self {
        Self { hashing: RandomState::new(), turns: Mutex::new(LruCache::new(REPLIES)) }
    }
}

impl Remembered {
    /// Remembers `turn`, which its client sees as `sent`, after the turns that it has seen before.
    pub(crate) fn keep(&self, seen: &[Turn], sent: &str, turn: Turn) {
        let mut hasher = self.hashing.build_hasher();
        for turn in seen {
            hash(turn.role, &turn.text, &mut hasher);
        }
        hash(Role::Assistant, sent, &mut hasher);
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.put(hasher.finish(), turn);
    }

    /// The conversation with the turns that are remembered in their places.
    pub(crate) fn restore(&self, seen: &[Turn]) -> Vec<Turn> {
        let mut hasher = self.hashing.build_hasher();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        let restore = |turn: &Turn| {
            hash(turn.role, &turn.text, &mut hasher);
            // What a client has looked up itself stays.
            let own = turn.role == Role::Assistant && turn.lookups.is_empty();
            own.then(|| turns.get(&hasher.finish()).cloned()).flatten().unwrap_or_else(|| turn.clone())
        };
        seen.iter().map(restore).collect()
    }
}

/// Blanks at a text's ends are what clients trim.
fn hash(role: Role, text: &str, hasher: &mut impl Hasher) {
    (role, text.trim()).hash(hasher);
}

#[cfg(test)]
mod tests {
    use super::*;
    use reformer_text::{Call, Lookup};

    #[test]
    fn a_turn_is_found_by_the_conversation_that_its_client_saw_and_by_no_other() {
        let remembered = Remembered::default();
        let seen = vec![Turn::user("a hotel")];
        let call = Call::of_table("lookup", "hotel", [("area", "north")]);
        let written =
            Turn { lookups: vec![Lookup { call, result: "1".into() }], ..Turn::assistant("{hotel.name} ?") };
        remembered.keep(&seen, "Acorn ?", written.clone());
        let next = |first: &str, reply: &str| {
            remembered.restore(&[Turn::user(first), Turn::assistant(reply), Turn::user("yes")])
        };
        assert_eq!(next("a hotel", " Acorn ?\n")[1], written);
        assert_eq!(next("a hotel", "Oak ?")[1], Turn::assistant("Oak ?"));
        assert_eq!(next("a taxi", "Acorn ?")[1], Turn::assistant("Acorn ?"));
    }
}
