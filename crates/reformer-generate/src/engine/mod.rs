//! Many generations at once, on one decoding thread.
//!
//! ```text
//! submit → bounded queue → ┌ take in while there is room ──────────────┐ → bounded channel → Reply
//!                          │ one piece of one prompt                   │
//!                          │ a token for everyone, one step for all    │
//!                          └───────────────────────────────────────────┘
//! ```
//! Sequences join and leave between any two steps. A step reads each weight once for all of them, and each sequence
//! says what it says alone, to the bit, whatever else is going on ([`reformer_model::Decoder::step_many`]).
//!
//! - **Back-pressure.** The queue is bounded: [`Engine::submit`] waits for a place, [`Engine::try_submit`] refuses.
//! - **Cancelling** is dropping the [`Reply`]: noticed before the next token, or the next piece of a prompt.
//! - **A consumer that does not read** holds up itself only: when its channel is full its sequence pauses, and after
//!   [`EngineOptions::patience`] it is given up.
//! - **Deadlines** end a reply with what there is ([`Finish::Deadline`](crate::Finish)).
//!
//! - **Prompts that begin as an earlier sequence did** read only the rest, if the job allows it ([`Job::reuse`]).
//!
//! The clock is the caller's function; it is asked between tokens.

mod prefixes;
mod reply;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use reformer_model::{DecodeOptions, Model, Packed};
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;

use crate::decode::check_tokenizer;
use crate::error::{GenerateError, Result};
use crate::request::{ContextPolicy, Request};
use crate::sampling::Sampling;
use crate::sequence::Sequence;

pub use reply::{Event, Offer, Reply, Sink};

/// Seconds, from wherever the caller counts.
pub type Clock = Arc<dyn Fn() -> f64 + Send + Sync>;

/// How much an engine takes on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineOptions {
    /// Sequences decoded together.
    pub sequences: usize,
    /// Requests that wait beyond them.
    pub queue: usize,
    /// Events that wait for one consumer.
    pub buffer: usize,
    /// Seconds that a full buffer is waited for.
    pub patience: f64,
    /// How sequences remember, and what their LSH layers attend to.
    pub decoding: DecodeOptions,
    /// Bytes of states that are kept for prompts which begin alike.
    pub prefixes: usize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let decoding = DecodeOptions::default();
        Self { sequences: 16, queue: 64, buffer: 256, patience: 30.0, decoding, prefixes: 0 }
    }
}

/// A [`Request`] that owns what it asks for, and a deadline.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Every token before the reply.
    pub prompt: Vec<u32>,
    /// The sampling chain's settings, `max_tokens` and stop strings.
    pub sampling: Sampling,
    /// Tokens that end the reply and are not part of it.
    pub stop_tokens: Vec<u32>,
    /// Address of the first draw.
    pub first_draw: u64,
    /// What to do when positions run out.
    pub policy: ContextPolicy,
    /// Log-probabilities of every token and of this many likeliest ones.
    pub log_probs: Option<usize>,
    /// When to end at the latest, on the engine's clock.
    pub deadline: Option<f64>,
    /// Whether an earlier sequence's state may be gone on from, and this one's be kept. What it says is then one of
    /// several things that the model may say: reading afresh rounds, and attends, a little differently.
    pub reuse: bool,
}

impl Job {
    /// A reply to `prompt`: first draw, no stop tokens, a full context refused, no log-probabilities, no deadline, its
    /// own reading of the prompt.
    pub fn new(prompt: Vec<u32>, sampling: Sampling) -> Self {
        let (stop_tokens, policy) = (Vec::new(), ContextPolicy::Refuse);
        Self {
            prompt,
            sampling,
            stop_tokens,
            first_draw: 0,
            policy,
            log_probs: None,
            deadline: None,
            reuse: false,
        }
    }

    /// What it asks for, apart from when.
    pub fn request(&self) -> Request<'_> {
        Request {
            prompt: &self.prompt,
            sampling: &self.sampling,
            stop_tokens: &self.stop_tokens,
            first_draw: self.first_draw,
            policy: self.policy,
            log_probs: self.log_probs,
        }
    }
}

/// A job on its way to the worker.
struct Queued {
    job: Job,
    sink: Box<dyn Sink>,
}

/// What the engine is busy with.
#[derive(Debug, Default)]
struct Load {
    waiting: AtomicUsize,
    active: AtomicUsize,
    steps: AtomicUsize,
    tokens: AtomicUsize,
    context: AtomicUsize,
}

