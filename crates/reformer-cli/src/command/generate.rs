//! `reformer generate`: continue a text, streaming it or as one JSON object; play a dialogue; search by beams.

use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use reformer::generate::{
    BeamSearch, Cache, ChatSession, ContextPolicy, Conversation, DialogueEvent, Finish, GenerateError,
    Generator, Request, Sampling, Stats, first_sentence,
};
use reformer::text::Role;

use crate::args::Global;
use crate::args::generate::GenerateArgs;
use crate::exit::{INTERRUPTED, usage};
use crate::interrupt::Interrupt;
use crate::open_model::OpenModel;
use crate::repl::Tables;
use crate::stream::Stream;
use crate::terminal::{self, BOLD, DIM, PLAIN, Terminal};
use crate::waiting::Waiting;
use crate::{decoding, demo_tables, json, machine, open_model, prompt_text, sampling};

/// Opens the model and continues the prompt; the prompt itself is printed before, so that the text reads whole, once
/// it is sure that the model can take it.
pub(crate) fn run(args: &GenerateArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    if let Some(source) = &args.image {
        return super::complete::run(args, source, global, terminal);
    }
    let folder = open_model::checkpoint(&args.model)?;
    let settings = sampling::resolve(&folder, &args.sampling, global.seed)?;
    let prompt = match &args.file {
        Some(path) => prompt_text::of_file(path)?,
        None => prompt_text::prompt(args.prompt.as_deref(), terminal)?,
    };
    if prompt.is_empty() {
        return Err(usage(anyhow::anyhow!("the prompt is empty: give at least one character to continue")));
    }
    let mut opened = open_model::open_to_write(&args.model, global, terminal)?;
    if args.dialogue && !opened.chats() {
        anyhow::bail!(
            "{} is a completion model: its tokenizer has no role marks, so there are no sides to play",
            folder.display()
        );
    }
    let packed = decoding::pack(&mut opened.model, args.decoding.weights, args.decoding.attention);
    let interrupt = Interrupt::install()?;
    let clock = machine::clock();
    let generator = decoding::generator(&opened, packed.as_ref(), args.decoding, &clock, &interrupt)?;
    let stop_tokens = sampling::stop_tokens(&folder, opened.tokenizer.end_token())?;
    let command = Command { args, terminal, interrupt: &interrupt, generator, settings, stop_tokens };
    match (args.dialogue, args.beams) {
        (true, _) => command.dialogue(&prompt, tables(args, &opened, terminal)?),
        (_, Some(beams)) => command.beams(&prompt, beams),
        _ => command.text(&prompt),
    }
}

/// The tables that a dialogue's assistant may ask; what it books is forgotten.
fn tables(args: &GenerateArgs, opened: &OpenModel, terminal: Terminal) -> anyhow::Result<Option<Tables>> {
    let own = demo_tables::of_run(&args.model, &opened.folder).map(|(tables, _)| tables);
    let path = args.tables.clone().or(own.filter(|_| opened.tokenizer.has_lookups()));
    let Some(path) = path else { return Ok(None) };
    Tables::may_ask(opened)?;
    Tables::open(&path, None, false, terminal).map(Some)
}

/// A command with everything at hand.
struct Command<'a> {
    args: &'a GenerateArgs,
    terminal: Terminal,
    interrupt: &'a Interrupt,
    generator: Generator<'a>,
    settings: Sampling,
    stop_tokens: Vec<u32>,
}

