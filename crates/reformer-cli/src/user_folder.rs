//! The user's folders by the XDG base directory specification.

use std::path::{Path, PathBuf};

/// The folder that a variable names (`XDG_STATE_HOME`), or else one under the home folder. A relative path counts for
/// nothing, as the specification has it.
pub(crate) fn user_folder(variable: &str, under_home: &str) -> Option<PathBuf> {
    let absolute = |path: PathBuf| path.is_absolute().then_some(path);
    let named = std::env::var_os(variable).map(PathBuf::from).and_then(absolute);
    let home = || std::env::home_dir().and_then(absolute).map(|home| home.join(Path::new(under_home)));
    named.or_else(home)
}
