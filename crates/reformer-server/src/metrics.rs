//! Counters in Prometheus' text form.
//!
//! Names begin with `reformer_`. What engines know (queue, sequences, context) is read when somebody asks; the rest is
//! counted where it happens.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use reformer_generate::Stats;

use crate::models::ServedModel;

type Labels = Vec<(&'static str, String)>;
type Counts = Family<Labels, Counter>;
type Seconds = Family<Labels, Counter<f64, AtomicU64>>;
type Gauges = Family<Labels, Gauge>;

/// All counters.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Counts,
    prompt_tokens: Counts,
    reused_tokens: Counts,
    completion_tokens: Counts,
    prefill: Seconds,
    decode: Seconds,
    cancelled: Counts,
    waiting: Gauges,
    active: Gauges,
    context: Gauges,
    steps: Gauges,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

fn of(model: &str) -> Labels {
    vec![("model", model.to_owned())]
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("reformer");
        let mut counts = |name: &str, help: &str| {
            let family = Counts::default();
            registry.register(name, help, family.clone());
            family
        };
        let requests = counts("requests", "Requests by path and status");
        let prompt_tokens = counts("prompt_tokens", "Tokens of prompts");
        let reused_tokens = counts("reused_tokens", "Tokens of prompts that were already read");
        let completion_tokens = counts("completion_tokens", "Tokens generated");
        let cancelled = counts("cancelled", "Generations whose client left before the end");
        let mut seconds = |name: &str, help: &str| {
            let family = Seconds::default();
            registry.register(name, help, family.clone());
            family
        };
        let prefill = seconds("prefill_seconds", "Time spent on prompts");
        let decode = seconds("decode_seconds", "Time from a prompt's end to its reply's end");
        let mut gauges = |name: &str, help: &str| {
            let family = Gauges::default();
            registry.register(name, help, family.clone());
            family
        };
        let waiting = gauges("queue_length", "Generations that wait");
        let active = gauges("active_sequences", "Sequences that are decoded together");
        let context = gauges("context_tokens", "Tokens that these sequences remember");
        let steps = gauges("decode_steps", "Steps since the start, each for all sequences");
        Self {
            registry,
            requests,
            prompt_tokens,
            reused_tokens,
            completion_tokens,
            prefill,
            decode,
            cancelled,
            waiting,
            active,
            context,
            steps,
        }
    }

    /// A request was answered; `route` is one of ours, so that strangers' paths make no counters.
    pub(crate) fn answered(&self, route: &str, status: u16) {
        let labels = vec![("path", route.to_owned()), ("status", status.to_string())];
        self.requests.get_or_create(&labels).inc();
    }

    /// A prompt was taken and so many of its reply's tokens were made.
    pub(crate) fn generated(&self, model: &str, prompt: usize, completion: usize) {
        self.prompt_tokens.get_or_create(&of(model)).inc_by(prompt as u64);
        self.completion_tokens.get_or_create(&of(model)).inc_by(completion as u64);
    }

    /// How long a generation took.
    pub(crate) fn took(&self, model: &str, stats: &Stats) {
        self.reused_tokens.get_or_create(&of(model)).inc_by(stats.reused_tokens as u64);
        // Counters only grow: a clock that goes back adds nothing.
        self.prefill.get_or_create(&of(model)).inc_by(stats.prefill_seconds.max(0.0));
        self.decode.get_or_create(&of(model)).inc_by(stats.decode_seconds.max(0.0));
    }

    /// A client left.
    pub(crate) fn left(&self, model: &str) {
        self.cancelled.get_or_create(&of(model)).inc();
    }

    /// All of it as text.
    pub(crate) fn encode(&self, models: &[Arc<ServedModel>]) -> Result<String, fmt::Error> {
        for model in models {
            let (busy, labels) = (model.engine.busy(), of(&model.name));
            self.waiting.get_or_create(&labels).set(busy.waiting as i64);
            self.active.get_or_create(&labels).set(busy.active as i64);
            self.context.get_or_create(&labels).set(busy.context as i64);
            self.steps.get_or_create(&labels).set(busy.steps as i64);
        }
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
