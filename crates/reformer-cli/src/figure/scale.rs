//! How numbers lie along an axis: evenly or by powers, with the ticks and their words.

/// How numbers lie along an axis, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly.
    Linear,
    /// By powers of ten, with plain numbers.
    Log,
    /// Powers of ten, as they are: counts, errors.
    Powers,
    /// Powers of two, 1,024 as `1k`: lengths.
    Lengths,
    /// Powers of ten, with `µs`, `ms`, `s`: durations.
    Durations,
}

impl Scale {
    pub(crate) fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Lengths => value.log2(),
            Self::Durations | Self::Log | Self::Powers => value.log10(),
        }
    }

    /// Where the axis begins and ends, and its ticks with their words.
    pub(crate) fn ticks(self, low: f64, high: f64) -> (f64, f64, Vec<(f64, String)>) {
        let (low, high) = (self.place(low), self.place(high));
        match self {
            Self::Linear => {
                let spread = if high > low { high - low } else { 1.0 };
                let power = 10f64.powf((spread / 5.0).log10().floor());
                let step = [1.0, 2.0, 5.0, 10.0].map(|m| m * power).into_iter().find(|s| spread / s <= 6.0);
                let step = step.unwrap_or(10.0 * power);
                let (first, last) =
                    ((low / step).floor(), (high / step).ceil().max((low / step).floor() + 1.0));
                let digits = (-step.log10().floor()).max(0.0) as usize;
                let ticks = (first as i64..=last as i64)
                    .map(|i| (i as f64 * step, format!("{:.digits$}", i as f64 * step)))
                    .collect();
                (first * step, last * step, ticks)
            }
            Self::Log => decades(low, high),
            Self::Lengths => {
                let (mut first, mut last) = (low.floor() as i32, high.ceil() as i32);
                if first == last {
                    (first, last) = (first - 1, last + 1);
                }
                let stride = (last - first).div_euclid(9) + 1;
                let ticks = (first..=last).filter(|p| (p - first) % stride == 0);
                (f64::from(first), f64::from(last), ticks.map(|p| (f64::from(p), length(p))).collect())
            }
            Self::Powers => {
                let (first, last) = (low.floor() as i32, (high.ceil() as i32).max(low.floor() as i32 + 1));
                let stride = (last - first).div_euclid(9) + 1;
                let ticks = (first..=last).filter(|p| (p - first) % stride == 0);
                (f64::from(first), f64::from(last), ticks.map(|p| (f64::from(p), power(p))).collect())
            }
            Self::Durations => {
                let (first, last) = (low.floor() as i32, (high.ceil() as i32).max(low.floor() as i32 + 1));
                let mut ticks: Vec<(f64, String)> =
                    (first..=last).map(|p| (f64::from(p), duration(p))).collect();
                // Few decades: a tick at 2 and 5 times each, unnamed.
                if last - first <= 4 {
                    let between = (first..last)
                        .flat_map(|p| [2.0f64, 5.0].map(|m| (f64::from(p) + m.log10(), String::new())));
                    ticks.extend(between);
                }
                (f64::from(first), f64::from(last), ticks)
            }
        }
    }
}

fn length(power: i32) -> String {
    let n = 2f64.powi(power);
    match power {
        20.. => format!("{}M", n / 1_048_576.0),
        10.. => format!("{}k", n / 1024.0),
        _ => format!("{n}"),
    }
}

fn power(power: i32) -> String {
    match power {
        0..=2 => 10u32.pow(power.unsigned_abs()).to_string(),
        _ => format!("1e{power}"),
    }
}

fn duration(power: i32) -> String {
    let (unit, base) = match power {
        0.. => ("s", 0),
        -3..0 => ("ms", -3),
        -6..-3 => ("µs", -6),
        _ => ("ns", -9),
    };
    format!("{} {unit}", 10f64.powi(power - base))
}

/// Ticks at 1, 2 and 5 times a power of ten around `low..=high`, which are logarithms; at every digit where these are
/// few.
fn decades(low: f64, high: f64) -> (f64, f64, Vec<(f64, String)>) {
    let around = |digits: &[i32]| -> Vec<(f64, String)> {
        let powers = low.floor() as i32 - 1..=high.ceil() as i32 + 1;
        let all: Vec<(f64, String)> = powers
            .flat_map(|power| digits.iter().map(move |&digit| (digit, power)))
            .map(|(digit, power)| {
                let value = f64::from(digit) * 10f64.powi(power);
                (value.log10(), format!("{value:.*}", (-power).max(0) as usize))
            })
            .collect();
        let begins = all.iter().rposition(|(place, _)| *place <= low + 1e-9).unwrap_or(0);
        let ends = all.iter().position(|(place, _)| *place >= high - 1e-9).unwrap_or(all.len() - 1);
        all[begins..=ends.max(begins + 1)].to_vec()
    };
    let mut ticks = around(&[1, 2, 5]);
    if ticks.len() < 5 {
        ticks = around(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
    } else if ticks.len() > 10 {
        ticks = around(&[1]);
    }
    (ticks[0].0, ticks[ticks.len() - 1].0, ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(scale: Scale, low: f64, high: f64) -> Vec<String> {
        scale.ticks(low, high).2.into_iter().map(|(_, words)| words).filter(|w| !w.is_empty()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_that_enclose_the_data() {
        assert_eq!(words(Scale::Lengths, 1024.0, 16384.0), ["1k", "2k", "4k", "8k", "16k"]);
        assert_eq!(words(Scale::Lengths, 64.0, 1_048_576.0).last().unwrap(), "1M");
        assert_eq!(words(Scale::Durations, 0.004, 2.0), ["1 ms", "10 ms", "100 ms", "1 s", "10 s"]);
        assert_eq!(words(Scale::Powers, 3e-3, 40.0), ["1e-3", "1e-2", "1e-1", "1", "10", "100"]);
        assert_eq!(words(Scale::Linear, 0.61, 2.9), ["0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]);
        assert_eq!(words(Scale::Linear, 0.0, 1600.0), ["0", "500", "1000", "1500", "2000"]);
    }

    #[test]
    fn logarithmic_ticks_are_plain_numbers_that_enclose_the_data() {
        assert_eq!(words(Scale::Log, 1.1, 7.2), ["1", "2", "3", "4", "5", "6", "7", "8"]);
        assert_eq!(words(Scale::Log, 0.02, 3.0), ["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2", "5"]);
        assert_eq!(words(Scale::Log, 1.0, 1e6), ["1", "10", "100", "1000", "10000", "100000", "1000000"]);
        assert!(words(Scale::Log, 3.0, 3.0).len() > 1);
    }
}
