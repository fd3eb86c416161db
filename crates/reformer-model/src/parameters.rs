//! Parameters, in groups: 0 the embeddings, 1..=N the blocks, N + 1 the head.
//!
//! A group is one flat aligned buffer and the specs of the tensors in it, under Hugging Face's names. The reverse
//! pass hands out gradients a group at a time, so an optimizer walks a group's buffer once and an all-reduce sends it
//! whole. Tensors start at multiples of 16 numbers (a cache line); the gaps are zero and stay zero under any
//! element-wise update that maps a zero gradient and a zero value to zero.

use std::sync::Arc;

use reformer_tensor::{Address, Buffer, Purpose};

use crate::config::{Config, Kind, PositionKind};

/// Numbers in a cache line.
const ALIGN: usize = 16;

/// One tensor of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// Hugging Face's name, prefix `reformer.` included.
    pub name: String,
    /// Its shape, row-major.
    pub shape: Vec<usize>,
    /// Where it starts in the group's buffer.
    pub offset: usize,
    /// Whether weight decay applies: matrices yes; norms, biases and position tables no.
    pub decay: bool,
    init: Init,
}

/// How a fresh tensor is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Init {
    Zeros,
    Ones,
    Normal,
    /// Output projections: divided by √(2·layers) under `scaled_init`.
    Projection,
    Axial,
}

impl TensorSpec {
    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its place in the group's buffer.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.len()
    }
}

/// A flat buffer of tensors: parameters, gradients or optimizer state of one part of the model.
#[derive(Debug)]
pub struct Group {
    specs: Arc<[TensorSpec]>,
    data: Buffer,
}

impl Clone for Group {
    fn clone(&self) -> Self {
        Self { specs: Arc::clone(&self.specs), data: Buffer::from_slice(&self.data) }
    }
}

impl PartialEq for Group {
    fn eq(&self, other: &Self) -> bool {
        self.specs == other.specs && self.data[..] == other.data[..]
    }
}

impl Group {
    fn new(specs: Vec<TensorSpec>) -> Self {
        let data = Buffer::zeroed(buffer_len(&specs));
        Self { specs: specs.into(), data }
    }

    /// The tensors, in buffer order.
    pub fn specs(&self) -> &[TensorSpec] {
        &self.specs
    }

    /// The whole buffer, gaps included.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The whole buffer, gaps included; leave the gaps zero.
    pub fn data_mut(&mut self) -> &mut [f32] {
        &mut self.data
    }

    /// Tensor `i`.
    pub fn tensor(&self, i: usize) -> &[f32] {
        &self.data[self.specs[i].range()]
    }

    /// Tensor `i`.
    pub fn tensor_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[self.specs[i].range()]
    }

    /// The same tensors, all zero.
    pub fn zeros_like(&self) -> Self {
        Self { specs: Arc::clone(&self.specs), data: Buffer::zeroed(self.data.len()) }
    }

    /// Takes the group out and leaves one of no numbers.
    pub(crate) fn take(&mut self) -> Self {
        Self { specs: Arc::clone(&self.specs), data: std::mem::take(&mut self.data) }
    }

    /// The same tensors, all zero, in another group's memory if that has the size.
    pub(crate) fn zeros_in(&self, mut other: Self) -> Option<Self> {
        if other.data.len() != self.data.len() {
            return None;
        }
        other.clear();
        Some(Self { specs: Arc::clone(&self.specs), data: other.data })
    }

    /// Sets everything to zero.
    pub fn clear(&mut self) {
        self.data.fill(0.0);
    }

    /// Number of parameters, gaps not counted.
    pub fn count(&self) -> usize {
        self.specs.iter().map(TensorSpec::len).sum()
    }

    /// Bytes of the buffer.
    pub fn bytes(&self) -> usize {
        size_of_val(&self.data[..])
    }
}

/// All groups of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameters {
    groups: Vec<Group>,
}

impl Parameters {
    /// The tensors that `config` asks for, group by group: names and shapes without a number.
    pub fn specs(config: &Config) -> Vec<Vec<TensorSpec>> {
        let blocks = (0..config.layers()).map(|layer| block_specs(config, layer));
        let first = std::iter::once(embedding_specs(config));
        first.chain(blocks).chain(std::iter::once(head_specs(config))).collect()
    }

