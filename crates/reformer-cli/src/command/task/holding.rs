//! A model holds a corpus's dialogues: the users' turns are the corpus's, the rest is its own.
//!
//! A reply sees the model's own earlier lookups and replies, as in use, or its own lookups with the corpus's replies,
//! where beliefs are measured as those of state trackers are. Dialogues are held side by side, one a thread, each
//! with bookings of its own, so that what one says does not depend on the others.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reformer::generate::{ChatSession, ContextPolicy, Conversation, Finish, Generator, Host, Sampling};
use reformer::model::{DecodeOptions, Packed};
use reformer::tensor::Cpu;
use reformer::text::{Role, Turn};
use reformer_tables::evaluate::gold::Gold;
use reformer_tables::ground::{Grounder, Led};
use reformer_tables::{Bookings, Database, Talk};

use crate::args::task::Whose;
use crate::args::{EvalArgs, Global};
use crate::desk::Desk;
use crate::exit::usage;
use crate::interrupt::Interrupt;
use crate::open_model::OpenModel;
use crate::terminal::Terminal;
use crate::{decoding, machine, number};

/// Tokens of a reply at most: the longest of MultiWOZ's are far below.
const REPLY_TOKENS: usize = 160;
/// Seconds between two lines of progress where nobody looks.
const INTERVAL: f64 = 15.0;

/// Whether the model can hold them at all.
pub(super) fn check(opened: &OpenModel) -> anyhow::Result<()> {
    if opened.chats() && opened.tokenizer.has_lookups() {
        return Ok(());
    }
    Err(usage(anyhow::anyhow!(
        "{} has not learned to look things up, so it has no beliefs to measure; train on dialogues with lookups \
         (`reformer data ground` makes some), or measure its loss with --data FILE",
        opened.folder.display()
    )))
}

/// What holds dialogues.
pub(super) struct Held<'a> {
    pub(super) args: &'a EvalArgs,
    pub(super) global: &'a Global,
    pub(super) opened: &'a OpenModel,
    pub(super) packed: Option<&'a Packed>,
    pub(super) interrupt: &'a Interrupt,
}

/// What a thread tells of its work.
enum News {
    Turn,
    Dialogue(usize, Vec<Turn>),
    Failed(anyhow::Error),
}

