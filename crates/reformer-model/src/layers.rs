//! A model's layers set up for a pass: the only place that makes them.
//!
//! Parameters come with every call and are not kept: a training pass changes a group as soon as it is done with it.

use std::borrow::Cow;

use reformer_lsh::Rotations;

use crate::batch::Pass;
use crate::config::Config;
use crate::embeddings::Embeddings;
use crate::error::{ModelError, Result};
use crate::head::Head;
use crate::packed::{self, BlockWeights, Packed};
use crate::parameters::{Parameters, attention_tensors};
use crate::sublayer::{AttentionLayer, FeedForward, ReformerBlock, Shape};

/// One set of rotations per LSH layer in forward order, one rotation per head.
pub(crate) type AllRotations = [Vec<Rotations>];

/// How the layers of a model are to compute.
#[derive(Clone)]
pub(crate) struct Layers<'a> {
    pub(crate) config: &'a Config,
    pub(crate) pass: &'a Pass,
    rotations: Cow<'a, AllRotations>,
    packed: Option<&'a Packed>,
}

impl<'a> Layers<'a> {
    /// `own`: the rotations that the model hashes with unless the pass says otherwise.
    pub(crate) fn new(config: &'a Config, own: &'a AllRotations, pass: &'a Pass) -> Result<Self> {
        Ok(Self { config, pass, rotations: rotations(config, own, pass)?, packed: None })
    }

    /// Steps read these weights.
    pub(crate) fn with_packed(self, packed: Option<&'a Packed>) -> Self {
        Self { packed, ..self }
    }

    pub(crate) fn embeddings<'b>(&'b self, parameters: &'b Parameters) -> Embeddings<'b> {
        Embeddings::new(self.config, parameters.group(0), self.pass)
    }

    pub(crate) fn head<'b>(&'b self, parameters: &'b Parameters) -> Head<'b> {
        let last = parameters.group(self.config.layers() + 1);
        let decoder = packed::decoder(self.config, parameters, self.packed);
        Head::new(self.config, last, decoder, self.pass)
    }

    /// Block `layer` for rows of one shape.
    pub(crate) fn block<'b>(
        &'b self,
        parameters: &'b Parameters,
        layer: usize,
        shape: Shape<'b>,
    ) -> ReformerBlock<'b> {
        // Rotations exist for the layers that were made to hash, whatever they are told to compute.
        let rotations = self.config.lsh_index(layer).map_or(&[][..], |lsh| &self.rotations[lsh]);
        block(self.config, parameters, layer, shape, Cow::Borrowed(rotations), (self.pass, self.packed))
    }
}

/// Block `layer` of a model by itself.
pub(crate) fn single_block<'a>(
    config: &'a Config,
    parameters: &'a Parameters,
    own: &'a AllRotations,
    layer: usize,
    shape: Shape<'a>,
    pass: &'a Pass,
) -> Result<ReformerBlock<'a>> {
    let rotations = match (config.lsh_index(layer), rotations(config, own, pass)?) {
        (None, _) => Cow::Borrowed(&[][..]),
        (Some(lsh), Cow::Borrowed(all)) => Cow::Borrowed(&all[lsh][..]),
        // Taken out, so that the block owns its rotations and needs no `Layers` to outlive it.
        (Some(lsh), Cow::Owned(mut all)) => Cow::Owned(all.swap_remove(lsh)),
    };
    Ok(block(config, parameters, layer, shape, rotations, (pass, None)))
}

fn block<'a>(
    config: &'a Config,
    parameters: &'a Parameters,
    layer: usize,
    shape: Shape<'a>,
    rotations: Cow<'a, [Rotations]>,
    (pass, packed): (&Pass, Option<&'a Packed>),
) -> ReformerBlock<'a> {
    let weights = BlockWeights { group: parameters.group(layer + 1), first: 0, layer, packed };
    // By the config's kind, not by what is computed instead: a block's tensors are those it was trained with.
    let behind = BlockWeights { first: attention_tensors(config.attn_layers[layer]), ..weights };
    ReformerBlock {
        f: AttentionLayer::new(config, weights, shape, rotations, pass),
        g: FeedForward::new(config, behind, pass),
    }
}

/// What a pass hashes with: given rotations, fresh ones for another number of rounds, or the model's own.
fn rotations<'a>(config: &Config, own: &'a AllRotations, pass: &'a Pass) -> Result<Cow<'a, AllRotations>> {
    match (&pass.rotations, pass.num_hashes) {
        (Some(given), _) => {
            check_rotations(config, given)?;
            Ok(Cow::Borrowed(given.as_slice()))
        }
        (None, Some(0)) => Err(ModelError::config("num_hashes", 0, "at least 1")),
        // The rounds that both numbers have are the same ones: each round is drawn at an address of its own.
        (None, Some(rounds)) if rounds != config.num_hashes => Ok(Cow::Owned(draw_rotations(config, rounds))),
        (None, _) => Ok(Cow::Borrowed(own)),
    }
}

/// Rotations at the addresses (hash_seed, layer, head, round).
pub(crate) fn draw_rotations(config: &Config, rounds: usize) -> Vec<Vec<Rotations>> {
    let seed = config.hash_seed.unwrap_or(0) as u64;
    let draw = |layer: usize, head: usize| {
        Rotations::draw(seed, layer as u32, head as u32, config.attention_head_size, rounds, config.buckets())
            .expect("a checked config has dimensions and rounds")
    };
    config
        .lsh_layers()
        .map(|layer| (0..config.num_attention_heads).map(|head| draw(layer, head)).collect())
        .collect()
}

pub(crate) fn check_rotations(config: &Config, given: &AllRotations) -> Result<()> {
    let layers = config.lsh_layers().count();
    let heads = config.num_attention_heads;
    if given.len() == layers && given.iter().all(|layer| layer.len() == heads) {
        return Ok(());
    }
    let got = format!("{} layers of {:?} heads", given.len(), given.iter().map(Vec::len).collect::<Vec<_>>());
    let expected = format!("{layers} LSH layers of {heads} heads");
    Err(ModelError::Shape { what: "given rotations", got, expected })
}
