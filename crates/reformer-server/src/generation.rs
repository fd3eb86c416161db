//! The replies to one request: jobs in the engine, and their pieces as they come.
//!
//! ```text
//! request → job, job, … → engine → a task for each reply → pieces of all of them, in the order of their making
//! ```
//! Dropping a [`Generation`] ends its tasks, and with them the engine's work: that is what happens when a client
//! leaves, since the answer's body holds it.

use std::sync::Arc;

use reformer_generate::GenerateError;
use reformer_generate::engine::Job;
use reformer_text::{Call, Lookup};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::error::ApiError;
use crate::happening::{Ended, Happening};
use crate::lookups::Looking;
use crate::models::ServedModel;
use crate::speaking::{Ending, Piece, Speaker, call_job, submit};
use crate::state::{Phase, Shared};
use crate::token::Token;
use crate::wire::usage::Usage;

/// A reply, whole.
#[derive(Debug, Default)]
pub(crate) struct Whole {
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    /// What the client is to look up.
    pub(crate) calls: Vec<Call>,
    /// What the server has looked up.
    pub(crate) lookups: Vec<Lookup>,
    pub(crate) ending: Ending,
}

/// A reply that is wanted.
pub(crate) enum Wanted {
    /// The words of a job.
    Words(Job),
    /// Words, or calls before them.
    Looking(Looking),
}

/// What a request asks of a model.
pub(crate) struct Order {
    pub(crate) model: Arc<ServedModel>,
    pub(crate) replies: Vec<Wanted>,
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
        let Order { model, replies, prompt_tokens, field, chat, id, came } = order;
        let open = replies.len();
        let begin = |wanted| {
            let (job, looking) = match wanted {
                Wanted::Words(job) => (job, None),
                Wanted::Looking(looking) => (call_job(&looking.words, &model), Some(looking)),
            };
            Ok((submit(&model, job)?, looking))
        };
        let begun: Result<Vec<_>, GenerateError> = replies.into_iter().map(begin).collect();
        let begun = begun.map_err(|error| ApiError::of(&error, field))?;
        // A piece waits here, the rest with the engine, which knows when a client reads too slowly.
        let (sender, pieces) = mpsc::channel(1);
        let mut tasks = JoinSet::new();
        for (index, (events, looking)) in begun.into_iter().enumerate() {
            let lead = if chat { model.lead() } else { None };
            let (pieces, model) = (sender.clone(), Arc::clone(&model));
            tasks.spawn(Speaker { index, pieces, model, field, lead }.speak(events, looking));
        }
        shared.begin();
        let account = Account {
            shared: Arc::clone(shared),
            model: model.name.clone(),
            id,
            came,
            prompt_tokens,
            completion_tokens: 0,
            reused_tokens: 0,
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
            Ok(Piece::LookedUp { tokens, .. } | Piece::Called { tokens, .. }) => {
                self.account.completion_tokens += tokens;
            }
            Ok(Piece::End(ending)) => {
                self.open -= 1;
                self.account.reused_tokens += ending.stats.reused_tokens;
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
        let mut replies: Vec<Whole> = Vec::new();
        replies.resize_with(self.open, Whole::default);
        while let Some(piece) = self.next().await {
            let (index, piece) = piece?;
            let reply = &mut replies[index];
            match piece {
                Piece::Text { text, token } => {
                    reply.text.push_str(&text);
                    reply.tokens.extend(token);
                }
                Piece::LookedUp { lookup, .. } => reply.lookups.push(lookup),
                Piece::Called { call, .. } => reply.calls.push(call),
                Piece::End(ending) => reply.ending = ending,
            }
        }
        Ok(replies)
    }

    /// Tokens of the prompts and of the replies so far.
    pub(crate) fn usage(&self) -> Usage {
        let Account { prompt_tokens, completion_tokens, reused_tokens, .. } = self.account;
        Usage::new(prompt_tokens, completion_tokens, reused_tokens)
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
    reused_tokens: usize,
    ended: Ended,
}

impl Drop for Account {
    fn drop(&mut self) {
        let Self { shared, model, id, came, prompt_tokens, completion_tokens, ended, .. } = self;
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
