//! The paper's drawing of LSH attention, and the border that cuts a bucket.
//!
//! ```text
//! sequence of queries = keys · coloured by bucket · sorted by bucket · cut into chunks · who attends to whom
//! ```

use reformer::lsh::{Buckets, SortedBuckets};
use reformer::tensor::Matrix;

use super::canvas::{Anchor, Canvas, SIDE, TOP, fill, shortened, stroke};
use super::layer::Layer;

const CELL: (f64, f64) = (46.0, 24.0);
/// Space between chunks.
const GAP: f64 = 12.0;
/// Width of the rows' names.
const NAMES: f64 = 128.0;

/// Places of tokens along a row, in order or in chunks.
struct Places {
    chunk: usize,
}

impl Places {
    fn x(&self, rank: usize, chunked: bool) -> f64 {
        let gaps = if chunked { (rank / self.chunk) as f64 * GAP } else { 0.0 };
        SIDE + NAMES + rank as f64 * CELL.0 + gaps
    }

    fn middle(&self, rank: usize, chunked: bool) -> f64 {
        self.x(rank, chunked) + CELL.0 / 2.0 - 1.0
    }

    fn width(&self, len: usize) -> f64 {
        self.x(len - 1, true) + CELL.0 + SIDE
    }
}

fn name(canvas: &mut Canvas, y: f64, lines: &[&str]) {
    for (i, line) in lines.iter().enumerate() {
        let y = y + 15.0 + 14.0 * i as f64 - 7.0 * (lines.len() - 1) as f64;
        canvas.words((SIDE, y), Anchor::Start, if i == 0 { "ink strong" } else { "aside small" }, line);
    }
}

fn cell(canvas: &mut Canvas, (x, y): (f64, f64), token: &str, bucket: Option<u32>) {
    let class = bucket.map_or_else(|| "cell".into(), fill);
    canvas.rect((x, y), (CELL.0 - 2.0, CELL.1), &class);
    let ink = if bucket.is_some() { "on small" } else { "ink small" };
    let middle = (x + CELL.0 / 2.0 - 1.0, y + 16.0);
    canvas.words(middle, Anchor::Middle, ink, &shortened(token, 7));
}

/// The drawing's five rows for the first round; `weights` are who attends to whom in it.
pub(crate) fn draw(layer: &Layer, buckets: &Buckets, sorted: &SortedBuckets, weights: &Matrix) -> String {
    let (len, places) = (layer.tokens.len(), Places { chunk: layer.chunk });
    let (ids, order, undo) = (buckets.round(0), sorted.order_of(0), sorted.undo_of(0));
    let rows: Vec<f64> = [0.0, 56.0, 146.0, 202.0, 296.0].iter().map(|y| TOP + 6.0 + y).collect();
    let mut canvas = Canvas::new(
        places.width(len),
        rows[4] + CELL.1 + 44.0,
        "LSH attention on a sentence",
        &format!(
            "Queries are keys; colours are buckets, numbers as hashed; chunks of {}; first round.",
            layer.chunk
        ),
    );
    name(&mut canvas, rows[0], &["Sequence", "of queries = keys"]);
    name(&mut canvas, rows[1], &["LSH bucketing", "argmax [xR; −xR]"]);
    name(&mut canvas, rows[2], &["Sort", "by bucket, position"]);
    name(&mut canvas, rows[3], &["Chunk", "equal pieces: keys"]);
    name(&mut canvas, rows[4], &["Attend", "own chunk and before"]);
    for t in 0..len {
        let rank = undo[t] as usize;
        let (from, to) = ((places.middle(t, false), rows[1] + CELL.1), (places.middle(rank, false), rows[2]));
        canvas.line(from, to, &format!("thin faint {}", stroke(ids[t])));
    }
    for (rank, &t) in order.iter().enumerate() {
        for (other, &j) in order.iter().enumerate() {
            if t != j && weights.row(t as usize)[j as usize] > 0.0 {
                let (query, key) = (places.middle(rank, true), places.middle(other, true));
                let class = format!("thick {}", stroke(ids[t as usize]));
                canvas.line((query, rows[4]), (key, rows[3] + CELL.1), &class);
            }
        }
    }
    for (rank, (&at, token)) in order.iter().zip(&layer.tokens).enumerate() {
        let t = rank;
        let word = &layer.tokens[at as usize];
        cell(&mut canvas, (places.x(t, false), rows[0]), token, None);
        cell(&mut canvas, (places.x(t, false), rows[1]), token, Some(ids[t]));
        canvas.words(
            (places.middle(t, false), rows[1] - 4.0),
            Anchor::Middle,
            "aside small",
            &ids[t].to_string(),
        );
        cell(&mut canvas, (places.x(rank, false), rows[2]), word, Some(ids[at as usize]));
        for row in [rows[3], rows[4]] {
            cell(&mut canvas, (places.x(rank, true), row), word, Some(ids[at as usize]));
        }
        let place = (places.middle(rank, true), rows[4] + CELL.1 + 14.0);
        canvas.words(place, Anchor::Middle, "aside small", &at.to_string());
    }
    let note = (SIDE + NAMES - 10.0, rows[4] + CELL.1 + 14.0);
    canvas.words(note, Anchor::End, "aside small", "position");
    canvas.svg()
}

