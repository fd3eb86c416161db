//! Attention in chunks of a list of positions: LSH (lists sorted by bucket, one a round) and local (positions as they
//! stand, one round).
//!
//! ```text
//! for each round, for each range of chunks (in parallel):
//!     for each chunk c of m ranks:
//!         keys     ranks of chunks c − before … c + after        gathered once a range
//!         o, z  ←  folded with  Σ_j w_ij exp(s_ij) v_j           sixteen queries at a time (group.rs)
//! backward: P_rij = w_rij exp(s_ij − z_i), z over all rounds; D_i = dO_i·O_i; dS = P∘(dP − D)
//! ```
//! Derivation of the backward: `o_i = Σ_rj P_rij v_j` is one softmax over all pairs of all rounds, so
//! `dv_j = Σ P dO_i` and `ds = P (dO·v_j − Σ_{r'j'} P dO·v_{j'}) = P (dP − dO·o_i)`. Rounds need nothing of one another.
//!
//! **What cannot be seen is not computed.** Sorted by bucket and position, a causal query of the same bucket sees nothing
//! after its own rank and nothing before its bucket's first: a group of queries takes the keys between.
//!
//! **No write conflicts.** In a round every position is a query once and, in its own chunk, a key once; its rows are claimed
//! by the range that has its chunk. What a range finds for the keys of its neighbours' chunks waits in an overhang that
//! is added after them, in the order of the ranges. Ranges are of fixed length, so bits do not depend on threads.

use core::ops::Range;

use reformer_lsh::{Buckets, Wrap};
use reformer_tensor::simd::{Kernel, Simd, dispatch, prefetch, rows};
use reformer_tensor::{Cpu, SharedRows, View, ViewMut, Workspace};

use crate::band::{Band, Known, Running, Sinks};
use crate::group::{Attention, Group};
use crate::key::map_with;
use crate::order::{Order, meeting_codes};
use crate::softmax::GROUP;
use crate::weights::Meeting;
use crate::window::{Codes, Window};

/// Positions of a range: long enough that the neighbours' chunks, gathered twice, do not show.
const RANGE: usize = 2048;

/// Slots that a window gathers at a time, besides the neighbours'.
const BATCH: usize = 256;

/// Ranges between two additions of overhangs, which bounds their memory.
const WAVE: usize = 16;

/// How a list is cut, and who is visible in a chunk's reach.
pub(crate) struct Chunked<'a> {
    pub(crate) len: usize,
    pub(crate) rounds: usize,
    pub(crate) chunk: usize,
    pub(crate) before: usize,
    pub(crate) after: usize,
    pub(crate) wrap: Wrap,
    /// What positions are sorted by; `None` where rank = position.
    pub(crate) buckets: Option<&'a Buckets>,
    /// Visible only in the same bucket.
    pub(crate) same_bucket: bool,
    pub(crate) meeting: Meeting,
}

/// One round of a band at work.
struct Round<'a> {
    list: &'a Chunked<'a>,
    band: &'a Band<'a>,
    order: Option<&'a Order<'a>>,
    codes: Codes<'a>,
    index: usize,
    clip: Clip,
    /// What else the backward pass gathers.
    dout: Option<View<'a>>,
}

/// Which bounds of a group's keys follow from the order of the list.
#[derive(Clone, Copy)]
struct Clip {
    /// Nothing outside the run of the queries' buckets.
    runs: bool,
    /// Nothing after the last query.
    past: bool,
}

