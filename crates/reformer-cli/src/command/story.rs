//! `reformer chat --story`: a story told in turn with a model of plain text.

use std::process::ExitCode;

use anyhow::bail;
use reformer::generate::StorySession;

use crate::args::Global;
use crate::args::chat::ChatArgs;
use crate::exit::usage;
use crate::interrupt::Interrupt;
use crate::repl::{Source, StoryRepl, history_path, load_story};
use crate::terminal::{BOLD, PLAIN, Terminal};
use crate::{decoding, machine, open_model, prompt_text, sampling};

/// Opens the model and tells.
pub(crate) fn run(args: &ChatArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let Some(model) = &args.model else {
        return Err(usage(anyhow::anyhow!(
            "--story needs a model of plain text: give its directory; `reformer train recipes/story.toml` trains one"
        )));
    };
    let folder = open_model::checkpoint(model)?;
    let seed = global.seed.unwrap_or_else(sampling::new_seed);
    let settings = sampling::resolve(&folder, &args.sampling, Some(seed))?;
    let story = args.load.as_deref().map(load_story).transpose()?.unwrap_or_default();
    let mut opened = open_model::open_to_write(model, global, terminal)?;
    let shown = folder.display();
    if opened.tokenizer.raster().is_some() {
        bail!(
            "{shown} learned images and tells no stories; complete an image with `reformer generate --image`"
        );
    }
    if opened.chats() {
        bail!("{shown} learned dialogues, not a text to go on with; leave --story out to chat with it");
    }
    let packed = decoding::pack(&mut opened.model, args.decoding.weights, args.decoding.attention);
    let interrupt = Interrupt::install_for_replies()?;
    let clock = machine::clock();
    let generator = decoding::generator(&opened, packed.as_ref(), args.decoding, &clock, &interrupt)?;
    let stop_tokens = sampling::stop_tokens(&folder, opened.tokenizer.end_token())?;
    let session = StorySession::new(generator, story, settings, &stop_tokens).map_err(usage)?;
    let about = super::chat::about(&opened);
    let repl = StoryRepl {
        session,
        terminal,
        interrupt: &interrupt,
        about,
        file: args.load.clone(),
        json: args.json,
        stats: args.stats,
    };
    let seed = format!("seed {seed}");
    match args.prompt.as_deref() {
        Some("-") => repl.once(&prompt_text::read()?),
        Some(text) => repl.once(prompt_text::without_mark(text)),
        None if terminal.stdin => {
            terminal.say(format_args!("{BOLD}{}, {seed}{PLAIN}", repl.about));
            terminal.say("Begin a paragraph and the model ends it; Enter alone lets it write one.");
            terminal.say("/retry writes it anew, /undo takes it back, /help lists the rest.");
            let history = if args.no_history { None } else { history_path() };
            repl.run(Source::editor(history, terminal)?)
        }
        None => repl.run(Source::stdin()),
    }
}
