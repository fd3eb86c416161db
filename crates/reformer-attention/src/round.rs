//! One round of chunked attention over a range of chunks: a window of gathered rows moves along the sorted list, and every
//! group of sixteen queries meets the keys in its reach.

use core::ops::Range;

use reformer_tensor::simd::{dispatch, prefetch, rows};
use reformer_tensor::{SharedRows, View, Workspace};

use crate::band::{Band, Known, Sinks};
use crate::chunked::Chunked;
use crate::flush::{Flush, Hang};
use crate::group::{Attention, Group};
use crate::order::Order;
use crate::softmax::GROUP;
use crate::window::{Codes, Window};

/// Slots that a window gathers at a time, besides the neighbours'.
const BATCH: usize = 256;

/// One round of a band at work.
pub(crate) struct Round<'a> {
    pub(crate) list: &'a Chunked<'a>,
    pub(crate) band: &'a Band<'a>,
    pub(crate) order: Option<&'a Order<'a>>,
    pub(crate) codes: Codes<'a>,
    pub(crate) index: usize,
    pub(crate) clip: Clip,
    /// What else the backward pass gathers.
    pub(crate) dout: Option<View<'a>>,
}

/// Which bounds of a group's keys follow from the order of the list.
#[derive(Clone, Copy)]
pub(crate) struct Clip {
    /// Nothing outside the run of the queries' buckets.
    pub(crate) runs: bool,
    /// Nothing after the last query.
    pub(crate) past: bool,
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

    /// Folds the queries of a range of chunks into their running rows.
    pub(crate) fn forward(&self, workspace: &Workspace, range: &Range<isize>, rows: &SharedRows<'_, 2>) {
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

    /// Adds the gradients of a range to its positions' rows; its neighbours' to `overhang`.
    pub(crate) fn backward(
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
    pub(crate) fn add_overhang(&self, range: &Range<isize>, overhang: &[f32], into: &mut Sinks<'_>) {
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
