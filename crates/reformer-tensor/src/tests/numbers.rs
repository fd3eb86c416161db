//! Elementary functions against double precision, and row operations against their twins.

use reformer_testing::compare;

use crate::naive;
use crate::simd::{Kernel, Simd, dispatch, math, row, rows};
use crate::tests::{COLUMNS, each_level, judge, judge_sum, normal, wide};

/// A function of `simd::math` over a slice.
struct Apply<'a>(&'a mut [f32], Function);

#[derive(Clone, Copy)]
enum Function {
    Exp,
    Tanh,
    Erf,
    Sigmoid,
}

impl Kernel for Apply<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        rows::update(s, self.0, |x| match self.1 {
            Function::Exp => math::exp(s, x),
            Function::Tanh => math::tanh(s, x),
            Function::Erf => math::erf(s, x),
            Function::Sigmoid => math::sigmoid(s, x),
        });
    }
}

/// The distance from the truth in units of the truth's last place (as `f32`).
fn ulps(got: f32, truth: f64) -> f64 {
    let rounded = truth as f32;
    let place = f64::from(rounded.abs().next_up()) - f64::from(rounded.abs());
    (f64::from(got) - truth).abs() / place
}

fn worst(function: Function, from: f32, to: f32, truth: impl Fn(f64) -> f64) -> f64 {
    let n = 40_001;
    let x: Vec<f32> = (0..n).map(|i| from + (to - from) * i as f32 / (n - 1) as f32).collect();
    let mut y = x.clone();
    dispatch(Apply(&mut y, function));
    compare::worst(x.iter().zip(&y).map(|(&x, &y)| ulps(y, truth(f64::from(x)))))
}

#[test]
fn exp_tanh_erf_and_sigmoid_are_within_a_few_units_of_the_last_place() {
    each_level(|level| {
        for (name, function, from, to, allowed, truth) in [
            ("exp", Function::Exp, -87.0, 88.5, 2.0, f64::exp as fn(f64) -> f64),
            ("exp near 0", Function::Exp, -0.5, 0.5, 2.0, f64::exp),
            ("exp of subnormals", Function::Exp, -103.9, -87.0, 2.0, f64::exp),
            ("tanh", Function::Tanh, -12.0, 12.0, 3.0, f64::tanh),
            ("tanh near 0", Function::Tanh, -0.7, 0.7, 3.0, f64::tanh),
            ("erf", Function::Erf, -6.0, 6.0, 3.0, naive::erf::<f64>),
            ("erf near 0", Function::Erf, -1.0, 1.0, 3.0, naive::erf::<f64>),
            ("sigmoid", Function::Sigmoid, -80.0, 80.0, 4.0, |x| 1.0 / (1.0 + (-x).exp())),
        ] {
            let worst = worst(function, from, to, truth);
            assert!(worst <= allowed, "{name} at {level}: {worst:.2} ulp");
        }
    });
}

#[test]
fn exp_reaches_its_limits() {
    each_level(|level| {
        let mut x = [f32::NEG_INFINITY, -200.0, -104.0, 0.0, 88.7, 89.0, 1e30, f32::INFINITY, f32::NAN];
        rows::exp(&mut x);
        assert_eq!(x[..4], [0.0, 0.0, 0.0, 1.0], "{level}");
        assert!(x[4].is_finite(), "{level}: {}", x[4]);
        assert_eq!(x[5..8], [f32::INFINITY; 3], "{level}");
        assert!(x[8].is_nan(), "{level}");
    });
}

#[test]
fn tanh_erf_and_sigmoid_saturate_and_keep_nan() {
    each_level(|level| {
        for function in [Function::Tanh, Function::Erf, Function::Sigmoid] {
            let mut x = [f32::NEG_INFINITY, -1e30, 1e30, f32::INFINITY, f32::NAN, 0.0];
            dispatch(Apply(&mut x, function));
            let (low, zero) = if matches!(function, Function::Sigmoid) { (0.0, 0.5) } else { (-1.0, 0.0) };
            assert_eq!(x[..4], [low, low, 1.0, 1.0], "{level}");
            assert!(x[4].is_nan(), "{level}");
            assert_eq!(x[5], zero, "{level}");
        }
    });
}

