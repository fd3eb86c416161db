//! How to draw: the fields that chats and completions share, and what they make of a model's defaults.
//!
//! Names are OpenAI's, and where OpenAI has none llama.cpp's (`top_k`, `min_p`, `repeat_last_n`).

use std::collections::BTreeMap;

use reformer_generate::Sampling;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::fields::{Count, Real, Seed, Strings};
use crate::models::Defaults;
use crate::options::Limits;

/// Stop strings of a request at most: each is looked for at every token.
const STOPS: usize = 32;
/// Bytes of a stop string at most.
const STOP_BYTES: usize = 1024;
/// Likeliest tokens that can be asked for.
pub(crate) const TOP: usize = 20;

/// Settings of the draw, and of how the answer comes.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct SamplingFields {
    /// The model, one of `/v1/models`; may be left out where there is only one.
    pub(crate) model: Option<String>,
    /// Divides the logits; 0 always takes the likeliest token.
    #[schema(value_type = Option<f32>, minimum = 0, maximum = 100)]
    pub(crate) temperature: Option<Real>,
    /// Keep the smallest set of tokens that reaches this probability.
    #[schema(value_type = Option<f32>, exclusive_minimum = 0, maximum = 1)]
    pub(crate) top_p: Option<Real>,
    /// Keep the k likeliest tokens; 0 keeps all.
    #[schema(value_type = Option<u64>)]
    pub(crate) top_k: Option<Count>,
    /// Keep tokens at least this fraction as likely as the likeliest.
    #[schema(value_type = Option<f32>, minimum = 0, maximum = 1)]
    pub(crate) min_p: Option<Real>,
    /// Makes tokens already seen less likely; 1 is off.
    #[serde(alias = "repeat_penalty")]
    #[schema(value_type = Option<f32>, exclusive_minimum = 0)]
    pub(crate) repetition_penalty: Option<Real>,
    /// Subtracted from the logit of a token already seen.
    #[schema(value_type = Option<f32>)]
    pub(crate) presence_penalty: Option<Real>,
    /// Subtracted for each time a token was seen.
    #[schema(value_type = Option<f32>)]
    pub(crate) frequency_penalty: Option<Real>,
    /// Tokens that the penalties look back on; 0 is all.
    #[schema(value_type = Option<u64>)]
    pub(crate) repeat_last_n: Option<Count>,
    /// Added to the logits of tokens by their ids: 100 demands one, -100 forbids it.
    #[schema(value_type = Option<BTreeMap<String, f32>>)]
    pub(crate) logit_bias: Option<BTreeMap<u32, Real>>,
    /// The same seed and the same request give the same text, whoever else is served. Without one each answer differs.
    #[schema(value_type = Option<i64>)]
    pub(crate) seed: Option<Seed>,
    /// Whether the prompt may go on from what was read for an earlier request. By default it may where nobody can tell,
    /// without a seed and with a temperature: reading afresh rounds a little differently.
    pub(crate) cache_prompt: Option<bool>,
    /// Strings that end the text and are not part of it, beside the model's own.
    #[schema(schema_with = super::schemas::strings)]
    pub(crate) stop: Option<Strings>,
    /// Replies to the same prompt.
    #[schema(value_type = Option<u64>, minimum = 1)]
    pub(crate) n: Option<Count>,
    /// The most tokens of a reply.
    #[schema(value_type = Option<u64>)]
    pub(crate) max_tokens: Option<Count>,
    /// Whether to send the text while it is made, as server-sent events.
    pub(crate) stream: Option<bool>,
    /// What a stream tells beside the text.
    #[schema(value_type = Option<StreamOptions>)]
    pub(crate) stream_options: Option<StreamOptions>,
}

/// What a stream tells beside the text.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub(crate) struct StreamOptions {
    /// Whether a last chunk counts the tokens.
    pub(crate) include_usage: Option<bool>,
}

