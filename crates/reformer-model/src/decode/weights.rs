//! The weights as steps read them: matrices `[out, in]`, as trained or packed into fewer bytes.
//!
//! A step reads every weight once and does little with it, so it takes as long as memory needs to deliver the weights.
//! Packing them as `bf16` halves that; it is done once, and the model's own matrices are rounded alike, so that prompts
//! (which the forward kernels read in `f32`), steps and evaluation compute with the same numbers.

use reformer_tensor::{Bf16, Cpu, Element, View, ViewMut, Weights, Write, few_rows, matmul_nt};

use crate::config::Config;
use crate::model::Model;
use crate::parameters::{Group, Parameters, attention_tensors, embedding, head};

/// Rows from which a product of many rows packs its operands and is faster than reading weights as they lie.
const MANY: usize = 24;

/// The matrices of a model in `bf16`.
#[derive(Clone, Debug)]
pub struct Packed {
    /// Per block, per tensor of its group; empty where the tensor is no matrix.
    blocks: Vec<Vec<Vec<Bf16>>>,
    decoder: Vec<Bf16>,
}

impl Packed {
    /// Heap bytes held.
    pub fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().flatten().map(Vec::len).sum::<usize>();
        (blocks + self.decoder.len()) * size_of::<Bf16>()
    }
}

impl Model {
    /// Rounds every matrix that a step multiplies by to `bf16`, and returns them packed.
    pub fn pack_bf16(&mut self) -> Packed {
        let (layers, tied) = (self.config().layers(), self.config().tie_word_embeddings);
        let groups = self.parameters_mut().groups_mut();
        let round = |group: &mut Group, i: usize| -> Vec<Bf16> {
            let packed: Vec<Bf16> = group.tensor(i).iter().map(|&w| Bf16::of(w)).collect();
            group.tensor_mut(i).iter_mut().zip(&packed).for_each(|(w, p)| *w = p.get());
            packed
        };
        let mut block = |group: &mut Group| -> Vec<Vec<Bf16>> {
            let matrix = |group: &Group, i: usize| group.specs()[i].shape.len() == 2;
            (0..group.specs().len())
                .map(|i| if matrix(group, i) { round(group, i) } else { Vec::new() })
                .collect()
        };
        let blocks = groups[1..=layers].iter_mut().map(&mut block).collect();
        let decoder = if tied {
            round(&mut groups[0], embedding::WORDS)
        } else {
            round(&mut groups[layers + 1], head::DECODER)
        };
        Packed { blocks, decoder }
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
        let matrix = |i: usize| weight(group, i, packed.map(|p| &*p.blocks[layer][i]));
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
            decoder: weight(of, i, packed.map(|p| &*p.decoder)),
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
