//! The head: layer norm of the pair, decoder, loss, a piece of the tokens at a time.
//!
//! ```text
//! n = dropout(LN([y1 | y2]))          [piece, 2h]
//! logits = n·Wᵀ (+ b)                 [piece, vocab]; tied: W = [E | E], so logits = (n₁ + n₂)·Eᵀ
//! loss = Σ w·(logsumexp(logits) − logits[target])
//! ```
//!
//! The logits of a whole sequence never exist: a piece's logits become their own gradient and are used at once.
//! Tokens of weight 0 are not computed at all; their stream gradients are zero. The sum of pieces does not depend on
//! the piece, but for rounding.
//!
//! Backward: `dn = dl·W`, `dW += dlᵀ·n`, then through the norm (recomputed statistics) into both halves.

use std::ops::Range;

use reformer_reversible::Streams;
use reformer_tensor::{
    Address, Cpu, LeasedMatrix, Matrix, Purpose, View, ViewMut, Write, bias, cross_entropy, dropout,
    layer_norm, matmul, matmul_nt, matmul_tn, softmax,
};

use crate::batch::{Batch, LossReport, Pass};
use crate::config::Config;
use crate::gradient_stream::GradientStream;
use crate::packed::{Rows, Weight};
use crate::parameters::{Group, embedding, head};
use crate::positions::Dropout;

/// The head group (and the word embeddings, if tied) under a pass.
pub(crate) struct Head<'a> {
    config: &'a Config,
    group: &'a Group,
    /// `[vocab, 2h]`, or the word embeddings `[vocab, h]` if tied.
    decoder: Weight<'a>,
    drop: Option<Dropout>,
}

/// Tokens of a piece: the config's, or as many as keep a piece's logits at 64 MiB. The gradient of a large decoder is
/// read and written once a piece, so small pieces cost more than they save.
pub(crate) fn piece(config: &Config) -> usize {
    match config.chunk_size_lm_head {
        0 => ((1 << 24) / config.vocab_size).clamp(64, 2048),
        tokens => tokens,
    }
}

impl<'a> Head<'a> {
    pub(crate) fn new(config: &'a Config, group: &'a Group, decoder: Weight<'a>, pass: &Pass) -> Self {
        let rate = config.hidden_dropout_prob as f32;
        let layer = config.layers() as u32;
        let address = Address { seed: pass.seed, step: pass.step, layer, purpose: Purpose::HeadDropout };
        let drop = (pass.training && rate > 0.0).then_some(Dropout { rate, address });
        Self { config, group, decoder, drop }
    }

    /// Logits of all rows of a short pair: what `Model::logits` wants.
    pub(crate) fn logits(&self, cpu: &Cpu, streams: &Streams<Matrix>, mut out: ViewMut<'_>) {
        let (piece, tokens) = (piece(self.config), streams.first.rows());
        for start in (0..tokens).step_by(piece) {
            let rows: Vec<usize> = (start..tokens.min(start + piece)).collect();
            let normed = self.normed(cpu, streams, &rows, start / piece);
            self.decode(cpu, normed.view(), out.rows_range_mut(start..start + rows.len()));
        }
    }

    /// The sum of all tokens' normed pairs, `[2h]`.
    pub(crate) fn sum(&self, cpu: &Cpu, streams: &Streams<Matrix>) -> Vec<f64> {
        let (piece, tokens) = (piece(self.config), streams.first.rows());
        let mut sum = vec![0.0; 2 * self.config.hidden_size];
        for start in (0..tokens).step_by(piece) {
            let rows: Vec<usize> = (start..tokens.min(start + piece)).collect();
            let normed = self.normed(cpu, streams, &rows, start / piece);
            for i in 0..rows.len() {
                // In f64 and in order: a million tokens must not round small ones away.
                sum.iter_mut().zip(normed.row(i)).for_each(|(s, &x)| *s += f64::from(x));
            }
        }
        sum
    }

    /// Logits of some rows, each the same bits as alone.
    pub(crate) fn step(&self, cpu: &Cpu, streams: &Streams<Matrix>, rows: &[usize]) -> Matrix {
        let mut normed = self.normed(cpu, streams, rows, 0);
        if self.config.tie_word_embeddings {
            normed = self.halves(cpu, normed.view());
        }
        let mut logits = Matrix::zeros(rows.len(), self.config.vocab_size);
        // By rows even for one sequence: only the last token's logits are asked for, so there are as many rows as
        // sequences.
        self.decoder.multiply(cpu, Rows::OfSequences, normed.view(), logits.view_mut());
        if self.config.adds_head_bias() {
            bias::add_rows(cpu, logits.view_mut(), self.group.tensor(head::BIAS));
        }
        logits
    }