impl Command<'_> {
    fn text(&self, prompt: &str) -> anyhow::Result<ExitCode> {
        let Self { args, generator, settings, .. } = self;
        let ids = generator.tokenizer().encode(prompt)?;
        let request = Request {
            stop_tokens: &self.stop_tokens,
            policy: sampling::policy(&args.sampling, ContextPolicy::Refuse),
            log_probs: args.log_probs,
            ..Request::new(&ids, settings)
        };
        // A prompt that is refused is not printed: a book would bury the refusal.
        generator.check(&request).map_err(sort)?;
        let mut cache = self.cache()?;
        let mut stream = if args.json {
            Stream::silent(self.interrupt)
        } else {
            if !args.no_prompt {
                let mut out = terminal::stdout();
                out.write_all(prompt.as_bytes()).and_then(|()| out.flush())?;
            }
            Stream::printing(self.interrupt)
        };
        // A streamed text is its own progress.
        let waiting = Waiting::new(self.terminal, args.json, settings.max_tokens);
        let done = generator.generate(&mut cache, &request, &mut |piece| {
            waiting.token();
            stream.push(piece)
        });
        waiting.finish();
        stream.finish()?;
        let done = done.map_err(sort)?;
        // What was read from the file need not be written again.
        if let Some(path) =
            args.prompt_cache.as_ref().filter(|_| done.stats.reused_tokens < done.stats.prompt_tokens)
        {
            cache.save(path, generator)?;
        }
        if args.json {
            json::line(&done)?;
        }
        if done.dropped_tokens > 0 {
            self.terminal.warn(format_args!(
                "the context was full: the oldest {} tokens were dropped",
                done.dropped_tokens
            ));
        }
        if done.finish == Finish::ContextFull {
            self.terminal
                .warn("the model's positions are used up; --context slide drops the oldest part and goes on");
        }
        speed(self.terminal, &done.stats);
        Ok(exit(done.finish))
    }

    /// The state of the prompt from the run before, if there is one.
    fn cache(&self) -> anyhow::Result<Cache> {
        match self.args.prompt_cache.as_deref().filter(|path| path.exists()) {
            Some(path) => {
                let cache = Cache::load(path, &self.generator).with_context(|| cannot_use(path))?;
                Ok(cache.keeping_prompts())
            }
            None if self.args.prompt_cache.is_some() => Ok(self.generator.cache().keeping_prompts()),
            None => Ok(self.generator.cache()),
        }
    }

    fn dialogue(self, prompt: &str, tables: Option<Tables>) -> anyhow::Result<ExitCode> {
        let policy = sampling::policy(&self.args.sampling, ContextPolicy::Slide);
        let (first, json) = (first_sentence(prompt), self.args.json);
        let mut out = terminal::stdout();
        let mut fault = None;
        let mut write = |text: std::fmt::Arguments<'_>| {
            if json {
                return ControlFlow::Continue(());
            }
            match out.write_fmt(text).and_then(|()| out.flush()) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    fault = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let (bold, plain) = if self.terminal.colour { (BOLD, PLAIN) } else { ("", "") };
        let _ = write(format_args!("{bold}Person 1:{plain} {first}\n"));
        let mut show = |event: DialogueEvent<'_>| {
            let flow = match event {
                DialogueEvent::Speaks(role) => {
                    let name = if role == Role::User { "Person 1:" } else { "Person 2:" };
                    write(format_args!("{bold}{name}{plain} "))
                }
                DialogueEvent::Says(text) => write(format_args!("{}", text.replace('\n', " "))),
                DialogueEvent::Ends => write(format_args!("\n")),
            };
            if self.interrupt.raised() { ControlFlow::Break(()) } else { flow }
        };
        let turns = self.args.turns;
        let talk = if let Some(mut tables) = tables {
            let (settings, nothing) = (self.settings.clone(), Conversation::new(None));
            let mut session = ChatSession::new(self.generator, nothing, settings, policy).map_err(usage)?;
            session.talk_to_itself(first, turns, &mut tables, &mut show)
        } else {
            self.generator.talk_to_itself(first, turns, &self.settings, policy, &mut show)
        };
        if let Some(error) = fault {
            return Err(error.into());
        }
        let talk = talk.map_err(sort)?;
        if json {
            json::line(&talk)?;
        }
        speed(self.terminal, &talk.stats);
        Ok(exit(talk.finish))
    }

    fn beams(&self, prompt: &str, beams: usize) -> anyhow::Result<ExitCode> {
        let ids = self.generator.tokenizer().encode(prompt)?;
        let search = BeamSearch {
            beams,
            length_penalty: self.args.length_penalty,
            stop_tokens: self.stop_tokens.clone(),
            sampling: self.settings.clone(),
        };
        let waiting = Waiting::new(self.terminal, true, self.settings.max_tokens);
        let found = self.generator.beam_search(&ids, &search, &mut |_| {
            waiting.token();
            if self.interrupt.raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        waiting.finish();
        let found = found.map_err(sort)?;
        let code = if self.interrupt.raised() { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS };
        if self.args.json {
            json::line(&serde_json::json!({ "hypotheses": found }))?;
            return Ok(code);
        }
        if let Some(best) = found.first() {
            let prompt = if self.args.no_prompt { "" } else { prompt };
            writeln!(terminal::stdout(), "{prompt}{}", best.text)?;
        }
        for (rank, other) in found.iter().enumerate() {
            self.terminal.detail(format_args!("{:>3} {:>9.3} {}", rank + 1, other.score, other.text));
        }
        Ok(code)
    }
}

fn speed(terminal: Terminal, stats: &Stats) {
    terminal.detail(format_args!(
        "{DIM}prompt {:.0} tokens/s, reply {:.0} tokens/s{PLAIN}",
        stats.prefill_tokens_per_second(),
        stats.decode_tokens_per_second()
    ));
}

fn exit(finish: Finish) -> ExitCode {
    if finish == Finish::Cancelled { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS }
}

/// Settings that cannot be are the user's words.
fn sort(error: GenerateError) -> anyhow::Error {
    match error {
        GenerateError::Setting { .. } | GenerateError::BiasOutOfRange { .. } => usage(error),
        other => other.into(),
    }
}

fn cannot_use(path: &Path) -> String {
    format!("cannot use the prompt cache {}; name another file to read the prompt into", path.display())
}
