//! A server: models, a router to mount, and a loop that serves it until it is told to stop.

use std::future::Future;
use std::io;
use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

use crate::connection;
use crate::models::ServedModel;
use crate::options::ServerOptions;
use crate::routes;
use crate::state::{Phase, Shared};

/// A server. Clones are the same server.
///
/// It begins by answering 503 (`/health` too), until [`Server::ready`] says that all models are there.
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

impl Server {
    /// A server without models.
    pub fn new(options: ServerOptions) -> Self {
        Self { shared: Arc::new(Shared::new(options)) }
    }

    /// Serves another model; one of the same name is replaced.
    pub fn add(&self, model: ServedModel) {
        self.shared.add(model);
    }

    /// All models are there.
    pub fn ready(&self) {
        self.shared.enter(Phase::Ready);
    }

    /// Takes nothing new any more: every request but those in work is answered with 503. What is in work goes on.
    pub fn drain(&self) {
        self.shared.enter(Phase::Draining);
    }

    /// The routes, to be mounted in a program that serves them itself. Bodies, queues and replies are bounded; headers,
    /// connections and slow readers are the program's to bound.
    pub fn router(&self) -> Router {
        routes::router(&self.shared)
    }

    /// Serves `listener` until `stop` is done. Then nothing new is taken, and what is in work has
    /// [`Limits::grace`](crate::Limits::grace) to end by itself; streams that have not ended then get an error event.
    pub async fn serve(&self, listener: TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
        connection::serve(&self.shared, listener, self.router(), stop).await
    }
}
