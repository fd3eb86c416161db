//! A drawing as one SVG file: boxes, dots, lines and words in the colours of light and of dark paper.
//!
//! Colours are literal in a style sheet of classes: strict renderers know no variables, and take the light ones where
//! they know no media queries. Bucket colours are the figures'; words on a bucket are in the colour of the paper.

use std::fmt::Write;

use crate::figure::COLOURS;

/// Where a drawing begins under its title and its line of explanation.
pub(crate) const TOP: f64 = 74.0;
/// Its left and right margin.
pub(crate) const SIDE: f64 = 28.0;

/// Which end of a word stands at its place.
#[derive(Clone, Copy)]
pub(crate) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing in progress.
pub(crate) struct Canvas {
    width: f64,
    height: f64,
    title: String,
    about: String,
    body: String,
}

impl Canvas {
    pub(crate) fn new(width: f64, height: f64, title: &str, about: &str) -> Self {
        // A title must fit whatever is drawn below it.
        let words = title.chars().count() as f64 * 9.2;
        let width = width.max(words + 2.0 * SIDE).max(about.chars().count() as f64 * 6.4 + 2.0 * SIDE);
        let (title, about) = (title.to_owned(), about.to_owned());
        Self { width: width.ceil(), height: height.ceil(), title, about, body: String::new() }
    }

    /// Appends an element. Writing to a string does not fail.
    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    /// Words; `class` is a colour (`ink`, `aside`, `on`, `f0`…) and may name a size (`small`, `strong`).
    pub(crate) fn words(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, words: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.put(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            escaped(words)
        ));
    }

    /// A box with its upper left corner at a place.
    pub(crate) fn rect(&mut self, (x, y): (f64, f64), (w, h): (f64, f64), class: &str) {
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{w:.1}\" height=\"{h:.1}\" rx=\"2\"/>"
        ));
    }

    /// A cell filled to a strength between 0 and 1.
    pub(crate) fn shade(&mut self, (x, y): (f64, f64), side: f64, class: &str, strength: f64) {
        let strength = strength.clamp(0.0, 1.0);
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{side:.1}\" height=\"{side:.1}\" fill-opacity=\"{strength:.2}\"/>"
        ));
    }

    pub(crate) fn dot(&mut self, (x, y): (f64, f64), r: f64, class: &str) {
        self.put(format_args!("<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r:.1}\"/>"));
    }

    pub(crate) fn line(&mut self, (x, y): (f64, f64), (u, v): (f64, f64), class: &str) {
        self.put(format_args!("<path class=\"{class}\" d=\"M{x:.1} {y:.1}L{u:.1} {v:.1}\"/>"));
    }

    /// A line that bows `lift` above (negative: below) its ends.
    pub(crate) fn arc(&mut self, (x, y): (f64, f64), (u, v): (f64, f64), lift: f64, class: &str) {
        let (mx, my) = (f64::midpoint(x, u), f64::midpoint(y, v) - 2.0 * lift);
        self.put(format_args!(
            "<path class=\"{class}\" d=\"M{x:.1} {y:.1}Q{mx:.1} {my:.1} {u:.1} {v:.1}\"/>"
        ));
    }

    /// The document.
    pub(crate) fn svg(self) -> String {
        let Self { width, height, title, about, body } = self;
        let (style, title, about) = (style(), escaped(&title), escaped(&about));
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\" aria-labelledby=\"title desc\">\n\
             <title id=\"title\">{title}</title>\n<desc id=\"desc\">{about}</desc>\n{style}\n\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>\n\
             <text class=\"ink title\" x=\"{SIDE}\" y=\"32\">{title}</text>\n\
             <text class=\"aside\" x=\"{SIDE}\" y=\"52\">{about}</text>\n{body}</svg>\n"
        )
    }
}

/// The class of a bucket's fill.
pub(crate) fn fill(bucket: u32) -> String {
    format!("f{}", bucket as usize % COLOURS.len())
}

/// The class of a bucket's line.
pub(crate) fn stroke(bucket: u32) -> String {
    format!("s{}", bucket as usize % COLOURS.len())
}

/// A word cut to what a cell holds.
pub(crate) fn shortened(word: &str, letters: usize) -> String {
    if word.chars().count() <= letters {
        return word.to_owned();
    }
    let kept: String = word.chars().take(letters.saturating_sub(1)).collect();
    format!("{kept}…")
}

fn style() -> String {
    let scheme = |paper: &str, ink: &str, aside: &str, grid: &str, colours: Vec<&str>| {
        let mut rules = format!(
            ".paper,.on{{fill:{paper}}}.ink{{fill:{ink}}}.aside{{fill:{aside}}}.cell{{fill:{grid}}}\
             .rule{{stroke:{aside}}}.grid{{stroke:{grid}}}.frame{{stroke:{ink}}}"
        );
        for (i, colour) in colours.iter().enumerate() {
            let _ = write!(rules, ".f{i}{{fill:{colour}}}.s{i}{{stroke:{colour}}}");
        }
        rules
    };
    let light = scheme("#ffffff", "#1c1c1e", "#5a5a60", "#e4e4e8", COLOURS.map(|c| c.0).to_vec());
    let dark = scheme("#16181c", "#ececef", "#a6a8b0", "#34373d", COLOURS.map(|c| c.1).to_vec());
    format!(
        "<style>text{{font-family:system-ui,-apple-system,\"Segoe UI\",\"Noto Sans\",\"DejaVu Sans\",sans-serif;font-size:12px}}\
         .title{{font-size:16px;font-weight:600}}.strong{{font-weight:600}}.small{{font-size:10px}}\
         .rule,.grid,.frame,.thin,.thick{{fill:none}}.thin{{stroke-width:1}}.thick{{stroke-width:2}}\
         .faint{{stroke-opacity:.35}}.dashed{{stroke-dasharray:4 4}}.frame{{stroke-width:1.2}}\
         {light}@media (prefers-color-scheme:dark){{{dark}}}</style>"
    )
}

fn escaped(text: &str) -> String {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    visible.collect::<String>().replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drawing_has_literal_colours_and_a_user_s_words_cannot_break_it() {
        let mut canvas = Canvas::new(200.0, 100.0, "a < b & c", "\u{1}x");
        canvas.words((1.0, 2.0), Anchor::Middle, "ink", "</text><script>");
        let svg = canvas.svg();
        assert!(!svg.contains("var(") && !svg.contains("<script>") && !svg.contains('\u{1}'), "{svg}");
        assert!(svg.contains("a &lt; b &amp; c") && svg.contains("prefers-color-scheme:dark"));
    }
}
