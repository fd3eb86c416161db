//! A server of tiny untrained models on a port of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use reformer_generate::Sampling;
use reformer_generate::engine::{Engine, EngineOptions};
use reformer_model::config::{Fields, Kind};
use reformer_model::{Config, Model};
use reformer_server::{Defaults, Happening, ServedModel, Server, ServerOptions, Tables};
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;
use tokio::sync::oneshot;

/// Positions of the models.
pub(crate) const POSITIONS: usize = 512;

/// A server that ends with its test.
pub(crate) struct Service {
    pub(crate) address: SocketAddr,
    pub(crate) server: Server,
    pub(crate) happened: Arc<Mutex<Vec<Happening>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What a test changes.
pub(crate) struct Setting {
    pub(crate) options: ServerOptions,
    pub(crate) engine: EngineOptions,
    pub(crate) models: Vec<(&'static str, Tokenizer)>,
    /// What their calls are answered from.
    pub(crate) tables: Option<Arc<dyn Tables>>,
    /// Whether the models are there from the beginning.
    pub(crate) ready: bool,
}

impl Default for Setting {
    fn default() -> Self {
        let started = Instant::now();
        let drawn = AtomicU64::new(1);
        let options = ServerOptions::new(
            Arc::new(move || started.elapsed().as_secs_f64()),
            || 1_700_000_000,
            move || drawn.fetch_add(1, Ordering::Relaxed),
        );
        let models = vec![("tiny", Tokenizer::bytes())];
        let engine = EngineOptions { prefixes: 1 << 20, ..EngineOptions::default() };
        Self { options, engine, models, tables: None, ready: true }
    }
}

/// A model with large weights, so that its replies are not all alike.
fn model(name: &str, tokenizer: Tokenizer, options: EngineOptions, clock: &ServerOptions) -> ServedModel {
    let fields = Fields {
        vocab_size: tokenizer.vocab_size(),
        hidden_size: 16,
        num_attention_heads: 2,
        attention_head_size: 8,
        feed_forward_size: 32,
        attn_layers: vec![Kind::Local, Kind::Lsh],
        axial_pos_shape: vec![16, 32],
        axial_pos_embds_dim: vec![8, 8],
        initializer_range: 0.5,
        ..Fields::paper()
    };
    let weights = Arc::new(Model::new(Config::check(fields).unwrap(), 3));
    let stop_tokens = tokenizer.end_token().into_iter().collect();
    let clock = Arc::clone(&clock.clock);
    let engine = Engine::start(options, Cpu::single(), weights, None, Arc::new(tokenizer), clock).unwrap();
    let sampling = Sampling { temperature: 1.0, max_tokens: 24, ..Sampling::default() };
    let defaults = Defaults { sampling, stop_tokens, seed: None };
    ServedModel::new(name, engine, defaults, 1_600_000_000)
}

impl Service {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Setting)) -> Self {
        let mut setting = Setting::default();
        change(&mut setting);
        let happened: Arc<Mutex<Vec<Happening>>> = Arc::default();
        let noted = Arc::clone(&happened);
        setting.options.log = Arc::new(move |happening| noted.lock().unwrap().push(happening.clone()));
        let server = Server::new(setting.options.clone());
        for (name, tokenizer) in setting.models {
            let model = model(name, tokenizer, setting.engine, &setting.options);
            server.add(match &setting.tables {
                Some(tables) => model.with_tables(Arc::clone(tables)),
                None => model,
            });
        }
        if setting.ready {
            server.ready();
        }
        let (stop, stopped) = oneshot::channel();
        let (bound, address) = std::sync::mpsc::channel();
        let serving = server.clone();
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                serving.serve(listener, told(stopped)).await.unwrap();
            });
        });
        let address = address.recv().unwrap();
        Self { address, server, happened, stop: Some(stop), thread: Some(thread) }
    }

    /// Tells the server to stop, as Ctrl-C does.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }

    /// Waits for its end.
    pub(crate) fn join(&mut self) {
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }

    /// The value of a counter; 0 if it was never touched.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").text();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }
}

async fn told(stopped: oneshot::Receiver<()>) {
    // A test that panics drops the sender: that ends the server, too.
    let _ = stopped.await;
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}

/// Waits until something holds.
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("waited ten seconds in vain");
}
