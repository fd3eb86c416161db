//! How far numbers are from the truth. NaN is further than everything: `0.0.max(NaN)` is 0, so a fold by `f64::max`
//! lets a kernel that returns NaN everywhere pass; these do not.

/// The larger of two errors; NaN is larger than every number, and once there it stays.
pub fn worse(a: f64, b: f64) -> f64 {
    if b > a || b.is_nan() { b } else { a }
}

/// The largest error, 0 of none.
pub fn worst(errors: impl IntoIterator<Item = f64>) -> f64 {
    errors.into_iter().fold(0.0, worse)
}

/// `max |got − truth|`, NaN if one of them is NaN.
///
/// # Panics
/// If there are not as many numbers as true ones.
#[track_caller]
pub fn worst_error<G, T>(got: &[G], truth: &[T]) -> f64
where
    G: Copy + Into<f64>,
    T: Copy + Into<f64>,
{
    assert_eq!(got.len(), truth.len(), "numbers against true ones");
    worst(got.iter().zip(truth).map(|(&got, &truth)| (got.into() - truth.into()).abs()))
}

/// The same relative to the largest true magnitude.
#[track_caller]
pub fn distance<G, T>(got: &[G], truth: &[T]) -> f64
where
    G: Copy + Into<f64>,
    T: Copy + Into<f64>,
{
    let scale = truth.iter().fold(f64::MIN_POSITIVE, |scale, &x| scale.max(x.into().abs()));
    worst_error(got, truth) / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_comparator_lets_nan_pass_wherever_it_stands() {
        for at in 0..5 {
            let truth = [1.0_f64, -2.0, 0.0, 3.0, 4.0];
            let mut got = truth.map(|x| x as f32);
            assert_eq!((worst_error(&got, &truth), distance(&got, &truth)), (0.0, 0.0));
            got[at] = f32::NAN;
            assert!(worst_error(&got, &truth).is_nan() && distance(&got, &truth).is_nan(), "NaN at {at}");
            assert!(distance(&truth, &got).is_nan(), "a true NaN at {at}");
            let passes = |allowed: f64| distance(&got, &truth) <= allowed || distance(&got, &truth) < allowed;
            assert!(!passes(f64::INFINITY), "NaN at {at} passes");
        }
        assert!(worst([1.0, f64::NAN, 2.0]).is_nan() && worst([f64::NAN; 3]).is_nan());
        assert!(worse(0.0, f64::NAN).is_nan() && worse(f64::NAN, 0.0).is_nan());
    }

    #[test]
    fn an_infinity_is_infinitely_far_and_two_of_them_are_no_agreement() {
        assert_eq!(worst_error(&[f32::INFINITY], &[1.0_f32]), f64::INFINITY);
        assert!(worst_error(&[f32::INFINITY], &[f32::INFINITY]).is_nan());
    }

    #[test]
    fn distance_is_relative_to_the_largest_true_number() {
        assert_eq!(distance(&[1.0, -7.5], &[1.5, -8.0]), 0.5 / 8.0);
        assert_eq!(worst_error::<f32, f32>(&[], &[]), 0.0);
    }

    #[test]
    #[should_panic(expected = "numbers against true ones")]
    fn a_missing_number_is_no_agreement() {
        let _ = worst_error(&[1.0], &[1.0, 1.0]);
    }
}
