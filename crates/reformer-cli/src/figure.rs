//! A figure of lines as one SVG file: axes linear or logarithmic, a legend in the order of the lines' ends, colours that
//! follow the reader's light or dark scheme.
//!
//! By hand, because what is drawn is small and no plotting crate (plotters, kuva, charming, poloto were looked at) writes a
//! file that changes with `prefers-color-scheme`. Lines differ by colour, mark and dash, so that neither print nor colour
//! blindness makes two of them one.

use std::fmt::Write;

/// Width and height of the part inside the axes, and the margins left, top and bottom; the right one is the legend's.
const INNER: (f64, f64) = (500.0, 316.0);
const MARGIN: (f64, f64, f64) = (78.0, 66.0, 58.0);
/// Width of a letter of the legend, about: what the legend is given.
const LETTER: f64 = 6.4;
/// Colours of the lines on light paper and on dark: distinct to colour-blind readers (after Okabe and Ito).
pub(crate) const COLOURS: [(&str, &str); 8] = [
    ("#0072b2", "#5cb8f2"),
    ("#d55e00", "#ff9457"),
    ("#00825d", "#3ed3a2"),
    ("#b3518a", "#f2a7d2"),
    ("#7a6400", "#e3c84a"),
    ("#555555", "#bbbbbb"),
    ("#6f4fc9", "#b7a4ff"),
    ("#a02c2c", "#ff8f8f"),
];

/// How numbers lie along an axis, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly.
    Linear,
    /// Powers of two, 1,024 as `1k`: lengths.
    Lengths,
    /// Powers of ten, with `µs`, `ms`, `s`: durations.
    Durations,
    /// Powers of ten, as they are: counts, errors.
    Powers,
}

/// An axis.
#[derive(Debug, Clone)]
pub(crate) struct Axis {
    pub(crate) label: String,
    pub(crate) scale: Scale,
}

/// A line.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) name: String,
    /// By ascending x.
    pub(crate) points: Vec<(f64, f64)>,
    pub(crate) dashed: bool,
    /// Whether each point gets a mark.
    pub(crate) marks: bool,
    /// Which colour and mark.
    pub(crate) look: usize,
}