/// The sorted chunks twice: what a query misses without the previous chunk, and what it sees with it.
pub(crate) fn borders(
    layer: &Layer,
    buckets: &Buckets,
    sorted: &SortedBuckets,
    alone: &Matrix,
    with: &Matrix,
) -> String {
    let (len, places) = (layer.tokens.len(), Places { chunk: layer.chunk });
    let (ids, order) = (buckets.round(0), sorted.order_of(0));
    let rows = [TOP + 62.0, TOP + 190.0];
    let mut canvas = Canvas::new(
        places.width(len),
        rows[1] + CELL.1 + 48.0,
        "Why a chunk looks at the one before it",
        "Buckets end where they like, chunks where they must. Arcs join tokens of one bucket; dashed: not seen.",
    );
    for (y, lines, seen) in
        [(rows[0], ["Own chunk", "only"], alone), (rows[1], ["Own chunk and", "the one before"], with)]
    {
        name(&mut canvas, y, &lines);
        let missing = missed(ids, order, seen).len();
        for (rank, &t) in order.iter().enumerate() {
            for (other, &j) in order[..rank].iter().enumerate() {
                if ids[t as usize] != ids[j as usize] {
                    continue;
                }
                // Of two tokens of one bucket the later position is the query.
                let (query, key) = (t.max(j) as usize, t.min(j) as usize);
                let missed = if seen.row(query)[key] > 0.0 { "" } else { " dashed" };
                let (from, to) = (places.middle(other, true), places.middle(rank, true));
                let lift = (0.10 * (to - from)).clamp(7.0, 24.0);
                let class = format!("thick{missed} {}", stroke(ids[t as usize]));
                canvas.arc((from, y - 2.0), (to, y - 2.0), lift, &class);
            }
        }
        for (rank, &t) in order.iter().enumerate() {
            cell(&mut canvas, (places.x(rank, true), y), &layer.tokens[t as usize], Some(ids[t as usize]));
        }
        let words = match missing {
            0 => "every pair of one bucket is seen".to_owned(),
            1 => "1 pair of one bucket is not seen".to_owned(),
            n => format!("{n} pairs of one bucket are not seen"),
        };
        canvas.words((SIDE + NAMES, y + CELL.1 + 18.0), Anchor::Start, "ink", &words);
    }
    canvas.svg()
}

/// Pairs (query, key) of one bucket that have no weight.
pub(crate) fn missed(ids: &[u32], order: &[u32], seen: &Matrix) -> Vec<(usize, usize)> {
    let mut missed = Vec::new();
    for (rank, &t) in order.iter().enumerate() {
        for &j in &order[..rank] {
            let (query, key) = (t.max(j) as usize, t.min(j) as usize);
            if ids[query] == ids[key] && seen.row(query)[key] == 0.0 {
                missed.push((query, key));
            }
        }
    }
    missed
}
