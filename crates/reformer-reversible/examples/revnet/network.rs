//! The RevNet: a stem that makes the two streams, reversible blocks, a head over both.
//!
//! ```text
//! stem     28x28x1 → 14x14x2c, a 3x3 convolution of stride 2; c channels to each stream
//! blocks   y1 = x1 + F(x2), y2 = x2 + G(y1);  F, G = conv3x3(relu(·)), c channels
//! head     relu, mean over each quadrant, linear to 10 classes
//! ```
//! Only the last pair of streams is kept; [`RevNet::train`] walks back and updates each block as its gradient comes.

use std::convert::Infallible;

use reformer_reversible::{Coupling, Streams, sequence};
use reformer_tensor::{
    Address, Cpu, Matrix, Purpose, Write, bias, cross_entropy, matmul, matmul_nt, matmul_tn,
};

use super::{
    adam::Adam,
    convolution::{Convolution, Residual, Window},
    images::{SIDE, Set},
};

const CLASSES: usize = 10;
const QUADRANTS: usize = 4;
/// Side of the streams' images.
const INNER: usize = SIDE / 2;

pub(crate) struct RevNet {
    channels: usize,
    stem: Convolution,
    blocks: Vec<Coupling<Residual, Residual>>,
    /// `[4·2c, 10]` and `[1, 10]`
    head: [Matrix; 2],
    optimizers: Optimizers,
    step: i32,
}

/// An [`Adam`] for every tensor.
struct Optimizers {
    stem: [Adam; 2],
    blocks: Vec<[Adam; 4]>,
    head: [Adam; 2],
}

/// Mean loss and accuracy over a number of images.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Score {
    pub(crate) loss: f64,
    pub(crate) accuracy: f64,
}

impl RevNet {
    pub(crate) fn new(depth: usize, channels: usize, seed: u64) -> Self {
        let address = |i: usize| Address { seed, step: 0, layer: i as u32, purpose: Purpose::Initial };
        let whole = Window { side: SIDE, channels: 1, stride: 2 };
        let inner = Window { side: INNER, channels, stride: 1 };
        // 2·depth residuals add up to about the size of one.
        let gain = (2.0 * depth as f32).sqrt().recip();
        let residual =
            |at, i| Residual { convolution: Convolution::new(inner, channels, gain, address(i)), at };
        let blocks: Vec<_> =
            (0..depth).map(|i| Coupling { f: residual(0, 2 * i + 1), g: residual(2, 2 * i + 2) }).collect();
        let stem = Convolution::new(whole, 2 * channels, 1.0, address(0));
        let head = [Matrix::zeros(QUADRANTS * 2 * channels, CLASSES), Matrix::zeros(1, CLASSES)];
        let optimizers = Optimizers {
            stem: [Adam::new(&stem.weight), Adam::new(&stem.bias)],
            blocks: blocks.iter().map(|block| tensors(block).map(Adam::new)).collect(),
            head: [Adam::new(&head[0]), Adam::new(&head[1])],
        };
        Self { channels, stem, blocks, head, optimizers, step: 0 }
    }

    pub(crate) fn parameters(&self) -> usize {
        let size = |m: &Matrix| m.as_slice().len();
        let blocks: usize = self.blocks.iter().flat_map(tensors).map(size).sum();
        blocks + size(&self.stem.weight) + size(&self.stem.bias) + size(&self.head[0]) + size(&self.head[1])
    }

    /// One step of training on a batch; the score is the one before the update.
    pub(crate) fn train(&mut self, cpu: &Cpu, batch: &Set, rate: f32) -> Score {
        self.step += 1;
        let (patches, mut streams) = self.streams(cpu, batch);
        let mut saved = Vec::new();
        let keep = |_, decided| {
            saved.push(decided);
            Ok(())
        };
        let Ok(()) = sequence::forward(cpu, &mut streams, &self.blocks, keep);
        let (features, mut logits) = self.head(cpu, &streams);
        let score = score(cpu, batch, &mut logits);

        let d_logits = logits;
        let mut d_features = Matrix::zeros(features.rows(), features.cols());
        matmul_nt(cpu, d_logits.view(), self.head[0].view(), Write::Overwrite, d_features.view_mut());
        let mut d_head = self.head.each_ref().map(|m| Matrix::zeros(m.rows(), m.cols()));
        matmul_tn(cpu, features.view(), d_logits.view(), Write::Add, d_head[0].view_mut());
        bias::grad(cpu, d_logits.view(), d_head[1].as_mut_slice());
        let mut grads = self.unpool(&streams, &d_features);

        let (step, optimizers) = (self.step, &mut self.optimizers);
        let shapes = self.blocks.first().map(|block| tensors(block).map(|m| (m.rows(), m.cols())));
        let zeros = || shapes.expect("a block").map(|(rows, cols)| Matrix::zeros(rows, cols));
        let Ok(()) = sequence::reverse(cpu, &mut streams, &mut grads, saved, |block, back| {
            let mut gradient = zeros();
            let done = back.through(&self.blocks[block], &mut gradient)?;
            let adams = &mut optimizers.blocks[block];
            for ((adam, w), g) in adams.iter_mut().zip(tensors_mut(&mut self.blocks[block])).zip(&gradient) {
                adam.step(step, rate, w, g);
            }
            Ok::<_, Infallible>(done)
        });

        let d_stem = joined(&grads);
        let mut gradient = Matrix::zeros(self.stem.weight.rows(), self.stem.weight.cols());
        matmul_tn(cpu, patches.view(), d_stem.view(), Write::Add, gradient.view_mut());
        optimizers.stem[0].step(step, rate, &mut self.stem.weight, &gradient);
        let mut gradient = Matrix::zeros(1, d_stem.cols());
        bias::grad(cpu, d_stem.view(), gradient.as_mut_slice());
        optimizers.stem[1].step(step, rate, &mut self.stem.bias, &gradient);
        for ((adam, w), g) in optimizers.head.iter_mut().zip(&mut self.head).zip(&d_head) {
            adam.step(step, rate, w, g);
        }
        score
    }

