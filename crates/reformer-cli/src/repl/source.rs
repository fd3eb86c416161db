//! Where the chat's lines come from: an editor on a terminal, plain lines from a pipe.
//!
//! A message may span lines: between `"""` and `"""`, after a `\` at the end of a line, with Alt-Enter, or pasted
//! (bracketed paste). Both sources understand the first two.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use anyhow::Context;
use reformer::files;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Behavior, Cmd, CompletionType, Config, Editor, EventHandler, Helper, KeyCode, KeyEvent, Modifiers,
};

use super::command::{ALIASES, TABLE};
use crate::prompt_text::without_mark;
use crate::terminal::{BOLD, PLAIN, Terminal};
use crate::user_folder::user_folder;

/// Bytes of a history file at most.
const LARGEST_HISTORY: u64 = 1 << 26;

/// A whole message or command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    /// It stood between `"""`: a message, whatever it begins with.
    pub(crate) quoted: bool,
    /// Bytes that were not UTF-8 are `�` now.
    pub(crate) repaired: bool,
}

/// What came in.
pub(crate) enum Input {
    /// A whole message or command.
    Line(Line),
    /// A byte that is no text, in a line that is not yet whole.
    NotText,
    /// Ctrl-C at the prompt.
    Interrupted,
    /// Ctrl-D, or the end of the pipe.
    End,
}

/// The chat's input.
pub(crate) enum Source {
    /// A person at a terminal.
    Editor {
        editor: Box<Editor<Assistant, DefaultHistory>>,
        history: Option<PathBuf>,
        /// What had been typed when a byte came that is no text: the next line begins with it.
        begun: String,
    },
    /// A program or a file.
    Pipe(Box<dyn BufRead>),
}

impl Source {
    /// An editor with its history.
    pub(crate) fn editor(history: Option<PathBuf>, terminal: Terminal) -> anyhow::Result<Self> {
        // Where stdout goes to a file, prompt and echo still belong on the terminal.
        let behavior = if terminal.stdout { Behavior::Stdio } else { Behavior::PreferTerm };
        let config = Config::builder()
            .auto_add_history(false)
            .behavior(behavior)
            .completion_type(CompletionType::List)
            .max_history_size(2000)?
            .build();
        let mut editor: Editor<Assistant, DefaultHistory> =
            Editor::with_config(config).context("cannot open the line editor")?;
        editor.set_helper(Some(Assistant { colour: terminal.colour, typed: RefCell::default() }));
        editor.bind_sequence(KeyEvent(KeyCode::Enter, Modifiers::ALT), EventHandler::Simple(Cmd::Newline));
        if let Some(path) = &history {
            // The first chat has no history yet, and no chat needs one.
            let _ = repair(path);
            let _ = editor.load_history(path);
            if let Some(folder) = path.parent() {
                // If it cannot be made, saving at the end says why.
                let _ = std::fs::create_dir_all(folder);
            }
        }
        Ok(Self::Editor { editor: Box::new(editor), history, begun: String::new() })
    }

    /// The lines of stdin.
    pub(crate) fn stdin() -> Self {
        Self::Pipe(Box::new(io::stdin().lock()))
    }

    /// The next message.
    pub(crate) fn next(&mut self) -> anyhow::Result<Input> {
        match self {
            Self::Editor { editor, history, begun } => {
                match editor.readline_with_initial("> ", (&std::mem::take(begun), "")) {
                    Ok(line) => {
                        if !line.trim().is_empty() {
                            editor.add_history_entry(&line).context("cannot remember the line")?;
                            if let Some(path) = history {
                                // At once, so that a chat that is killed is remembered; the end tells of failures.
                                let _ = editor.append_history(path);
                            }
                        }
                        Ok(Input::Line(unfold(&line, false)))
                    }
                    Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                        *begun = editor.helper().map(|helper| helper.typed.take()).unwrap_or_default();
                        Ok(Input::NotText)
                    }
                    Err(ReadlineError::Interrupted) => Ok(Input::Interrupted),
                    Err(ReadlineError::Eof) => Ok(Input::End),
                    Err(error) => Err(error).context("cannot read from the terminal"),
                }
            }
            Self::Pipe(reader) => pipe_message(reader.as_mut()),
        }
    }

    /// Writes the history; a failure is worth a word, not an exit code.
    pub(crate) fn save_history(&mut self) -> anyhow::Result<()> {
        if let Self::Editor { editor, history: Some(path), .. } = self {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder)
                    .with_context(|| format!("cannot create {}", folder.display()))?;
            }
            editor
                .save_history(path)
                .with_context(|| format!("cannot write the history to {}", path.display()))?;
        }
        Ok(())
    }
}

/// Where the history lives: `$XDG_STATE_HOME/reformer/history`, else under `~/.local/state`.
pub(crate) fn history_path() -> Option<PathBuf> {
    user_folder("XDG_STATE_HOME", ".local/state").map(|state| state.join("reformer/history"))
}

/// Makes a history file UTF-8 again: one bad byte would cost all lines after it.
fn repair(path: &Path) -> io::Result<()> {
    let bytes = files::read(path, LARGEST_HISTORY)?;
    match String::from_utf8_lossy(&bytes) {
        Cow::Borrowed(_) => Ok(()),
        Cow::Owned(text) => files::replace(path, text.as_bytes()),
    }
}

