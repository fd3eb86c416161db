//! `POST /v1/chat/completions`: the next turn of a conversation.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use reformer_generate::ContextPolicy;
use reformer_generate::engine::Job;
use reformer_text::{Call, turns_of};

use super::tell_unknown;
use crate::body::{json, read_json};
use crate::encoding::encode_turns;
use crate::error::{ApiError, ErrorBody};
use crate::fields::{Count, Fields};
use crate::generation::{Generation, Order, Wanted, Whole};
use crate::lookups::{Calling, Looking};
use crate::models::ServedModel;
use crate::observe::Arrival;
use crate::speaking::{Ending, Piece};
use crate::state::Shared;
use crate::streaming::{Chunks, stream};
use crate::wire::chat::{ChatChoice, ChatChunk, ChatCompletion, ChatFields, ChunkChoice, Delta, Message};
use crate::wire::log_probs::ChatLogProbs;
use crate::wire::sampling::{SamplingFields, max_tokens, top};
use crate::wire::tools::{ToolCall, ToolFields};
use crate::wire::unsupported::{Noted, Unsupported};
use crate::wire::usage::{Tally, Usage};

/// The program's name and version, as a response tells it.
pub(crate) const FINGERPRINT: &str = concat!("reformer-", env!("CARGO_PKG_VERSION"));

/// Draws of one reply are this far from the next one's.
pub(crate) const REPLY_DRAWS: u64 = 1 << 32;

/// The next turn of a conversation, whole or as a stream.
#[utoipa::path(post, path = "/v1/chat/completions", tag = "generation",
    request_body(content = ref("#/components/schemas/ChatRequest"), content_type = "application/json"), responses(
    (status = 200, description = "The reply; a stream of ChatChunk events if `stream` is true", content(
        (ChatCompletion = "application/json"), (ChatChunk = "text/event-stream"))),
    (status = 400, description = "Not understood, or not possible", body = ErrorBody),
    (status = 401, description = "No key, or a wrong one", body = ErrorBody),
    (status = 404, description = "No such model", body = ErrorBody),
    (status = 408, description = "The body came too slowly", body = ErrorBody),
    (status = 413, description = "The body is too large", body = ErrorBody),
    (status = 415, description = "The body is not JSON", body = ErrorBody),
    (status = 429, description = "The queue is full", body = ErrorBody),
    (status = 500, description = "A fault of the server's", body = ErrorBody),
    (status = 503, description = "Loading, shutting down, or too busy", body = ErrorBody),
))]
pub(crate) async fn chat(State(shared): State<Arc<Shared>>, request: Request) -> Result<Response, ApiError> {
    let arrival = Arrival::of(&request, &shared);
    let limits = shared.options.limits;
    let body = read_json(request, &limits).await?;
    let mut fields = Fields::new(&body);
    let asked: ChatFields = fields.take()?;
    let drawing: SamplingFields = fields.take()?;
    let tools: ToolFields = fields.take()?;
    fields.take::<Unsupported>()?.check()?;
    fields.take::<Noted>()?;
    let unknown = fields.unknown();

    let model = shared.model(drawing.model.as_deref())?;
    model.require_chat()?;
    let streaming = drawing.streaming()?;
    let log_probs = log_probs(&asked)?;
    let max_tokens = match asked.max_completion_tokens {
        None => max_tokens("max_tokens", drawing.max_tokens, model.defaults.sampling.max_tokens, &limits)?,
        newer => max_tokens("max_completion_tokens", newer, 0, &limits)?,
    };
    let n = drawing.replies(1, &limits)?;
    let calling = calling(&model, &tools, n)?;
    let mut sampling = drawing.sampling(&model.defaults, max_tokens, || (shared.options.random)())?;
    sampling.stop.extend(model.tokenizer().stop_strings(model.tokenizer().form()));
    if asked.messages.is_empty() {
        return Err(ApiError::field("messages", "messages is empty; send at least one message"));
    }
    let seen = turns_of(asked.messages).map_err(|problem| ApiError::field("messages", problem))?;
    let turns = if model.tables.is_some() { model.remembered.restore(&seen) } else { seen.clone() };
    let prompt = encode_turns(&model, turns.clone()).await?;

    if calling.is_none() {
        // Nobody would answer: it speaks.
        sampling.forbid_calls(model.tokenizer());
    }
    let reuse = drawing.reuse(&model.defaults, &sampling);
    let job = Job {
        stop_tokens: model.turn_stops(),
        policy: ContextPolicy::Refuse,
        log_probs,
        deadline: Some(arrival.came + limits.reply_time.as_secs_f64()),
        reuse,
        ..Job::new(prompt, sampling)
    };
    let prompt_tokens = job.prompt.len();
    let wanted = |i: u64| {
        let words = Job { first_draw: i * REPLY_DRAWS, ..job.clone() };
        let Some(calling) = calling.clone() else { return Wanted::Words(words) };
        let host = model.tables.as_ref().map(|tables| tables.host(&turns));
        Wanted::Looking(Looking { words, seen: seen.clone(), turns: turns.clone(), calling, host })
    };
    let replies = (0..n as u64).map(wanted).collect();
    let head = Head {
        id: format!("chatcmpl-{}", arrival.id),
        created: (shared.options.epoch)(),
        model: Arc::clone(&model),
    };
    let Arrival { id, came } = arrival;
    let order = Order { model, replies, prompt_tokens, field: "messages", chat: true, id, came };
    let mut generation = Generation::start(&shared, order)?;
    let mut response = if let Some(usage) = streaming {
        stream(generation, n, ChatStream { head, usage }, &limits)
    } else {
        let replies = generation.all().await?;
        json(StatusCode::OK, &head.whole(replies, generation.usage()))
    };
    tell_unknown(&shared, "/v1/chat/completions", &unknown, &mut response);
    Ok(response)
}