impl Chunked<'_> {
    fn per_round(&self) -> usize {
        self.len.div_ceil(self.chunk)
    }

    /// Slots of a chunk: whole panels.
    fn stride(&self) -> usize {
        self.chunk.next_multiple_of(GROUP)
    }

    /// The chunk at `at`, counted over all rounds, which may lie beyond the ends of `round`: its round and ranks.
    fn ranks(&self, round: usize, at: isize) -> Option<(usize, Range<usize>)> {
        let per_round = self.per_round();
        let chunk = match self.wrap {
            Wrap::Circular => at.rem_euclid((self.rounds * per_round) as isize) as usize,
            Wrap::Bounded => {
                let inside = (round * per_round) as isize..((round + 1) * per_round) as isize;
                inside.contains(&at).then_some(at as usize)?
            }
        };
        let first = chunk % per_round * self.chunk;
        Some((chunk / per_round, first..self.len.min(first + self.chunk)))
    }

    fn clip(&self, band: &Band<'_>) -> Clip {
        let causal = band.sight.causal_below.is_some_and(|below| below >= self.len);
        let gated = self.same_bucket && self.buckets.is_some();
        Clip {
            runs: gated && self.wrap == Wrap::Bounded,
            past: causal
                && (gated || self.buckets.is_none())
                && (self.wrap == Wrap::Bounded || self.after == 0),
        }
    }

    /// Calls `turn` for every round with its ranges of chunks.
    fn each_round(
        &self,
        cpu: &Cpu,
        band: &Band<'_>,
        dout: Option<View<'_>>,
        mut turn: impl FnMut(&Round<'_>, Vec<Range<isize>>),
    ) {
        let workspace = &cpu.workspace;
        let table = self
            .buckets
            .map(|buckets| meeting_codes(workspace, buckets, self.meeting, self.chunk, self.same_bucket));
        let apart = matches!(self.meeting, Meeting::Circle { same_bucket: true, .. });
        let codes = match &table {
            Some(table) if !table.is_empty() => {
                Codes::Table(table, self.rounds, self.buckets.filter(|_| apart))
            }
            _ => Codes::None,
        };
        let mut order = self.buckets.map(|buckets| Order::new(workspace, buckets, self.wrap));
        for round in 0..self.rounds {
            if let Some(order) = order.as_mut() {
                order.turn_to(round);
            }
            let (first, end) = (round * self.per_round(), (round + 1) * self.per_round());
            let step = (RANGE / self.chunk).max(1);
            let ranges = (first..end).step_by(step).map(|at| at as isize..end.min(at + step) as isize);
            let clip = self.clip(band);
            let round = Round { list: self, band, order: order.as_ref(), codes, index: round, clip, dout };
            turn(&round, ranges.collect());
        }
    }

    /// Folds all rounds into `running`.
    pub(crate) fn forward(&self, cpu: &Cpu, band: &Band<'_>, running: &mut Running<'_>) {
        self.each_round(cpu, band, None, |round, ranges| {
            let z = ViewMut::new(running.z, self.len, 1);
            let rows = SharedRows::new([running.out.reborrow(), z]);
            cpu.threads.for_each(ranges, |range| round.forward(&cpu.workspace, &range, &rows));
        });
    }

    /// Adds the gradients of all rounds to `into`.
    pub(crate) fn backward(&self, cpu: &Cpu, band: &Band<'_>, known: &Known<'_>, into: &mut Sinks<'_>) {
        let hanging = ((self.before + self.after) * self.chunk * 2 * band.dim()).max(1);
        let mut overhangs = cpu.workspace.take(WAVE * hanging);
        self.each_round(cpu, band, Some(known.dout), |round, ranges| {
            for wave in ranges.chunks(WAVE) {
                let none = || ViewMut::new(&mut [], self.len, 0);
                let dk = into.dk.as_mut().map_or_else(none, ViewMut::reborrow);
                let rows = SharedRows::new([into.dq.reborrow(), dk, into.dv.reborrow()]);
                let work = wave.iter().zip(overhangs.chunks_mut(hanging)).collect();
                cpu.threads.for_each(work, |(range, overhang): (&Range<isize>, &mut [f32])| {
                    round.backward(&cpu.workspace, range, known, &rows, overhang);
                });
                drop(rows);
                for (range, overhang) in wave.iter().zip(overhangs.chunks(hanging)) {
                    round.add_overhang(range, overhang, into);
                }
            }
        });
    }
}

