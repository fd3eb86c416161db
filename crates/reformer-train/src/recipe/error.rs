//! What can be wrong with a recipe: the key, where it stands, and what to write instead.

use std::path::PathBuf;

/// What is wrong with a recipe.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something is wrong with what a file says.
    #[error("{}: {problem}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Box<RecipeError>,
    },
    /// Not TOML.
    #[error("not valid TOML{place}: {message}")]
    Syntax {
        /// ` in line 3`.
        place: String,
        /// The parser's words.
        message: String,
    },
    /// A key that no recipe has.
    #[error("unknown key `{key}` ({place}): {hint}")]
    UnknownKey {
        /// The dotted key.
        key: String,
        /// `line 3` or `--set`.
        place: String,
        /// The nearest key that exists.
        hint: String,
    },
    /// A value of the wrong type or outside its range.
    #[error("`{key}` ({place}): {message}")]
    Value {
        /// The dotted key.
        key: String,
        /// `line 3`, `--set` or `default`.
        place: String,
        /// What is wrong and what to write.
        message: String,
    },
    /// The model room refuses what the `[model]` section describes.
    #[error("[model] describes no legal model: {0}")]
    Model(String),
    /// A step of it is beyond any machine.
    #[error("{0}; lower batch, length or the sizes of [model]")]
    TooLarge(String),
}
