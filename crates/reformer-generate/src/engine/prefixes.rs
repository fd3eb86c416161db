//! States of sequences that have ended, kept for prompts that begin as they did: the next turn of a conversation reads
//! only what is new.
//!
//! A state that grew by steps is not bit for bit the state that a fresh reading of the same tokens makes (a step's LSH
//! layers see the latest members of a bucket, a prompt's see chunks), so only jobs that allow it
//! ([`Job::reuse`](super::Job)) take one, and what the others say depends on nobody.
//!
//! Bounded in bytes; the one that was unused for longest goes first. Forks share pages, which are counted in each.

use std::collections::VecDeque;

use reformer_model::{Config, DecodeState};

/// Common tokens below which reading afresh is as quick.
const LEAST: usize = 16;

/// The states, the one used last at the back.
#[derive(Debug)]
pub(super) struct Prefixes {
    kept: VecDeque<DecodeState>,
    limit: usize,
}

impl Prefixes {
    /// None so far, and `limit` bytes at most.
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: VecDeque::new(), limit }
    }

    /// A state that has read a beginning of `prompt`, the longest there is, and not its last token, whose logits are
    /// wanted.
    pub(super) fn fork(&mut self, prompt: &[u32], config: &Config) -> Option<DecodeState> {
        let common = |state: &DecodeState| {
            let equal = state.ids().iter().zip(prompt).take_while(|(a, b)| a == b).count();
            equal.min(prompt.len().saturating_sub(1))
        };
        let best = (0..self.kept.len()).max_by_key(|&at| common(&self.kept[at]))?;
        let length = common(&self.kept[best]);
        if length < LEAST {
            return None;
        }
        let used = self.kept.remove(best)?;
        let mut fork = used.clone();
        self.kept.push_back(used);
        // Local layers may have given back what the next token would see.
        fork.truncate(length, config).ok()?;
        Some(fork)
    }

    /// Keeps a state, in place of those that it goes on from.
    pub(super) fn keep(&mut self, state: DecodeState) {
        if state.len() < LEAST || state.bytes() > self.limit {
            return;
        }
        self.kept.retain(|other| !state.ids().starts_with(other.ids()));
        self.kept.push_back(state);
        while self.kept.iter().map(DecodeState::bytes).sum::<usize>() > self.limit {
            self.kept.pop_front();
        }
    }
}
