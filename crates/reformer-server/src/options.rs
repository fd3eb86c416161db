//! What a server allows, and the functions that it asks for time and chance.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reformer_generate::engine::Clock;

use crate::happening::Happening;

/// Bounds that hold for every connection and request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of a request's head: the line and the headers.
    pub head: usize,
    /// Connections at once; further ones wait to be accepted.
    pub connections: usize,
    /// How long a client may take for a request's head, and stay idle before one.
    pub head_time: Duration,
    /// How long a client may take for a request's body.
    pub body_time: Duration,
    /// How long a client may leave what is sent to it unread.
    pub unread_time: Duration,
    /// Tokens that a request may ask for in each reply; `None` leaves it to the model's positions.
    pub tokens: Option<usize>,
    /// Replies that a request may ask for, prompts times `n`.
    pub replies: usize,
    /// How long a reply may take, its wait included; it then ends with what there is.
    pub reply_time: Duration,
    /// How long streams may go on once the server is told to stop.
    pub grace: Duration,
    /// How often a stream without news sends a comment, so that nobody in between takes it for dead.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 8 << 20,
            head: 16 << 10,
            connections: 1024,
            head_time: Duration::from_secs(15),
            body_time: Duration::from_secs(30),
            unread_time: Duration::from_secs(30),
            tokens: None,
            replies: 64,
            reply_time: Duration::from_mins(10),
            grace: Duration::from_secs(10),
            ping: Duration::from_secs(15),
        }
    }
}

/// How a server behaves.
#[derive(Clone)]
pub struct ServerOptions {
    /// Keys of which a request must bring one (`Authorization: Bearer …`); without any, nobody needs one.
    pub keys: Vec<String>,
    /// Origins whose pages may call (`https://chat.example`), or `*` for all; none by default.
    pub cors_origins: Vec<String>,
    /// Whether, where nobody needs a key, a request must call the server `localhost` or by an address. A page elsewhere
    /// can give its own name this machine's address, and its reader's browser would then let it ask.
    pub local_names: bool,
    /// Whether `/` is a page to talk on.
    pub page: bool,
    /// Whether `/inspect` lets clients look inside.
    pub inspect: bool,
    /// Bounds.
    pub limits: Limits,
    /// Seconds, from wherever the caller counts: the engines' clock.
    pub clock: Clock,
    /// Seconds since 1970, for `created`.
    pub epoch: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Different numbers: ids of requests, seeds of those that bring none.
    pub random: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Is told what happens; must not block for long.
    pub log: Arc<dyn Fn(&Happening) + Send + Sync>,
}

impl ServerOptions {
    /// No keys, no foreign origins, the page, default limits, nothing logged.
    pub fn new(
        clock: Clock,
        epoch: impl Fn() -> u64 + Send + Sync + 'static,
        random: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        Self {
            keys: Vec::new(),
            cors_origins: Vec::new(),
            local_names: false,
            page: true,
            inspect: false,
            limits: Limits::default(),
            clock,
            epoch: Arc::new(epoch),
            random: Arc::new(random),
            log: Arc::new(|_| {}),
        }
    }
}

impl fmt::Debug for ServerOptions {
    /// Without the keys: what is printed for debugging ends up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerOptions")
            .field("keys", &self.keys.len())
            .field("cors_origins", &self.cors_origins)
            .field("local_names", &self.local_names)
            .field("page", &self.page)
            .field("inspect", &self.inspect)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
