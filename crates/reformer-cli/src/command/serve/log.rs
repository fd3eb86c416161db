//! The log: what happens in the server, a line each, for people or for programs.
//!
//! Strings of clients are escaped, so that a path can neither break a line nor move a terminal's cursor.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use reformer_server::{Ended, Happening};
use serde_json::{Value, json};

use crate::args::serve::LogForm;
use crate::number;
use crate::terminal::{self, Terminal};

/// Writes lines to stderr.
pub(super) struct Log {
    form: LogForm,
    quiet: bool,
}

impl Log {
    pub(super) fn new(form: LogForm, terminal: Terminal) -> Self {
        Self { form, quiet: terminal.quiet() }
    }

    /// A line, unless nobody wants it; with `--quiet` only of what went wrong.
    pub(super) fn write(&self, happening: &Happening) {
        let fault = matches!(happening, Happening::Panicked { .. } | Happening::Connection { .. });
        if self.form == LogForm::None || (self.quiet && !fault) {
            return;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let line = if self.form == LogForm::Json {
            let mut line = object(happening);
            line["time"] = json!(now.as_secs_f64());
            line.to_string()
        } else {
            format!("{} {}", time_of_day(now.as_secs()), words(happening))
        };
        // A stderr that is gone is no reason to stop serving.
        let _ = writeln!(terminal::stderr(), "{line}");
    }
}

/// `13:05:59Z`.
fn time_of_day(seconds: u64) -> String {
    let day = seconds % 86_400;
    format!("{:02}:{:02}:{:02}Z", day / 3600, day / 60 % 60, day % 60)
}

/// `12 ms`, and from a second on as elsewhere.
fn span(seconds: f64) -> String {
    if seconds < 1.0 { format!("{:.0} ms", seconds * 1e3) } else { number::span(seconds) }
}

fn words(happening: &Happening) -> String {
    match happening {
        Happening::Answered { id, method, path, status, took } => {
            let path = path.escape_debug();
            format!("{method} {path} {status} {} {id}", span(took.as_secs_f64()))
        }
        Happening::Generated { id, model, prompt_tokens, completion_tokens, seconds, ended } => {
            let how = match ended {
                Ended::Done => "",
                Ended::Left => ", the client left",
                Ended::Failed => ", failed",
            };
            format!("{model}: {prompt_tokens} + {completion_tokens} tokens in {}{how} {id}", span(*seconds))
        }
        Happening::UnknownField { path, field } => {
            format!("{path}: clients send the field {field:?}, which means nothing here")
        }
        Happening::Panicked { message } => format!("a fault of this program's: {message:?}"),
        Happening::Connection { problem } => format!("a connection could not be accepted: {problem}"),
    }
}

fn object(happening: &Happening) -> Value {
    match happening {
        Happening::Answered { id, method, path, status, took } => json!({
            "event": "answered", "id": id, "method": method, "path": path, "status": status,
            "seconds": took.as_secs_f64(),
        }),
        Happening::Generated { id, model, prompt_tokens, completion_tokens, seconds, ended } => json!({
            "event": "generated", "id": id, "model": model, "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens, "seconds": seconds,
            "ended": match ended { Ended::Done => "done", Ended::Left => "left", Ended::Failed => "failed" },
        }),
        Happening::UnknownField { path, field } => {
            json!({"event": "unknown_field", "path": path, "field": field})
        }
        Happening::Panicked { message } => json!({"event": "panicked", "message": message}),
        Happening::Connection { problem } => json!({"event": "connection", "problem": problem}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_path_can_neither_break_a_line_nor_obey_as_an_escape_sequence() {
        let happening = Happening::Answered {
            id: "1".into(),
            method: "GET".into(),
            path: "/a\n12:00:00Z GET / 200\x1b[2J".into(),
            status: 404,
            took: Duration::from_millis(3),
        };
        for line in [words(&happening), object(&happening).to_string()] {
            assert!(!line.contains(['\n', '\x1b']), "{line}");
        }
    }

    #[test]
    fn a_day_has_86_400_seconds() {
        assert_eq!(time_of_day(86_400 * 3 + 13 * 3600 + 5 * 60 + 59), "13:05:59Z");
    }
}
