//! From a recipe's names to images and the tokens that they are.

use std::path::Path;

use reformer_images::{ImageError, Images, Levels};
use reformer_text::{Raster, Tokenizer};

use crate::error::TrainError;
use crate::recipe::{DEMO_CORPUS, HOLD_OUT, Recipe};

/// One image in this many is held out, the last ones of the file.
const SHARE: usize = 10;

/// Images to learn from, and to measure on.
pub(crate) struct Pictures {
    pub(crate) train: Images,
    pub(crate) valid: Images,
}

impl Pictures {
    /// Reads what the recipe names; `hold-out` is the last tenth.
    pub(crate) fn load(recipe: &Recipe) -> Result<Self, TrainError> {
        let train = read_images("data", &recipe.data)?;
        if recipe.valid == HOLD_OUT {
            let count = train.len();
            let (train, valid) = train
                .split_last(count.div_ceil(SHARE))
                .ok_or_else(|| TrainError::NoImageToHoldOut { name: recipe.data.clone() })?;
            return Ok(Self { train, valid });
        }
        let valid = read_images("valid", &recipe.valid)?;
        if valid.size() != train.size() {
            return Err(TrainError::ImageSize {
                name: recipe.valid.clone(),
                got: valid.size(),
                expected: train.size(),
                whose: format!("those of {}", recipe.data),
            });
        }
        Ok(Self { train, valid })
    }

    /// What the images are like, in the recipe's levels; fails where a row of the recipe is no image.
    pub(crate) fn raster(&self, recipe: &Recipe) -> Result<Raster, TrainError> {
        let size = self.train.size();
        if recipe.length != size.pixels() {
            let (name, length) = (recipe.data.clone(), recipe.length);
            return Err(TrainError::ImageLength { name, size, length });
        }
        Ok(Raster { width: size.width, height: size.height, levels: recipe.tokenizer.levels })
    }
}

/// Images by a recipe's key.
fn read_images(key: &'static str, name: &str) -> Result<Images, TrainError> {
    if name == DEMO_CORPUS {
        return Err(TrainError::DemoOfImages { key });
    }
    Ok(reformer_images::read(Path::new(name))?)
}

/// The images of a file or folder for a model of images: of its size, and no other.
pub fn images_for(tokenizer: &Tokenizer, name: &Path) -> Result<Images, TrainError> {
    let raster = tokenizer.raster().ok_or(TrainError::NoImages)?;
    let images = reformer_images::read(name)?;
    fitting(raster, images, name)
}

/// The images that a run of this recipe held out, or measures on.
pub fn held_out_images(recipe: &Recipe) -> Result<Images, TrainError> {
    Ok(Pictures::load(recipe)?.valid)
}

fn fitting(raster: Raster, images: Images, name: &Path) -> Result<Images, TrainError> {
    let expected = reformer_images::Size { width: raster.width, height: raster.height };
    if images.size() != expected {
        return Err(TrainError::ImageSize {
            name: name.display().to_string(),
            got: images.size(),
            expected,
            whose: "the images that the model learned".to_owned(),
        });
    }
    Ok(images)
}

/// The levels of a tokenizer of pixels.
pub fn levels(raster: Raster) -> Levels {
    Levels::new(raster.levels).expect("a tokenizer of pixels has 2 to 256 levels")
}

impl From<ImageError> for TrainError {
    fn from(error: ImageError) -> Self {
        Self::Images(error)
    }
}
