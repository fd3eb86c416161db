//! Keeping `f32` numbers in 16 bits, and back.
//!
//! `bf16` is the upper half of an `f32`: [`widen`] is exact, [`narrow`] rounds to the nearest, ties to the even
//! neighbour (relative error at most 2⁻⁸). NaN stays NaN, infinity stays infinity, a number near the largest becomes
//! infinite.

use crate::simd::kernel;
use crate::{Bf16, Element};

kernel! {
    /// `to[i] = bf16(x[i])`, as bits.
    Narrow: pub fn narrow<'k>(x: &'k [f32], to: &'k mut [u16]) = |_s| {
        assert_eq!(x.len(), to.len(), "narrow: slices of different lengths");
        // Plain integer arithmetic: the compiler makes vectors of it, with the instructions of the level.
        for (to, &x) in to.iter_mut().zip(x) {
            *to = Bf16::of(x).bits();
        }
    }
}

kernel! {
    /// `to[i]` = the number whose bf16 bits are `x[i]`.
    Widen: pub fn widen<'k>(x: &'k [u16], to: &'k mut [f32]) = |_s| {
        assert_eq!(x.len(), to.len(), "widen: slices of different lengths");
        for (to, &x) in to.iter_mut().zip(x) {
            *to = Bf16::from_bits(x).get();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{narrow, widen};

    fn round_trip(x: &[f32]) -> Vec<f32> {
        let (mut bits, mut back) = (vec![0; x.len()], vec![0.0; x.len()]);
        narrow(x, &mut bits);
        widen(&bits, &mut back);
        back
    }

    #[test]
    fn what_fits_sixteen_bits_comes_back_and_ties_go_to_the_even_neighbour() {
        // The largest, the smallest normal one and a subnormal one among them, all with zeros in the lower half.
        let large = [f32::INFINITY, f32::NEG_INFINITY, f32::from_bits(0x7f7f_0000)];
        let small = [f32::MIN_POSITIVE, f32::from_bits(0x0001_0000), f32::from_bits(0x8042_0000)];
        let fits = [&[0.0, -0.0, 1.0, -2.5, 0.386_718_75], &large[..], &small].concat();
        let bits = |x: &[f32]| x.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&round_trip(&fits)), bits(&fits));
        // 1 + 2⁻⁸ lies between 1 and 1 + 2⁻⁷; 1 + 3·2⁻⁸ between 1 + 2⁻⁷ and 1 + 2⁻⁶.
        let step = 2.0_f32.powi(-8);
        assert_eq!(round_trip(&[1.0 + step, 1.0 + 3.0 * step]), [1.0, 1.0 + 4.0 * step]);
        assert!(round_trip(&[f32::NAN, f32::from_bits(0x7f80_0001)]).iter().all(|x| x.is_nan()));
    }

    #[test]
    fn rounding_is_off_by_one_part_in_256_at_most() {
        let x: Vec<f32> = (1..5000).map(|i| (i as f32 * 0.37).sin() * 1.7_f32.powi(i % 40 - 20)).collect();
        for (x, back) in x.iter().zip(round_trip(&x)) {
            assert!((x - back).abs() <= x.abs() / 256.0, "{x} {back}");
        }
    }
}
