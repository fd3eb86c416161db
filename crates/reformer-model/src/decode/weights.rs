//! The weights as steps read them: matrices `[out, in]`, as trained or packed into fewer bytes.
//!
//! A step reads every weight once and does little with it, so it takes as long as memory needs to deliver the weights.
//! Packing them as `bf16` halves that; it is done once, and the model's own matrices are rounded alike, so that prompts,
//! steps and evaluation compute with the same numbers. Prompts round the other operand too, where the processor has `bf16`
//! products; steps have nothing to gain from that.

use std::ops::Range;

use reformer_tensor::{Bf16, Buffer, Cpu, Element, View, ViewMut, Weights, Write, few_rows, matmul_nt};

use crate::config::Config;
use crate::model::Model;
use crate::parameters::{Group, Parameters, attention_tensors, embedding, head};

/// Rows from which a product of many rows packs its operands and is faster than reading weights as they lie.
const MANY: usize = 24;
/// Numbers of a cache line.
const LINE: usize = 32;

/// The matrices of a model in `bf16`: one buffer, so that it lies on large pages and streams.
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

    fn of_block(&self, layer: usize, tensor: usize) -> &[Bf16] {
        &self.numbers[self.blocks[layer][tensor].clone()]
    }
}

impl Model {
    /// Rounds every matrix that a step multiplies by to `bf16`, and returns them packed.
    pub fn pack_bf16(&mut self) -> Packed {
        let (layers, tied) = (self.config().layers(), self.config().tie_word_embeddings);
        let groups = self.parameters_mut().groups_mut();
        let mut end = 0;
        let mut place = |len: usize| {
            let start = end;
            end = (start + len).next_multiple_of(LINE);
            start..start + len
        };
        let mut of_group = |group: &Group| -> Vec<Range<usize>> {
            let specs = group.specs().iter();
            specs.map(|spec| if spec.shape.len() == 2 { place(spec.len()) } else { 0..0 }).collect()
        };
        let blocks: Vec<_> = groups[1..=layers].iter().map(&mut of_group).collect();
        let (of, i) = if tied { (0, embedding::WORDS) } else { (layers + 1, head::DECODER) };
        let decoder = place(groups[of].specs()[i].len());

        let mut numbers = Buffer::zeroed(end);
        let mut round = |group: &mut Group, i: usize, to: &Range<usize>| {
            for (w, packed) in group.tensor_mut(i).iter_mut().zip(&mut numbers[to.clone()]) {
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
        Packed { numbers, blocks, decoder }
    }
}

/// A matrix as trained, and packed if there is a pack.
#[derive(Clone, Copy)]
pub(super) struct Weight<'m> {
    full: View<'m>,
    packed: Option<View<'m, Bf16>>,
}

impl Weight<'_> {
    fn weights(&self) -> Weights<'_> {
        self.packed.map_or(Weights::F32(self.full), Weights::Bf16)
    }

    pub(super) fn outputs(&self) -> usize {
        self.full.rows()
    }

    /// Bytes that a step reads.
    pub(super) fn bytes(&self) -> usize {
        self.weights().bytes()
    }

    /// `c = a·wᵀ`, each row the same bits as alone.
    pub(super) fn few(&self, cpu: &Cpu, a: View<'_>, c: ViewMut<'_>) {
        few_rows(cpu, a, self.weights(), Write::Overwrite, c);
    }

    /// `c = a·wᵀ` for rows of one sequence: by the fastest way for so many.
    pub(super) fn many(&self, cpu: &Cpu, a: View<'_>, c: ViewMut<'_>) {
        if a.rows() < MANY {
            self.few(cpu, a, c);
        } else {
            matmul_nt(cpu, a, self.full, Write::Overwrite, c);
        }
    }
}

/// One block's parameters.
pub(super) struct BlockWeights<'m> {
    pub(super) norm: (&'m [f32], &'m [f32]),
    /// query_key and value, or query, key and value.
    pub(super) projections: Vec<Weight<'m>>,
    pub(super) output: Weight<'m>,
    pub(super) hidden_norm: (&'m [f32], &'m [f32]),
    pub(super) hidden: Weight<'m>,
    pub(super) hidden_bias: &'m [f32],
    pub(super) back: Weight<'m>,
    pub(super) back_bias: &'m [f32],
}

impl<'m> BlockWeights<'m> {
    pub(super) fn new(model: &'m Model, packed: Option<&'m Packed>, layer: usize) -> Self {
        let group = model.parameters().group(layer + 1);
        let matrix = |i: usize| weight(group, i, packed.map(|p| p.of_block(layer, i)));
        let attention = attention_tensors(model.config().attn_layers[layer]);
        Self {
            norm: (group.tensor(0), group.tensor(1)),
            projections: (2..attention - 1).map(matrix).collect(),
            output: matrix(attention - 1),
            hidden_norm: (group.tensor(attention), group.tensor(attention + 1)),
            hidden: matrix(attention + 2),
            hidden_bias: group.tensor(attention + 3),
            back: matrix(attention + 4),
            back_bias: group.tensor(attention + 5),
        }
    }

    /// Bytes that a step reads of the matrices.
    pub(super) fn bytes(&self) -> usize {
        let matrices = self.projections.iter().chain([&self.output, &self.hidden, &self.back]);
        matrices.map(Weight::bytes).sum()
    }
}

/// The head's parameters.
pub(super) struct HeadWeights<'m> {
    pub(super) norm: (&'m [f32], &'m [f32]),
    /// `[vocab, 2h]`, or the word embeddings `[vocab, h]` if tied.
    pub(super) decoder: Weight<'m>,
    pub(super) tied: bool,
    pub(super) bias: Option<&'m [f32]>,
}

impl<'m> HeadWeights<'m> {
    pub(super) fn new(model: &'m Model, packed: Option<&'m Packed>) -> Self {
        let (config, parameters): (&Config, &Parameters) = (model.config(), model.parameters());
        let group = parameters.group(config.layers() + 1);
        let tied = config.tie_word_embeddings;
        let (of, i) = if tied { (parameters.group(0), embedding::WORDS) } else { (group, head::DECODER) };
        Self {
            norm: (group.tensor(head::GAMMA), group.tensor(head::BETA)),
            decoder: weight(of, i, packed.map(|p| &p.numbers[p.decoder.clone()])),
            tied,
            bias: config.adds_head_bias().then(|| group.tensor(head::BIAS)),
        }
    }
}

fn weight<'m>(group: &'m Group, i: usize, packed: Option<&'m [Bf16]>) -> Weight<'m> {
    let shape = &group.specs()[i].shape;
    let (rows, cols) = (shape[0], shape[1]);
    Weight { full: View::new(group.tensor(i), rows, cols), packed: packed.map(|p| View::new(p, rows, cols)) }
}
