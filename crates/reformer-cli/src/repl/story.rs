//! A story at a prompt: the reader's line, then the model's paragraph; undo, retry, save.
//!
//! Paragraphs are data and go to stdout, the rest is talk. On a terminal a paragraph is laid out anew, whatever lines
//! it has; in a pipe, and in the file that /save writes, it is as the model wrote it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use reformer::files;
use reformer::generate::{Completion, Finish, GenerateError, Story, StorySession};

use super::command::{self, Command, NAMES, Show};
use super::compose;
use super::source::{Input, Source};
use super::{at_home, speed};
use crate::exit::{INTERRUPTED, report};
use crate::interrupt::Interrupt;
use crate::prompt_text::without_mark;
use crate::stream::Stream;
use crate::terminal::{BOLD, DIM, PLAIN, Terminal, width};
use crate::wrap::Wrap;
use crate::{number, sampling};

/// Name, argument, meaning: those of the chat's commands that a story has.
const TABLE: [(&str, &str, &str); 11] = [
    ("/help", "", "this list"),
    ("/retry", "", "another paragraph after the same words"),
    ("/undo", "", "take the last words and their paragraph back"),
    ("/show", "[WHAT]", "the story so far, the `settings` or the `model`"),
    ("/save", "[FILE]", "write the story as text; /save! replaces a file"),
    ("/load", "FILE", "go on with a text"),
    ("/new", "", "begin another story"),
    ("/set", "[KEY VALUE]", "show or change sampling: `/set temperature 0.5`"),
    ("/edit", "[TEXT]", "write in $EDITOR"),
    ("/stats", "", "speed and context used"),
    ("/exit", "", "leave (so does Ctrl-D)"),
];

/// Bytes of a story's file at most: more than a shelf of novels.
const LARGEST: u64 = 1 << 26;

/// The story's surroundings.
pub(crate) struct StoryRepl<'a> {
    pub(crate) session: StorySession<'a>,
    pub(crate) terminal: Terminal,
    pub(crate) interrupt: &'a Interrupt,
    /// What `/show model` prints.
    pub(crate) about: String,
    /// The story's own file, which /save may replace.
    pub(crate) file: Option<PathBuf>,
    /// Print paragraphs as JSON.
    pub(crate) json: bool,
    /// Print the speed after every paragraph.
    pub(crate) stats: bool,
}

