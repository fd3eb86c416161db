//! `reformer generate`: continue a text, streaming it or as one JSON object.

use std::io::{self, Write};
use std::process::ExitCode;

use reformer::generate::{ContextPolicy, Finish, Generator, Request};

use crate::args::{GenerateArgs, Global};
use crate::exit::{INTERRUPTED, usage};
use crate::interrupt::Interrupt;
use crate::stream::Stream;
use crate::terminal::{DIM, PLAIN, Terminal};
use crate::{json, opened, sampling, stdin_text};

/// Opens the model and continues the prompt; the prompt itself is printed first, so that the text reads whole.
pub(crate) fn run(args: &GenerateArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let folder = opened::checkpoint(&args.model)?;
    let settings = sampling::resolve(&folder, &args.sampling, global.seed)?;
    let prompt = stdin_text::prompt(args.prompt.as_deref(), terminal)?;
    if prompt.is_empty() {
        return Err(usage(anyhow::anyhow!("the prompt is empty: give at least one character to continue")));
    }
    let opened = opened::open(&args.model, global, terminal)?;
    let ids = opened.tokenizer.encode(&prompt)?;

    let interrupt = Interrupt::install()?;
    let clock = opened::clock();
    let generator = Generator::new(&opened.cpu, &opened.model, &opened.tokenizer, &clock)?;
    let stop_tokens = sampling::stop_tokens(&folder, opened.tokenizer.end_token())?;
    let request = Request {
        prompt: &ids,
        sampling: &settings,
        stop_tokens: &stop_tokens,
        first_draw: 0,
        policy: sampling::policy(&args.sampling, ContextPolicy::Refuse),
    };
    let mut stream = if args.json {
        Stream::silent(&interrupt)
    } else {
        io::stdout().lock().write_all(prompt.as_bytes())?;
        Stream::printing(&interrupt)
    };
    let done = generator.generate(&mut generator.cache(), &request, &mut |piece| stream.push(piece));
    stream.finish()?;
    let done = done?;
    if args.json {
        json::line(&done)?;
    }
    if done.dropped_tokens > 0 {
        terminal.warn(format_args!(
            "the context was full: the oldest {} tokens were dropped",
            done.dropped_tokens
        ));
    }
    if done.finish == Finish::ContextFull {
        terminal.warn("the model's positions are used up; --context slide drops the oldest part and goes on");
    }
    terminal.detail(format_args!(
        "{DIM}prompt {:.0} tokens/s, reply {:.0} tokens/s{PLAIN}",
        done.stats.prefill_tokens_per_second(),
        done.stats.decode_tokens_per_second()
    ));
    Ok(if done.finish == Finish::Cancelled { ExitCode::from(INTERRUPTED) } else { ExitCode::SUCCESS })
}
