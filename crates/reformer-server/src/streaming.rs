//! Server-sent events: the pieces of a generation as they come, in a route's own form.
//!
//! ```text
//! opening of each reply · pieces · ending of each reply · usage, if wanted · [DONE]
//! ```
//! A failure in the middle is one event with an error object, and then the end. While nothing comes, a comment is sent
//! now and then.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::http::HeaderName;
use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::unfold;
use serde::Serialize;

use crate::generation::Generation;
use crate::options::Limits;
use crate::speaking::{Ending, Piece};
use crate::wire::usage::Usage;

/// How a route writes a stream.
pub(crate) trait Chunks: Send + 'static {
    /// A chunk.
    type Chunk: Serialize;

    /// What stands before the first piece of a reply.
    fn opening(&self, index: usize) -> Option<Self::Chunk>;

    /// A piece; `None` if there is nothing to tell yet.
    fn piece(&mut self, index: usize, piece: Piece) -> Option<Self::Chunk>;

    /// The end of a reply.
    fn ending(&mut self, index: usize, ending: &Ending) -> Self::Chunk;

    /// Tokens of the prompt and of the replies, if they are wanted.
    fn usage(&self, usage: Usage) -> Option<Self::Chunk>;
}

struct Streaming<C> {
    generation: Generation,
    chunks: C,
    waiting: VecDeque<Event>,
    over: bool,
}

fn event(chunk: &impl Serialize) -> Event {
    // Our own structures always serialise, on one line.
    Event::default().data(serde_json::to_string(chunk).unwrap_or_default())
}

impl<C: Chunks> Streaming<C> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            match self.generation.next().await {
                Some(Ok((index, Piece::End(ending)))) => {
                    self.waiting.push_back(event(&self.chunks.ending(index, &ending)));
                }
                Some(Ok((index, piece))) => {
                    let chunk = self.chunks.piece(index, piece);
                    self.waiting.extend(chunk.as_ref().map(event));
                }
                Some(Err(error)) => {
                    self.waiting.push_back(event(&error.body()));
                    self.over = true;
                }
                None => {
                    let usage = self.chunks.usage(self.generation.usage());
                    self.waiting.extend(usage.as_ref().map(event));
                    self.waiting.push_back(Event::default().data("[DONE]"));
                    self.over = true;
                }
            }
        }
    }
}

/// The answer that streams a generation of `replies`.
pub(crate) fn stream<C: Chunks>(
    generation: Generation,
    replies: usize,
    chunks: C,
    limits: &Limits,
) -> Response {
    let waiting = (0..replies).filter_map(|index| chunks.opening(index)).map(|chunk| event(&chunk)).collect();
    let streaming = Streaming { generation, chunks, waiting, over: false };
    let events = unfold(streaming, |mut streaming| async move {
        let event = streaming.next().await?;
        Some((Ok::<_, Infallible>(event), streaming))
    });
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(limits.ping).text("ping")).into_response();
    // Proxies that gather answers before they pass them on would hold every token back.
    let (name, no) = (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response.headers_mut().insert(name, no);
    response
}
