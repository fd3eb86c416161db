//! One trainer a run directory.
//!
//! The lock is the operating system's, on a file that says who holds it. The system drops it when the process ends,
//! however it ends, so the file that a kill leaves behind locks nothing and nobody has to judge whether it is stale.
//! A directory that was made for a run that could not begin is taken away again.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::TrainError;

/// The lock's name in a run directory.
const LOCK: &str = "lock";

/// A run directory that is this process's alone until the value is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    run: PathBuf,
    file: File,
    /// Which directory it is, whatever its path names later.
    identity: Option<(u64, u64)>,
    /// Folders that were made for the run, the outermost first; they go again unless it begins.
    made: Vec<PathBuf>,
}

impl Lock {
    /// Makes the directory if it is not there and locks it. `holder` says who asks, for those who come later.
    pub(crate) fn take(run: &Path, holder: &str) -> Result<Self, TrainError> {
        let made = absent(run);
        fs::create_dir_all(run).map_err(|error| failed(run, &error))?;
        let path = run.join(LOCK);
        loop {
            let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
            let mut file = file.map_err(|error| failed(&path, &error))?;
            match file.try_lock() {
                Err(TryLockError::WouldBlock) => {
                    let mut holder = String::new();
                    // A holder that has not written its name yet is somebody all the same.
                    let _ = file.read_to_string(&mut holder);
                    let holder = if holder.is_empty() { "another process".to_owned() } else { holder };
                    return Err(TrainError::Locked { run: run.to_owned(), holder });
                }
                // A file system without locks: better to train unguarded than not at all.
                Err(TryLockError::Error(error)) if error.kind() != std::io::ErrorKind::Unsupported => {
                    return Err(failed(&path, &error));
                }
                Ok(()) | Err(TryLockError::Error(_)) => {}
            }
            // Whoever held it may have taken the file away between opening and locking.
            if !same(&file, &path) {
                continue;
            }
            let written = file.set_len(0).and_then(|()| file.rewind());
            written
                .and_then(|()| file.write_all(holder.as_bytes()))
                .map_err(|error| failed(&path, &error))?;
            return Ok(Self { run: run.to_owned(), file, identity: identity(fs::metadata(run)), made });
        }
    }

    /// The run has begun: its directory stays.
    pub(crate) fn begun(&mut self) {
        self.made.clear();
    }

    /// Whether the directory is still where it was when the run began.
    pub(crate) fn in_place(&self) -> bool {
        self.identity.is_some() && identity(fs::metadata(&self.run)) == self.identity
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Nobody is left to tell if this fails, and a file that stays locks nothing.
        let path = self.run.join(LOCK);
        if same(&self.file, &path) {
            let _ = fs::remove_file(path);
        }
        for folder in self.made.iter().rev() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// The folders of a path that do not exist, the outermost first.
fn absent(path: &Path) -> Vec<PathBuf> {
    let parents = path.ancestors().take_while(|part| !part.as_os_str().is_empty() && !part.exists());
    let mut absent: Vec<PathBuf> = parents.map(Path::to_owned).collect();
    absent.reverse();
    absent
}

fn same(file: &File, path: &Path) -> bool {
    let held = identity(file.metadata());
    held.is_some() && held == identity(fs::metadata(path))
}

/// Device and number of a file or folder.
#[cfg(unix)]
fn identity(about: std::io::Result<fs::Metadata>) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    about.ok().map(|about| (about.dev(), about.ino()))
}

/// Where files have no number, that there is one has to do.
#[cfg(not(unix))]
fn identity(about: std::io::Result<fs::Metadata>) -> Option<(u64, u64)> {
    about.ok().map(|_| (0, 0))
}

fn failed(path: &Path, error: &std::io::Error) -> TrainError {
    TrainError::Save { path: path.to_owned(), problem: error.to_string(), kept: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_and_a_file_that_a_kill_left_locks_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a/run");
        let mut lock = Lock::take(&run, "process 7 on host").unwrap();
        lock.begun();
        let error = Lock::take(&run, "process 8").unwrap_err().to_string();
        assert!(error.contains("process 7 on host") && error.contains("run"), "{error}");
        drop(lock);
        fs::write(run.join(LOCK), "process 9, killed").unwrap();
        drop(Lock::take(&run, "process 10").unwrap());
        assert_eq!(fs::read_dir(&run).unwrap().count(), 0, "a run that ended leaves no lock");
    }

    #[test]
    fn what_was_made_for_a_run_that_did_not_begin_goes_again_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("a/b/run");
        drop(Lock::take(&run, "me").unwrap());
        assert!(!folder.path().join("a").exists() && folder.path().exists());
        fs::create_dir_all(folder.path().join("mine")).unwrap();
        drop(Lock::take(&folder.path().join("mine/run"), "me").unwrap());
        assert!(folder.path().join("mine").is_dir() && !folder.path().join("mine/run").exists());
    }

    #[test]
    fn a_directory_that_was_moved_away_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let lock = Lock::take(&run, "me").unwrap();
        assert!(lock.in_place());
        fs::rename(&run, folder.path().join("elsewhere")).unwrap();
        assert!(!lock.in_place());
    }
}
