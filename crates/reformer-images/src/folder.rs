//! The PNGs of a folder, in the order of their names.

use std::path::{Path, PathBuf};

use crate::{ImageError, Images, picture};

/// Every PNG of the folder itself as one set; the first decides the size. What ends otherwise is left out, but a folder
/// with none is an error that says what there is.
pub(crate) fn read(folder: &Path) -> Result<Images, ImageError> {
    let failed = |error| ImageError::io("read", folder, error);
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    let is_png = |path: &PathBuf| {
        path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) && path.is_file()
    };
    let pictures: Vec<&PathBuf> = paths.iter().filter(|path| is_png(path)).collect();
    let Some((first, rest)) = pictures.split_first() else {
        let more = paths.iter().find(|path| path.is_dir()).map_or_else(String::new, |inner| {
            format!("; it has folders in it: name one of them, perhaps {}", inner.display())
        });
        return Err(ImageError::NoImages { path: folder.to_owned(), more });
    };
    let begun = one(first)?;
    let size = begun.size();
    let mut shades = begun.image(0).to_vec();
    for path in rest {
        let image = one(path)?;
        if image.size() != size {
            return Err(ImageError::Sizes {
                path: (*path).clone(),
                got: image.size(),
                expected: size,
                other: first.display().to_string(),
            });
        }
        shades.extend_from_slice(image.image(0));
    }
    Ok(Images::new(size, shades))
}

fn one(path: &Path) -> Result<Images, ImageError> {
    let bytes = crate::read::bytes(path)?;
    if !picture::looks_like(&bytes) {
        let advice = "take it out of the folder, or write it as a PNG";
        return Err(ImageError::foreign(path, "is called a PNG and is none", advice));
    }
    picture::parse(path, &bytes)
}
