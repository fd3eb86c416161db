//! `reformer serve`: models over HTTP until Ctrl-C.
//!
//! The port is open before the models are: who waits for the server asks `/health`.

mod keys;
mod log;
mod tables;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use reformer::generate::engine::{Clock, EngineOptions};
use reformer::generate::{Engine, Sampling};
use reformer_server::{Defaults, Limits, ServedModel, Server, ServerOptions};
use tokio::net::TcpListener;

use self::log::Log;
use self::tables::Town;
use crate::args::Global;
use crate::args::decoding::ContextChoice;
use crate::args::serve::ServeArgs;
use crate::exit::usage;
use crate::interrupt::Interrupt;
use crate::terminal::{BOLD, PLAIN, Terminal};
use crate::{decoding, demo_tables, machine, open_model, sampling};

/// How often the program looks whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Opens the models and serves them.
pub(crate) fn run(args: &ServeArgs, global: &Global, terminal: Terminal) -> anyhow::Result<ExitCode> {
    let planned = plan(args, global)?;
    let options = options(args, terminal)?;
    let clock = Arc::clone(&options.clock);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.context("cannot start the threads that serve")?;
    let address = SocketAddr::new(args.host, args.port);
    let listener = runtime.block_on(TcpListener::bind(address)).with_context(|| {
        format!("cannot listen on {address}; choose another --port, or 0 for any that is free")
    })?;
    let address = listener.local_addr()?;
    let interrupt = Interrupt::install()?;
    let server = Server::new(options);
    let names: Vec<&str> = planned.iter().map(|model| model.name.as_str()).collect();
    terminal.say(format_args!("{BOLD}http://{address}{PLAIN}  (loading {})", names.join(", ")));

    let (done, loaded) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Nobody listens any more if it is to end before everything is there.
            let _ = done.send(load(args, planned, global, terminal, &clock, &server));
        });
        let mut loading = Some(loaded);
        let mut failure = None;
        let stop = async {
            while !interrupt.raised() && failure.is_none() {
                if let Some(result) = loading.as_ref().and_then(arrived) {
                    loading = None;
                    failure = result.err();
                    if failure.is_none() {
                        server.ready();
                        terminal.say("ready; Ctrl-C ends it when what is in work is done");
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
            if failure.is_none() {
                terminal.say("ending; Ctrl-C once more ends it at once");
            }
        };
        let served = runtime.block_on(server.serve(listener, stop));
        match failure {
            Some(error) => Err(error),
            None => served.map(|()| ExitCode::SUCCESS).context("serving failed"),
        }
    })
}

/// What came of loading, if it is over.
fn arrived(loaded: &Receiver<anyhow::Result<()>>) -> Option<anyhow::Result<()>> {
    match loaded.try_recv() {
        Ok(result) => Some(result),
        Err(TryRecvError::Empty) => None,
        Err(TryRecvError::Disconnected) => {
            Some(Err(anyhow::anyhow!("the thread that opens the models has gone")))
        }
    }
}

/// A model that is to be served: settled before a port is opened, so that a mistyped flag is told at once.
struct Planned<'a> {
    dir: &'a Path,
    folder: PathBuf,
    name: String,
    settings: Sampling,
}

fn plan<'a>(args: &'a ServeArgs, global: &Global) -> anyhow::Result<Vec<Planned<'a>>> {
    if !args.name.is_empty() && args.name.len() != args.models.len() {
        return Err(usage(anyhow::anyhow!(
            "{} names for {} models; give --name once for each DIR, in their order, or not at all",
            args.name.len(),
            args.models.len()
        )));
    }
    let mut planned: Vec<Planned<'_>> = Vec::new();
    for (at, dir) in args.models.iter().enumerate() {
        let folder = open_model::checkpoint(dir)?;
        let name = match args.name.get(at) {
            Some(name) => name.clone(),
            None => own_name(dir)?,
        };
        if name.is_empty() || planned.iter().any(|other| other.name == name) {
            return Err(usage(anyhow::anyhow!(
                "{name:?} would name two models, or none; tell them apart with --name, once for each DIR"
            )));
        }
        let settings = sampling::resolve(&folder, &args.sampling, global.seed)?;
        planned.push(Planned { dir, folder, name, settings });
    }
    Ok(planned)
}

fn own_name(dir: &Path) -> anyhow::Result<String> {
    let whole = dir.canonicalize().with_context(|| format!("cannot find {}", dir.display()))?;
    Ok(whole.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default())
}

