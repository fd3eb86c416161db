//! What can be wrong with images: the file, what it is, what was expected, what to do.

use std::path::{Path, PathBuf};

use crate::Size;

/// A fault in a file of images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read`, `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// No image, or none that is read.
    #[error("{} {what}; {advice}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// `is …`, `holds …`.
        what: String,
        /// What to do.
        advice: String,
    },
    /// A file that ends early or is damaged.
    #[error("{}: {problem}; copy or download the file again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Images of different sizes.
    #[error("{} is {got} pixels, but {other} is {expected}; give images of one size", path.display())]
    Sizes {
        /// The image.
        path: PathBuf,
        /// Its size.
        got: Size,
        /// The size before.
        expected: Size,
        /// Which image had it.
        other: String,
    },
    /// A folder without images.
    #[error("{} is a folder without images; expected files that end in .png{more}", path.display())]
    NoImages {
        /// The folder.
        path: PathBuf,
        /// What there is instead.
        more: String,
    },
}

impl ImageError {
    pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn foreign(path: &Path, what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Foreign { path: path.to_owned(), what: what.into(), advice: advice.into() }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }
}
