//! A figure as pixels, for where no SVG is taken.

use std::sync::Arc;

use anyhow::{Context, bail};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

/// Pixels for each unit of the drawing: sharp on today's screens.
const SCALE: f32 = 2.0;

/// The PNG file of an SVG document, in its light colours, with the machine's own fonts.
pub(crate) fn png(svg: &str) -> anyhow::Result<Vec<u8>> {
    let mut fonts = fontdb::Database::new();
    fonts.load_system_fonts();
    let family = fonts.faces().find(|face| face.families.iter().any(|(name, _)| name.contains("Sans")));
    let Some(family) = family.or_else(|| fonts.faces().next()).map(|face| face.families[0].0.clone()) else {
        bail!("no font is installed to write the labels with; install one, or write an SVG");
    };
    fonts.set_sans_serif_family(&family);
    let options = Options { fontdb: Arc::new(fonts), font_family: family, ..Options::default() };
    let tree = Tree::from_str(svg, &options).context("cannot read the drawing back")?;
    let size = tree.size().to_int_size();
    let (width, height) = (size.width() as f32 * SCALE, size.height() as f32 * SCALE);
    let mut pixels = Pixmap::new(width as u32, height as u32).context("the figure is too large for a PNG")?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().context("cannot encode the PNG")
}
