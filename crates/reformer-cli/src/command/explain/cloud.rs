//! A cloud of points coloured by bucket, with what cuts it: planes, or the directions of a cross-polytope.

use reformer::tensor::Matrix;

use super::canvas::{Anchor, Canvas, SIDE, TOP, fill};

/// Side of the square that is drawn, and how far from the origin it reaches.
const SQUARE: f64 = 470.0;
const REACH: f64 = 3.2;

/// What cuts the plane.
pub(crate) enum Cut<'a> {
    /// Lines through the origin with these normals, `[2]` each; a region's number stands in it.
    Planes(&'a [[f32; 2]]),
    /// Rays along these directions and their opposites.
    Rays(&'a [[f32; 2]]),
    /// The axes themselves: the first two planes' projections are the coordinates.
    Axes,
}

/// Draws points `[n, 2]` with their buckets. `bucket_at` says where a direction falls, for the numbers in the regions.
pub(crate) fn draw(
    title: &str,
    about: &str,
    points: &Matrix,
    buckets: &[u32],
    cut: &Cut<'_>,
    bucket_at: &dyn Fn([f32; 2]) -> u32,
) -> String {
    let mut canvas = Canvas::new(SQUARE + 2.0 * SIDE, TOP + SQUARE + 24.0, title, about);
    let place = |x: f64, y: f64| {
        (SIDE + SQUARE * (0.5 + x / (2.0 * REACH)), TOP + SQUARE * (0.5 - y / (2.0 * REACH)))
    };
    let within = |v: f64| v.clamp(-0.98 * REACH, 0.98 * REACH);
    for (i, &bucket) in buckets.iter().enumerate() {
        let (x, y) = (f64::from(points.row(i)[0]), f64::from(points.row(i)[1]));
        canvas.dot(place(within(x), within(y)), 3.2, &fill(bucket));
    }
    // Angles at which the bucket changes: at a plane, or half-way between two rays.
    let angle = |v: &[f32; 2]| f64::from(v[1]).atan2(f64::from(v[0]));
    let end = |angle: f64, reach: f64| place(reach * angle.cos(), reach * angle.sin());
    match cut {
        Cut::Planes(normals) => {
            let mut sides: Vec<(f64, f64)> = Vec::new();
            for (i, normal) in normals.iter().enumerate() {
                let across = angle(normal) + std::f64::consts::FRAC_PI_2;
                canvas.line(end(across, REACH), end(across, -REACH), "frame");
                // The plane's arm stands at the end that is farther from those before.
                let ends = [end(across, 0.9 * REACH), end(across, -0.9 * REACH)];
                let far = |at: &(f64, f64)| {
                    sides.iter().map(|s| (s.0 - at.0).hypot(s.1 - at.1)).fold(f64::INFINITY, f64::min)
                };
                let side = if far(&ends[1]) > far(&ends[0]) { ends[1] } else { ends[0] };
                sides.push(side);
                let tip = (side.0 + 26.0 * angle(normal).cos(), side.1 - 26.0 * angle(normal).sin());
                canvas.line(side, tip, "frame");
                canvas.dot(tip, 2.4, "ink");
                label(&mut canvas, (tip.0, tip.1), &format!("plane {i}"), "aside small");
            }
        }
        Cut::Rays(directions) => {
            let size = |v: &[f32; 2]| f64::from(v[0]).hypot(f64::from(v[1]));
            let longest = directions.iter().map(size).fold(f64::MIN_POSITIVE, f64::max);
            for (i, direction) in directions.iter().enumerate() {
                let reach = 0.85 * REACH * size(direction) / longest;
                for (sign, turn) in [("", 0.0), ("−", std::f64::consts::PI)] {
                    let at = angle(direction) + turn;
                    canvas.line(end(at, 0.0), end(at, reach), "frame");
                    label(&mut canvas, end(at, reach + 0.06 * REACH), &format!("{sign}r{i}"), "ink small");
                    // Over the paper of the label, which may reach as far as the tip.
                    canvas.dot(end(at, reach), 2.4, "ink");
                }
            }
        }
        Cut::Axes => {
            canvas.line(place(-REACH, 0.0), place(REACH, 0.0), "frame");
            canvas.line(place(0.0, -REACH), place(0.0, REACH), "frame");
        }
    }
    if !matches!(cut, Cut::Axes) {
        for (at, bucket) in regions(bucket_at) {
            let (x, y) = end(at, 0.62 * REACH);
            canvas.dot((x, y), 13.0, "paper");
            canvas.dot((x, y), 11.5, &fill(bucket));
            canvas.words((x, y + 4.2), Anchor::Middle, "on strong", &bucket.to_string());
        }
    }
    canvas.svg()
}

fn label(canvas: &mut Canvas, (x, y): (f64, f64), words: &str, class: &str) {
    let anchor = if x > SIDE + 0.9 * SQUARE {
        Anchor::End
    } else if x < SIDE + 0.1 * SQUARE {
        Anchor::Start
    } else {
        Anchor::Middle
    };
    let y = (y - 6.0).clamp(TOP + 10.0, TOP + SQUARE - 4.0);
    // Paper under the words: points behind them would make them unreadable.
    let width = 6.4 * words.chars().count() as f64 + 6.0;
    let left = match anchor {
        Anchor::Start => x - 3.0,
        Anchor::Middle => x - width / 2.0,
        Anchor::End => x + 3.0 - width,
    };
    canvas.rect((left, y - 10.5), (width, 14.0), "paper");
    canvas.words((x, y), anchor, class, words);
}

/// The middle angle of every region of one bucket, going round.
fn regions(bucket_at: &dyn Fn([f32; 2]) -> u32) -> Vec<(f64, u32)> {
    const STEPS: usize = 3600;
    let angle = |step: usize| std::f64::consts::TAU * step as f64 / STEPS as f64;
    let bucket = |step: usize| bucket_at([angle(step).cos() as f32, angle(step).sin() as f32]);
    let borders: Vec<usize> =
        (0..STEPS).filter(|&step| bucket(step) != bucket((step + STEPS - 1) % STEPS)).collect();
    let Some(&first) = borders.first() else { return vec![(0.0, bucket(0))] };
    let ends = borders.iter().skip(1).copied().chain(std::iter::once(first + STEPS));
    borders.iter().zip(ends).map(|(&from, to)| (angle(usize::midpoint(from, to)), bucket(from))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_between_the_planes_is_found_once() {
        // Two axes: four quadrants.
        let quadrant = |[x, y]: [f32; 2]| u32::from(x > 0.0) + 2 * u32::from(y > 0.0);
        let found = regions(&quadrant);
        assert_eq!(found.len(), 4);
        assert!(found.iter().all(|&(at, bucket)| quadrant([at.cos() as f32, at.sin() as f32]) == bucket));
        assert_eq!(regions(&|_| 7), [(0.0, 7)]);
    }
}
