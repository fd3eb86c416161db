//! Memory as the system sees it: what this process holds, the most it held, what the machine has left.
//!
//! Linux tells (`/proc`); elsewhere every answer is `None` and nobody guesses.

use std::fs;

/// Bytes this process holds now.
pub(crate) fn now() -> Option<usize> {
    kibibytes("/proc/self/status", "VmRSS:")
}

/// The most bytes this process held since it began, or since [`restart_peak`].
pub(crate) fn peak() -> Option<usize> {
    kibibytes("/proc/self/status", "VmHWM:")
}

/// Bytes that can be had without swapping.
pub(crate) fn available() -> Option<usize> {
    kibibytes("/proc/meminfo", "MemAvailable:")
}

/// Begins a new measurement of the peak; false where the system does not allow it and the old mark stays.
pub(crate) fn restart_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

fn kibibytes(file: &str, key: &str) -> Option<usize> {
    parse(&fs::read_to_string(file).ok()?, key)
}

fn parse(text: &str, key: &str) -> Option<usize> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn a_line_of_proc_is_read_in_bytes_and_anything_else_is_nothing() {
        let text = "VmPeak:\t  999 kB\nVmHWM:\t   12 kB\nVmRSS:\t many kB\n";
        assert_eq!(parse(text, "VmHWM:"), Some(12 * 1024));
        assert_eq!(parse(text, "VmRSS:"), None);
        assert_eq!(parse(text, "VmSwap:"), None);
    }
}
