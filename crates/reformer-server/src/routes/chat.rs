//! `POST /v1/chat/completions`: the next turn of a conversation.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use reformer_generate::ContextPolicy;
use reformer_generate::engine::Job;
use reformer_text::turns_of;

use super::tell_unknown;
use crate::body::{json, read_json};
use crate::encoding::encode_turns;
use crate::error::{ApiError, ErrorBody};
use crate::fields::{Count, Fields};
use crate::generation::{Ending, Generation, Order, Token, Whole};
use crate::models::ServedModel;
use crate::observe::Arrival;
use crate::state::Shared;
use crate::streaming::{Chunks, stream};
use crate::wire::chat::{ChatChoice, ChatChunk, ChatCompletion, ChatFields, ChunkChoice, Delta, Message};
use crate::wire::log_probs::ChatLogProbs;
use crate::wire::sampling::{SamplingFields, max_tokens, top};
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
    let replies = drawing.replies(1, &limits)?;
    let mut sampling = drawing.sampling(&model.defaults, max_tokens, || (shared.options.random)())?;
    sampling.stop.extend(model.tokenizer().stop_strings(model.tokenizer().form()));
    if asked.messages.is_empty() {
        return Err(ApiError::field("messages", "messages is empty; send at least one message"));
    }
    let turns = turns_of(asked.messages).map_err(|problem| ApiError::field("messages", problem))?;
    let prompt = encode_turns(&model, turns).await?;

    let job = Job {
        stop_tokens: model.turn_stops(),
        policy: ContextPolicy::Refuse,
        log_probs,
        deadline: Some(arrival.came + limits.reply_time.as_secs_f64()),
        ..Job::new(prompt, sampling)
    };
    let prompt_tokens = job.prompt.len();
    let jobs = (0..replies as u64).map(|i| Job { first_draw: i * REPLY_DRAWS, ..job.clone() }).collect();
    let head = Head {
        id: format!("chatcmpl-{}", arrival.id),
        created: (shared.options.epoch)(),
        model: Arc::clone(&model),
    };
    let Arrival { id, came } = arrival;
    let order = Order { model, jobs, prompt_tokens, field: "messages", chat: true, id, came };
    let mut generation = Generation::start(&shared, order)?;
    let mut response = if let Some(usage) = streaming {
        stream(generation, replies, ChatStream { head, usage }, &limits)
    } else {
        let replies = generation.all().await?;
        let (prompt, completion) = generation.tokens();
        json(StatusCode::OK, &head.whole(replies, Usage::new(prompt, completion)))
    };
    tell_unknown(&shared, "/v1/chat/completions", &unknown, &mut response);
    Ok(response)
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
    fn whole(self, replies: Vec<Whole>, usage: Usage) -> ChatCompletion {
        let choice = |(index, reply): (usize, Whole)| ChatChoice {
            index,
            message: Message { role: "assistant", content: Some(reply.text), refusal: None },
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
        let delta = Delta { role: Some("assistant"), content: Some(String::new()) };
        Some(self.of(index, delta, None))
    }

    fn piece(&mut self, index: usize, text: String, token: Option<Token>) -> Option<ChatChunk> {
        let logprobs = ChatLogProbs::of(self.head.model.tokenizer(), token.as_slice());
        let news = !text.is_empty() || logprobs.is_some();
        news.then(|| self.of(index, Delta { role: None, content: Some(text) }, logprobs))
    }

    fn ending(&mut self, index: usize, ending: &Ending) -> ChatChunk {
        let finish_reason = Some(ending.reason.name());
        self.chunk(
            vec![ChunkChoice { index, delta: Delta::default(), logprobs: None, finish_reason }],
            Tally::Later(()),
        )
    }

    fn usage(&self, prompt: usize, completion: usize) -> Option<ChatChunk> {
        self.usage.then(|| self.chunk(Vec::new(), Tally::Told(Usage::new(prompt, completion))))
    }
}