/// How busy an engine is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Busy {
    /// Jobs in the queue.
    pub waiting: usize,
    /// Sequences in work.
    pub active: usize,
    /// Steps so far.
    pub steps: usize,
    /// Tokens that these steps read; over `steps`, how many sequences shared one.
    pub tokens: usize,
    /// Tokens that the sequences in work remember, together.
    pub context: usize,
}

/// The engine: a queue and the thread that works it off. Dropping it cancels what is left.
pub struct Engine {
    queue: Option<SyncSender<Box<Queued>>>,
    worker: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    load: Arc<Load>,
    cpu: Cpu,
    model: Arc<Model>,
    tokenizer: Arc<Tokenizer>,
    options: EngineOptions,
}

impl Engine {
    /// Starts the thread.
    pub fn start(
        options: EngineOptions,
        cpu: Cpu,
        model: Arc<Model>,
        packed: Option<Arc<Packed>>,
        tokenizer: Arc<Tokenizer>,
        clock: Clock,
    ) -> Result<Self> {
        check_tokenizer(&model, &tokenizer)?;
        for (key, got) in [("sequences", options.sequences), ("buffer", options.buffer)] {
            if got == 0 {
                return Err(GenerateError::Setting { key, got: "0".into(), expected: "at least 1" });
            }
        }
        let (queue, jobs) = sync_channel(options.queue);
        let (stop, load) = (Arc::new(AtomicBool::new(false)), Arc::new(Load::default()));
        let worker = worker::Worker {
            options,
            cpu: cpu.clone(),
            model: Arc::clone(&model),
            packed,
            tokenizer: Arc::clone(&tokenizer),
            clock,
            stop: Arc::clone(&stop),
            load: Arc::clone(&load),
        };
        let thread = std::thread::Builder::new().name("reformer-engine".into());
        let worker = thread.spawn(move || worker.run(&jobs)).map_err(GenerateError::Thread)?;
        Ok(Self { queue: Some(queue), worker: Some(worker), stop, load, cpu, model, tokenizer, options })
    }

    /// Hands a job in, waiting for a place in the queue. A job that can never work is refused at once.
    pub fn submit(&self, job: Job) -> Result<Reply> {
        self.check(&job)?;
        let (sink, reply) = reply::channel(self.options.buffer);
        let queued = Box::new(Queued { job, sink: Box::new(sink) });
        self.load.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.as_ref().map(|queue| queue.send(queued)) {
            Some(Ok(())) => Ok(reply),
            _ => Err(self.not_taken(GenerateError::EngineGone)),
        }
    }

    /// Hands a job in if there is a place in the queue.
    pub fn try_submit(&self, job: Job) -> Result<Reply> {
        let (sink, reply) = reply::channel(self.options.buffer);
        self.try_submit_to(job, Box::new(sink))?;
        Ok(reply)
    }

    /// Hands a job in if there is a place in the queue; its events go to `sink`.
    pub fn try_submit_to(&self, job: Job, sink: Box<dyn Sink>) -> Result<()> {
        self.check(&job)?;
        self.load.waiting.fetch_add(1, Ordering::Relaxed);
        match self.queue.as_ref().map(|queue| queue.try_send(Box::new(Queued { job, sink }))) {
            Some(Ok(())) => Ok(()),
            Some(Err(TrySendError::Full(_))) => {
                Err(self.not_taken(GenerateError::QueueFull { queue: self.options.queue }))
            }
            _ => Err(self.not_taken(GenerateError::EngineGone)),
        }
    }

    /// Whether a job can work: its settings are legal, its prompt fits, its biases name tokens of the model.
    pub fn check(&self, job: &Job) -> Result<()> {
        Sequence::start(&self.model, &self.tokenizer, &job.request()).map(|_| ())
    }

    /// The threads that it decodes with.
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Its tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// What it takes on.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// How busy it is.
    pub fn busy(&self) -> Busy {
        let read = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let Load { waiting, active, steps, tokens, context } = &*self.load;
        Busy {
            waiting: read(waiting),
            active: read(active),
            steps: read(steps),
            tokens: read(tokens),
            context: read(context),
        }
    }

    fn not_taken(&self, error: GenerateError) -> GenerateError {
        self.load.waiting.fetch_sub(1, Ordering::Relaxed);
        error
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.queue = None;
        if let Some(worker) = self.worker.take() {
            // A panic over there has been reported by the thread itself.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("options", &self.options)
            .field("busy", &self.busy())
            .finish_non_exhaustive()
    }
}