#[test]
fn the_naive_erf_is_the_error_function() {
    // Abramowitz and Stegun, table 7.1, and values to 16 digits from an arbitrary-precision program.
    for (x, y) in [
        (0.5, 0.520_499_877_813_046_5),
        (1.0, 0.842_700_792_949_714_9),
        (2.0, 0.995_322_265_018_952_7),
        (3.0, 0.999_977_909_503_001_4),
    ] {
        assert!((naive::erf::<f64>(x) - y).abs() < 1e-15, "erf {x} = {}", naive::erf(x));
        assert!((naive::erf::<f64>(-x) + y).abs() < 1e-15);
    }
    // Both forms agree where one takes over from the other.
    assert!((naive::erf(2.5_f64.next_down()) - naive::erf(2.5_f64)).abs() < 1e-15);
}

#[test]
fn row_operations_agree_with_their_twins() {
    each_level(|level| {
        for n in COLUMNS {
            let (x, y) = (normal(1, 1, n), normal(2, 1, n));
            let (x, y) = (x.as_slice(), y.as_slice());
            let case = |what: &str| format!("{what} of {n} at {level}");
            judge_sum(&case("sum"), n, &[rows::sum(x)], &[x.iter().sum()], &[wide(x).iter().sum()]);
            let (dot, truth) = (naive::matmul(1, 1, n, x, y), naive::matmul(1, 1, n, &wide(x), &wide(y)));
            judge_sum(&case("dot"), n, &[rows::dot(x, y)], &dot, &truth);
            let max = rows::max(x);
            assert_eq!(max, x.iter().copied().fold(f32::NEG_INFINITY, f32::max), "{}", case("max"));
            let twin: Vec<f32> = x.iter().map(|x| (x - max).exp()).collect();
            let truth: Vec<f64> = wide(x).iter().map(|x| (x - f64::from(max)).exp()).collect();
            let mut e = x.to_vec();
            let sum = rows::exp_sum(&mut e, max);
            judge(&case("exp"), &e, &twin, &truth);
            judge(&case("sum of exp"), &[sum], &[twin.iter().sum()], &[truth.iter().sum()]);
            judge(
                &case("sum of exp, unwritten"),
                &[rows::sum_exp(x, max)],
                &[twin.iter().sum()],
                &[truth.iter().sum()],
            );
            let mut z = y.to_vec();
            rows::axpy(0.3, x, &mut z);
            let twin: Vec<f32> = (0..n).map(|i| y[i] + 0.3 * x[i]).collect();
            let truth: Vec<f64> =
                (0..n).map(|i| f64::from(y[i]) + f64::from(0.3_f32) * f64::from(x[i])).collect();
            judge(&case("axpy"), &z, &twin, &truth);
            rows::sub(x, &mut z);
            rows::add(x, &mut z);
            rows::scale(&mut z, -2.0);
            rows::mul(y, &mut z);
            let truth: Vec<f64> = (0..n).map(|i| -2.0 * truth[i] * f64::from(y[i])).collect();
            let twin: Vec<f32> = (0..n).map(|i| -2.0 * (twin[i] - x[i] + x[i]) * y[i]).collect();
            judge(&case("sub, add, scale, mul"), &z, &twin, &truth);
        }
    });
}

#[test]
fn a_row_of_nothing_has_no_maximum_and_sums_to_zero() {
    each_level(|_| {
        assert_eq!(rows::max(&[]), f32::NEG_INFINITY);
        assert_eq!(rows::sum(&[]), 0.0);
        assert_eq!(rows::exp_sum(&mut [], 3.0), 0.0);
        assert_eq!(rows::dot(&[], &[]), 0.0);
    });
}

#[test]
fn a_masked_row_sums_to_zero_and_not_to_nan() {
    each_level(|_| {
        for n in COLUMNS {
            let mut x = vec![f32::NEG_INFINITY; n];
            assert_eq!(rows::sum_exp(&x, f32::NEG_INFINITY), 0.0);
            assert_eq!(rows::exp_sum(&mut x, f32::NEG_INFINITY), 0.0);
            assert!(x.iter().all(|&x| x == 0.0));
        }
    });
}

