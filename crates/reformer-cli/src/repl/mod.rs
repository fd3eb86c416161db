//! The chat: read a line, obey a command or stream a reply, until the end.
//!
//! Replies are data and go to stdout; everything else is talk and goes to stderr, so that a chat through a pipe prints
//! replies only. Ctrl-C stops a reply, hints at an empty prompt, and leaves with 130 when it is pressed there twice.

mod command;
mod compose;
mod lookups;
mod source;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use reformer::files;
use reformer::generate::{ChatSession, Conversation, Finish, GenerateError, Host, Reply, Stats};
use reformer::text::Role;

pub(crate) use lookups::Tables;
pub(crate) use source::{Source, history_path};
pub(crate) use story::{StoryRepl, load_story};

use crate::exit::{INTERRUPTED, report};
use crate::interrupt::Interrupt;
use crate::stream::Stream;
use crate::terminal::{BOLD, DIM, PLAIN, Terminal};
use crate::{number, sampling};
use command::{ALIASES, Command, NAMES, Show, TABLE};
use source::{Input, Line};

/// Bytes of a conversation's file at most; a million words have some six.
const LARGEST: u64 = 1 << 26;

/// The chat's surroundings.
pub(crate) struct Repl<'a> {
    pub(crate) session: ChatSession<'a>,
    pub(crate) terminal: Terminal,
    pub(crate) interrupt: &'a Interrupt,
    /// What `/show model` prints.
    pub(crate) about: String,
    /// The conversation's own file, which /save may replace.
    pub(crate) file: Option<PathBuf>,
    /// Print replies as JSON.
    pub(crate) json: bool,
    /// Print the speed after every reply.
    pub(crate) stats: bool,
    /// What the model may ask and book.
    pub(crate) tables: Option<Tables>,
}

