//! The replies to one request: jobs in the engine, and their pieces as they come.
//!
//! ```text
//! request → job, job, … → engine → a task for each reply → pieces of all of them, in the order of their making
//! ```
//! Dropping a [`Generation`] ends its tasks, and with them the engine's work: that is what happens when a client
//! leaves, since the answer's body holds it.

use std::sync::Arc;

use reformer_generate::engine::{Event, Job, Offer, Sink};
use reformer_generate::{Completion, Finish, LogProbs, Stats};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::error::ApiError;
use crate::happening::{Ended, Happening};
use crate::models::ServedModel;
use crate::state::{Phase, Shared};

/// Why a reply ended, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A stop string, or the model's own end.
    Stop,
    /// As many tokens, positions or seconds as there were.
    Length,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
        }
    }
}

/// A token and what the model thought of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) id: u32,
    pub(crate) log_probs: Option<LogProbs>,
}

/// How a reply ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Ending {
    pub(crate) reason: Reason,
    pub(crate) stats: Stats,
}

/// What comes of a reply.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A token, and text that is certain by now; often none.
    Text { text: String, token: Option<Token> },
    /// The reply's end.
    End(Ending),
}

/// A reply, whole.
#[derive(Debug)]
pub(crate) struct Whole {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) ending: Ending,
}

/// What a request asks of a model.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) model: Arc<ServedModel>,
    /// One for each reply.
    pub(crate) jobs: Vec<Job>,
    /// Tokens of all prompts.
    pub(crate) prompt_tokens: usize,
    /// The field that the prompt came in.
    pub(crate) field: &'static str,
    /// Replies are turns of a conversation.
    pub(crate) chat: bool,
    /// The request's id.
    pub(crate) id: String,
    /// When it came, on the server's clock.
    pub(crate) came: f64,
}

/// The engine's end of a reply's channel.
struct Channel(mpsc::Sender<Event>);

impl Sink for Channel {
    fn offer(&mut self, event: Event) -> Offer {
        match self.0.try_send(event) {
            Ok(()) => Offer::Taken,
            Err(mpsc::error::TrySendError::Full(event)) => Offer::Full(event),
            Err(mpsc::error::TrySendError::Closed(_)) => Offer::Gone,
        }
    }

    fn gone(&self) -> bool {
        self.0.is_closed()
    }
}

type Pieces = mpsc::Sender<(usize, Result<Piece, ApiError>)>;

/// Replies in the making.
pub(crate) struct Generation {
    pieces: mpsc::Receiver<(usize, Result<Piece, ApiError>)>,
    phase: watch::Receiver<Phase>,
    account: Account,
    open: usize,
    // Aborts what is left when it is dropped.
    _tasks: JoinSet<()>,
}

impl Generation {
    /// Hands the jobs in, all of them or none.
    pub(crate) fn start(shared: &Arc<Shared>, order: Order) -> Result<Self, ApiError> {
        let Order { model, jobs, prompt_tokens, field, chat, id, came } = order;
        let open = jobs.len();
        let mut replies = Vec::with_capacity(open);
        for job in jobs {
            let (events, receiver) = mpsc::channel(model.engine.options().buffer);
            let taken = model.engine.try_submit_to(job, Box::new(Channel(events)));
            taken.map_err(|error| ApiError::of(&error, field))?;
            replies.push(receiver);
        }
        // A piece waits here, the rest with the engine, which knows when a client reads too slowly.
        let (sender, pieces) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for (index, events) in replies.into_iter().enumerate() {
            let lead = if chat { model.lead() } else { None };
            tasks.spawn(speak(index, events, sender.clone(), lead, field));
        }
        shared.begin();
        let account = Account {
            shared: Arc::clone(shared),
            model: model.name.clone(),
            id,
            came,
            prompt_tokens,
            completion_tokens: 0,
            ended: Ended::Left,
        };
        Ok(Self { pieces, phase: shared.watch(), account, open, _tasks: tasks })
    }

