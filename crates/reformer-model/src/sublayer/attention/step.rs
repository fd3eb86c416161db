//! The sublayer's step: new rows are remembered, then attend to what is remembered.
//!
//! ```text
//! prompt   n = LN(x);  q, (k,) v = n·Wᵀ;  the forward pass's attention;  remember k, v and all buckets
//! steps    n = LN(x);  q, (k,) v = n·Wᵀ;  remember k, v of every sequence
//!          per head of a sequence, per new position in order:  hash q, remember its buckets, attend to memory
//! both     y += out·Woᵀ
//! ```
//! Keys and values of all new rows are remembered before the first of them attends: a step looks at positions up to
//! its own only, and one product for all rows reads the weights once. Buckets are remembered position by position,
//! because a bucket's latest members are what a step sees.
//!
//! **A sequence's bits do not depend on its company.** Products take each row by itself ([`Rows::OfSequences`]), a
//! task is a head of one sequence, and nothing is summed across tasks.

use std::sync::Arc;

use reformer_attention::decode::{Scratch, Step};
use reformer_attention::{BucketTable, KeyValues};
use reformer_lsh::{Rotations, hash_one, hash_vectors};
use reformer_reversible::Stepwise;
use reformer_tensor::{Cpu, LeasedMatrix, Matrix, View, ViewMut, Write, elementwise, matmul_nt};

use super::{AttentionLayer, PROJECTIONS, Portion};
use crate::error::Result;
use crate::packed::Rows;
use crate::sublayer::layer_state::{LayerState, NewRows, Reading};

impl Stepwise<Cpu, Reading<'_>> for AttentionLayer<'_> {
    fn step(&self, cpu: &Cpu, x: &Matrix, reading: &mut Reading<'_>, y: &mut Matrix) -> Result<()> {
        reading.go_on()?;
        match reading {
            Reading::Prompt { state, len, .. } => self.read_prompt(cpu, x, state, *len, y),
            Reading::Steps { sequences, rows, .. } => self.read_steps(cpu, x, sequences, *rows, y),
        }
    }
}

