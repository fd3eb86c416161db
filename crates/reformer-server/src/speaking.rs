//! The making of one reply: a job, or with lookups several, and pieces of text out of them.
//!
//! ```text
//! may it call? ─ no ─────────────────────────────────────→ words
//!              └ yes → words or a call? ─ words ─────────→ words, calls forbidden
//!                                       └ call ─ client ─→ the call, and the end
//!                                              └ server ─→ look up, and ask again
//! ```
//! The same as a chat's in `reformer-generate`, with the engine for a decoder: at most [`CALLS`] calls, each of at most
//! [`CALL_TOKENS`] tokens, and draws that count on from one to the next.

use std::sync::Arc;
use std::time::Duration;

use reformer_generate::engine::{Event, Job, Offer, Sink};
use reformer_generate::{
    CALL_TOKENS, CALLS, Completion, Filling, Finish, GenerateError, Host, Lead, Said, Sampling, Stats,
    broken, said,
};
use reformer_text::{Call, Lookup, Turn};
use tokio::sync::mpsc;

use crate::encoding::encode_turns;
use crate::error::ApiError;
use crate::lookups::{Calling, Looking};
use crate::models::ServedModel;
use crate::token::Token;

/// How long to wait before a job of a reply that has begun is handed in again.
const AGAIN: Duration = Duration::from_millis(20);

/// Why a reply ended, in OpenAI's words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Reason {
    #[default]
    /// A stop string, or the model's own end.
    Stop,
    /// As many tokens, positions or seconds as there were.
    Length,
    /// The client is to look something up.
    ToolCalls,
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
        }
    }
}

/// How a reply ended.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Ending {
    pub(crate) reason: Reason,
    pub(crate) stats: Stats,
}

/// What comes of a reply.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A token, and text that is certain by now; often none.
    Text { text: String, token: Option<Token> },
    /// The server looked something up, which took the model so many tokens to ask.
    LookedUp { lookup: Lookup, tokens: usize },
    /// The client is to look this up.
    Called { call: Call, tokens: usize },
    /// The reply's end.
    End(Ending),
}

/// The engine's end of a job's channel.
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

/// Hands a job in, if there is a place for it.
pub(crate) fn submit(model: &ServedModel, job: Job) -> Result<mpsc::Receiver<Event>, GenerateError> {
    let (events, receiver) = mpsc::channel(model.engine.options().buffer);
    model.engine.try_submit_to(job, Box::new(Channel(events)))?;
    Ok(receiver)
}

/// The job that finds out whether a reply begins with a call, and makes it.
pub(crate) fn call_job(words: &Job, model: &ServedModel) -> Job {
    let tokenizer = model.tokenizer();
    let sampling = Sampling { stop: Vec::new(), max_tokens: CALL_TOKENS, ..words.sampling.clone() };
    let stop_tokens = tokenizer.stop_tokens(tokenizer.form());
    Job { sampling, stop_tokens, log_probs: None, ..words.clone() }
}

pub(crate) type Pieces = mpsc::Sender<(usize, Result<Piece, ApiError>)>;

/// Who speaks one reply.
pub(crate) struct Speaker {
    pub(crate) index: usize,
    pub(crate) pieces: Pieces,
    pub(crate) model: Arc<ServedModel>,
    /// The field that the prompt came in.
    pub(crate) field: &'static str,
    pub(crate) lead: Option<Lead>,
}

impl Speaker {
    /// Makes the reply, from the events of its first job.
    pub(crate) async fn speak(mut self, events: mpsc::Receiver<Event>, looking: Option<Looking>) {
        let made = match looking {
            None => self.words(events, None).await.map(|spoken| spoken.ending),
            Some(looking) => self.with_lookups(events, looking).await,
        };
        // Nobody may be listening any more.
        let _ = self.pieces.send((self.index, made.map(Piece::End))).await;
    }

    async fn send(&self, piece: Piece) -> Result<(), ApiError> {
        // The task is about to be ended: what is returned reaches nobody.
        self.pieces.send((self.index, Ok(piece))).await.map_err(|_| ApiError::shutting_down())
    }

    /// Words as they come, their placeholders filled by `host`: the whole of them, as the model wrote them and as they
    /// were sent. The end is for the caller to send.
    async fn words(
        &mut self,
        mut events: mpsc::Receiver<Event>,
        mut host: Option<&mut Box<dyn Host + Send>>,
    ) -> Result<Spoken, ApiError> {
        let (mut filling, mut sent) = (Filling::default(), String::new());
        loop {
            match events.recv().await {
                Some(Event::Token { id, text, log_probs }) => {
                    let text = self.lead.as_mut().map_or(text.as_str(), |lead| lead.trim(&text));
                    let text = match &mut host {
                        Some(host) => filling.push(text, &***host),
                        None => text.to_owned(),
                    };
                    if host.is_some() {
                        sent.push_str(&text);
                    }
                    self.send(Piece::Text { text, token: id.map(|id| Token { id, log_probs }) }).await?;
                }
                Some(Event::Done(completion)) => {
                    let ending = end(&completion)?;
                    let rest = filling.flush();
                    if !rest.is_empty() {
                        sent.push_str(&rest);
                        self.send(Piece::Text { text: rest, token: None }).await?;
                    }
                    return Ok(Spoken { written: completion.text, sent, ending });
                }
                Some(Event::Failed(error)) => return Err(ApiError::of(&error, self.field)),
                // The engine gave the reply up, since nobody read it, or has gone.
                None => return Err(ApiError::shutting_down()),
            }
        }
    }