impl Round<'_> {
    fn tools(&self, workspace: &Workspace, backward: bool) -> (Window, Group) {
        let list = self.list;
        let (stride, around) = (list.stride(), list.before + list.after);
        let (dim, window) = (self.band.dim(), (around + self.batch()) * stride);
        let window = Window::new(workspace, dim, window, &self.codes, backward);
        let group = Group::new(workspace, dim, (around + 1) * stride, &self.codes, backward);
        (window, group)
    }

    /// Chunks gathered at a time.
    fn batch(&self) -> usize {
        (BATCH / self.list.stride()).clamp(1, self.list.per_round())
    }

    fn load(&self, window: &mut Window, at: isize, slot: usize) {
        let (list, slots) = (self.list, slot..slot + self.list.stride());
        let Some((round, ranks)) = list.ranks(self.index, at) else { return window.hide_panels(slots) };
        let Some(order) = self.order else {
            return window.load(self.band, slots, ranks.map(|rank| (rank, 0)), &self.codes);
        };
        let positions = order.of(round)[ranks.clone()].iter().map(|&t| t as usize);
        if !list.same_bucket {
            return window.load(self.band, slots, positions.map(|position| (position, 0)), &self.codes);
        }
        let first = list.buckets.map_or(0, |b| round * b.num_buckets()) as u32;
        let gates = order.buckets_of(round, ranks).map(|bucket| first + bucket);
        window.load(self.band, slots, positions.zip(gates), &self.codes);
    }

    /// Calls `visit` for every group of queries of a range with its keys at hand and its slots in the window; `leave`
    /// sees every chunk with its first slot before it is dropped.
    fn walk(
        &self,
        window: &mut Window,
        group: &mut Group,
        range: &Range<isize>,
        mut visit: impl FnMut(&mut Window, &mut Group, &Attention<'_>, Range<usize>),
        mut leave: impl FnMut(&Window, isize, usize),
    ) {
        let (list, stride, batch) = (self.list, self.list.stride(), self.batch() as isize);
        let (before, after) = (list.before as isize, list.after as isize);
        for start in range.clone().step_by(batch as usize) {
            let end = range.end.min(start + batch);
            let slot_of = |at: isize| (at - (start - before)) as usize * stride;
            if start == range.start {
                for at in start - before..start + after {
                    self.load(window, at, slot_of(at));
                }
            }
            for at in start..end {
                self.load(window, at + after, slot_of(at + after));
                let reach = slot_of(at - before)..slot_of(at + after) + stride;
                let own = slot_of(at);
                let filled = list.ranks(self.index, at).map_or(0, |(_, ranks)| ranks.len());
                for first in (0..filled).step_by(GROUP) {
                    let slots = own + first..own + filled.min(first + GROUP);
                    let queries = slots.clone().map(|s| (window.id[s] as usize, window.gate[s]));
                    group.set(queries, &self.codes);
                    let seen = self.seen(window, &slots, &reach);
                    self.prefetch(at + after + 1, first);
                    let attention = Attention {
                        band: self.band,
                        meeting: list.meeting,
                        round: self.index,
                        first: seen.start,
                        end: seen.end,
                    };
                    visit(window, group, &attention, slots);
                }
            }
            let dropped = if end == range.end { end + after } else { end - before };
            for at in start - before..dropped {
                leave(window, at, slot_of(at));
            }
            if end < range.end {
                window.keep(slot_of(end - before)..slot_of(end + after));
            }
        }
    }

    /// Asks for some rows of the next chunk: scattered as they are, no processor guesses them. Not of a later one: the rows
    /// of one of eight heads share an eighth of the cache's sets, which hold no more.
    fn prefetch(&self, at: isize, first: usize) {
        let Some((round, ranks)) = self.list.ranks(self.index, at) else { return };
        let Some(order) = self.order else { return };
        for &position in order.of(round)[ranks].iter().skip(first).take(GROUP) {
            self.codes.prefetch(position as usize);
            for rows in [Some(self.band.k), Some(self.band.v), self.dout].into_iter().flatten() {
                prefetch(rows.row(position as usize));
            }
        }
    }

    /// The slots in reach that any of the queries may see.
    fn seen(&self, window: &Window, queries: &Range<usize>, reach: &Range<usize>) -> Range<usize> {
        let (mut first, mut end) = (reach.start, reach.end);
        if self.clip.runs {
            let (gate, last) = (window.gate[queries.start], window.gate[queries.end - 1]);
            let run = window.gate[reach.start..queries.start].iter().rev().take_while(|&&g| g == gate);
            first = queries.start - run.count();
            let run = window.gate[queries.end..reach.end].iter().take_while(|&&g| g == last);
            end = queries.end + if self.clip.past { 0 } else { run.count() };
        }
        if self.clip.past {
            end = queries.end;
        }
        first..end
    }

    fn forward(&self, workspace: &Workspace, range: &Range<isize>, rows: &SharedRows<'_, 2>) {
        let (mut window, mut group) = self.tools(workspace, false);
        let visit = |window: &mut Window, group: &mut Group, attention: &Attention<'_>, _: Range<usize>| {
            let mut running: [[&mut [f32]; 2]; GROUP] = core::array::from_fn(|_| [&mut [][..], &mut []]);
            let mut count = 0;
            for (row, position) in running.iter_mut().zip(group.positions()) {
                *row = rows.claim(position);
                for row in row.iter() {
                    prefetch(row);
                }
                count += 1;
            }
            group.forward(attention, window, &mut running[..count]);
        };
        self.walk(&mut window, &mut group, range, visit, |_, _, _| ());
    }

    fn backward(
        &self,
        workspace: &Workspace,
        range: &Range<isize>,
        known: &Known<'_>,
        rows: &SharedRows<'_, 3>,
        overhang: &mut [f32],
    ) {
        let (mut window, mut group) = self.tools(workspace, true);
        let visit =
            |window: &mut Window, group: &mut Group, attention: &Attention<'_>, slots: Range<usize>| {
                group.backward(attention, window, known, slots.start);
            };
        let leave = |window: &Window, at: isize, slot: usize| {
            let slots = slot..slot + self.list.chunk;
            let Some(piece) = self.overhang(range, at) else {
                return dispatch(Flush { window, band: self.band, slots, rows });
            };
            dispatch(Hang { window, band: self.band, slots, into: &mut overhang[piece] });
        };
        self.walk(&mut window, &mut group, range, visit, leave);
    }

    /// Where the overhang of a range has the chunk at `at`: two rows a slot. `None` for the range's own chunks.
    fn overhang(&self, range: &Range<isize>, at: isize) -> Option<Range<usize>> {
        let chunk = if at < range.start {
            at + self.list.before as isize - range.start
        } else if at >= range.end {
            at - range.end + self.list.before as isize
        } else {
            return None;
        };
        let size = self.list.chunk * 2 * self.band.dim();
        Some(chunk as usize * size..(chunk as usize + 1) * size)
    }

    /// Adds what a range has found for its neighbours' chunks.
    fn add_overhang(&self, range: &Range<isize>, overhang: &[f32], into: &mut Sinks<'_>) {
        let (list, dim) = (self.list, self.band.dim());
        let before = range.start - list.before as isize..range.start;
        for at in before.chain(range.end..range.end + list.after as isize) {
            let Some((round, ranks)) = list.ranks(self.index, at) else { continue };
            let Some(piece) = self.overhang(range, at) else { continue };
            for (rank, pair) in ranks.zip(overhang[piece].chunks_exact(2 * dim)) {
                let position = self.order.map_or(rank, |order| order.of(round)[rank] as usize);
                let keys = into.dk.as_mut().unwrap_or(&mut into.dq);
                rows::add(&pair[..dim], keys.row_mut(position));
                rows::add(&pair[dim..], into.dv.row_mut(position));
            }
        }
    }
}