impl AttentionLayer<'_> {
    fn read_prompt(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        state: &mut LayerState,
        len: usize,
        y: &mut Matrix,
    ) -> Result<()> {
        // All heads at once, unlike in training: a piece of a prompt is short, and nothing has to be left for
        // gradients.
        let whole = Portion { index: 0, rows: 0..self.rows, heads: 0..self.config.num_attention_heads };
        let (attended, mut buckets) = self.attend(cpu, x.view(), &whole, None)?;
        let [.., k, v] = &attended.projected[..] else {
            unreachable!("a layer projects keys and values");
        };
        // What lies behind the prompt is padding of foreign chunks.
        state.key_values.extend(
            k.view().rows_range(0..len),
            v.view().rows_range(0..len),
            self.attention.keys(),
        )?;
        // A short prompt needs no buckets, but later positions will need the prompt's.
        if buckets.is_empty() && !state.tables.is_empty() {
            buckets = self.hash(cpu, attended.projected[0].view(), &whole)?;
        }
        let total = self.config.buckets().total();
        for (table, buckets) in state.tables.iter_mut().zip(&buckets) {
            *table = Arc::new(BucketTable::of_prompt(buckets, total, len)?);
        }
        // A bucket more than the config's is that of padding.
        if buckets.first().is_some_and(|b| b.num_buckets() > total) {
            state.lower(self.config)?;
        }
        let mut t = cpu.workspace.take_matrix(x.rows(), self.config.hidden_size);
        let weight = self.weights.matrix(PROJECTIONS + self.projections());
        matmul_nt(cpu, attended.out.view(), weight, Write::Overwrite, t.view_mut());
        elementwise::add_assign(cpu, y.as_mut_slice(), t.as_slice());
        Ok(())
    }

    fn read_steps(
        &self,
        cpu: &Cpu,
        x: &Matrix,
        sequences: &mut [NewRows<'_>],
        rows: Rows,
        y: &mut Matrix,
    ) -> Result<()> {
        let n = self.norm(cpu, x.view());
        let count = self.projections();
        let projection = |i: usize| self.weights.weight(PROJECTIONS + i).product(cpu, rows, n.view());
        let projected: Vec<LeasedMatrix> = (0..count).map(projection).collect();
        let mut out = cpu.workspace.take_matrix(n.rows(), self.config.attention_width());
        self.remember_and_attend(cpu, sequences, &projected, out.view_mut())?;
        let t = self.weights.weight(PROJECTIONS + count).product(cpu, rows, out.view());
        elementwise::add_assign(cpu, y.as_mut_slice(), t.as_slice());
        Ok(())
    }

    fn remember_and_attend(
        &self,
        cpu: &Cpu,
        sequences: &mut [NewRows<'_>],
        projected: &[LeasedMatrix],
        out: ViewMut<'_>,
    ) -> Result<()> {
        let dim = self.config.attention_head_size;
        let (mut tasks, mut rest, mut at) = (Vec::new(), out, 0);
        for NewRows { state, attention, start, count } in sequences {
            let (attention, start) = (*attention, *start);
            let LayerState { key_values, tables, lowered, .. } = &mut **state;
            let view = |i: usize| projected[i].view().rows_range(at..at + *count);
            key_values.extend(view(projected.len() - 2), view(projected.len() - 1), attention.keys())?;
            let key_values = &*key_values;
            let (own, later) = rest.split_rows(*count);
            rest = later;
            let mut tables = tables.iter_mut();
            for (head, out) in own.split_columns(dim).into_iter().enumerate() {
                let q = view(0).columns(head * dim..(head + 1) * dim);
                let hashing = tables.next().map(|table| Hashing {
                    table: Arc::make_mut(table),
                    rotations: &self.rotations[head],
                    lowered: *lowered,
                });
                tasks.push(HeadSteps { cpu, attention, head, start, q, key_values, hashing, out });
            }
            at += *count;
        }
        cpu.threads.map(tasks, HeadSteps::run).into_iter().collect()
    }
}

/// Where a head's new positions are hashed to.
struct Hashing<'a> {
    table: &'a mut BucketTable,
    rotations: &'a Rotations,
    lowered: bool,
}

/// One head of one sequence's new positions: the task of one thread.
struct HeadSteps<'a> {
    cpu: &'a Cpu,
    attention: reformer_attention::Attention,
    head: usize,
    /// Position of the first.
    start: usize,
    q: View<'a>,
    key_values: &'a KeyValues,
    hashing: Option<Hashing<'a>>,
    out: ViewMut<'a>,
}

impl HeadSteps<'_> {
    fn run(mut self) -> Result<()> {
        let mut scratch = Scratch::default();
        let mut ids = vec![0; self.hashing.as_ref().map_or(0, |hashing| hashing.table.rounds())];
        // A piece of a prompt is hashed at once; a step alone, where setting that up would cost more than it spares.
        let hashed = match &self.hashing {
            Some(hashing) if self.q.rows() > 1 => {
                Some(hash_vectors(self.cpu, self.q, hashing.rotations, None)?)
            }
            _ => None,
        };
        for t in 0..self.q.rows() {
            let q = self.q.row(t);
            if let Some(Hashing { table, rotations, lowered }) = &mut self.hashing {
                match &hashed {
                    Some(all) => ids.iter_mut().enumerate().for_each(|(r, id)| *id = all.round(r)[t]),
                    None => hash_one(q, *rotations, &mut ids),
                }
                if *lowered {
                    // The prompt's buckets were raised by rounds − 1; a step's in round r lies r below the prompt's.
                    ids.iter_mut().rev().enumerate().for_each(|(up, id)| *id += up as u32);
                }
                // Before it attends: a step finds its bucket by its own entry, which is the last one.
                table.push(&ids)?;
            }
            let table = self.hashing.as_ref().map(|hashing| &*hashing.table);
            let step = Step { q, head: self.head, position: self.start + t, rows: self.key_values };
            self.attention.step(&step, table, &mut scratch, self.out.row_mut(t))?;
        }
        Ok(())
    }
}