impl Repl<'_> {
    /// Runs until the input ends.
    pub(crate) fn run(mut self, mut source: Source) -> anyhow::Result<ExitCode> {
        let mut hinted = false;
        let code = loop {
            self.interrupt.reset();
            match source.next()? {
                Input::Line(Line { text, quoted, repaired }) => {
                    hinted = false;
                    if repaired {
                        self.terminal
                            .warn("a byte of the message is not UTF-8: \u{fffd} stands in its place");
                    }
                    if text.trim().is_empty() {
                        continue;
                    }
                    if !quoted && command::leaves(&text) && matches!(source, Source::Editor { .. }) {
                        break ExitCode::SUCCESS;
                    }
                    let command = if quoted { Ok(Command::Say(text)) } else { command::parse(&text) };
                    if self.obey(command)? {
                        break ExitCode::SUCCESS;
                    }
                    // In a pipe there is no prompt to come back to: Ctrl-C and SIGTERM end the program.
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

    /// Whether to leave. A fault of a reply or a command is told and the chat goes on; a closed stdout ends it.
    fn obey(&mut self, command: Result<Command, String>) -> anyhow::Result<bool> {
        let command = match command {
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
                say(&"A message that looks like a command: \"\"\"/help\"\"\".");
                let others: Vec<String> =
                    ALIASES.iter().map(|(alias, name)| format!("{alias} {name}")).collect();
                say(&format_args!("{DIM}Also: {}, /temperature 0.5 and so on.{PLAIN}", others.join(", ")));
            }
            Command::New => {
                self.session.clear();
                self.begin_anew();
                self.terminal.say("A new conversation.");
            }
            Command::System(None) => match self.session.conversation().system() {
                Some(text) => say(&text),
                None => say(&"No system prompt; /system TEXT gives one."),
            },
            Command::System(Some(text)) => {
                self.session.set_system(Some(text).filter(|text| text != "none"));
                self.begin_anew();
                self.terminal.say("A new conversation under that system prompt.");
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
            Command::Show(Show::Conversation) => self.show_conversation(),
            Command::Undo => {
                let text = self.session.undo()?;
                self.follow();
                self.terminal.say(format_args!("Took back: {text}"));
            }
            Command::Save { file, replace } => self.save(file.as_deref(), replace)?,
            Command::Load(path) => {
                let path = at_home(&path);
                let conversation = load(&path)?;
                let turns = conversation.turns().len();
                self.session.set_conversation(conversation);
                self.begin_anew();
                self.terminal.say(format_args!("Loaded {turns} turns from {}.", path.display()));
                self.file = Some(path);
            }
            Command::Lookups => {
                let lines = Tables::lines(self.session.conversation().turns());
                if lines.is_empty() {
                    self.terminal.say("Nothing has been looked up yet.");
                }
                for line in lines {
                    self.terminal.say(line);
                }
            }
            Command::Bookings => match &self.tables {
                None => self.terminal.say("No tables: `reformer chat MODEL --tables FILE` opens some."),
                Some(tables) => {
                    let lines = tables.bookings()?;
                    if lines.is_empty() {
                        self.terminal.say("Nothing is booked.");
                    }
                    for line in lines {
                        self.terminal.say(line);
                    }
                }
            },
            Command::Stats => self.show_stats(),
            Command::Say(_) | Command::Edit(_) | Command::Regen | Command::Exit => {}
        }
        Ok(())
    }

    /// Writes the conversation, over its own file or a new one; over another file only if told to.
    fn save(&mut self, typed: Option<&str>, replace: bool) -> anyhow::Result<()> {
        let Some(path) = typed.map(at_home).or_else(|| self.file.clone()) else {
            bail!("/save needs a file name: /save FILE");
        };
        if path.exists() && !replace && self.file.as_deref() != Some(&path) {
            bail!("{0} is there already; `/save! {0}` replaces it", path.display());
        }
        let conversation = self.session.conversation();
        files::replace(&path, conversation.to_json().as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        self.terminal.say(format_args!("Saved {} turns to {}.", conversation.turns().len(), path.display()));
        self.file = Some(path);
        Ok(())
    }

    /// Puts a message to the model and prints the reply.
    pub(crate) fn say(&mut self, text: &str) -> anyhow::Result<()> {
        self.stream(|session, tables, on_text| match tables {
            Some(tables) => session.send_with(text, tables, on_text),
            None => session.send(text, on_text),
        })
    }

    fn regen(&mut self) -> anyhow::Result<()> {
        self.stream(|session, tables, on_text| match tables {
            Some(tables) => session.regenerate_with(tables, on_text),
            None => session.regenerate(on_text),
        })
    }

    /// Another conversation: what was booked in the one before stays booked.
    pub(crate) fn begin_anew(&mut self) {
        if let Some(tables) = &mut self.tables {
            tables.begin(self.session.conversation().turns());
        }
    }

    fn follow(&mut self) {
        if let Some(tables) = &mut self.tables {
            tables.follow(self.session.conversation().turns());
            tables.settle(self.session.conversation().turns());
        }
    }

    /// The one-shot form: a fault is the program's fault.
    pub(crate) fn once(mut self, text: &str) -> anyhow::Result<ExitCode> {
        let mut stream =
            if self.json { Stream::silent(self.interrupt) } else { Stream::printing(self.interrupt) };
        let on_text = &mut |piece: &str| stream.push(piece);
        let reply = match &mut self.tables {
            Some(tables) => self.session.send_with(text, tables, on_text),
            None => self.session.send(text, on_text),
        };
        stream.finish()?;
        self.conclude(&reply?)?;
        Ok(if self.interrupt.raised() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
    }

    fn stream(
        &mut self,
        act: impl FnOnce(
            &mut ChatSession<'_>,
            Option<&mut Tables>,
            &mut dyn FnMut(&str) -> std::ops::ControlFlow<()>,
        ) -> Result<Reply, GenerateError>,
    ) -> anyhow::Result<()> {
        let mut stream = if self.json {
            Stream::silent(self.interrupt)
        } else {
            Stream::reply(self.interrupt, self.terminal)
        };
        let reply = act(&mut self.session, self.tables.as_mut(), &mut |piece| stream.push(piece));
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
        let turns = conversation.turns();
        for (turn, text) in turns.iter().zip(Tables::filled(turns)) {
            let name = if turn.role == Role::User { "you" } else { "model" };
            self.terminal.say(format_args!("{BOLD}{name}{PLAIN} {text}"));
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

/// A path as it was typed, `~` being the person's own folder: no shell has read it.
fn at_home(typed: &str) -> PathBuf {
    let below = typed.strip_prefix('~').and_then(|rest| match rest.strip_prefix('/') {
        None if rest.is_empty() => Some(""),
        below => below,
    });
    match (below, std::env::home_dir()) {
        (Some(below), Some(home)) => home.join(below),
        _ => PathBuf::from(typed),
    }
}

/// Reads a conversation that `/save` or another tool wrote.
pub(crate) fn load(path: &Path) -> anyhow::Result<Conversation> {
    let bytes = files::read(path, LARGEST).with_context(|| format!("cannot read {}", path.display()))?;
    let text = String::from_utf8(bytes)
        .map_err(|error| anyhow!("not UTF-8 at byte {}; JSON is", error.utf8_error().valid_up_to()))
        .with_context(|| format!("cannot load {}", path.display()))?;
    Conversation::from_json(&text).with_context(|| format!("cannot load {}", path.display()))
}