fn pipe_message(reader: &mut dyn BufRead) -> anyhow::Result<Input> {
    let (mut message, mut repaired) = (String::new(), false);
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line).context("cannot read stdin")? == 0 {
            let end = message.is_empty();
            return Ok(if end { Input::End } else { Input::Line(unfold(&message, repaired)) });
        }
        let line = String::from_utf8_lossy(&line);
        repaired |= matches!(line, Cow::Owned(_));
        let line = without_mark(&line);
        message
            .push_str(line.strip_suffix('\n').map_or(line, |line| line.strip_suffix('\r').unwrap_or(line)));
        if !unfinished(&message) {
            return Ok(Input::Line(unfold(&message, repaired)));
        }
        message.push('\n');
    }
}

/// Whether the message goes on in the next line.
fn unfinished(text: &str) -> bool {
    match text.trim_start().strip_prefix("\"\"\"") {
        Some(rest) => !rest.trim_end().ends_with("\"\"\""),
        None => text.ends_with('\\'),
    }
}

/// The message without the signs that joined its lines.
fn unfold(text: &str, repaired: bool) -> Line {
    match text.trim().strip_prefix("\"\"\"") {
        Some(rest) => {
            let text = rest.strip_suffix("\"\"\"").unwrap_or(rest).trim_matches('\n').to_owned();
            Line { text, quoted: true, repaired }
        }
        None => Line { text: text.replace("\\\n", "\n"), quoted: false, repaired },
    }
}

/// Completion, validation and the coloured prompt.
pub(crate) struct Assistant {
    colour: bool,
    /// The line as it stands.
    typed: RefCell<String>,
}

impl Helper for Assistant {}

impl Hinter for Assistant {
    type Hint = String;

    /// Hints at nothing; the editor asks whenever the line changes, and that is how the line is known when a byte comes
    /// that is no text.
    fn hint(&self, line: &str, _at: usize, _context: &rustyline::Context<'_>) -> Option<String> {
        line.clone_into(&mut self.typed.borrow_mut());
        None
    }
}

impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        if self.colour { Cow::Owned(format!("{BOLD}{prompt}{PLAIN}")) } else { Cow::Borrowed(prompt) }
    }
}

impl Validator for Assistant {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let more = unfinished(context.input());
        Ok(if more { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _context: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok((0, completions(&line[..at])))
    }
}

/// Whole lines that begin with `typed`.
fn completions(typed: &str) -> Vec<String> {
    let commands = TABLE
        .iter()
        .map(|&(name, argument, _)| if argument.is_empty() { name.into() } else { format!("{name} ") });
    let aliases = ALIASES.iter().map(|(alias, _)| (*alias).to_owned());
    let settings = crate::sampling::KEYS.iter().map(|key| format!("/set {key} "));
    let shows = ["conversation", "settings", "model"].iter().map(|what| format!("/show {what}"));
    let all: Vec<String> =
        if typed.contains(' ') { settings.chain(shows).collect() } else { commands.chain(aliases).collect() };
    all.into_iter().filter(|line| typed.starts_with('/') && line.starts_with(typed)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &'static str) -> Vec<String> {
        let mut reader = io::Cursor::new(text);
        let mut all = Vec::new();
        while let Input::Line(line) = pipe_message(&mut reader).unwrap() {
            all.push(line.text);
        }
        all
    }

    #[test]
    fn a_pipe_is_one_message_a_line() {
        assert_eq!(messages("one\r\ntwo\nthree"), ["one", "two", "three"]);
    }

    #[test]
    fn triple_quotes_and_backslashes_join_lines() {
        assert_eq!(messages("\"\"\"a\nb\"\"\"\nc\\\nd\n"), ["a\nb", "c\nd"]);
        assert_eq!(messages("\"\"\"one line\"\"\"\n"), ["one line"]);
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced_and_a_byte_order_mark_is_left_out() {
        let mut reader = io::Cursor::new(b"\xef\xbb\xbfone caf\xe9\ntwo\n".to_vec());
        let mut next = || match pipe_message(&mut reader).unwrap() {
            Input::Line(line) => (line.text, line.repaired),
            _ => (String::new(), false),
        };
        assert_eq!(next(), ("one caf\u{fffd}".into(), true));
        assert_eq!(next(), ("two".into(), false));
    }

    #[test]
    fn a_history_file_with_a_bad_byte_keeps_all_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        std::fs::write(&path, b"#V2\none\nca\xe9\nthree\n").unwrap();
        repair(&path).unwrap();
        let mut history = DefaultHistory::new();
        rustyline::history::History::load(&mut history, &path).unwrap();
        assert_eq!(history.iter().map(String::as_str).collect::<Vec<_>>(), ["one", "ca\u{fffd}", "three"]);
    }

    #[test]
    fn an_unclosed_quote_ends_with_the_pipe() {
        assert_eq!(messages("\"\"\"a\nb\n"), ["a\nb"]);
    }

    #[test]
    fn tab_completes_commands_and_settings() {
        assert_eq!(completions("/re"), ["/regen", "/reset", "/retry", "/regenerate"]);
        assert_eq!(completions("/set temp"), ["/set temperature "]);
        assert_eq!(completions("hello"), Vec::<String>::new());
    }
}
