//! A figure of lines as one SVG file: axes linear or logarithmic, a legend in the order of the lines' ends, colours
//! that any renderer reads and that follow the reader's light or dark scheme in a browser.
//!
//! By hand, because what is drawn is small and no plotting crate (plotters, kuva, charming, poloto were looked at)
//! writes a file that changes with `prefers-color-scheme`. Lines differ by colour, mark and dash, so that neither
//! print nor colour blindness makes two of them one.

mod paint;
mod png;
mod scale;

use std::fmt::Write;

use paint::{ASIDE, AXIS, FAINT, FONT, GRID, INK, PAPER, TITLE, dark};

pub(crate) use paint::COLOURS;
pub(crate) use png::png;
pub(crate) use scale::Scale;

/// Width and height of the part inside the axes, and the margins left, top and bottom; the right one is the legend's.
const INNER: (f64, f64) = (500.0, 316.0);
const MARGIN: (f64, f64, f64) = (78.0, 66.0, 58.0);
/// Width of a letter of the legend, about: what the legend is given.
const LETTER: f64 = 6.4;
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
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" {FONT} role=\"img\" aria-labelledby=\"title desc\">"
        )?;
        writeln!(out, "<title id=\"title\">{}</title>", escaped(&self.title))?;
        writeln!(out, "<desc id=\"desc\">{}</desc>", escaped(&self.subtitle))?;
        writeln!(out, "{}", dark())?;
        writeln!(out, "<rect {PAPER} width=\"{width}\" height=\"{height}\"/>")?;
        writeln!(out, "<text {TITLE} x=\"{left}\" y=\"28\">{}</text>", escaped(&self.title))?;
        writeln!(out, "<text {ASIDE} x=\"{left}\" y=\"47\">{}</text>", escaped(&self.subtitle))?;
        for (place, words) in &x_ticks {
            let x = across(*place);
            writeln!(out, "<path {GRID} d=\"M{x:.1} {top:.1}V{:.1}\"/>", top + tall)?;
            writeln!(
                out,
                "<text {ASIDE} x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{words}</text>",
                top + tall + 18.0
            )?;
        }
        for (place, words) in &y_ticks {
            let y = down(*place);
            let grid = if words.is_empty() { FAINT } else { GRID };
            writeln!(out, "<path {grid} d=\"M{left:.1} {y:.1}H{:.1}\"/>", left + inner)?;
            writeln!(
                out,
                "<text {ASIDE} x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{words}</text>",
                left - 9.0,
                y + 4.0
            )?;
        }
        writeln!(out, "<path {AXIS} d=\"M{left:.1} {top:.1}V{:.1}H{:.1}\"/>", top + tall, left + inner)?;
        let middle = (left + inner / 2.0, top + tall / 2.0);
        writeln!(
            out,
            "<text {INK} x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            middle.0,
            height - 16.0,
            escaped(&self.x.label)
        )?;
        writeln!(
            out,
            "<text {INK} transform=\"translate(20 {:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
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
                "<text {INK} x=\"{:.1}\" y=\"{:.1}\">{}</text>",
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
    let path: Vec<String> = at.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    writeln!(out, "<path {} d=\"M{}\"/>", paint::line(series.look, series.dashed), path.join("L"))?;
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
        writeln!(out, "<path {} d=\"{d}\"/>", paint::mark(series.look))?;
    }
    Ok(())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

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
            assert!(!svg.contains("var("), "a renderer without CSS variables draws it black");
        }
    }
}