impl SamplingFields {
    /// The settings, on top of a model's. `max_tokens` is the route's to find.
    pub(crate) fn sampling(
        &self,
        defaults: &Defaults,
        max_tokens: usize,
        random: impl Fn() -> u64,
    ) -> Result<Sampling, ApiError> {
        let mut sampling = Sampling { max_tokens, ..defaults.sampling.clone() };
        let real = |field: Option<Real>, default: f32| field.map_or(default, |Real(value)| value);
        sampling.temperature = real(self.temperature, sampling.temperature);
        sampling.top_p = real(self.top_p, sampling.top_p);
        sampling.min_p = real(self.min_p, sampling.min_p);
        sampling.repetition_penalty = real(self.repetition_penalty, sampling.repetition_penalty);
        sampling.presence_penalty = real(self.presence_penalty, sampling.presence_penalty);
        sampling.frequency_penalty = real(self.frequency_penalty, sampling.frequency_penalty);
        sampling.top_k = self.top_k.map_or(sampling.top_k, |Count(k)| k);
        sampling.repeat_last_n = self.repeat_last_n.map_or(sampling.repeat_last_n, |Count(n)| n);
        if let Some(bias) = &self.logit_bias {
            sampling.logit_bias.extend(bias.iter().map(|(&token, &Real(bias))| (token, bias)));
        }
        if let Some(Strings(stop)) = &self.stop {
            check_stops(stop)?;
            sampling.stop.extend(stop.iter().cloned());
        }
        let seed = self.seed.map(|Seed(seed)| seed).or(defaults.seed);
        sampling.seed = seed.unwrap_or_else(random);
        Ok(sampling)
    }

    /// Whether earlier readings may be used for this request, whose settings are `sampling`.
    pub(crate) fn reuse(&self, defaults: &Defaults, sampling: &Sampling) -> bool {
        let free = self.seed.is_none() && defaults.seed.is_none() && sampling.temperature > 0.0;
        self.cache_prompt.unwrap_or(free)
    }

    /// How many replies, of `prompts` prompts.
    pub(crate) fn replies(&self, prompts: usize, limits: &Limits) -> Result<usize, ApiError> {
        let n = self.n.map_or(1, |Count(n)| n);
        if n == 0 {
            return Err(ApiError::field("n", "n is 0, but must be at least 1"));
        }
        if n.saturating_mul(prompts) > limits.replies {
            let message = format!(
                "n is {n} for {prompts} prompts, but a request has {} replies at most; send several requests",
                limits.replies
            );
            return Err(ApiError::field("n", message));
        }
        Ok(n)
    }

    /// Whether the answer is a stream, and if so whether it counts tokens at its end.
    pub(crate) fn streaming(&self) -> Result<Option<bool>, ApiError> {
        if self.stream != Some(true) {
            return match self.stream_options {
                None => Ok(None),
                Some(_) => Err(ApiError::field("stream_options", "stream_options is only for stream: true")),
            };
        }
        let options = self.stream_options.as_ref();
        Ok(Some(options.and_then(|options| options.include_usage).unwrap_or(false)))
    }
}

fn check_stops(stop: &[String]) -> Result<(), ApiError> {
    if stop.len() > STOPS {
        let message = format!("stop has {} strings, but {STOPS} are the most", stop.len());
        return Err(ApiError::field("stop", message));
    }
    if let Some(long) = stop.iter().find(|text| text.len() > STOP_BYTES) {
        let message = format!("stop has a string of {} bytes, but {STOP_BYTES} are the most", long.len());
        return Err(ApiError::field("stop", message));
    }
    Ok(())
}

/// The most tokens of a reply: as asked for in `field`, else `default`; more than the server allows is refused.
pub(crate) fn max_tokens(
    field: &str,
    asked: Option<Count>,
    default: usize,
    limits: &Limits,
) -> Result<usize, ApiError> {
    match (asked, limits.tokens) {
        (Some(Count(asked)), Some(most)) if asked > most => {
            Err(ApiError::field(field, format!("{field} is {asked}, but this server makes {most} at most")))
        }
        (Some(Count(asked)), _) => Ok(asked),
        (None, most) => Ok(default.min(most.unwrap_or(usize::MAX))),
    }
}

/// How many likeliest tokens to tell of each token.
pub(crate) fn top(field: &str, asked: usize) -> Result<usize, ApiError> {
    if asked > TOP {
        return Err(ApiError::field(field, format!("{field} is {asked}, but {TOP} is the most")));
    }
    Ok(asked)
}