    /// The loss alone.
    pub(crate) fn loss(&self, cpu: &Cpu, streams: &Streams<Matrix>, batch: &Batch) -> LossReport {
        let mut report = LossReport::default();
        self.pieces(batch, |index, rows, targets, weights| {
            let normed = self.normed(cpu, streams, rows, index);
            let mut logits = cpu.workspace.take_matrix(rows.len(), self.config.vocab_size);
            self.decode(cpu, normed.view(), logits.view_mut());
            report.take(cross_entropy::forward(cpu, logits.view(), targets, weights));
        });
        report
    }

    /// `nll` per token, 0 where the weight is.
    pub(crate) fn token_losses(&self, cpu: &Cpu, streams: &Streams<Matrix>, batch: &Batch) -> Vec<f32> {
        let mut losses = vec![0.0; batch.rows * batch.len];
        self.pieces(batch, |index, rows, targets, _| {
            let normed = self.normed(cpu, streams, rows, index);
            let mut logits = cpu.workspace.take_matrix(rows.len(), self.config.vocab_size);
            self.decode(cpu, normed.view(), logits.view_mut());
            let mut z = cpu.workspace.take(rows.len());
            softmax::logsumexp_rows(cpu, logits.view(), &mut z);
            for (i, (&row, &target)) in rows.iter().zip(targets).enumerate() {
                losses[row] = z[i] - logits.row(i)[target as usize];
            }
        });
        losses
    }

    /// The loss and all gradients of `scale·Σ w·nll`: of the pair into `grads` (zero before), of the head into
    /// `gradient`, of a tied decoder into `words`.
    #[expect(clippy::too_many_arguments)]
    pub(crate) fn loss_and_gradient(
        &self,
        cpu: &Cpu,
        streams: &Streams<Matrix>,
        batch: &Batch,
        scale: f32,
        grads: &mut Streams<GradientStream>,
        gradient: &mut Group,
        words: &mut Group,
    ) -> LossReport {
        let (h, vocab) = (self.config.hidden_size, self.config.vocab_size);
        let ranges: Vec<Range<usize>> = gradient.specs().iter().map(crate::TensorSpec::range).collect();
        let mut report = LossReport::default();
        self.pieces(batch, |index, rows, targets, weights| {
            let pair = self.pair(cpu, streams, rows);
            let mut dn = cpu.workspace.take_matrix(rows.len(), 2 * h);
            // A scope of its own: logits and norm, the two largest, are given back before the pair's gradient is
            // leased.
            {
                let normed = self.norm(cpu, pair.view(), index);
                let mut logits = cpu.workspace.take_matrix(rows.len(), vocab);
                self.decode(cpu, normed.view(), logits.view_mut());
                // The logits become their own gradient in place: with 32,000 words they are the largest matrix of a
                // step.
                report.take(cross_entropy::forward_backward(cpu, logits.view_mut(), targets, weights, scale));
                if self.config.adds_head_bias() {
                    bias::grad(cpu, logits.view(), &mut gradient.data_mut()[ranges[head::BIAS].clone()]);
                }
                if self.config.tie_word_embeddings {
                    // The decoder is [E | E]: both halves of dn are the same dl·E, computed once and copied.
                    let halves = self.halves(cpu, normed.view());
                    let dwords = ViewMut::new(words.tensor_mut(embedding::WORDS), vocab, h);
                    matmul_tn(cpu, logits.view(), halves.view(), Write::Add, dwords);
                    let (left, right) = (0..h, h..2 * h);
                    matmul(
                        cpu,
                        logits.view(),
                        self.decoder.full,
                        Write::Overwrite,
                        dn.view_mut().columns_mut(left),
                    );
                    for i in 0..rows.len() {
                        dn.row_mut(i).copy_within(0..h, right.start);
                    }
                } else {
                    let dw = &mut gradient.data_mut()[ranges[head::DECODER].clone()];
                    matmul_tn(cpu, logits.view(), normed.view(), Write::Add, ViewMut::new(dw, vocab, 2 * h));
                    matmul(cpu, logits.view(), self.decoder.full, Write::Overwrite, dn.view_mut());
                }
            }
            if let Some(drop) = self.drop {
                dropout::apply(cpu, dn.view_mut(), drop.rate, drop.address.sub(index as u64));
            }
            // Cleared, because the norm's backward adds.
            let mut dpair = cpu.workspace.take_matrix_zeroed(rows.len(), 2 * h);
            let norms = [ranges[head::GAMMA].clone(), ranges[head::BETA].clone()];
            let [dgamma, dbeta] =
                gradient.data_mut().get_disjoint_mut(norms).expect("tensors do not overlap");
            let (gamma, eps) = (self.group.tensor(head::GAMMA), self.config.layer_norm_eps as f32);
            layer_norm::backward(cpu, pair.view(), gamma, eps, dn.view(), dpair.view_mut(), dgamma, dbeta);
            for (i, &row) in rows.iter().enumerate() {
                grads.first.set_row(row, &dpair.row(i)[..h]);
                grads.second.set_row(row, &dpair.row(i)[h..]);
            }
        });
        report
    }