    /// The groups that `config` asks for, all zero.
    pub fn zeros(config: &Config) -> Self {
        Self { groups: Self::specs(config).into_iter().map(Group::new).collect() }
    }

    /// Fresh parameters: matrices normal with `initializer_range`, axial tables with `axial_norm_std`, norms one,
    /// biases zero. Each tensor has an address of its own, so a deeper model starts with a shallower one's blocks.
    pub fn fresh(config: &Config, seed: u64) -> Self {
        let mut parameters = Self::zeros(config);
        let projection = if config.scaled_init { 1.0 / (2.0 * config.layers() as f64).sqrt() } else { 1.0 };
        for (g, group) in parameters.groups.iter_mut().enumerate() {
            for i in 0..group.specs.len() {
                let address =
                    Address { seed, step: 0, layer: g as u32, purpose: Purpose::Initial }.sub(i as u64);
                let std = match group.specs[i].init {
                    Init::Zeros => continue,
                    Init::Ones => {
                        group.tensor_mut(i).fill(1.0);
                        continue;
                    }
                    Init::Normal => config.initializer_range,
                    Init::Projection => config.initializer_range * projection,
                    Init::Axial => config.axial_norm_std,
                } as f32;
                let tensor = group.tensor_mut(i);
                address.fill_normal(tensor);
                for w in tensor {
                    *w *= std;
                }
            }
        }
        parameters
    }

    /// The groups: embeddings, blocks, head.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// The groups: embeddings, blocks, head.
    pub fn groups_mut(&mut self) -> &mut [Group] {
        &mut self.groups
    }

    /// One group.
    pub fn group(&self, i: usize) -> &Group {
        &self.groups[i]
    }

    /// The same tensors, all zero.
    pub fn zeros_like(&self) -> Self {
        Self { groups: self.groups.iter().map(Group::zeros_like).collect() }
    }

    /// Sets everything to zero.
    pub fn clear(&mut self) {
        self.groups.iter_mut().for_each(Group::clear);
    }

    /// Number of parameters.
    pub fn count(&self) -> usize {
        self.groups.iter().map(Group::count).sum()
    }

    /// Every tensor as (name, shape, values).
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[usize], &[f32])> {
        self.groups.iter().flat_map(|group| {
            group.specs.iter().map(|spec| (&*spec.name, &*spec.shape, &group.data[spec.range()]))
        })
    }

    /// The tensor of this name.
    pub fn find(&self, name: &str) -> Option<(&[usize], &[f32])> {
        self.iter().find(|&(n, ..)| n == name).map(|(_, shape, values)| (shape, values))
    }

    /// The tensor of this name.
    pub fn find_mut(&mut self, name: &str) -> Option<&mut [f32]> {
        self.groups.iter_mut().find_map(|group| {
            let i = group.specs.iter().position(|spec| spec.name == name)?;
            Some(group.tensor_mut(i))
        })
    }
}

/// Numbers of a group's buffer, gaps included.
pub(crate) fn buffer_len(specs: &[TensorSpec]) -> usize {
    specs.last().map_or(0, |spec| spec.range().end.next_multiple_of(ALIGN))
}

/// Lays specs out one after another.
#[derive(Default)]
struct Specs(Vec<TensorSpec>);

impl Specs {
    fn add(&mut self, name: String, shape: &[usize], init: Init) {
        let offset = self.0.last().map_or(0, |last| last.range().end.next_multiple_of(ALIGN));
        let decay = matches!(init, Init::Normal | Init::Projection);
        self.0.push(TensorSpec { name, shape: shape.to_vec(), offset, decay, init });
    }

    fn norm(&mut self, prefix: &str, width: usize) {
        self.add(format!("{prefix}.weight"), &[width], Init::Ones);
        self.add(format!("{prefix}.bias"), &[width], Init::Zeros);
    }
}

/// Places of the embedding group's tensors.
pub(crate) mod embedding {
    pub(crate) const WORDS: usize = 0;
    /// The first (or only) position table.
    pub(crate) const POSITIONS: usize = 1;
}

/// Places of the head group's tensors.
pub(crate) mod head {
    pub(crate) const GAMMA: usize = 0;
    pub(crate) const BETA: usize = 1;
    pub(crate) const BIAS: usize = 2;
    /// Only when the embeddings are not tied.
    pub(crate) const DECODER: usize = 3;
}