/// Each verb of `simd::row` over `y`, in turn; then the dot product.
struct Verbs<'a>(&'a [f32], &'a mut [Vec<f32>; 5]);

impl Kernel for Verbs<'_> {
    type Output = f32;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        let Self(x, [copied, scaled, added, moved, blended]) = self;
        row::copy(s, x, copied);
        row::scale(s, -1.7, x, scaled);
        row::add(s, x, added);
        row::add_scaled(s, 0.3, x, moved);
        row::blend(s, 0.3, x, 0.6, blended);
        row::dot(s, x, copied)
    }
}

#[test]
fn the_verbs_on_a_row_do_what_they_say_at_every_length() {
    each_level(|level| {
        for n in COLUMNS {
            let case = |verb: &str| format!("{verb} of {n} at {level}");
            let (x, y) = (normal(1, 1, n), normal(2, 1, n));
            let (x, y) = (x.as_slice(), y.as_slice());
            let mut rows = [const { Vec::new() }; 5].map(|_: Vec<f32>| y.to_vec());
            let dot = dispatch(Verbs(x, &mut rows));
            let pairs = || x.iter().zip(y);
            let [copied, scaled, added, moved, blended] = &rows;
            assert_eq!(copied, x, "{}", case("copy"));
            assert_eq!(*scaled, x.iter().map(|x| -1.7 * x).collect::<Vec<_>>(), "{}", case("scale"));
            assert_eq!(*added, pairs().map(|(x, y)| x + y).collect::<Vec<_>>(), "{}", case("add"));
            let truth = |a: f32, b: f32| {
                pairs().map(move |(&x, &y)| f64::from(a) * f64::from(x) + f64::from(b) * f64::from(y))
            };
            let twin = |a: f32, b: f32| pairs().map(move |(x, y)| a * x + b * y);
            for (verb, got, a, b) in [("add_scaled", moved, 0.3, 1.0), ("blend", blended, 0.3, 0.6)] {
                judge(&case(verb), got, &twin(a, b).collect::<Vec<_>>(), &truth(a, b).collect::<Vec<_>>());
            }
            let squares = [x.iter().map(|x| x * x).sum()];
            judge_sum(&case("dot"), n, &[dot], &squares, &[wide(x).iter().map(|x| x * x).sum()]);
        }
    });
}

struct NonFinite<'a>(&'a [f32]);

impl Kernel for NonFinite<'_> {
    type Output = bool;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> bool {
        s.sum(row::non_finite(s, self.0, s.zero())) != 0.0
    }
}

#[test]
fn a_number_that_is_none_is_found_at_every_place_of_a_row() {
    each_level(|level| {
        for n in COLUMNS {
            assert!(!dispatch(NonFinite(&vec![f32::MAX; n])), "{n} finite numbers at {level}");
            for (bad, at) in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY]
                .into_iter()
                .flat_map(|x| [(x, 0), (x, n / 2), (x, n - 1)])
            {
                let mut x = vec![-1.0; n];
                x[at] = bad;
                assert!(dispatch(NonFinite(&x)), "{bad} at {at} of {n}, {level}");
            }
        }
    });
}

#[test]
fn the_logarithm_is_within_two_units_of_the_last_place() {
    // Sums of a softmax: from a lone weight near 0 to a crowd.
    for start in [1e-30_f32, 1e-3, 0.5, 0.99, 1.0, 1.01, 700.0, 1e20] {
        let x: [f32; 64] = std::array::from_fn(|i| start * (1.0 + i as f32 / 37.0));
        for (x, y) in x.into_iter().zip(math::ln(&x)) {
            let truth = f64::from(x).ln();
            assert!(
                ulps(y, truth) <= 2.0 || (f64::from(y) - truth).abs() < 1e-7,
                "log {x} = {y}, not {truth}"
            );
        }
    }
}
