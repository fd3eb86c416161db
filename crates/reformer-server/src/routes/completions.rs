//! `POST /v1/completions`: a text goes on; what a model of plain texts does.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use reformer_generate::engine::Job;

use super::chat::{FINGERPRINT, REPLY_DRAWS};
use super::tell_unknown;
use crate::body::{json, read_json};
use crate::encoding::encode;
use crate::error::{ApiError, ErrorBody};
use crate::fields::{Count, Fields};
use crate::generation::{Generation, Order, Wanted, Whole};
use crate::models::ServedModel;
use crate::observe::Arrival;
use crate::speaking::{Ending, Piece};
use crate::state::Shared;
use crate::streaming::{Chunks, stream};
use crate::wire::completion::{Completion, CompletionChoice, CompletionFields};
use crate::wire::log_probs::CompletionLogProbs;
use crate::wire::sampling::{SamplingFields, max_tokens, top};
use crate::wire::unsupported::{Noted, Unsupported};
use crate::wire::usage::{Tally, Usage};

/// What OpenAI makes where a request does not say how much.
const MAX_TOKENS: usize = 16;

/// A text goes on, whole or as a stream.
#[utoipa::path(post, path = "/v1/completions", tag = "generation",
    request_body(content = ref("#/components/schemas/CompletionRequest"), content_type = "application/json"), responses(
    (status = 200, description = "What follows; a stream of such objects if `stream` is true", content(
        (Completion = "application/json"), (Completion = "text/event-stream"))),
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
pub(crate) async fn completions(
    State(shared): State<Arc<Shared>>,
    request: Request,
) -> Result<Response, ApiError> {
    let arrival = Arrival::of(&request, &shared);
    let limits = shared.options.limits;
    let body = read_json(request, &limits).await?;
    let mut fields = Fields::new(&body);
    let asked: CompletionFields = fields.take()?;
    let drawing: SamplingFields = fields.take()?;
    fields.take::<Unsupported>()?.check()?;
    fields.take::<Noted>()?;
    let unknown = fields.unknown();

    let model = shared.model(drawing.model.as_deref())?;
    model.require_text()?;
    let streaming = drawing.streaming()?;
    let max_tokens = max_tokens("max_tokens", drawing.max_tokens, MAX_TOKENS, &limits)?;
    let prompts = asked.prompt.0;
    if prompts.is_empty() {
        return Err(ApiError::field("prompt", "prompt is an empty list; send at least one text"));
    }
    let n = drawing.replies(prompts.len(), &limits)?;
    if let Some(Count(best)) = asked.best_of.filter(|&Count(best)| best != n) {
        let message = format!("best_of is {best} where n is {n}: replies are not ranked here; leave it out");
        return Err(ApiError::field("best_of", message));
    }
    let log_probs = asked.logprobs.map(|Count(n)| top("logprobs", n)).transpose()?;
    let echo = asked.echo.unwrap_or(false);
    if echo && log_probs.is_some() {
        let message =
            "echo with logprobs asks for those of the prompt, which are not told here; leave one out";
        return Err(ApiError::field("echo", message));
    }
    let sampling = drawing.sampling(&model.defaults, max_tokens, || (shared.options.random)())?;
    let prompts = encode(&model, prompts, "prompt").await?;

    let prompt_tokens = prompts.iter().map(|(_, ids)| ids.len()).sum();
    let deadline = Some(arrival.came + limits.reply_time.as_secs_f64());
    let stop_tokens = &model.defaults.stop_tokens;
    let reuse = drawing.reuse(&model.defaults, &sampling);
    let replies: Vec<Wanted> = prompts
        .iter()
        .flat_map(|(_, ids)| {
            let job = Job {
                stop_tokens: stop_tokens.clone(),
                log_probs,
                deadline,
                reuse,
                ..Job::new(ids.clone(), sampling.clone())
            };
            (0..n as u64).map(move |i| Wanted::Words(Job { first_draw: i * REPLY_DRAWS, ..job.clone() }))
        })
        .collect();
    let count = replies.len();
    let echoed = echo.then(|| prompts.into_iter().map(|(text, _)| text).collect());
    let head = Head {
        id: format!("cmpl-{}", arrival.id),
        created: (shared.options.epoch)(),
        model: Arc::clone(&model),
        echoed,
        n,
    };
    let Arrival { id, came } = arrival;
    let order = Order { model, replies, prompt_tokens, field: "prompt", chat: false, id, came };
    let mut generation = Generation::start(&shared, order)?;
    let mut response = if let Some(usage) = streaming {
        let chunks = CompletionStream { head, usage, offsets: vec![0; count] };
        stream(generation, count, chunks, &limits)
    } else {
        let replies = generation.all().await?;
        json(StatusCode::OK, &head.whole(replies, generation.usage()))
    };
    tell_unknown(&shared, "/v1/completions", &unknown, &mut response);
    Ok(response)
}

/// What all chunks of an answer have in common.
struct Head {
    id: String,
    created: u64,
    model: Arc<ServedModel>,
    /// The prompts, if they are wanted back.
    echoed: Option<Vec<String>>,
    /// Replies to each.
    n: usize,
}

impl Head {
    fn echo(&self, index: usize) -> &str {
        self.echoed.as_ref().map_or("", |prompts| prompts[index / self.n].as_str())
    }

    fn answer(&self, choices: Vec<CompletionChoice>, usage: Option<Tally>) -> Completion {
        Completion {
            id: self.id.clone(),
            object: "text_completion",
            created: self.created,
            model: self.model.name.clone(),
            system_fingerprint: FINGERPRINT,
            choices,
            usage,
        }
    }

    fn whole(&self, replies: Vec<Whole>, usage: Usage) -> Completion {
        let choice = |(index, reply): (usize, Whole)| CompletionChoice {
            text: format!("{}{}", self.echo(index), reply.text),
            index,
            logprobs: CompletionLogProbs::of(self.model.tokenizer(), &reply.tokens, &mut 0),
            finish_reason: Some(reply.ending.reason.name()),
        };
        self.answer(replies.into_iter().enumerate().map(choice).collect(), Some(Tally::Told(usage)))
    }
}

struct CompletionStream {
    head: Head,
    usage: bool,
    /// Where the next token's text begins, for each reply.
    offsets: Vec<usize>,
}

impl CompletionStream {
    fn chunk(&self, choice: CompletionChoice) -> Completion {
        self.head.answer(vec![choice], self.usage.then_some(Tally::Later(())))
    }
}

impl Chunks for CompletionStream {
    type Chunk = Completion;

    fn opening(&self, index: usize) -> Option<Completion> {
        let text = self.head.echo(index).to_owned();
        let choice = CompletionChoice { text, index, logprobs: None, finish_reason: None };
        (!choice.text.is_empty()).then(|| self.chunk(choice))
    }

    fn piece(&mut self, index: usize, piece: Piece) -> Option<Completion> {
        // Texts look nothing up.
        let Piece::Text { text, token } = piece else { return None };
        let (tokenizer, offset) = (self.head.model.tokenizer(), &mut self.offsets[index]);
        let logprobs = CompletionLogProbs::of(tokenizer, token.as_slice(), offset);
        let news = !text.is_empty() || logprobs.is_some();
        news.then(|| self.chunk(CompletionChoice { text, index, logprobs, finish_reason: None }))
    }

    fn ending(&mut self, index: usize, ending: &Ending) -> Completion {
        let finish_reason = Some(ending.reason.name());
        self.chunk(CompletionChoice { text: String::new(), index, logprobs: None, finish_reason })
    }

    fn usage(&self, usage: Usage) -> Option<Completion> {
        self.usage.then(|| self.head.answer(Vec::new(), Some(Tally::Told(usage))))
    }
}
