//! OpenAI's API under a path of a program of your own: the server's routes beside yours.
//!
//! ```sh
//! cargo run -p reformer-server --example mount -- 8080
//! curl http://127.0.0.1:8080/llm/v1/completions -H 'Content-Type: application/json' -d '{"prompt": "hi"}'
//! ```
//! The model is small and untrained, so that the example needs no file; with one, load it by `Model::load`. Without a
//! port the program asks itself once and ends.

#![allow(clippy::print_stdout, reason = "an example shows what it found")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::routing::get;
use reformer_generate::engine::{Engine, EngineOptions};
use reformer_model::{Config, Fields, Model};
use reformer_server::{Defaults, ServedModel, Server, ServerOptions};
use reformer_tensor::Cpu;
use reformer_text::Tokenizer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A server with one model. The library asks neither the clock nor the system: the program hands both in.
fn server() -> Result<Server, Box<dyn Error>> {
    let started = Instant::now();
    let clock: reformer_generate::engine::Clock = Arc::new(move || started.elapsed().as_secs_f64());
    let epoch = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let random = || {
        use std::hash::{BuildHasher, Hasher};
        std::collections::hash_map::RandomState::new().build_hasher().finish()
    };
    let server = Server::new(ServerOptions::new(Arc::clone(&clock), epoch, random));

    let tokenizer = Tokenizer::bytes();
    let fields = Fields { vocab_size: tokenizer.vocab_size(), hidden_size: 32, ..Fields::paper() };
    let fields = Fields { num_attention_heads: 2, attention_head_size: 16, feed_forward_size: 64, ..fields };
    let fields = Fields { axial_pos_shape: vec![16, 16], axial_pos_embds_dim: vec![16, 16], ..fields };
    let model = Arc::new(Model::new(Config::check(fields)?, 1));
    let (options, cpu) = (EngineOptions::default(), Cpu::new(1)?);
    let engine = Engine::start(options, cpu, model, None, Arc::new(tokenizer), clock)?;
    server.add(ServedModel::new("untrained", engine, Defaults::default(), epoch()));
    server.ready();
    Ok(server)
}

fn main() -> Result<(), Box<dyn Error>> {
    let port: Option<u16> = std::env::args().nth(1).map(|port| port.parse()).transpose()?;
    let app = Router::new()
        .route("/", get(|| async { "a program of your own; its model is under /llm" }))
        .nest("/llm", server()?.router());
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", port.unwrap_or(0))).await?;
        let address = listener.local_addr()?;
        let serving = tokio::spawn(async move { axum::serve(listener, app).await });
        if port.is_some() {
            println!("http://{address}/llm");
            serving.await??;
            return Ok(());
        }
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /llm/v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        println!("{}", answer.lines().last().unwrap_or_default());
        Ok(())
    })
}
