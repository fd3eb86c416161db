//! Products inside a kernel against their twins, and the comparisons of integer lanes, at every level.

use crate::naive;
use crate::simd::{Kernel, Simd, dispatch};
use crate::tests::{each_level, judge_sum, normal, wide};
use crate::tile::packed::{PANEL, by_columns, by_panels, by_rows, pack_panel};

struct Products<'a> {
    shape: [usize; 3],
    /// `[m, k + 3]`: rows further apart than they are long.
    a: &'a [f32],
    /// `[n, k]` and `[k, n]`.
    b: [&'a [f32]; 2],
}

impl Kernel for Products<'_> {
    type Output = [Vec<f32>; 3];

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let [m, n, k] = self.shape;
        let mut panels = vec![f32::NAN; n * k];
        for (rows, panel) in self.b[0].chunks(PANEL * k).zip(panels.chunks_mut(PANEL * k)) {
            pack_panel(s, k, (rows, k), panel);
        }
        let mut far = vec![f32::NAN; m * (n + 5)];
        by_panels(s, (m, k), (self.a, k + 3), &panels, (&mut far, n + 5));
        let by_panels = far.chunks(n + 5).flat_map(|row| row[..n].to_vec()).collect();
        let mut rows = vec![f32::NAN; m * n];
        by_rows(s, [m, n, k], (self.a, k + 3), self.b[1], &mut rows);
        let columns = k / 8 * 8;
        let mut sums = vec![1.0; columns * n];
        by_columns(s, [columns, n, k.min(m)], (self.a, k + 3), self.b[1], &mut sums);
        [by_panels, rows, sums]
    }
}

#[test]
fn products_of_packed_operands_agree_with_their_twins_at_every_level() {
    each_level(|level| {
        for m in [8, 16, 24] {
            for n in [16, 32, 48] {
                for k in [1, 5, 8, 16, 31, 64] {
                    let (a, bt, b) = (normal(1, m, k + 3), normal(2, n, k), normal(3, k, n));
                    let tight: Vec<f32> = (0..m).flat_map(|i| a.row(i)[..k].to_vec()).collect();
                    let b_of = [bt.as_slice(), b.as_slice()];
                    let [panels, rows, sums] =
                        dispatch(Products { shape: [m, n, k], a: a.as_slice(), b: b_of });
                    let case = format!("{m} x {n} over {k}, {level}");
                    let (twin, truth) = (
                        naive::matmul_nt(m, n, k, &tight, bt.as_slice()),
                        naive::matmul_nt(m, n, k, &wide(&tight), &wide(bt.as_slice())),
                    );
                    judge_sum(&case, k, &panels, &twin, &truth);
                    let (twin, truth) = (
                        naive::matmul(m, n, k, &tight, b.as_slice()),
                        naive::matmul(m, n, k, &wide(&tight), &wide(b.as_slice())),
                    );
                    judge_sum(&case, k, &rows, &twin, &truth);
                    // Down the columns: as many steps as both have rows.
                    let (columns, steps) = (k / 8 * 8, k.min(m));
                    let top: Vec<f32> = (0..steps).flat_map(|i| a.row(i)[..columns].to_vec()).collect();
                    let b = &b.as_slice()[..steps * n];
                    let mut twin = naive::matmul_tn(columns, n, steps, &top, b);
                    let mut truth = naive::matmul_tn(columns, n, steps, &wide(&top), &wide(b));
                    for x in &mut twin {
                        *x += 1.0;
                    }
                    for x in &mut truth {
                        *x += 1.0;
                    }
                    judge_sum(&case, steps + 1, &sums, &twin, &truth);
                }
            }
        }
    });
}

struct Comparisons<'a>(&'a [u32], u32, u32);

impl Kernel for Comparisons<'_> {
    type Output = Vec<[bool; 5]>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let Self(x, a, b) = self;
        let mut out = Vec::new();
        for x in x.chunks_exact(S::LANES) {
            let (le, eq, within) = (s.le_u32(x, a), s.eq_u32(x, a), s.within_u32(a, x, b));
            let masks = [le, eq, within, s.and(le, within), s.and_not(le, within)].map(|m| s.bits(m));
            let mut numbers = vec![0.0; S::LANES];
            s.store(&mut numbers, s.select(le, s.splat(2.0), s.splat(3.0)));
            for lane in 0..S::LANES {
                out.push(masks.map(|m| m >> lane & 1 == 1));
                assert_eq!(numbers[lane] == 2.0, x[lane] <= a);
            }
        }
        out
    }
}

#[test]
fn integer_lanes_compare_unsigned_and_wrap() {
    let x: Vec<u32> = [0, 1, 5, 6, 7, 1 << 31, u32::MAX - 1, u32::MAX].into_iter().cycle().take(32).collect();
    each_level(|level| {
        for a in [0, 5, 6, (1 << 31) + 1, u32::MAX - 1, u32::MAX] {
            for b in [0, 1, 1 << 30, u32::MAX] {
                for (x, got) in x.iter().zip(dispatch(Comparisons(&x, a, b))) {
                    let (le, within) = (*x <= a, a.wrapping_sub(*x) <= b);
                    let expected = [le, *x == a, within, le && within, le && !within];
                    assert_eq!(got, expected, "{x} against {a} and {b}, {level}");
                }
            }
        }
    });
}
