//! How the project touches the disk: files are written whole or not at all, and read only where they are files.
//!
//! | to… | use |
//! |---|---|
//! | put bytes at a path, whole or not at all | [`replace`] |
//! | write a file piece by piece, and give it its name at the end | [`Replacement`] |
//! | read a file that a stranger may have named | [`read`] |
//!
//! A write goes to a nameless neighbour first, is synced, and takes the name in one rename: whatever moment a kill or
//! a full disk chooses, the path holds the old file or the new one. A read refuses devices and pipes, which have no
//! end, and says that there is too little memory instead of aborting.
//!
//! Knows nothing of formats. Errors are [`std::io::Error`] with a message that can stand after "cannot read PATH: ".
#![forbid(unsafe_code)]

mod read;
mod write;

pub use read::{read, regular};
pub use write::{Replacement, replace};