impl Held<'_> {
    /// Holds all dialogues, in their order; an interrupt leaves those that were ended by then.
    pub(super) fn all(
        &self,
        golds: &[Gold],
        tables: &Path,
        terminal: Terminal,
    ) -> anyhow::Result<Vec<super::Talk>> {
        let next = AtomicUsize::new(0);
        let (tell, news) = channel();
        std::thread::scope(|scope| {
            for _ in 0..machine::threads(self.global).min(golds.len()) {
                let (tell, next) = (tell.clone(), &next);
                scope.spawn(move || self.some(golds, tables, next, &tell));
            }
            drop(tell);
            gather(&news, golds, terminal, &next)
        })
    }

    /// One thread's share: whichever dialogue is next.
    fn some(&self, golds: &[Gold], tables: &Path, next: &AtomicUsize, tell: &Sender<News>) {
        let shared = || -> anyhow::Result<()> {
            let database = Database::open_beside(tables)?;
            let grounder = Grounder::new(&database)?;
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(gold) = golds.get(at).filter(|_| !self.interrupt.raised()) else { return Ok(()) };
                let Some(turns) = self.one(at, gold, &database, &grounder, tell)? else { return Ok(()) };
                // Nobody listens any more if the gathering has failed.
                if tell.send(News::Dialogue(at, turns)).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(error) = shared() {
            let _ = tell.send(News::Failed(error));
        }
    }

    /// One dialogue; none if it was interrupted.
    fn one(
        &self,
        at: usize,
        gold: &Gold,
        database: &Database,
        grounder: &Grounder<'_>,
        tell: &Sender<News>,
    ) -> anyhow::Result<Option<Vec<Turn>>> {
        let cpu = Cpu::single().with_precision(self.opened.cpu.precision());
        let clock = machine::clock();
        let options =
            DecodeOptions { attention: decoding::attention(self.args.attention), ..DecodeOptions::default() };
        let generator = Generator::new(&cpu, &self.opened.model, &self.opened.tokenizer, &clock)?
            .with_packed(self.packed)
            .with_options(options)
            .with_stop(self.interrupt.flag());
        let sampling = Sampling {
            temperature: self.args.task.temperature,
            max_tokens: REPLY_TOKENS,
            // Dialogues draw their own numbers.
            seed: self.global.seed.unwrap_or(0).wrapping_add(at as u64),
            ..Sampling::default()
        };
        let conversation = Conversation::default();
        let mut session =
            ChatSession::new(generator, conversation, sampling, ContextPolicy::Slide).map_err(usage)?;
        let mut desk = Desk { database, bookings: Bookings::in_memory()?, talk: Talk::default() };
        let (mut own, mut led) = (Vec::new(), Led::default());
        let users = gold.grounded.turns.iter().filter(|turn| turn.role == Role::User);
        for (turn, user) in users.enumerate() {
            let mut go_on = |_: &str| {
                if self.interrupt.raised() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let reply = session
                .send_with(&user.text, &mut desk, &mut go_on)
                .with_context(|| format!("the dialogue {}", gold.name))?;
            if reply.completion.finish == Finish::Cancelled || self.interrupt.raised() {
                return Ok(None);
            }
            let mut conversation = session.conversation().clone();
            own.push(user.clone());
            own.extend(conversation.turns().last().cloned());
            if let (Whose::Corpus, Some(words)) = (self.args.task.follow, gold.said.get(turn)) {
                let stands = grounder.led(&mut led, &reply.lookups, words)?;
                conversation.take_last_exchange();
                conversation.push(Role::User, user.text.clone());
                conversation.push_turn(stands);
                desk.follow(conversation.turns());
                session.set_conversation(conversation);
            }
            let _ = tell.send(News::Turn);
        }
        Ok(Some(own))
    }
}

/// Collects what the threads tell, and shows how far they are. A failure keeps the others from beginning another one.
fn gather(
    news: &Receiver<News>,
    golds: &[Gold],
    terminal: Terminal,
    next: &AtomicUsize,
) -> anyhow::Result<Vec<super::Talk>> {
    let turns = golds.iter().flat_map(|gold| &gold.grounded.turns).filter(|turn| turn.role == Role::User);
    let (all, clock) = (turns.count(), machine::clock());
    let bar = (terminal.stderr && !terminal.quiet()).then(|| {
        let bar = ProgressBar::with_draw_target(Some(all as u64), ProgressDrawTarget::stderr());
        let style = "{bar:20} {pos}/{len} turns, {per_sec}, eta {eta}";
        bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar
    });
    let (mut held, mut done, mut last) = (Vec::new(), 0, 0.0);
    let mut failed = None;
    for told in news {
        match told {
            News::Turn => done += 1,
            News::Dialogue(at, turns) => held.push((at, turns)),
            News::Failed(error) => {
                next.store(golds.len(), Ordering::Relaxed);
                failed.get_or_insert(error);
            }
        }
        let now = clock();
        if let Some(bar) = &bar {
            bar.set_position(done as u64);
        } else if now - last >= INTERVAL {
            last = now;
            let left = now / f64::from(done.max(1)) * (all as f64 - f64::from(done));
            terminal.say(format_args!(
                "{} of {} turns, {} dialogues done | total {} | eta {}",
                number::count(done as usize),
                number::count(all),
                number::count(held.len()),
                number::span(now),
                number::span(left)
            ));
        }
    }
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    held.sort_by_key(|(at, _)| *at);
    failed.map_or(Ok(held), Err)
}