    /// Calls until the model speaks, then its words.
    async fn with_lookups(
        &mut self,
        mut events: mpsc::Receiver<Event>,
        looking: Looking,
    ) -> Result<Ending, ApiError> {
        let Looking { mut words, seen, turns, calling, mut host } = looking;
        let (mut lookups, mut total, mut asked) = (Vec::new(), Stats::default(), turns.clone());
        while let Some(done) = self.call(events).await? {
            total.add(&done.stats);
            words.first_draw += done.ids.len() as u64 + 1;
            let tokens = done.ids.len();
            let lookup = match (said(self.model.tokenizer(), &done), &calling) {
                (Said::Call(call), Calling::ByClient { offered }) if offered.contains(&call.tool) => {
                    self.send(Piece::Called { call, tokens }).await?;
                    return Ok(Ending { reason: Reason::ToolCalls, stats: total });
                }
                // A call that the client cannot run: it speaks instead.
                (_, Calling::ByClient { .. }) => break,
                (Said::Call(call), Calling::ByServer) => answer(&mut host, call).await?,
                (Said::Broken(problem) | Said::Words(problem), Calling::ByServer) => broken(&problem),
            };
            self.send(Piece::LookedUp { lookup: lookup.clone(), tokens }).await?;
            lookups.push(lookup);
            asked.truncate(turns.len());
            asked.push(Turn { lookups: lookups.clone(), ..Turn::assistant("") });
            words.prompt = encode_turns(&self.model, asked.clone()).await?;
            if lookups.len() == CALLS {
                break;
            }
            events = self.submit(call_job(&words, &self.model)).await?;
        }
        words.sampling.forbid_calls(self.model.tokenizer());
        let events = self.submit(words).await?;
        let Spoken { written, sent, mut ending } = self.words(events, host.as_mut()).await?;
        total.add(&ending.stats);
        ending.stats = total;
        if host.is_some() && (!lookups.is_empty() || written != sent) {
            self.model.remembered.keep(&seen, &sent, Turn { lookups, ..Turn::assistant(written) });
        }
        Ok(ending)
    }

    /// The call that the model makes now; none if it speaks, as its first token tells.
    async fn call(&self, mut events: mpsc::Receiver<Event>) -> Result<Option<Completion>, ApiError> {
        let mut first = true;
        loop {
            match events.recv().await {
                Some(Event::Token { id: Some(id), .. }) if first => {
                    if !self.model.tokenizer().begins_call(id) {
                        return Ok(None);
                    }
                    first = false;
                }
                Some(Event::Token { .. }) => {}
                Some(Event::Done(completion)) if completion.ids.is_empty() => {
                    end(&completion)?;
                    return Ok(None);
                }
                Some(Event::Done(completion)) => return Ok(Some(*completion)),
                Some(Event::Failed(error)) => return Err(ApiError::of(&error, self.field)),
                None => return Err(ApiError::shutting_down()),
            }
        }
    }

    /// Hands in a further job of a reply that has begun: it waits for a place.
    async fn submit(&self, job: Job) -> Result<mpsc::Receiver<Event>, ApiError> {
        loop {
            match submit(&self.model, job.clone()) {
                Err(GenerateError::QueueFull { .. }) => tokio::time::sleep(AGAIN).await,
                taken => return taken.map_err(|error| ApiError::of(&error, self.field)),
            }
        }
    }
}

/// A reply's words.
struct Spoken {
    /// As the model wrote them.
    written: String,
    /// As they were sent, if a host filled them.
    sent: String,
    ending: Ending,
}

/// Asks the host where it holds up nobody: a database may be slow.
async fn answer(host: &mut Option<Box<dyn Host + Send>>, call: Call) -> Result<Lookup, ApiError> {
    let Some(mut own) = host.take() else { return Ok(broken("nothing can be looked up here")) };
    let asked = tokio::task::spawn_blocking(move || {
        let lookup = own.answer(&call);
        (own, lookup)
    });
    let (own, lookup) = asked.await.map_err(|_| ApiError::server("looking something up failed"))?;
    *host = Some(own);
    Ok(lookup)
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