fn options(args: &ServeArgs, terminal: Terminal) -> anyhow::Result<ServerOptions> {
    if args.sampling.context == Some(ContextChoice::Slide) {
        return Err(usage(anyhow::anyhow!(
            "--context slide is for chat and generate: a server refuses what does not fit, so that its clients know; \
             leave it out"
        )));
    }
    let keys = keys::read(args)?;
    if !args.host.is_loopback() && keys.is_empty() && !args.insecure {
        return Err(usage(anyhow::anyhow!(
            "--host {} lets other machines ask, and nobody needs a key; give --api-key-file FILE, or --insecure if \
             that is what you want",
            args.host
        )));
    }
    for origin in &args.cors_origin {
        keys::check_origin(origin)?;
    }
    let bounds = args.bounds;
    let limits = Limits {
        body: bounds.limit_body,
        tokens: bounds.limit_tokens,
        reply_time: Duration::from_secs(bounds.timeout.into()),
        grace: Duration::from_secs(bounds.grace.into()),
        ..Limits::default()
    };
    let log = Log::new(args.log, terminal);
    let epoch = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    Ok(ServerOptions {
        keys,
        cors_origins: args.cors_origin.clone(),
        local_names: args.host.is_loopback() && !args.insecure,
        page: !args.no_ui,
        inspect: args.inspect,
        limits,
        log: Arc::new(move |happening| log.write(happening)),
        ..ServerOptions::new(Arc::new(machine::clock()), epoch, random)
    })
}

/// The standard library seeds each of its hash tables from the system's randomness.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Opens the models, one after another.
fn load(
    args: &ServeArgs,
    planned: Vec<Planned<'_>>,
    global: &Global,
    terminal: Terminal,
    clock: &Clock,
    server: &Server,
) -> anyhow::Result<()> {
    let given = match &args.tables {
        Some(tables) => Some(Town::open(tables, args.bookings.as_deref(), false, terminal)?),
        None => None,
    };
    let mut asked = false;
    for Planned { dir, folder, name, settings } in planned {
        let mut opened = open_model::open_to_write(dir, global, terminal)?;
        if opened.tokenizer.raster().is_some() {
            bail!(
                "{}: a model of images, which cannot be served; complete one with `reformer generate`",
                dir.display()
            );
        }
        let looks_up = opened.tokenizer.has_lookups();
        let town = if looks_up { town(args, given.as_ref(), dir, &folder, terminal)? } else { None };
        if looks_up && town.is_none() {
            terminal.warn(format_args!(
                "{name} looks things up: without --tables FILE its clients must bring tools, or it speaks of nothing in \
                 particular"
            ));
        }
        let packed =
            decoding::pack(&mut opened.model, args.decoding.weights, args.decoding.attention).map(Arc::new);
        let stop_tokens = sampling::stop_tokens(&folder, opened.tokenizer.end_token())?;
        let options = EngineOptions {
            sequences: args.bounds.parallel.into(),
            queue: args.bounds.queue.into(),
            decoding: decoding::options(args.decoding),
            prefixes: args.bounds.prefix_cache as usize * (1 << 20),
            ..EngineOptions::default()
        };
        let created = created(&opened.folder);
        let (model, tokenizer) = (Arc::new(opened.model), Arc::new(opened.tokenizer));
        let engine = Engine::start(options, opened.cpu, model, packed, tokenizer, Arc::clone(clock))?;
        let defaults = Defaults { sampling: settings, stop_tokens, seed: global.seed };
        let served = ServedModel::new(name, engine, defaults, created);
        asked |= town.is_some();
        server.add(match town {
            Some(town) => served.with_tables(Arc::new(town)),
            None => served,
        });
    }
    match (&args.tables, &args.bookings) {
        (Some(tables), _) if !asked => Err(usage(anyhow::anyhow!(
            "no model here has learned to look things up in {}; leave --tables out, or train on dialogues with lookups \
             (`reformer data ground` makes some)",
            tables.display()
        ))),
        (None, Some(_)) if !asked => {
            Err(usage(anyhow::anyhow!("--bookings needs tables to book in: give --tables FILE too")))
        }
        _ => Ok(()),
    }
}

/// What a model looks things up in: the tables that were given, else those of its run, as in a chat.
fn town(
    args: &ServeArgs,
    given: Option<&Town>,
    dir: &Path,
    folder: &Path,
    terminal: Terminal,
) -> anyhow::Result<Option<Town>> {
    match (given, demo_tables::of_run(dir, folder)) {
        (Some(town), _) => Ok(Some(town.clone())),
        (None, Some((tables, beside))) => {
            let bookings = args.bookings.as_deref().unwrap_or(&beside);
            Town::open(&tables, Some(bookings), args.bookings.is_none(), terminal).map(Some)
        }
        (None, None) => Ok(None),
    }
}

/// When the weights were written, in seconds since 1970; 0 where the system does not tell.
fn created(folder: &Path) -> u64 {
    let written = std::fs::metadata(folder.join("config.json")).and_then(|file| file.modified());
    let since = written.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| since.as_secs())
}
