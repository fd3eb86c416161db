//! Reading a file whole, if it is one and fits.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// All bytes of a regular file of at most `limit` bytes.
///
/// Opening a pipe would wait for somebody to write into it, and a device like `/dev/zero` never ends: both are
/// refused before they are opened.
pub fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let len = regular(path)?.len();
    if len > limit {
        return Err(io::Error::new(
            ErrorKind::FileTooLarge,
            format!("it has {len} bytes, more than the {limit} that are read of such a file"),
        ));
    }
    let too_much = |len: usize| {
        io::Error::new(ErrorKind::OutOfMemory, format!("its {len} bytes do not fit into the free memory"))
    };
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(len as usize).map_err(|_| too_much(len as usize))?;
    // A file that grows while it is read is cut at the limit, like one that was too long from the beginning.
    File::open(path)?.take(limit).read_to_end(&mut bytes).map_err(|error| match error.kind() {
        ErrorKind::OutOfMemory => too_much(bytes.len()),
        _ => error,
    })?;
    Ok(bytes)
}

/// The metadata of a path that is a regular file, or what it is instead.
pub fn regular(path: &Path) -> io::Result<Metadata> {
    let metadata = path.metadata()?;
    if metadata.is_file() {
        return Ok(metadata);
    }
    Err(io::Error::new(
        if metadata.is_dir() { ErrorKind::IsADirectory } else { ErrorKind::InvalidInput },
        format!("it is {}, expected a regular file{}", what(&metadata), advice(&metadata)),
    ))
}

#[cfg(unix)]
fn what(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    match () {
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

#[cfg(not(unix))]
fn what(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "a folder" } else { "not a file" }
}

fn advice(metadata: &Metadata) -> &'static str {
    if metadata.is_dir() { "" } else { "; write what comes out of it to a file first" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_and_one_byte_too_many_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, b"four").unwrap();
        assert_eq!(read(&path, 4).unwrap(), b"four");
        let error = read(&path, 3).unwrap_err();
        assert!(error.to_string().contains("4 bytes, more than the 3"), "{error}");
        assert_eq!(read(&folder.path().join("gone"), 4).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    #[cfg(unix)]
    fn folders_devices_and_sockets_are_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for (path, word) in
            [(folder.path(), "a folder"), (Path::new("/dev/zero"), "a device"), (&socket, "a socket")]
        {
            let error = read(path, u64::MAX).unwrap_err().to_string();
            assert!(error.contains(word) && error.contains("expected a regular file"), "{error}");
        }
    }
}