/// Who runs the model's calls, if anybody does: the client's functions come before the server's tables.
fn calling(model: &ServedModel, tools: &ToolFields, n: usize) -> Result<Option<Calling>, ApiError> {
    if let Some(offered) = tools.offered(model)? {
        return Ok((!offered.is_empty()).then_some(Calling::ByClient { offered }));
    }
    if model.tables.is_none() {
        return Ok(None);
    }
    if n > 1 {
        let message = "n is more than 1, but this model looks things up and may book them, once; leave n out";
        return Err(ApiError::field("n", message));
    }
    Ok(Some(Calling::ByServer))
}

fn log_probs(asked: &ChatFields) -> Result<Option<usize>, ApiError> {
    match (asked.logprobs, asked.top_logprobs) {
        (Some(true), None) => Ok(Some(0)),
        (Some(true), Some(Count(n))) => top("top_logprobs", n).map(Some),
        (_, Some(Count(n))) if n > 0 => {
            Err(ApiError::field("top_logprobs", "top_logprobs is only for logprobs: true"))
        }
        _ => Ok(None),
    }
}

/// What all chunks of an answer have in common.
struct Head {
    id: String,
    created: u64,
    model: Arc<ServedModel>,
}

impl Head {
    /// Calls of the reply `index`, with ids that no other request has.
    fn calls(&self, index: usize, calls: &[Call], streamed: bool) -> Vec<ToolCall> {
        let id = format!("{}_{index}", self.id.trim_start_matches("chatcmpl-"));
        calls.iter().map(|call| ToolCall::new(call, &id, streamed)).collect()
    }

    fn whole(self, replies: Vec<Whole>, usage: Usage) -> ChatCompletion {
        let choice = |(index, reply): (usize, Whole)| ChatChoice {
            index,
            message: Message {
                role: "assistant",
                content: reply.calls.is_empty().then_some(reply.text),
                refusal: None,
                tool_calls: self.calls(index, &reply.calls, false),
                lookups: reply.lookups,
            },
            logprobs: ChatLogProbs::of(self.model.tokenizer(), &reply.tokens),
            finish_reason: reply.ending.reason.name(),
        };
        let choices = replies.into_iter().enumerate().map(choice).collect();
        ChatCompletion {
            id: self.id,
            object: "chat.completion",
            created: self.created,
            model: self.model.name.clone(),
            system_fingerprint: FINGERPRINT,
            choices,
            usage,
        }
    }
}

struct ChatStream {
    head: Head,
    usage: bool,
}

impl ChatStream {
    fn chunk(&self, choices: Vec<ChunkChoice>, usage: Tally) -> ChatChunk {
        ChatChunk {
            id: self.head.id.clone(),
            object: "chat.completion.chunk",
            created: self.head.created,
            model: self.head.model.name.clone(),
            system_fingerprint: FINGERPRINT,
            choices,
            usage: self.usage.then_some(usage),
        }
    }

    fn of(&self, index: usize, delta: Delta, logprobs: Option<ChatLogProbs>) -> ChatChunk {
        self.chunk(vec![ChunkChoice { index, delta, logprobs, finish_reason: None }], Tally::Later(()))
    }
}

impl Chunks for ChatStream {
    type Chunk = ChatChunk;

    fn opening(&self, index: usize) -> Option<ChatChunk> {
        let delta = Delta { role: Some("assistant"), content: Some(String::new()), ..Delta::default() };
        Some(self.of(index, delta, None))
    }

    fn piece(&mut self, index: usize, piece: Piece) -> Option<ChatChunk> {
        let (delta, logprobs) = match piece {
            Piece::Text { text, token } => {
                let logprobs = ChatLogProbs::of(self.head.model.tokenizer(), token.as_slice());
                if text.is_empty() && logprobs.is_none() {
                    return None;
                }
                (Delta { content: Some(text), ..Delta::default() }, logprobs)
            }
            Piece::LookedUp { lookup, .. } => (Delta { lookups: vec![lookup], ..Delta::default() }, None),
            Piece::Called { call, .. } => {
                let tool_calls = self.head.calls(index, &[call], true);
                (Delta { tool_calls, ..Delta::default() }, None)
            }
            Piece::End(_) => return None,
        };
        Some(self.of(index, delta, logprobs))
    }

    fn ending(&mut self, index: usize, ending: &Ending) -> ChatChunk {
        let finish_reason = Some(ending.reason.name());
        self.chunk(
            vec![ChunkChoice { index, delta: Delta::default(), logprobs: None, finish_reason }],
            Tally::Later(()),
        )
    }

    fn usage(&self, usage: Usage) -> Option<ChatChunk> {
        self.usage.then(|| self.chunk(Vec::new(), Tally::Told(usage)))
    }
}