    /// The score on a set, in batches.
    pub(crate) fn evaluate(&self, cpu: &Cpu, set: &Set) -> Score {
        let mut sum = Score::default();
        for batch in set.batches(100) {
            let (_, mut streams) = self.streams(cpu, &batch);
            let Ok(()) = sequence::forward(cpu, &mut streams, &self.blocks, |_, _| Ok(()));
            let part = score(cpu, &batch, &mut self.head(cpu, &streams).1);
            sum.loss += part.loss * batch.len() as f64;
            sum.accuracy += part.accuracy * batch.len() as f64;
        }
        Score { loss: sum.loss / set.len() as f64, accuracy: sum.accuracy / set.len() as f64 }
    }

    /// Largest difference between the streams and the streams after all blocks forth and back, against the largest
    /// entry that was met.
    pub(crate) fn round_trip_error(&self, cpu: &Cpu, batch: &Set) -> f32 {
        let (_, start) = self.streams(cpu, batch);
        let mut streams = start.clone();
        let Ok(()) = sequence::forward(cpu, &mut streams, &self.blocks, |_, _| Ok(()));
        let size = streams.first.as_slice().iter().fold(0f32, |size, v| size.max(v.abs()));
        let Ok(()) = sequence::inverse(cpu, &mut streams, &self.blocks);
        let pairs = streams.first.as_slice().iter().zip(start.first.as_slice());
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / size
    }

    fn streams(&self, cpu: &Cpu, batch: &Set) -> (Matrix, Streams<Matrix>) {
        let patches = self.stem.window.patches(cpu, batch.pixels.view());
        let (both, c) = (self.stem.apply(cpu, &patches), self.channels);
        let half = |from: usize| Matrix::from_fn(both.rows(), c, |i, j| both.row(i)[from + j]);
        (patches, Streams { first: half(0), second: half(c) })
    }

    /// Features (the mean of the positive parts over each quadrant) and logits.
    fn head(&self, cpu: &Cpu, streams: &Streams<Matrix>) -> (Matrix, Matrix) {
        let images = streams.first.rows() / (INNER * INNER);
        let mut features = Matrix::zeros(images, QUADRANTS * 2 * self.channels);
        for (row, values) in joined(streams).view().rows_iter().enumerate() {
            let to = &mut features.row_mut(row / (INNER * INNER))[self.quadrant(row)..][..values.len()];
            to.iter_mut().zip(values).for_each(|(f, v)| *f += v.max(0.0) * MEAN);
        }
        let mut logits = Matrix::zeros(images, CLASSES);
        matmul(cpu, features.view(), self.head[0].view(), Write::Overwrite, logits.view_mut());
        bias::add_rows(cpu, logits.view_mut(), self.head[1].as_slice());
        (features, logits)
    }

    /// The gradient of the streams from that of the features.
    fn unpool(&self, streams: &Streams<Matrix>, d_features: &Matrix) -> Streams<Matrix> {
        let c = self.channels;
        let half = |stream: &Matrix, from: usize| {
            Matrix::from_fn(stream.rows(), c, |row, j| {
                let d = d_features.row(row / (INNER * INNER))[self.quadrant(row) + from + j];
                if stream.row(row)[j] > 0.0 { d * MEAN } else { 0.0 }
            })
        };
        Streams { first: half(&streams.first, 0), second: half(&streams.second, c) }
    }

    /// First feature of the quadrant that a row (a pixel of some image) lies in.
    fn quadrant(&self, row: usize) -> usize {
        let pixel = row % (INNER * INNER);
        let (low, right) = (pixel / INNER / (INNER / 2), pixel % INNER / (INNER / 2));
        (2 * low + right) * 2 * self.channels
    }
}

/// One over the pixels of a quadrant.
const MEAN: f32 = 1.0 / (INNER * INNER / QUADRANTS) as f32;

fn joined(streams: &Streams<Matrix>) -> Matrix {
    let (a, b) = (&streams.first, &streams.second);
    let c = a.cols();
    Matrix::from_fn(a.rows(), 2 * c, |i, j| if j < c { a.row(i)[j] } else { b.row(i)[j - c] })
}

fn tensors(block: &Coupling<Residual, Residual>) -> [&Matrix; 4] {
    let (f, g) = (&block.f.convolution, &block.g.convolution);
    [&f.weight, &f.bias, &g.weight, &g.bias]
}

fn tensors_mut(block: &mut Coupling<Residual, Residual>) -> [&mut Matrix; 4] {
    let (f, g) = (&mut block.f.convolution, &mut block.g.convolution);
    [&mut f.weight, &mut f.bias, &mut g.weight, &mut g.bias]
}

/// Mean cross-entropy and accuracy; the logits become their gradient.
fn score(cpu: &Cpu, batch: &Set, logits: &mut Matrix) -> Score {
    let n = batch.len();
    let tally =
        cross_entropy::forward_backward(cpu, logits.view_mut(), &batch.labels, &vec![1.0; n], 1.0 / n as f32);
    Score { loss: tally.loss / n as f64, accuracy: tally.correct / n as f64 }
}
