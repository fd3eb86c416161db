//! Ctrl-C, SIGTERM and SIGHUP as a flag: the first one asks to stop, a second one while the first is pending exits at
//! once.
//!
//! The library takes the flag as an argument; the handlers live here and nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// The flag that the signals raise.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Ctrl-C, SIGTERM and the terminal's end (SIGHUP), for work that has something to save. A SIGHUP that somebody
    /// chose to ignore (`nohup`) stays ignored.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let mut signals = vec![SIGINT, SIGTERM];
        #[cfg(unix)]
        if !crate::process::ignores(signal_hook::consts::SIGHUP) {
            signals.push(signal_hook::consts::SIGHUP);
        }
        Self::on(&signals)
    }

    /// Ctrl-C only: a chat that waits for a line looks at no flag, and SIGTERM should end it all the same.
    pub(crate) fn install_for_replies() -> anyhow::Result<Self> {
        Self::on(&[SIGINT])
    }

    fn on(signals: &[i32]) -> anyhow::Result<Self> {
        let raised = Arc::new(AtomicBool::new(false));
        for &signal in signals {
            // Order matters: the shutdown looks at the flag before this signal raises it.
            flag::register_conditional_shutdown(
                signal,
                i32::from(crate::exit::INTERRUPTED),
                Arc::clone(&raised),
            )
            .and_then(|_| flag::register(signal, Arc::clone(&raised)))
            .context("cannot install the handlers of Ctrl-C and SIGTERM")?;
        }
        Ok(Self(raised))
    }

    /// Whether someone asked to stop.
    pub(crate) fn raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Forgets the request: what was to stop has stopped.
    pub(crate) fn reset(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// The flag itself, for the trainer.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }
}
