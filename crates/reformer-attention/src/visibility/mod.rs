//! Who sees whom. Whoever wants to change the causal mask, padding, or "oneself only if alone" changes this folder.
//!
//! | file | question |
//! |---|---|
//! | `mask.rs` | may this query see this key at all, and which slots can be left out unread because none may? |
//! | `duplicates.rs` | in how many rounds do two positions meet, so that a pair can be counted once? |
//! | `weigh.rs` | the rules that need a row of weights: circles, exact buckets, pair masks |
//!
//! Two other places compare a key with a query, each because it must: the softmax kernel (`tile/softmax.rs`), which
//! compares sixteen keys in one instruction on the numbers that `mask.rs` makes, and the naive twin (`naive.rs`),
//! which spells the law a second time on purpose. A decoding step sees the past by construction (`decode/step.rs`).

pub(crate) mod duplicates;
pub(crate) mod mask;
pub(crate) mod weigh;

/// Which positions see no later one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Causal {
    /// Every position sees both directions.
    No,
    /// No position sees a later one.
    Yes,
    /// As `Yes` among the positions below this one; those from it on are memory, visible to all (reformer-pytorch's
    /// appended keys).
    Below(usize),
}

/// What every kind of attention lets a position see, beside its reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Visibility {
    /// The order in time.
    pub causal: Causal,
    /// Padded queries see nothing and put out 0; else they attend like any other (and nobody looks).
    pub mask_queries: bool,
    /// Positions below this are visible even where the mask says padding: 2 for trax, which marks padding by sign.
    pub unmaskable: usize,
}

impl Visibility {
    /// The past and oneself; padded queries attend like others.
    pub const CAUSAL: Self = Self { causal: Causal::Yes, mask_queries: false, unmaskable: 0 };

    /// Both directions; padded queries attend like others.
    pub const BIDIRECTIONAL: Self = Self { causal: Causal::No, ..Self::CAUSAL };

    /// The same rules in one direction or both.
    #[must_use]
    pub const fn with_causal(self, causal: bool) -> Self {
        Self { causal: if causal { Causal::Yes } else { Causal::No }, ..self }
    }

    /// The same rules with padded queries masked or not.
    #[must_use]
    pub const fn with_masked_queries(self, mask_queries: bool) -> Self {
        Self { mask_queries, ..self }
    }
}