pub(crate) fn embedding_specs(config: &Config) -> Vec<TensorSpec> {
    let mut specs = Specs::default();
    let h = config.hidden_size;
    specs.add("reformer.embeddings.word_embeddings.weight".into(), &[config.vocab_size, h], Init::Normal);
    match config.positions() {
        PositionKind::Axial => {
            let axes = config.axial_pos_shape.len();
            for (i, (&size, &width)) in
                config.axial_pos_shape.iter().zip(&config.axial_pos_embds_dim).enumerate()
            {
                let mut shape = vec![1; axes];
                shape[i] = size;
                shape.push(width);
                specs.add(
                    format!("reformer.embeddings.position_embeddings.weights.{i}"),
                    &shape,
                    Init::Axial,
                );
            }
        }
        PositionKind::Learned => {
            let name = "reformer.embeddings.position_embeddings.embedding.weight";
            specs.add(name.into(), &[config.max_position_embeddings, h], Init::Normal);
            specs.0[embedding::POSITIONS].decay = false;
        }
        PositionKind::Sinusoidal => {}
    }
    specs.0
}

/// Number of tensors of a block's attention, which stand before those of its feed-forward layer.
pub(crate) fn attention_tensors(kind: Kind) -> usize {
    // The norm's two before the projections, the output projection after them.
    2 + kind.projections().len() + 1
}

pub(crate) fn block_specs(config: &Config, layer: usize) -> Vec<TensorSpec> {
    let mut specs = Specs::default();
    let (h, a, f) = (config.hidden_size, config.attention_width(), config.feed_forward_size);
    let block = format!("reformer.encoder.layers.{layer}");
    specs.norm(&format!("{block}.attention.layer_norm"), h);
    for name in config.attn_layers[layer].projections() {
        specs.add(format!("{block}.attention.self_attention.{name}.weight"), &[a, h], Init::Normal);
    }
    specs.add(format!("{block}.attention.output.dense.weight"), &[h, a], Init::Projection);
    specs.norm(&format!("{block}.feed_forward.layer_norm"), h);
    specs.add(format!("{block}.feed_forward.dense.dense.weight"), &[f, h], Init::Normal);
    specs.add(format!("{block}.feed_forward.dense.dense.bias"), &[f], Init::Zeros);
    specs.add(format!("{block}.feed_forward.output.dense.weight"), &[h, f], Init::Projection);
    specs.add(format!("{block}.feed_forward.output.dense.bias"), &[h], Init::Zeros);
    specs.0
}

pub(crate) fn head_specs(config: &Config) -> Vec<TensorSpec> {
    let mut specs = Specs::default();
    let width = 2 * config.hidden_size;
    specs.norm("reformer.encoder.layer_norm", width);
    specs.add("lm_head.bias".into(), &[config.vocab_size], Init::Zeros);
    if !config.tie_word_embeddings {
        specs.add("lm_head.decoder.weight".into(), &[config.vocab_size, width], Init::Normal);
    }
    specs.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Fields;

    #[test]
    fn tensors_start_on_cache_lines_and_do_not_overlap() {
        let config = Config::check(Fields { vocab_size: 37, ..Fields::default() }).unwrap();
        for group in Parameters::zeros(&config).groups() {
            let mut end = 0;
            for spec in group.specs() {
                assert!(spec.offset >= end && spec.offset.is_multiple_of(ALIGN), "{}", spec.name);
                end = spec.range().end;
            }
            assert!(end <= group.data().len());
        }
    }

    #[test]
    fn fresh_parameters_have_the_spread_the_config_names() {
        let config = Config::check(Fields { axial_norm_std: 0.5, ..Fields::paper() }).unwrap();
        let parameters = Parameters::fresh(&config, 1);
        let spread = |name: &str| {
            let (_, values) = parameters.find(name).unwrap();
            (values.iter().map(|w| f64::from(*w).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
        };
        assert!((spread("reformer.embeddings.word_embeddings.weight") / 0.02 - 1.0).abs() < 0.05);
        assert!((spread("reformer.embeddings.position_embeddings.weights.1") / 0.5 - 1.0).abs() < 0.05);
        let scaled = 0.02 / 12f64.sqrt();
        assert!(
            (spread("reformer.encoder.layers.5.attention.output.dense.weight") / scaled - 1.0).abs() < 0.05
        );
        assert_eq!(spread("reformer.encoder.layer_norm.weight"), 1.0);
        assert_eq!(spread("lm_head.bias"), 0.0);
    }
}