    /// The next piece and whose it is; `None` when all replies have ended. After an error nothing more comes.
    pub(crate) async fn next(&mut self) -> Option<Result<(usize, Piece), ApiError>> {
        if self.open == 0 {
            return None;
        }
        let got = tokio::select! {
            got = self.pieces.recv() => got,
            _ = self.phase.wait_for(|phase| *phase == Phase::Ending) => None,
        };
        // The tasks end each reply in one way or another, unless the server ends first.
        let (index, piece) = got.unwrap_or_else(|| (0, Err(ApiError::shutting_down())));
        match &piece {
            Ok(Piece::Text { token, .. }) => self.account.completion_tokens += usize::from(token.is_some()),
            Ok(Piece::End(ending)) => {
                self.open -= 1;
                self.account.shared.metrics.took(&self.account.model, &ending.stats);
                if self.open == 0 {
                    self.account.ended = Ended::Done;
                }
            }
            Err(_) => {
                self.open = 0;
                self.account.ended = Ended::Failed;
            }
        }
        Some(piece.map(|piece| (index, piece)))
    }

    /// Every reply, whole, in order.
    pub(crate) async fn all(&mut self) -> Result<Vec<Whole>, ApiError> {
        let mut replies: Vec<(String, Vec<Token>, Option<Ending>)> = Vec::new();
        replies.resize_with(self.open, Default::default);
        while let Some(piece) = self.next().await {
            match piece? {
                (index, Piece::Text { text, token }) => {
                    replies[index].0.push_str(&text);
                    replies[index].1.extend(token);
                }
                (index, Piece::End(ending)) => replies[index].2 = Some(ending),
            }
        }
        let whole = |(text, tokens, ending): (_, _, Option<Ending>)| {
            // Every reply has ended, or there was an error above.
            let ending = ending.ok_or_else(|| ApiError::server("a reply has no end"))?;
            Ok(Whole { text, tokens, ending })
        };
        replies.into_iter().map(whole).collect()
    }

    /// Tokens of the prompts, and generated so far.
    pub(crate) fn tokens(&self) -> (usize, usize) {
        (self.account.prompt_tokens, self.account.completion_tokens)
    }
}

/// What a generation cost, told when it is over in whatever way.
struct Account {
    shared: Arc<Shared>,
    model: String,
    id: String,
    came: f64,
    prompt_tokens: usize,
    completion_tokens: usize,
    ended: Ended,
}

impl Drop for Account {
    fn drop(&mut self) {
        let Self { shared, model, id, came, prompt_tokens, completion_tokens, ended } = self;
        shared.end();
        shared.metrics.generated(model, *prompt_tokens, *completion_tokens);
        if *ended == Ended::Left {
            shared.metrics.left(model);
        }
        shared.log(&Happening::Generated {
            id: id.clone(),
            model: model.clone(),
            prompt_tokens: *prompt_tokens,
            completion_tokens: *completion_tokens,
            seconds: (shared.options.clock)() - *came,
            ended: *ended,
        });
    }
}

/// A reply of one job: its events as pieces.
async fn speak(
    index: usize,
    mut events: mpsc::Receiver<Event>,
    pieces: Pieces,
    mut lead: Option<reformer_generate::Lead>,
    field: &'static str,
) {
    loop {
        let piece = match events.recv().await {
            Some(Event::Token { id, text, log_probs }) => {
                let text = lead.as_mut().map_or(text.as_str(), |lead| lead.trim(&text)).to_owned();
                Ok(Piece::Text { text, token: id.map(|id| Token { id, log_probs }) })
            }
            Some(Event::Done(completion)) => end(&completion).map(Piece::End),
            Some(Event::Failed(error)) => Err(ApiError::of(&error, field)),
            // The engine gave the reply up, since nobody read it, or has gone.
            None => Err(ApiError::shutting_down()),
        };
        let last = !matches!(piece, Ok(Piece::Text { .. }));
        if pieces.send((index, piece)).await.is_err() || last {
            return;
        }
    }
}

fn end(completion: &Completion) -> Result<Ending, ApiError> {
    let reason = match completion.finish {
        Finish::Stop => Reason::Stop,
        Finish::Deadline if completion.ids.is_empty() => {
            let message =
                "the time for a reply was over before it began: the server is busy; ask again later";
            return Err(ApiError::unavailable("timeout", message));
        }
        Finish::Length | Finish::ContextFull | Finish::Cancelled | Finish::Deadline => Reason::Length,
    };
    Ok(Ending { reason, stats: completion.stats })
}
