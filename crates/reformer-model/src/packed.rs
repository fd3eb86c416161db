//! Weights as steps read them: matrices `[out, in]`, as trained or packed into fewer bytes.
//!
//! A step reads every weight once and does little with it, so it takes as long as memory needs to deliver the weights.
//! Packing them as `bf16` halves that; it is done once, and the model's own matrices are rounded alike, so that
//! prompts, steps and evaluation compute with the same numbers. Prompts round the other operand too, where the
//! processor has `bf16` products; steps have nothing to gain from that.

use std::ops::Range;

use reformer_tensor::{
    Bf16, Buffer, Cpu, Element, LeasedMatrix, View, ViewMut, Weights, Write, few_rows, matmul_nt,
};

use crate::config::Config;
use crate::parameters::{Group, Parameters, embedding, head};

/// Rows from which a product of many rows packs its operands and is faster than reading weights as they lie.
const MANY: usize = 24;
/// Numbers of a cache line.
const LINE: usize = 32;

/// The matrices of a model in `bf16`.
// One buffer for all of them, so that it lies on large pages and streams: that took a step of one sequence from 5.1
// to 4.4 ms (d 512, 6 layers, vocabulary 32,000).
#[derive(Debug)]
pub struct Packed {
    numbers: Buffer<Bf16>,
    /// Per block, per tensor of its group; empty where the tensor is no matrix.
    blocks: Vec<Vec<Range<usize>>>,
    decoder: Range<usize>,
}

impl Packed {
    /// Heap bytes held.
    pub fn bytes(&self) -> usize {
        size_of_val::<[Bf16]>(&self.numbers)
    }

    /// Rounds every matrix that a step multiplies by, and packs them.
    pub(crate) fn round(config: &Config, parameters: &mut Parameters) -> Self {
        let layers = config.layers();
        let groups = parameters.groups_mut();
        let mut end = 0;
        let mut place = |len: usize| {
            // Each matrix begins on a cache line, so that no row of weights is split over two without need.
            let start = end;
            end = (start + len).next_multiple_of(LINE);
            start..start + len
        };
        let mut of_group = |group: &Group| -> Vec<Range<usize>> {
            let specs = group.specs().iter();
            specs.map(|spec| if spec.shape.len() == 2 { place(spec.len()) } else { 0..0 }).collect()
        };
        let blocks: Vec<_> = groups[1..=layers].iter().map(&mut of_group).collect();
        let (of, i) = decoder_place(config);
        let decoder = place(groups[of].specs()[i].len());

        let mut numbers = Buffer::zeroed(end);
        let mut round = |group: &mut Group, i: usize, to: &Range<usize>| {
            for (w, packed) in group.tensor_mut(i).iter_mut().zip(&mut numbers[to.clone()]) {
                // The trained matrix is rounded too. Prompts multiply by it, and a prompt and the steps after it must
                // not come from two different models.
                *packed = Bf16::of(*w);
                *w = packed.get();
            }
        };
        for (group, places) in groups[1..=layers].iter_mut().zip(&blocks) {
            for (i, to) in places.iter().enumerate().filter(|(_, to)| !to.is_empty()) {
                round(group, i, to);
            }
        }
        round(&mut groups[of], i, &decoder);
        Self { numbers, blocks, decoder }
    }
}

/// Group and tensor of the decoder: the word embeddings where it is tied to them.
fn decoder_place(config: &Config) -> (usize, usize) {
    if config.tie_word_embeddings { (0, embedding::WORDS) } else { (config.layers() + 1, head::DECODER) }
}

/// `[vocab, 2h]`, or the word embeddings `[vocab, h]` if tied.
pub(crate) fn decoder<'a>(
    config: &Config,
    parameters: &'a Parameters,
    packed: Option<&'a Packed>,
) -> Weight<'a> {
    let (group, i) = decoder_place(config);
    Weight::new(parameters.group(group), i, packed.map(|p| &p.numbers[p.decoder.clone()]))
}

/// Bytes of the matrices that a step reads.
pub(crate) fn step_bytes(config: &Config, parameters: &Parameters, packed: Option<&Packed>) -> usize {
    let of_block = |layer: usize| {
        let weights = BlockWeights { group: parameters.group(layer + 1), first: 0, layer, packed };
        let specs = weights.group.specs().iter().enumerate();
        let matrices = specs.filter(|(_, spec)| spec.shape.len() == 2);
        matrices.map(|(i, _)| weights.weight(i).weights().bytes()).sum::<usize>()
    };
    let blocks: usize = (0..config.layers()).map(of_block).sum();
    blocks + decoder(config, parameters, packed).weights().bytes()
}

/// One sublayer's parameters in its block's group, whose matrices may be packed too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BlockWeights<'a> {
    pub(crate) group: &'a Group,
    /// The sublayer's first tensor in the group.
    pub(crate) first: usize,
    pub(crate) layer: usize,
    pub(crate) packed: Option<&'a Packed>,
}

impl<'a> BlockWeights<'a> {
    /// Numbers of tensor `i` of the sublayer.
    pub(crate) fn tensor(&self, i: usize) -> &'a [f32] {
        self.group.tensor(self.first + i)
    }

    /// Tensor `i` as a matrix.
    pub(crate) fn matrix(&self, i: usize) -> View<'a> {
        self.weight(i).full
    }

    /// Tensor `i` as steps read it.
    pub(crate) fn weight(&self, i: usize) -> Weight<'a> {
        let i = self.first + i;
        let packed = self.packed.map(|p| &p.numbers[p.blocks[self.layer][i].clone()]);
        Weight::new(self.group, i, packed)
    }

    /// Where tensor `i` lies in the group's buffer, and in its gradient's.
    pub(crate) fn place(&self, i: usize) -> Range<usize> {
        self.group.specs()[self.first + i].range()
    }
}

/// What the rows of a step's products are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rows {
    /// One row each of several sequences. Each gets the bits that it would get alone, whoever else is there.
    OfSequences,
    /// Several rows of one sequence, which have nobody to be identical with: whatever way is the fastest.
    OfOne,
}

/// A matrix as trained, and packed if there is a pack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weight<'a> {
    pub(crate) full: View<'a>,
    packed: Option<View<'a, Bf16>>,
}

impl<'a> Weight<'a> {
    fn new(group: &'a Group, i: usize, packed: Option<&'a [Bf16]>) -> Self {
        let shape = &group.specs()[i].shape;
        let (rows, cols) = (shape[0], shape[1]);
        let full = View::new(group.tensor(i), rows, cols);
        Self { full, packed: packed.map(|p| View::new(p, rows, cols)) }
    }

    fn weights(&self) -> Weights<'_> {
        self.packed.map_or(Weights::F32(self.full), Weights::Bf16)
    }

    /// `c = a·wᵀ`, in new rows.
    pub(crate) fn product(&self, cpu: &Cpu, rows: Rows, a: View<'_>) -> LeasedMatrix {
        let mut c = cpu.workspace.take_matrix(a.rows(), self.full.rows());
        self.multiply(cpu, rows, a, c.view_mut());
        c
    }

    /// `c = a·wᵀ`.
    pub(crate) fn multiply(&self, cpu: &Cpu, rows: Rows, a: View<'_>, c: ViewMut<'_>) {
        if rows == Rows::OfSequences || a.rows() < MANY {
            few_rows(cpu, a, self.weights(), Write::Overwrite, c);
        } else {
            // The matrix as trained, also where it is packed: it holds the same rounded numbers, and the products of
            // many rows round and pack their operands by themselves.
            matmul_nt(cpu, a, self.full, Write::Overwrite, c);
        }
    }
}
