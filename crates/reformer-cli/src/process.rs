//! Memory and processors as the system sees them: what this process holds, the most it held, what the machine has left,
//! and who else computes.
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

/// Whether this process ignores a signal, as `nohup` makes it; false where the system does not tell.
pub(crate) fn ignores(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// The machine's name, for people.
pub(crate) fn host() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "this machine".into() } else { name.trim().to_owned() }
}

/// Begins a new measurement of the peak; false where the system does not allow it and the old mark stays.
pub(crate) fn restart_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Processor time so far, in ticks that are the same for all three.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ticks {
    /// Of all processors, idle ones included.
    all: u64,
    /// Of all programs.
    busy: u64,
    /// Of this process.
    own: u64,
}

impl Ticks {
    /// As of now.
    pub(crate) fn now() -> Option<Self> {
        ticks(&fs::read_to_string("/proc/stat").ok()?, &fs::read_to_string("/proc/self/stat").ok()?)
    }

    /// The share of the machine that other programs have used since `before`; `None` where too little time has passed.
    pub(crate) fn others_since(self, before: Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|&ticks| ticks >= 20)?;
        let others =
            self.busy.saturating_sub(before.busy).saturating_sub(self.own.saturating_sub(before.own));
        Some(others as f64 / all as f64)
    }
}

fn ticks(machine: &str, process: &str) -> Option<Ticks> {
    // cpu user nice system idle iowait irq softirq steal
    let line = machine.lines().next()?.strip_prefix("cpu ")?;
    let of: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).take(8).collect();
    let all = of.iter().sum();
    let busy = all - of.get(3)? - of.get(4)?;
    // The name may hold blanks; utime and stime are the 12th and 13th field after it.
    let fields = process.rsplit_once(')')?.1.split_whitespace();
    let own = fields.skip(11).take(2).map_while(|n| n.parse::<u64>().ok()).sum();
    Some(Ticks { all, busy, own })
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
    use super::{parse, ticks};

    #[test]
    fn what_others_computed_is_all_but_idle_and_own_time() {
        let at = |busy: u64, idle: u64, own: u64| {
            let machine = format!("cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3 4\n");
            let process = format!("7 (a b) c) R 1 1 1 0 -1 0 0 0 0 0 {own} 0 0 0 20 0\n");
            ticks(&machine, &process).unwrap()
        };
        let before = at(1000, 500, 10);
        assert_eq!(at(1060, 540, 40).others_since(before), Some(0.3));
        assert_eq!(at(1005, 505, 10).others_since(before), None);
        assert!(ticks("intr 1", "").is_none());
    }

    #[test]
    fn a_line_of_proc_is_read_in_bytes_and_anything_else_is_nothing() {
        let text = "VmPeak:\t  999 kB\nVmHWM:\t   12 kB\nVmRSS:\t many kB\n";
        assert_eq!(parse(text, "VmHWM:"), Some(12 * 1024));
        assert_eq!(parse(text, "VmRSS:"), None);
        assert_eq!(parse(text, "VmSwap:"), None);
    }
}