/// Adds the gradients of a range's own chunk to the rows of its positions.
struct Flush<'a, 'b> {
    window: &'a Window,
    band: &'a Band<'a>,
    slots: Range<usize>,
    rows: &'a SharedRows<'b, 3>,
}

impl Kernel for Flush<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { window, band, slots, rows } = self;
        let Some(gradients) = &window.gradients else { return };
        let filled = slots.filter(|&slot| window.is_filled(slot));
        // All at once, and asked for: they lie scattered, and none is in the cache.
        let claimed: Vec<_> = filled.map(|slot| (slot, rows.claim(window.id[slot] as usize))).collect();
        for (_, rows) in &claimed {
            for row in rows {
                prefetch(row);
            }
        }
        for (slot, [dq, dk, dv]) in claimed {
            let own = &gradients.dq[slot * window.wide..(slot + 1) * window.wide];
            map_with(
                s,
                own,
                dq,
                #[inline(always)]
                |x, y| s.add(x, y),
            );
            let keys = if dk.is_empty() { dq } else { dk };
            window.add_key_gradient(s, band, slot, keys);
            window.add_value_gradient(s, slot, dv);
        }
    }
}

/// Writes the gradients of a neighbour's chunk to the overhang.
struct Hang<'a> {
    window: &'a Window,
    band: &'a Band<'a>,
    slots: Range<usize>,
    into: &'a mut [f32],
}

impl Kernel for Hang<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let dim = self.window.dim;
        self.into.fill(0.0);
        for (slot, pair) in self.slots.zip(self.into.chunks_exact_mut(2 * dim)) {
            if self.window.is_filled(slot) {
                let (dk, dv) = pair.split_at_mut(dim);
                self.window.add_key_gradient(s, self.band, slot, dk);
                self.window.add_value_gradient(s, slot, dv);
            }
        }
    }
}
