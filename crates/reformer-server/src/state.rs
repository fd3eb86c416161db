//! What all requests share: the models, the phase of the server's life, counters, and what was said once.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;

use crate::error::ApiError;
use crate::happening::Happening;
use crate::metrics::Metrics;
use crate::models::ServedModel;
use crate::options::ServerOptions;

/// The phases of a server's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Models are on their way.
    Loading,
    /// All are there.
    Ready,
    /// What was begun may go on; nothing new is taken.
    Draining,
    /// What still goes on ends now.
    Ending,
}

/// Names of unknown fields that are remembered as told; beyond them a client makes names up.
const TOLD: usize = 256;

/// What handlers share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: ServerOptions,
    pub(crate) metrics: Metrics,
    models: RwLock<Vec<Arc<ServedModel>>>,
    phase: watch::Sender<Phase>,
    /// Generations in work.
    working: watch::Sender<usize>,
    told: Mutex<BTreeSet<String>>,
}

impl Shared {
    pub(crate) fn new(options: ServerOptions) -> Self {
        let (phase, _) = watch::channel(Phase::Loading);
        Self {
            options,
            metrics: Metrics::new(),
            models: RwLock::default(),
            phase,
            working: watch::channel(0).0,
            told: Mutex::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Goes on to a later phase; nothing leads back.
    pub(crate) fn enter(&self, next: Phase) {
        self.phase.send_if_modified(|phase| {
            let later = next > *phase;
            *phase = next.max(*phase);
            later
        });
    }

    /// A generation begins.
    pub(crate) fn begin(&self) {
        self.working.send_modify(|working| *working += 1);
    }

    /// It is over.
    pub(crate) fn end(&self) {
        self.working.send_modify(|working| *working -= 1);
    }

    /// Waits until no generation is in work.
    pub(crate) async fn idle(&self) {
        // The sender lives as long as the state.
        let _ = self.working.subscribe().wait_for(|working| *working == 0).await;
    }

    /// Another model answers; one of the same name takes its place.
    pub(crate) fn add(&self, model: ServedModel) {
        let mut models = self.models.write().unwrap_or_else(PoisonError::into_inner);
        models.retain(|other| other.name != model.name);
        models.push(Arc::new(model));
    }

    pub(crate) fn models(&self) -> Vec<Arc<ServedModel>> {
        self.models.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The model that a request names; if there is one only, it need not.
    pub(crate) fn model(&self, name: Option<&str>) -> Result<Arc<ServedModel>, ApiError> {
        let models = self.models();
        let names: Vec<&str> = models.iter().map(|model| model.name.as_str()).collect();
        match (name, models.as_slice()) {
            (None, [only]) => Ok(Arc::clone(only)),
            (None, _) => {
                Err(ApiError::field("model", format!("model is missing; there are: {}", names.join(", "))))
            }
            (Some(name), _) => match models.iter().find(|model| model.name == name) {
                Some(model) => Ok(Arc::clone(model)),
                None => Err(ApiError::no_model(name, &names)),
            },
        }
    }

    pub(crate) fn log(&self, happening: &Happening) {
        (self.options.log)(happening);
    }

    /// Tells of unknown fields, each once.
    pub(crate) fn tell_unknown(&self, path: &str, fields: &BTreeSet<String>) {
        for field in fields {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = told.len() < TOLD && told.insert(format!("{path} {field}"));
            drop(told);
            if fresh {
                self.log(&Happening::UnknownField { path: path.to_owned(), field: field.clone() });
            }
        }
    }
}