/// A figure.
#[derive(Debug, Clone)]
pub(crate) struct Figure {
    pub(crate) title: String,
    pub(crate) subtitle: String,
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

impl Scale {
    fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Lengths => value.log2(),
            Self::Durations | Self::Powers => value.log10(),
        }
    }

    /// Where the axis begins and ends, and its ticks with their words.
    fn ticks(self, low: f64, high: f64) -> (f64, f64, Vec<(f64, String)>) {
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

impl Figure {
    /// The SVG document. Points that are not finite, or not positive on a logarithmic axis, are left out.
    pub(crate) fn svg(&self) -> String {
        let mut out = String::new();
        self.draw(&mut out).expect("writing to a string does not fail");
        out
    }

    fn draw(&self, out: &mut String) -> std::fmt::Result {
        let ((inner, tall), (left, top, bottom)) = (INNER, MARGIN);
        let longest = self.series.iter().map(|series| series.name.chars().count()).max().unwrap_or(0);
        let (width, height) = ((left + inner + 62.0 + LETTER * longest as f64).round(), top + tall + bottom);
        let legal = |scale: Scale, v: f64| v.is_finite() && (scale == Scale::Linear || v > 0.0);
        let drawn: Vec<(&Series, Vec<(f64, f64)>)> = self
            .series
            .iter()
            .map(|series| {
                let points = series.points.iter().copied();
                (series, points.filter(|&(x, y)| legal(self.x.scale, x) && legal(self.y.scale, y)).collect())
            })
            .collect();
        let all = || drawn.iter().flat_map(|(_, points)| points);
        let span = |pick: fn(&(f64, f64)) -> f64| {
            let values = || all().map(pick);
            let (low, high) =
                (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
            if low.is_finite() { (low, high) } else { (1.0, 1.0) }
        };
        let (low, high) = span(|p| p.0);
        let (x_first, x_last, x_ticks) = self.x.scale.ticks(low, high);
        let (low, high) = span(|p| p.1);
        let (y_first, y_last, y_ticks) = self.y.scale.ticks(low, high);
        let across = |place: f64| left + inner * (place - x_first) / (x_last - x_first);
        let down = |place: f64| top + tall * (1.0 - (place - y_first) / (y_last - y_first));

        writeln!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">"
        )?;
        writeln!(out, "<title id=\"title\">{}</title>", escaped(&self.title))?;
        writeln!(out, "<desc id=\"desc\">{}</desc>", escaped(&self.subtitle))?;
        writeln!(out, "{}", style())?;
        writeln!(out, "<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>")?;
        writeln!(out, "<text class=\"title\" x=\"{left}\" y=\"28\">{}</text>", escaped(&self.title))?;
        writeln!(out, "<text class=\"aside\" x=\"{left}\" y=\"47\">{}</text>", escaped(&self.subtitle))?;
        for (place, words) in &x_ticks {
            let x = across(*place);
            writeln!(out, "<path class=\"grid\" d=\"M{x:.1} {top:.1}V{:.1}\"/>", top + tall)?;
            writeln!(
                out,
                "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{words}</text>",
                top + tall + 18.0
            )?;
        }
        for (place, words) in &y_ticks {
            let y = down(*place);
            let faint = if words.is_empty() { " faint" } else { "" };
            writeln!(out, "<path class=\"grid{faint}\" d=\"M{left:.1} {y:.1}H{:.1}\"/>", left + inner)?;
            writeln!(
                out,
                "<text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{words}</text>",
                left - 9.0,
                y + 4.0
            )?;
        }
        writeln!(
            out,
            "<path class=\"axis\" d=\"M{left:.1} {top:.1}V{:.1}H{:.1}\"/>",
            top + tall,
            left + inner
        )?;
        let middle = (left + inner / 2.0, top + tall / 2.0);
        writeln!(
            out,
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            middle.0,
            height - 16.0,
            escaped(&self.x.label)
        )?;
        writeln!(
            out,
            "<text class=\"label\" transform=\"translate(20 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            middle.1,
            escaped(&self.y.label)
        )?;

        for (series, points) in &drawn {
            let at: Vec<(f64, f64)> = points
                .iter()
                .map(|&(x, y)| (across(self.x.scale.place(x)), down(self.y.scale.place(y))))
                .collect();
            line(out, series, &at)?;
        }
        // The legend stands in the order of the lines' ends, so that the eye need not jump.
        let mut names: Vec<_> =
            drawn.iter().filter_map(|(s, points)| points.last().map(|p| (p, *s))).collect();
        names.sort_by(|a, b| b.0.1.total_cmp(&a.0.1));
        for (row, (_, series)) in names.iter().enumerate() {
            let (x, y) = (left + inner + 18.0, top + 8.0 + 21.0 * row as f64);
            line(out, series, &[(x, y), (x + 13.0, y), (x + 26.0, y)])?;
            writeln!(
                out,
                "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text>",
                x + 34.0,
                y + 4.0,
                escaped(&series.name)
            )?;
        }
        writeln!(out, "</svg>")
    }
}

/// A line with its marks; in the legend (three points) only the middle one is marked.
fn line(out: &mut String, series: &Series, at: &[(f64, f64)]) -> std::fmt::Result {
    let colour = series.look % COLOURS.len();
    let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    let dashed = if series.dashed { " dashed" } else { "" };
    writeln!(out, "<path class=\"line c{colour}{dashed}\" d=\"M{}\"/>", path.join("L"))?;
    let legend = at.len() == 3 && at[0].1 == at[2].1 && at[2].0 - at[0].0 == 26.0;
    let marked = if legend { &at[1..2] } else { at };
    // A line of one point is nothing but its mark.
    for (x, y) in marked.iter().filter(|_| series.marks || at.len() == 1) {
        let r = 3.6;
        let d = match series.look % 4 {
            0 => format!("M{:.1} {y:.1}a{r} {r} 0 1 0 {} 0a{r} {r} 0 1 0 -{} 0", x - r, 2.0 * r, 2.0 * r),
            1 => format!("M{:.1} {:.1}h{w}v{w}h-{w}z", x - r * 0.9, y - r * 0.9, w = r * 1.8),
            2 => format!("M{x:.1} {:.1}l{r} {h:.1}h-{}z", y - r * 1.2, 2.0 * r, h = r * 1.9),
            _ => format!(
                "M{x:.1} {:.1}l{w:.1} {w:.1}l-{w:.1} {w:.1}l-{w:.1} -{w:.1}z",
                y - r * 1.25,
                w = r * 1.25
            ),
        };
        writeln!(out, "<path class=\"mark m{colour}\" d=\"{d}\"/>")?;
    }
    Ok(())
}

fn style() -> String {
    let scheme = |paper: &str,
                  ink: &str,
                  aside: &str,
                  grid: &str,
                  pick: fn(&(&'static str, &'static str)) -> &'static str| {
        let colours: Vec<String> =
            COLOURS.iter().enumerate().map(|(i, c)| format!("--c{i}:{}", pick(c))).collect();
        format!("--paper:{paper};--ink:{ink};--aside:{aside};--grid:{grid};{}", colours.join(";"))
    };
    let light = scheme("#ffffff", "#1c1c1e", "#5a5a60", "#dfdfe3", |c| c.0);
    let dark = scheme("#16181c", "#ececef", "#a6a8b0", "#34373d", |c| c.1);
    let mut rules = String::new();
    for i in 0..COLOURS.len() {
        let _ = write!(rules, ".c{i}{{stroke:var(--c{i})}}.m{i}{{fill:var(--c{i})}}");
    }
    format!(
        "<style>svg{{{light}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}\
         text{{font-family:system-ui,-apple-system,\"Segoe UI\",\"Noto Sans\",sans-serif;font-size:12px;fill:var(--ink)}}\
         .paper{{fill:var(--paper)}}.title{{font-size:16px;font-weight:600}}.aside,.tick{{fill:var(--aside)}}\
         .grid{{stroke:var(--grid);fill:none}}.faint{{stroke-opacity:.45}}.axis{{stroke:var(--aside);fill:none}}\
         .line{{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}}.dashed{{stroke-dasharray:6 5}}\
         .mark{{stroke:var(--paper);stroke-width:1}}{rules}</style>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
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
    fn one_point_no_points_and_points_that_have_no_place_do_not_break_the_figure() {
        let series = |points: Vec<(f64, f64)>| Series {
            name: "a < b & c".into(),
            points,
            dashed: false,
            marks: true,
            look: 1,
        };
        for points in [vec![], vec![(1024.0, 0.5)], vec![(0.0, 1.0), (2.0, f64::NAN), (4.0, 0.25)]] {
            let figure = Figure {
                title: "t".into(),
                subtitle: String::new(),
                x: Axis { label: "length".into(), scale: Scale::Lengths },
                y: Axis { label: "seconds".into(), scale: Scale::Durations },
                series: vec![series(points.clone())],
            };
            let svg = figure.svg();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{points:?}: {svg}");
            assert_eq!(svg.contains("a &lt; b &amp; c"), !points.is_empty());
        }
    }
}
