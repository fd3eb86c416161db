//! `reformer generate --image`: images completed from their upper half, and one picture of them all.
//!
//! ```text
//! given        the upper half as it is, the lower one blue      a column an image, drawn by the seed
//! completed    the upper half, and what the model draws below
//! truth        the image
//! ```

use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use reformer::generate::Request;
use reformer::images::{Grid, Images, Size};
use reformer::tensor::{Address, Purpose};
use reformer::text::Raster;
use reformer::train::corpora::{held_out_images, images_for, levels};
use reformer::train::recipe::HOLD_OUT;

use crate::args::Global;
use crate::args::generate::GenerateArgs;
use crate::exit::{INTERRUPTED, usage};
use crate::interrupt::Interrupt;
use crate::open_model::{self, OpenModel};
use crate::terminal::Terminal;
use crate::waiting::Waiting;
use crate::{decoding, json, machine, number, sampling};

/// The images of a file, or those that the model's run held out.
pub(crate) fn images(opened: &OpenModel, name: &Path) -> anyhow::Result<Images> {
    let raster = opened.tokenizer.raster().with_context(|| text_model(opened))?;
    if name == Path::new(HOLD_OUT) {
        let recipe = opened.recipe()?.with_context(|| {
            format!("{} lies in no run, so nothing was held out; name a file", opened.folder.display())
        })?;
        let images = held_out_images(&recipe)?;
        let Size { width, height } = images.size();
        if (width, height) != (raster.width, raster.height) {
            bail!(
                "the run's images are {width} × {height} now, the model's {} × {}",
                raster.width,
                raster.height
            );
        }
        return Ok(images);
    }
    Ok(images_for(&opened.tokenizer, name)?)
}

fn text_model(opened: &OpenModel) -> String {
    format!(
        "{} learned text and takes no images; one that does is trained with tokenizer.kind = \"pixels\"",
        opened.folder.display()
    )
}

/// Completes the images and writes the picture.
pub(crate) fn run(
    args: &GenerateArgs,
    source: &Path,
    global: &Global,
    terminal: Terminal,
) -> anyhow::Result<ExitCode> {
    let folder = open_model::checkpoint(&args.model)?;
    let settings = sampling::resolve(&folder, &args.sampling, global.seed)?;
    let output = args.output.as_deref();
    let output =
        output.ok_or_else(|| usage(anyhow!("--image writes a picture: name it with -o FILE.png")))?;
    let mut opened = open_model::open_to_write(&args.model, global, terminal)?;
    let Some(raster) = opened.tokenizer.raster() else { return Err(usage(anyhow!(text_model(&opened)))) };
    let images = images(&opened, source)?;
    let chosen = choose(images.len(), args.images, settings.seed);
    let packed = decoding::pack(&mut opened.model, args.decoding.weights, args.decoding.attention);
    let interrupt = Interrupt::install()?;
    let clock = machine::clock();
    let generator = decoding::generator(&opened, packed.as_ref(), args.decoding, &clock, &interrupt)?;

    let (given, rest) = upper_half(raster);
    let waiting = Waiting::new(terminal, true, chosen.len() * rest);
    let levels = levels(raster);
    let mut rows = [const { Vec::new() }; 3];
    for (number, &index) in chosen.iter().enumerate() {
        let truth: Vec<u32> = images.image(index).iter().map(|&shade| levels.level(shade)).collect();
        let prompt: Vec<u32> =
            std::iter::once(raster.opening()).chain(truth[..given].iter().copied()).collect();
        let request = Request { first_draw: (number * rest) as u64, ..Request::new(&prompt, &settings) };
        let drawn = generator.draw_tokens(&request, rest, &mut || {
            waiting.token();
            if interrupt.raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if interrupt.raised() {
            waiting.finish();
            terminal.say("interrupted; no picture was written");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        let shades = |tokens: &[u32]| tokens.iter().map(|&token| levels.shade(token)).collect::<Vec<u8>>();
        let completed = [&truth[..given], &drawn].concat();
        for (row, cell) in rows.iter_mut().zip([&truth[..given], &completed, &truth[..]]) {
            row.push(shades(cell));
        }
    }
    waiting.finish();
    let seconds = clock();
    let mut grid = Grid::new(images.size());
    for row in rows {
        grid.push(row);
    }
    reformer::files::replace(output, &grid.png())
        .with_context(|| format!("cannot write {}", output.display()))?;
    if args.json {
        json::line(&serde_json::json!({
            "output": output.display().to_string(),
            "rows": ["given", "completed", "truth"],
            "images": chosen,
            "pixels_given": given,
            "pixels_drawn": rest,
            "seed": settings.seed,
            "seconds": seconds,
        }))?;
    } else {
        let numbers: Vec<String> = chosen.iter().map(|index| number::count(*index)).collect();
        terminal.say(format_args!(
            "wrote {}: images {}, each given, completed and as it is, from above",
            output.display(),
            numbers.join(", ")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Pixels of the lines above the middle, and those below. An image of one line is cut in its middle.
fn upper_half(raster: Raster) -> (usize, usize) {
    let given = if raster.height > 1 { raster.height / 2 * raster.width } else { raster.width / 2 };
    (given, raster.pixels() - given)
}

/// Which images of so many, in ascending order: as many as were asked for, or all.
fn choose(count: usize, wanted: usize, seed: u64) -> Vec<usize> {
    let address = Address::new(seed, Purpose::Shuffle);
    let mut order: Vec<usize> = (0..count).collect();
    order.sort_by_key(|&index| (address.bits(index as u64), index));
    order.truncate(wanted);
    order.sort_unstable();
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_images_differ_from_each_other_and_from_seed_to_seed() {
        let (one, two) = (choose(1000, 8, 1), choose(1000, 8, 2));
        assert!(one.is_sorted() && one.windows(2).all(|pair| pair[0] < pair[1]) && one.len() == 8);
        assert_ne!(one, two);
        assert_eq!((choose(3, 8, 1), choose(1000, 8, 1)), (vec![0, 1, 2], one));
    }

    #[test]
    fn the_upper_half_of_odd_heights_and_of_single_lines_leaves_something_to_draw() {
        let half = |width, height| upper_half(Raster { width, height, levels: 2 });
        assert_eq!([half(28, 28), half(3, 3), half(5, 1)], [(392, 392), (3, 6), (2, 3)]);
        assert_eq!(half(1, 1), (0, 1));
    }
}
