//! What the parts of a figure look like: literal colours on every element, and a style sheet for dark pages.
//!
//! Inkscape, librsvg, CairoSVG and most converters know neither CSS variables nor media queries, so the light colours
//! are attributes of the elements, which any renderer reads. A browser lets the style sheet win, and takes it only
//! where the reader's page is dark.

use std::fmt::Write;

/// Paper, letters, asides, grid.
const LIGHT: [&str; 4] = ["#ffffff", "#1c1c1e", "#5a5a60", "#dfdfe3"];
const DARK: [&str; 4] = ["#16181c", "#ececef", "#a6a8b0", "#34373d"];
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

/// The attributes of text of a kind.
pub(crate) const TITLE: &str = "class=\"ink\" fill=\"#1c1c1e\" font-size=\"16\" font-weight=\"600\"";
pub(crate) const INK: &str = "class=\"ink\" fill=\"#1c1c1e\"";
pub(crate) const ASIDE: &str = "class=\"aside\" fill=\"#5a5a60\"";
/// The attributes of surfaces and rules.
pub(crate) const PAPER: &str = "class=\"paper\" fill=\"#ffffff\"";
pub(crate) const GRID: &str = "class=\"grid\" fill=\"none\" stroke=\"#dfdfe3\"";
pub(crate) const FAINT: &str = "class=\"grid\" fill=\"none\" stroke=\"#dfdfe3\" stroke-opacity=\".45\"";
pub(crate) const AXIS: &str = "class=\"axis\" fill=\"none\" stroke=\"#5a5a60\"";
/// The font of the whole figure.
pub(crate) const FONT: &str =
    "font-family=\"system-ui, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif\" font-size=\"12\"";

/// The attributes of a line.
pub(crate) fn line(look: usize, dashed: bool) -> String {
    let colour = look % COLOURS.len();
    let dash = if dashed { " stroke-dasharray=\"6 5\"" } else { "" };
    format!(
        "class=\"c{colour}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\" stroke-linejoin=\"round\" \
         stroke-linecap=\"round\"{dash}",
        COLOURS[colour].0
    )
}

/// The attributes of a mark on a line.
pub(crate) fn mark(look: usize) -> String {
    let colour = look % COLOURS.len();
    format!("class=\"m{colour}\" fill=\"{}\" stroke=\"{}\" stroke-width=\"1\"", COLOURS[colour].0, LIGHT[0])
}

/// The style sheet of dark pages.
pub(crate) fn dark() -> String {
    let [paper, ink, aside, grid] = DARK;
    let mut rules = format!(
        ".paper{{fill:{paper}}}.ink{{fill:{ink}}}.aside{{fill:{aside}}}.grid{{stroke:{grid}}}.axis{{stroke:{aside}}}"
    );
    for (i, (_, colour)) in COLOURS.iter().enumerate() {
        let _ = write!(rules, ".c{i}{{stroke:{colour}}}.m{i}{{fill:{colour};stroke:{paper}}}");
    }
    format!("<style>@media (prefers-color-scheme:dark){{{rules}}}</style>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_attributes_are_the_light_colours() {
        let [paper, ink, aside, grid] = LIGHT;
        for (attributes, colour) in [
            (PAPER, paper),
            (TITLE, ink),
            (INK, ink),
            (ASIDE, aside),
            (GRID, grid),
            (FAINT, grid),
            (AXIS, aside),
        ] {
            assert!(attributes.contains(colour), "{attributes}");
        }
    }
}