    /// Calls `f(index, tokens, targets, weights)` for each piece of the tokens whose weight is not 0.
    fn pieces(&self, batch: &Batch, mut f: impl FnMut(usize, &[usize], &[u32], &[f32])) {
        // Cut after the tokens without weight are left out. The user's turns of a dialogue have none, and nobody
        // computes 32,000 logits for them.
        let tokens: Vec<usize> = (0..batch.weights.len()).filter(|&t| batch.weights[t] != 0.0).collect();
        for (index, rows) in tokens.chunks(piece(self.config)).enumerate() {
            let targets: Vec<u32> = rows.iter().map(|&t| batch.targets[t]).collect();
            let weights: Vec<f32> = rows.iter().map(|&t| batch.weights[t]).collect();
            f(index, rows, &targets, &weights);
        }
    }

    fn pair(&self, cpu: &Cpu, streams: &Streams<Matrix>, rows: &[usize]) -> LeasedMatrix {
        let h = self.config.hidden_size;
        let mut pair = cpu.workspace.take_matrix(rows.len(), 2 * h);
        for (i, &row) in rows.iter().enumerate() {
            let out = pair.row_mut(i);
            out[..h].copy_from_slice(streams.first.row(row));
            out[h..].copy_from_slice(streams.second.row(row));
        }
        pair
    }

    fn norm(&self, cpu: &Cpu, pair: View<'_>, index: usize) -> LeasedMatrix {
        let mut normed = cpu.workspace.take_matrix(pair.rows(), pair.cols());
        let (gamma, beta) = (self.group.tensor(head::GAMMA), self.group.tensor(head::BETA));
        layer_norm::forward(cpu, pair, gamma, beta, self.config.layer_norm_eps as f32, normed.view_mut());
        if let Some(drop) = self.drop {
            dropout::apply(cpu, normed.view_mut(), drop.rate, drop.address.sub(index as u64));
        }
        normed
    }

    fn normed(&self, cpu: &Cpu, streams: &Streams<Matrix>, rows: &[usize], index: usize) -> LeasedMatrix {
        let pair = self.pair(cpu, streams, rows);
        self.norm(cpu, pair.view(), index)
    }

    /// `n₁ + n₂`.
    fn halves(&self, cpu: &Cpu, normed: View<'_>) -> LeasedMatrix {
        let h = self.config.hidden_size;
        let mut sum = cpu.workspace.take_matrix(normed.rows(), h);
        for i in 0..normed.rows() {
            let (left, right) = normed.row(i).split_at(h);
            sum.row_mut(i).iter_mut().zip(left.iter().zip(right)).for_each(|(s, (l, r))| *s = l + r);
        }
        sum
    }

    fn decode(&self, cpu: &Cpu, normed: View<'_>, mut out: ViewMut<'_>) {
        if self.config.tie_word_embeddings {
            let halves = self.halves(cpu, normed);
            matmul_nt(cpu, halves.view(), self.decoder.full, Write::Overwrite, out.reborrow());
        } else {
            matmul_nt(cpu, normed, self.decoder.full, Write::Overwrite, out.reborrow());
        }
        if self.config.adds_head_bias() {
            bias::add_rows(cpu, out, self.group.tensor(head::BIAS));
        }
    }
}

impl LossReport {
    fn take(&mut self, tally: cross_entropy::Tally) {
        self.loss += tally.loss;
        self.weight += tally.weight;
        self.correct += tally.correct;
    }
}
