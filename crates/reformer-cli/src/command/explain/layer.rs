//! A sentence in front of an LSH layer: its tokens, and the vectors that are queries and keys at once.
//!
//! Without a model it is a fresh one whose tokens are the sentence's words: what is shown is then what hashing does
//! to equal and unequal vectors, before anything is learned. With a model it is the model's own first LSH layer, its
//! first head.

use std::path::Path;

use anyhow::{Context, bail};
use reformer::lsh::{BucketCount, Rotations};
use reformer::model::config::Buckets as BucketKey;
use reformer::model::sublayer::Shape;
use reformer::model::{Config, Fields, Kind, Model, Pass};
use reformer::reversible::{Block as _, Streams};
use reformer::tensor::{Cpu, Matrix, Write, layer_norm, matmul_nt};

use crate::args::Global;
use crate::args::explain::ExplainArgs;
use crate::exit::usage;
use crate::terminal::Terminal;
use crate::{machine, open_model};

/// Tokens shown at most: more do not fit a picture.
const MOST: usize = 48;
/// Below this there is nothing to sort.
const LEAST: usize = 6;
/// Rounds of hashing at most.
pub(crate) const ROUNDS: usize = 8;
const SENTENCE: &str =
    "the cat sat on the mat and the dog sat on the log until the cat saw the dog and the dog saw the cat";

/// Tokens with their query-keys.
pub(crate) struct Layer {
    pub(crate) tokens: Vec<String>,
    /// `[tokens, head_dim]`.
    pub(crate) qk: Matrix,
    /// Of [`ROUNDS`] rounds.
    pub(crate) rotations: Rotations,
    pub(crate) chunk: usize,
    /// Whose layer it is, in words.
    pub(crate) whose: String,
}

impl Layer {
    pub(crate) fn choose(
        args: &ExplainArgs,
        global: &Global,
        terminal: Terminal,
        seed: u64,
    ) -> anyhow::Result<Self> {
        let text = args.text.as_deref().unwrap_or(SENTENCE);
        match &args.model {
            Some(dir) => Self::of_model(dir, text, global, terminal),
            None => Self::of_words(text, &machine::cpu(global)?, seed),
        }
    }

    fn of_words(text: &str, cpu: &Cpu, seed: u64) -> anyhow::Result<Self> {
        let tokens = cut(text.split_whitespace().map(str::to_owned).collect())?;
        let mut vocabulary: Vec<&String> = tokens.iter().collect();
        vocabulary.sort();
        vocabulary.dedup();
        let ids: Vec<u32> =
            tokens.iter().map(|token| vocabulary.binary_search(&token).expect("sorted") as u32).collect();
        let config = Config::check(Fields {
            vocab_size: vocabulary.len().max(2),
            pad_token_id: None,
            hidden_size: 32,
            num_attention_heads: 1,
            attention_head_size: 32,
            feed_forward_size: 32,
            attn_layers: vec![Kind::Lsh],
            axial_pos_shape: vec![8, 8],
            axial_pos_embds_dim: vec![16, 16],
            num_buckets: Some(BucketKey::Single(8)),
            // Words far apart, positions a little: a word is near itself wherever it stands.
            initializer_range: 1.0,
            axial_norm_std: 0.25,
            is_decoder: true,
            ..Fields::paper()
        })?;
        let model = Model::new(config, seed);
        Self::at(cpu, &model, 0, &ids, tokens, "an untrained layer over the sentence's words".into())
    }

    fn of_model(dir: &Path, text: &str, global: &Global, terminal: Terminal) -> anyhow::Result<Self> {
        let opened = open_model::open(dir, global, terminal)?;
        let kinds = &opened.model.config().attn_layers;
        let Some(layer) = kinds.iter().position(|&kind| kind == Kind::Lsh) else {
            return Err(usage(anyhow::anyhow!(
                "the model in {} has no LSH layer to explain: its attn_layers are {kinds:?}; give a model with \"lsh\" among them",
                opened.folder.display()
            )));
        };
        let mut ids = opened.tokenizer.encode(text).context("--text cannot be encoded")?;
        ids.truncate(MOST);
        let tokens = cut(ids.iter().map(|&id| opened.tokenizer.decode(&[id]).trim().to_owned()).collect())?;
        let whose = format!("layer {layer} of {}, its first head", opened.folder.display());
        Self::at(&opened.cpu, &opened.model, layer, &ids, tokens, whose)
    }

    /// Runs the blocks before `layer` and projects.
    fn at(
        cpu: &Cpu,
        model: &Model,
        layer: usize,
        ids: &[u32],
        tokens: Vec<String>,
        whose: String,
    ) -> anyhow::Result<Self> {
        let (config, pass) = (model.config(), Pass::evaluation());
        let shape = Shape { rows: 1, len: ids.len(), mask: None };
        let x = model.embed(cpu, ids, 1, ids.len())?;
        let mut streams = Streams { first: x.clone(), second: x };
        for block in 0..layer {
            model.block(block, shape, &pass)?.forward(cpu, &mut streams)?;
        }
        let tensor = |name: &str| {
            let name = format!("reformer.encoder.layers.{layer}.attention.{name}");
            model.parameters().find(&name).with_context(|| format!("the model has no tensor {name}"))
        };
        let (gamma, beta) = (tensor("layer_norm.weight")?.1, tensor("layer_norm.bias")?.1);
        let mut normed = Matrix::zeros(ids.len(), config.hidden_size);
        layer_norm::forward(
            cpu,
            streams.second.view(),
            gamma,
            beta,
            config.layer_norm_eps as f32,
            normed.view_mut(),
        );
        let (_, weight) = tensor("self_attention.query_key.weight")?;
        let dim = config.attention_head_size;
        let head = Matrix::from_slice(dim, config.hidden_size, &weight[..dim * config.hidden_size]);
        let mut qk = Matrix::zeros(ids.len(), dim);
        matmul_nt(cpu, normed.view(), head.view(), Write::Overwrite, qk.view_mut());
        if qk.as_slice().iter().any(|x| !x.is_finite()) {
            bail!("{whose}: the queries are not finite; the model's weights hold NaN or infinity");
        }
        // A sentence is shorter than a model's chunk: chunks are cut small enough to see what sorting does.
        let chunk = if tokens.len() <= 32 { 4 } else { 6 };
        let buckets = BucketCount::automatic(tokens.len(), chunk, None)?;
        let seed = config.hash_seed.unwrap_or(0) as u64;
        let rotations = Rotations::draw(seed, layer as u32, 0, dim, ROUNDS, &buckets)?;
        Ok(Self { tokens, qk, rotations, chunk, whose })
    }
}

fn cut(mut tokens: Vec<String>) -> anyhow::Result<Vec<String>> {
    tokens.truncate(MOST);
    if tokens.len() < LEAST {
        let got = tokens.len();
        return Err(usage(anyhow::anyhow!(
            "--text has {got} tokens; give at least {LEAST}, so that there is something to sort"
        )));
    }
    Ok(tokens)
}
