//! `reformer chat`: talk to a model at a prompt, through a pipe, or once.

use std::path::Path;
use std::process::ExitCode;

use reformer::generate::{ChatSession, ContextPolicy, Conversation};
use reformer::text::Form;

use crate::args::Global;
use crate::args::chat::ChatArgs;
use crate::exit::usage;
use crate::interrupt::Interrupt;
use crate::open_model::{self, OpenModel};
use crate::repl::{self, Repl, Source, Tables, history_path};
use crate::terminal::{BOLD, PLAIN, Terminal};
use crate::{decoding, demo_tables, machine, number, prompt_text, sampling, shipped};

/// Opens the model and talks.
pub(crate) fn run(args: &ChatArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    if args.story {
        return super::story::run(args, global, terminal);
    }
    // Kept until the chat is over: it may be unpacked for this one only.
    let shipped = args.model.is_none().then(shipped::unpack).transpose()?;
    let own = || shipped.as_ref().map(|shipped| shipped.folder.clone());
    let model = args.model.clone().or_else(own).unwrap_or_default();
    let folder = open_model::checkpoint(&model)?;
    let seed = global.seed.unwrap_or_else(sampling::new_seed);
    let mut settings = sampling::resolve(&folder, &args.sampling, Some(seed))?;
    if args.load.is_some() && args.system.is_some() {
        return Err(usage(anyhow::anyhow!(
            "--load brings its own system prompt: give either --load or --system"
        )));
    }
    let conversation = match &args.load {
        Some(path) => repl::load(path)?,
        None => Conversation::new(args.system.clone()),
    };
    let mut opened = open_model::open_to_write(&model, global, terminal)?;
    if !opened.chats() {
        let dir = model.display();
        anyhow::bail!(
            "{} is a completion model: {}",
            folder.display(),
            match opened.tokenizer.form() {
                _ if opened.tokenizer.raster().is_some() =>
                    format!("it learned images; complete one with `reformer generate {dir} --image FILE`"),
                Form::Text => format!(
                    "it learned plain text, in which nobody speaks; tell a story with it, `reformer chat {dir} --story`, \
                     or continue a text, `reformer generate {dir} -p TEXT`"
                ),
                _ => format!(
                    "its tokenizer has neither role marks nor a chat template, so it cannot tell who speaks; continue a \
                     text with `reformer generate {dir} -p TEXT`"
                ),
            },
        );
    }

    let tables = tables(args, &model, &opened, terminal)?;
    if tables.is_none() && opened.tokenizer.has_lookups() {
        terminal.warn(
            "this model looks things up in tables: without --tables FILE it speaks of nothing in particular",
        );
        settings.forbid_calls(&opened.tokenizer);
    }

    let packed = decoding::pack(&mut opened.model, args.decoding.weights, args.decoding.attention);
    let interrupt = Interrupt::install_for_replies()?;
    let clock = machine::clock();
    let generator = decoding::generator(&opened, packed.as_ref(), args.decoding, &clock, &interrupt)?;
    let stop_tokens = sampling::stop_tokens(&folder, opened.tokenizer.end_token())?;
    let policy = sampling::policy(&args.sampling, ContextPolicy::Slide);
    // A bias on a token that there is not, for one, is the user's word.
    let session = ChatSession::new(generator, conversation, settings, policy).map_err(usage)?;
    let mut repl = Repl {
        session: session.with_stop_tokens(&stop_tokens),
        terminal,
        interrupt: &interrupt,
        about: about(&opened),
        file: args.load.clone(),
        json: args.json,
        stats: args.stats,
        tables,
    };
    let seed = format!("seed {seed}");
    if args.prompt.is_some() || !terminal.stdin {
        terminal.detail(&seed);
    }
    repl.begin_anew();

    match args.prompt.as_deref() {
        Some("-") => repl.once(&prompt_text::read()?),
        Some(text) => repl.once(prompt_text::without_mark(text)),
        None if terminal.stdin => {
            terminal.say(format_args!("{BOLD}{}, {seed}{PLAIN}", repl.about));
            if shipped.is_some() {
                terminal
                    .say("The chatbot in the box, which knows Cambridge as it was in 2018, in lower case.");
            }
            if let Some(tables) = &repl.tables {
                terminal.say(tables.about());
            }
            terminal.say("Type a message; /help lists commands, Ctrl-D leaves.");
            let history = if args.no_history { None } else { history_path() };
            repl.run(Source::editor(history, terminal)?)
        }
        None => repl.run(Source::stdin()),
    }
}

/// The tables that the model may ask, with what an earlier conversation looked up.
fn tables(
    args: &ChatArgs,
    model: &Path,
    opened: &OpenModel,
    terminal: Terminal,
) -> anyhow::Result<Option<Tables>> {
    let own = demo_tables::of_run(model, &opened.folder).filter(|_| opened.tokenizer.has_lookups());
    let (path, bookings) = match (&args.tables, &own) {
        (Some(path), _) => (path, args.bookings.as_deref()),
        (None, Some((path, beside))) => (path, Some(args.bookings.as_deref().unwrap_or(beside))),
        (None, None) if args.bookings.is_some() => {
            return Err(usage(anyhow::anyhow!("--bookings needs tables to book in: give --tables FILE too")));
        }
        (None, None) => return Ok(None),
    };
    Tables::may_ask(opened)?;
    Tables::open(path, bookings, args.bookings.is_none(), terminal).map(Some)
}

/// A line about the model.
pub(crate) fn about(opened: &OpenModel) -> String {
    let config = opened.model.config();
    let positions = config.position_limit().map_or_else(|| "any number of".into(), number::count);
    format!(
        "{}: {} parameters, {} layers, {positions} positions",
        opened.folder.display(),
        number::count(opened.model.parameters().count()),
        config.layers(),
    )
}