impl StoryRepl<'_> {
    /// Runs until the input ends.
    pub(crate) fn run(mut self, mut source: Source) -> anyhow::Result<ExitCode> {
        let mut hinted = false;
        let code = loop {
            self.interrupt.reset();
            match source.next()? {
                Input::Line(line) => {
                    hinted = false;
                    if line.repaired {
                        self.terminal.warn("a byte of the line is not UTF-8: \u{fffd} stands in its place");
                    }
                    if !line.quoted && command::leaves(&line.text) && matches!(source, Source::Editor { .. })
                    {
                        break ExitCode::SUCCESS;
                    }
                    let asked =
                        if line.quoted { Ok(Command::Say(line.text)) } else { command::parse(&line.text) };
                    if self.obey(asked)? {
                        break ExitCode::SUCCESS;
                    }
                    if self.interrupt.raised() && matches!(source, Source::Pipe(_)) {
                        break ExitCode::from(INTERRUPTED);
                    }
                }
                Input::NotText => self.terminal.warn("a byte that is not UTF-8 came in and was left out"),
                Input::Interrupted if hinted => break ExitCode::from(INTERRUPTED),
                Input::Interrupted => {
                    self.terminal
                        .say(format_args!("{DIM}Ctrl-C again or Ctrl-D leaves; /help lists commands{PLAIN}"));
                    hinted = true;
                }
                Input::End => break ExitCode::SUCCESS,
            }
        };
        if let Err(error) = source.save_history() {
            report(&error);
        }
        Ok(code)
    }

    /// The one-shot form: a fault is the program's fault.
    pub(crate) fn once(mut self, words: &str) -> anyhow::Result<ExitCode> {
        self.stream(false, |session, on_text| session.go_on(words, on_text))??;
        Ok(if self.interrupt.raised() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    /// Whether to leave. A fault is told and the story goes on; a closed stdout ends it.
    fn obey(&mut self, asked: Result<Command, String>) -> anyhow::Result<bool> {
        match asked {
            Err(complaint) => self.terminal.warn(complaint),
            Ok(Command::Exit) => return Ok(true),
            Ok(Command::Say(words)) => self.write(|session, on_text| session.go_on(&words, on_text))?,
            Ok(Command::Regen) => self.write(|session, on_text| session.retry(on_text))?,
            Ok(Command::Edit(start)) => match compose::compose(&start) {
                Ok(None) => self.terminal.say("No words: nothing written."),
                Ok(Some(words)) => {
                    self.terminal.say(format_args!("{DIM}{words}{PLAIN}"));
                    self.write(|session, on_text| session.go_on(&words, on_text))?;
                }
                Err(error) => report(&error),
            },
            Ok(command) => {
                if let Err(error) = self.settle(command) {
                    report(&error);
                }
            }
        }
        Ok(false)
    }

    /// The commands that write nothing.
    fn settle(&mut self, command: Command) -> anyhow::Result<()> {
        let say = |words: &dyn std::fmt::Display| self.terminal.say(words);
        match command {
            Command::Help => {
                for (name, argument, meaning) in TABLE {
                    let width = NAMES - name.len();
                    say(&format_args!("{BOLD}{name}{PLAIN} {argument:width$} {meaning}"));
                }
                say(&"Words begin a paragraph that the model ends; Enter alone: it writes one itself.");
            }
            Command::New => {
                self.session.set_story(Story::default());
                self.file = None;
                self.terminal.say("Another story.");
            }
            Command::Set(None) | Command::Show(Show::Settings) => {
                say(&sampling::describe(self.session.sampling())?);
            }
            Command::Set(Some((key, value))) => {
                let mut changed = self.session.sampling().clone();
                sampling::set(&mut changed, &key, &value)?;
                self.session.set_sampling(changed)?;
                say(&sampling::describe_one(self.session.sampling(), &key)?);
            }
            Command::Show(Show::Model) => say(&self.about),
            Command::Show(Show::Conversation) => self.show(),
            Command::Undo => {
                let passage = self.session.undo()?;
                let text = format!("{}{}", passage.reader, passage.model);
                let begun: String = text.trim().chars().take(60).collect();
                self.terminal.say(format_args!("Took back: {} …", begun.replace('\n', " ")));
            }
            Command::Save { file, replace } => self.save(file.as_deref(), replace)?,
            Command::Load(path) => {
                let path = at_home(&path);
                let story = load_story(&path)?;
                self.terminal.say(format_args!("Going on with {}.", path.display()));
                self.session.set_story(story);
                self.file = Some(path);
            }
            Command::Stats => {
                let (used, positions) = self.session.context();
                say(&format_args!("last paragraph  {}", speed(&self.session.last_stats())));
                let limit =
                    if positions == usize::MAX { "no limit".into() } else { number::count(positions) };
                say(&format_args!("context         {} of {limit} tokens", number::count(used)));
            }
            _ => bail!("a story has no such command; /help lists those it has"),
        }
        Ok(())
    }

    /// The story, laid out for the terminal.
    fn show(&self) {
        let story = self.session.story();
        if story.passages().is_empty() {
            self.terminal.say("Nothing has been told yet.");
        }
        for paragraph in story.text().split("\n\n") {
            let mut wrap = Wrap::new(width(), 0);
            let shown = wrap.push(&paragraph.replace('\n', " ")) + &wrap.finish();
            self.terminal.say(format_args!("{shown}\n"));
        }
    }

    /// Writes the story, over its own file or a new one; over another file only if told to.
    fn save(&mut self, typed: Option<&str>, replace: bool) -> anyhow::Result<()> {
        let Some(path) = typed.map(at_home).or_else(|| self.file.clone()) else {
            bail!("/save needs a file name: /save FILE");
        };
        if self.session.story().passages().is_empty() {
            bail!("nothing has been told yet, so there is nothing to save");
        }
        if path.exists() && !replace && self.file.as_deref() != Some(&path) {
            bail!("{0} is there already; `/save! {0}` replaces it", path.display());
        }
        write(&path, self.session.story())?;
        self.terminal.say(format_args!("Saved the story to {}.", path.display()));
        self.file = Some(path);
        Ok(())
    }

    /// A paragraph at the prompt; a fault of the model is told.
    fn write(
        &mut self,
        act: impl FnOnce(&mut StorySession<'_>, &mut OnText<'_>) -> Result<Completion, GenerateError>,
    ) -> anyhow::Result<()> {
        if let Err(error) = self.stream(true, act)? {
            report(&error.into());
        }
        Ok(())
    }

    fn stream(
        &mut self,
        at_prompt: bool,
        act: impl FnOnce(&mut StorySession<'_>, &mut OnText<'_>) -> Result<Completion, GenerateError>,
    ) -> anyhow::Result<Result<(), GenerateError>> {
        let mut stream = match (self.json, at_prompt) {
            (true, _) => Stream::silent(self.interrupt),
            (false, true) => Stream::reply(self.interrupt, self.terminal),
            (false, false) => Stream::printing(self.interrupt),
        };
        let laid_out = self.terminal.stdout;
        let mut begun = false;
        let done = act(&mut self.session, &mut |piece| {
            if !laid_out {
                return stream.push(piece);
            }
            // The prompt stands between the reader's words and these, so neither blanks nor lines carry over.
            let piece = if begun { piece } else { piece.trim_start() };
            begun |= !piece.is_empty();
            stream.push(&piece.replace('\n', " "))
        });
        stream.finish()?;
        match done {
            Ok(done) => Ok(Ok(self.conclude(&done)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    /// What follows a paragraph: JSON, how it ended, how fast it was.
    fn conclude(&self, done: &Completion) -> anyhow::Result<()> {
        if self.json {
            crate::json::line(done)?;
        }
        let aside = |words: &dyn std::fmt::Display| self.terminal.say(format_args!("{DIM}[{words}]{PLAIN}"));
        match done.finish {
            Finish::Stop => {}
            Finish::Length => {
                aside(&format_args!("stopped after max_tokens {}", self.session.sampling().max_tokens));
            }
            Finish::ContextFull => aside(&"the model's positions are used up"),
            Finish::Cancelled | Finish::Deadline => aside(&"stopped"),
        }
        if done.dropped_tokens > 0 {
            let tokens = number::count(done.dropped_tokens);
            aside(&format_args!("the model no longer sees the first {tokens} tokens"));
        }
        if self.stats {
            aside(&speed(&done.stats));
        }
        Ok(())
    }
}

/// Whoever is shown a paragraph while it is written.
type OnText<'a> = dyn FnMut(&str) -> ControlFlow<()> + 'a;

/// Reads a story: a text.
pub(crate) fn load_story(path: &Path) -> anyhow::Result<Story> {
    let bytes = files::read(path, LARGEST).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        anyhow!("cannot load {}: it is not UTF-8 at byte {at}, and a story is text", path.display())
    })?;
    Ok(Story::of_text(without_mark(&text)))
}

fn write(path: &Path, story: &Story) -> anyhow::Result<()> {
    files::replace(path, (story.text() + "\n").as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_of_a_story_parses_and_its_list_fits_80_columns() {
        for (name, argument, meaning) in TABLE {
            let line = if argument == "FILE" { format!("{name} a.txt") } else { name.to_owned() };
            assert!(!matches!(command::parse(&line), Ok(Command::Say(_)) | Err(_)), "{line}");
            assert!(name.len() + 1 + argument.len() <= NAMES + 1, "{name} {argument}");
            assert!(NAMES + 2 + meaning.len() <= 80, "{name}: {meaning}");
        }
    }
}
