//! The chat: read a line, obey a command or stream a reply, until the end.
//!
//! Replies are data and go to stdout; everything else is talk and goes to stderr, so that a chat through a pipe prints
//! replies only. Ctrl-C stops a reply, hints at an empty prompt, and leaves with 130 when it is pressed there twice.

mod command;
mod compose;
mod source;

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use reformer::generate::{ChatSession, Conversation, Finish, GenerateError, Reply, Stats};
use reformer::text::Role;

pub(crate) use source::{Input, Source, history_path};

use crate::exit::{INTERRUPTED, report};
use crate::interrupt::Interrupt;
use crate::stream::Stream;
use crate::terminal::{BOLD, DIM, PLAIN, Terminal};
use crate::{number, sampling};
use command::{Command, NAMES, Show, TABLE};

/// The chat's surroundings.
pub(crate) struct Repl<'a> {
    pub(crate) session: ChatSession<'a>,
    pub(crate) terminal: Terminal,
    pub(crate) interrupt: &'a Interrupt,
    /// What `/show model` prints.
    pub(crate) about: String,
    /// Print replies as JSON.
    pub(crate) json: bool,
    /// Print the speed after every reply.
    pub(crate) stats: bool,
}

impl Repl<'_> {
    /// Runs until the input ends.
    pub(crate) fn run(mut self, mut source: Source) -> anyhow::Result<ExitCode> {
        let mut hinted = false;
        let code = loop {
            self.interrupt.reset();
            match source.next()? {
                Input::Line(line) => {
                    hinted = false;
                    if line.trim().is_empty() {
                        continue;
                    }
                    if self.obey(&line)? {
                        break ExitCode::SUCCESS;
                    }
                    // In a pipe there is no prompt to come back to: Ctrl-C and SIGTERM end the program.
                    if self.interrupt.raised() && matches!(source, Source::Pipe(_)) {
                        break ExitCode::from(INTERRUPTED);
                    }
                }
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

    /// Whether to leave. A fault of a reply or a command is told and the chat goes on; a closed stdout ends it.
    fn obey(&mut self, line: &str) -> anyhow::Result<bool> {
        let command = match command::parse(line) {
            Ok(command) => command,
            Err(complaint) => {
                self.terminal.warn(complaint);
                return Ok(false);
            }
        };
        match command {
            Command::Exit => return Ok(true),
            Command::Say(text) => return self.say(&text).map(|()| false),
            Command::Regen => return self.regen().map(|()| false),
            Command::Edit(start) => match compose::compose(&start) {
                Ok(Some(text)) => {
                    self.terminal.say(format_args!("{DIM}{text}{PLAIN}"));
                    return self.say(&text).map(|()| false);
                }
                Ok(None) => self.terminal.say("An empty message: nothing sent."),
                Err(error) => report(&error),
            },
            command => {
                if let Err(error) = self.settle(command) {
                    report(&error);
                }
            }
        }
        Ok(false)
    }

    /// The commands that generate nothing.
    fn settle(&mut self, command: Command) -> anyhow::Result<()> {
        let say = |words: &dyn std::fmt::Display| self.terminal.say(words);
        match command {
            Command::Help => {
                for (name, argument, meaning) in TABLE {
                    let width = NAMES - name.len();
                    say(&format_args!("{BOLD}{name}{PLAIN} {argument:width$} {meaning}"));
                }
                say(&"Several lines: \"\"\" around them, \\ at a line's end, Alt-Enter, or paste.");
                say(&"// begins a message with a slash.");
            }
            Command::New => {
                self.session.clear();
                self.terminal.say("A new conversation.");
            }
            Command::System(None) => match self.session.conversation().system() {
                Some(text) => say(&text),
                None => say(&"No system prompt; /system TEXT gives one."),
            },
            Command::System(Some(text)) => {
                self.session.set_system(Some(text).filter(|text| text != "none"));
                self.terminal.say("A new conversation under that system prompt.");
            }
            Command::Set(None) | Command::Show(Show::Settings) => {
                say(&sampling::describe(self.session.sampling())?);
            }
            Command::Set(Some((key, value))) => {
                let mut changed = self.session.sampling().clone();
                sampling::set(&mut changed, &key, &value)?;
                self.session.set_sampling(changed)?;
            }
            Command::Show(Show::Model) => say(&self.about),
            Command::Show(Show::Conversation) => self.show_conversation(),
            Command::Undo => {
                let text = self.session.undo()?;
                self.terminal.say(format_args!("Took back: {text}"));
            }
            Command::Save(path) => save(Path::new(&path), self.session.conversation()).map(|()| {
                self.terminal.say(format_args!(
                    "Saved {} turns to {path}.",
                    self.session.conversation().turns().len()
                ));
            })?,
            Command::Load(path) => {
                let conversation = load(Path::new(&path))?;
                let turns = conversation.turns().len();
                self.session.set_conversation(conversation);
                self.terminal.say(format_args!("Loaded {turns} turns from {path}."));
            }
            Command::Stats => self.show_stats(),
            Command::Say(_) | Command::Edit(_) | Command::Regen | Command::Exit => {}
        }
        Ok(())
    }

    /// Puts a message to the model and prints the reply.
    pub(crate) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.stream(|session, on_text| session.send(text, on_text))
    }

    fn regen(&mut self) -> anyhow::Result<()> {
        self.stream(|session, on_text| session.regenerate(on_text))
    }

    /// The one-shot form: a fault is the program's fault.
    pub(crate) fn once(mut self, text: &str) -> anyhow::Result<ExitCode> {
        let mut stream =
            if self.json { Stream::silent(self.interrupt) } else { Stream::printing(self.interrupt) };
        let reply = self.session.send(text, &mut |piece| stream.push(piece));
        stream.finish()?;
        self.conclude(&reply?)?;
        Ok(if self.interrupt.raised() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    fn stream(
        &mut self,
        act: impl FnOnce(
            &mut ChatSession<'_>,
            &mut dyn FnMut(&str) -> std::ops::ControlFlow<()>,
        ) -> Result<Reply, GenerateError>,
    ) -> anyhow::Result<()> {
        let mut stream =
            if self.json { Stream::silent(self.interrupt) } else { Stream::printing(self.interrupt) };
        let reply = act(&mut self.session, &mut |piece| stream.push(piece));
        stream.finish()?;
        match reply {
            Ok(reply) => self.conclude(&reply)?,
            Err(error) => report(&error.into()),
        }
        Ok(())
    }

    /// What follows a reply: JSON, how it ended, how fast it was.
    fn conclude(&self, reply: &Reply) -> anyhow::Result<()> {
        if self.json {
            crate::json::line(reply)?;
        }
        let done = &reply.completion;
        let aside = |words: &dyn std::fmt::Display| self.terminal.say(format_args!("{DIM}[{words}]{PLAIN}"));
        match done.finish {
            Finish::Stop => {}
            Finish::Length => {
                aside(&format_args!("stopped after max_tokens {}", self.session.sampling().max_tokens));
            }
            Finish::ContextFull => aside(&"the model's positions are used up: /new starts over"),
            Finish::Cancelled | Finish::Deadline => aside(&"stopped"),
        }
        if reply.dropped_turns > 0 {
            aside(&format_args!("the model no longer sees the first {} turns", reply.dropped_turns));
        }
        if done.dropped_tokens > 0 {
            aside(&format_args!("the oldest {} tokens were dropped", done.dropped_tokens));
        }
        if self.stats {
            aside(&speed(&done.stats));
        }
        Ok(())
    }

    fn show_conversation(&self) {
        let conversation = self.session.conversation();
        if let Some(system) = conversation.system() {
            self.terminal.say(format_args!("{BOLD}system{PLAIN} {system}"));
        }
        for turn in conversation.turns() {
            let name = if turn.role == Role::User { "you" } else { "model" };
            self.terminal.say(format_args!("{BOLD}{name}{PLAIN} {}", turn.text));
        }
        if conversation.turns().is_empty() {
            self.terminal.say("Nothing has been said yet.");
        }
    }

    fn show_stats(&self) {
        let (used, positions) = self.session.context();
        let (last, total) = (self.session.last_stats(), self.session.total_stats());
        self.terminal.say(format_args!("last reply  {}", speed(&last)));
        self.terminal.say(format_args!("session     {}", speed(&total)));
        let limit = if positions == usize::MAX { "no limit".into() } else { number::count(positions) };
        let share = used as f64 / positions as f64 * 100.0;
        self.terminal.say(format_args!(
            "context     {} of {limit} tokens ({share:.0} %), {} of memory",
            number::count(used),
            number::bytes(self.session.state_bytes())
        ));
    }
}

fn speed(stats: &Stats) -> String {
    format!(
        "prompt {} tokens ({} reused) at {:.0} tokens/s, reply {} tokens at {:.0} tokens/s",
        number::count(stats.prompt_tokens),
        number::count(stats.reused_tokens),
        stats.prefill_tokens_per_second(),
        number::count(stats.generated_tokens),
        stats.decode_tokens_per_second(),
    )
}

fn save(path: &Path, conversation: &Conversation) -> anyhow::Result<()> {
    std::fs::write(path, conversation.to_json()).with_context(|| format!("cannot write {}", path.display()))
}

/// Reads a conversation that [`save`] or another tool wrote.
pub(crate) fn load(path: &Path) -> anyhow::Result<Conversation> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Conversation::from_json(&text).with_context(|| format!("cannot load {}", path.display()))
}
