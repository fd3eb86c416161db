//! Connections: accepted up to a number, each bounded in its head, its idleness and its unread answers.
//!
//! ```text
//! stop → 503 for what is new, streams go on → grace is over, or nothing is in work → idle connections close → end
//! ```
//! hyper itself answers a head that is too large (431) or malformed (400), without a body: nothing of ours has seen the
//! request by then.

mod patience;

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use self::patience::Patient;
use crate::happening::Happening;
use crate::options::Limits;
use crate::state::{Phase, Shared};

/// How long to wait after the system refused a connection: it has no file or memory left, and no less in an instant.
const REST: Duration = Duration::from_millis(100);
/// How long connections have for their last bytes.
const FAREWELL: Duration = Duration::from_secs(2);

/// Serves until `stop`, then as the module says.
pub(crate) async fn serve(
    shared: &Arc<Shared>,
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let limits = shared.options.limits;
    let (graceful, places) = (GracefulShutdown::new(), Arc::new(Semaphore::new(limits.connections)));
    let service = TowerToHyperService::new(router);
    let builder = builder(&limits);
    let mut connections = JoinSet::new();
    let end = end(shared, stop);
    tokio::pin!(end);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut end => break,
            accepted = accept(shared, &listener, &places) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // A token is a small packet: it must not wait for others.
        let _ = stream.set_nodelay(true);
        let io = TokioIo::new(Patient::new(stream, limits.unread_time));
        let connection = graceful.watch(builder.serve_connection(io, service.clone()));
        connections.spawn(async move {
            // Clients that break off or time out are no news.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(FAREWELL, graceful.shutdown()).await;
    Ok(())
}

fn builder(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_time)
        .max_header_size(limits.head)
        // Between the engine and the socket as little as may be: who reads slowly is to be noticed.
        .max_buf_size(limits.head.max(64 << 10));
    builder
}

/// Done when everything is to end: told to stop, and nothing in work any more, or no time left for it.
async fn end(shared: &Shared, stop: impl Future<Output = ()>) {
    stop.await;
    shared.enter(Phase::Draining);
    let _ = tokio::time::timeout(shared.options.limits.grace, shared.idle()).await;
    shared.enter(Phase::Ending);
}

async fn accept(
    shared: &Shared,
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // Nobody closes the semaphore.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            Err(error) => {
                shared.log(&Happening::Connection { problem: error.to_string() });
                tokio::time::sleep(REST).await;
            }
        }
    }
}
