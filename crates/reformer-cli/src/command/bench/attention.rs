//! `reformer bench attention`: one attention operation from given queries, keys and values.
//!
//! LSH is timed as a layer calls it: hash every head, sort, attend. Operations are counted as two products of every
//! query with the keys in its reach (`4·head_dim` each), masked or not, but for causal full attention, where half of
//! the pairs is nobody's work; with the backward pass 3.5 times as many, for its five products to the forward's two.

use reformer::attention::{
    Attention, FullConfig, Gradients, Inputs, Layout, LocalConfig, LshConfig, Upstream, Visibility,
};
use reformer::lsh::{BucketCount, Buckets, Rotations, hash_vectors};
use reformer::tensor::{Cpu, Matrix, Precision};
use serde_json::json;

use super::report::{Bench, Result};
use super::{automatic_buckets, fits, normal, positive, touched};
use crate::args::bench::{AttentionBench, KindChoice, PassChoice, SemanticsChoice};
use crate::exit::usage;
use crate::number;

/// Measures every combination of kind, pass, rounds and length.
pub(super) fn run(args: &AttentionBench, bench: &mut Bench<'_>) -> anyhow::Result<()> {
    if args.dtype == Precision::Bf16 {
        return Err(usage(anyhow::anyhow!(
            "attention computes in f32: it has no bf16 kernels; `bench gemm` and `bench train` take --dtype bf16"
        )));
    }
    positive(&[
        ("--num-heads", args.num_heads),
        ("--head-dim", args.head_dim),
        ("--chunk-length", args.chunk_length),
        ("--batch", args.batch),
    ])?;
    for (&length, &num_hashes) in args.length.iter().flat_map(|l| args.num_hashes.iter().map(move |r| (l, r)))
    {
        positive(&[("--length", length), ("--num-hashes", num_hashes)])?;
        let numbers = 8.0
            * [args.batch, length, args.num_heads, args.head_dim].map(|n| n as f64).iter().product::<f64>();
        let buckets =
            [args.batch, args.num_heads, length, num_hashes].map(|n| n as f64).iter().product::<f64>();
        let what = format!("attention of {} tokens", number::count(length));
        fits(&what, 4.0 * (numbers + buckets), "--length, --batch, --num-heads or --head-dim")?;
        buckets_of(args, length).map_err(usage)?;
    }
    bench.title(&format!(
        "attention, {} heads of {}, chunks of {}, batch {}, {}, f32, semantics: {}",
        args.num_heads,
        args.head_dim,
        args.chunk_length,
        args.batch,
        if args.causal { "causal" } else { "bidirectional" },
        args.semantics.name(),
    ))?;
    for &kind in &args.kind {
        // Rounds mean something to LSH alone.
        let rounds = if kind == KindChoice::Lsh { &args.num_hashes[..] } else { &[1] };
        for &pass in &args.pass {
            for &num_hashes in rounds {
                for &length in &args.length {
                    Operation { args, kind, pass, num_hashes, length }.measure(bench)?;
                }
            }
        }
    }
    Ok(())
}

fn buckets_of(args: &AttentionBench, length: usize) -> anyhow::Result<BucketCount> {
    Ok(match &args.num_buckets[..] {
        [] => automatic_buckets(length, args.chunk_length, args.semantics)?,
        factors => BucketCount::new(factors)?,
    })
}

struct Operation<'a> {
    args: &'a AttentionBench,
    kind: KindChoice,
    pass: PassChoice,
    num_hashes: usize,
    length: usize,
}

/// Attention with what it hashes by.
struct Hashing {
    attention: Attention,
    /// One per head; none where nothing is hashed.
    rotations: Vec<Rotations>,
}

impl Operation<'_> {
    fn measure(&self, bench: &mut Bench<'_>) -> anyhow::Result<()> {
        let args = self.args;
        let layout =
            Layout { batch: args.batch, len: self.length, heads: args.num_heads, head_dim: args.head_dim };
        let case = bench.begin();
        let count = buckets_of(args, self.length)?;
        let operation = self.attention(bench.seed, &count)?;
        let (rows, cols) = (layout.rows(), layout.cols());
        let data = |which| normal(bench.seed, which, rows, cols);
        let (q, v) = (data(0), data(1));
        let k = (self.kind != KindChoice::Lsh).then(|| data(2));
        let inputs = match &k {
            Some(k) => Inputs::separate(q.view(), k.view(), v.view()),
            None => Inputs::shared(q.view(), v.view()),
        };
        let (mut out, mut z) =
            (touched(rows, cols), vec![f32::MIN_POSITIVE; layout.head_count() * self.length]);
        let backward = self.pass == PassChoice::ForwardBackward;
        let mut gradients = backward.then(|| Sinks {
            dout: data(3),
            dq: touched(rows, cols),
            dk: k.as_ref().map(|_| touched(rows, cols)),
            dv: touched(rows, cols),
        });
        let cpu = bench.cpu.clone();
        let kept = if self.kind == KindChoice::Lsh {
            4 * self.num_hashes * layout.head_count() * self.length
        } else {
            0
        };
        let measured = bench.time(case, kept, || {
            let buckets = operation.hash(&cpu, layout, &inputs)?;
            operation.attention.forward(&cpu, layout, &inputs, &buckets, out.view_mut(), &mut z)?;
            if let Some(sinks) = &mut gradients {
                sinks.clear();
                let upstream = Upstream { out: out.view(), z: &z, dout: sinks.dout.view() };
                let into = Gradients {
                    dq: sinks.dq.view_mut(),
                    dk: sinks.dk.as_mut().map(Matrix::view_mut),
                    dv: sinks.dv.view_mut(),
                };
                operation.attention.backward(&cpu, layout, &inputs, &buckets, &upstream, into)?;
            }
            Ok(())
        })?;
        let (keys, formula) = self.keys();
        let pass = if backward { 3.5 } else { 1.0 };
        let flops = pass * 4.0 * (rows * cols) as f64 * keys;
        let times = if backward { "3.5·" } else { "" };
        let semantics = (self.kind == KindChoice::Lsh).then(|| args.semantics.name());
        let mut parameters = json!({
            "kind": self.kind.name(),
            "pass": pass_name(self.pass),
            "length": self.length,
            "num_heads": args.num_heads,
            "head_dim": args.head_dim,
            "batch": args.batch,
            "causal": args.causal,
            "dtype": args.dtype.name(),
            "tokens_per_second": (rows as f64 / measured.times.median()).round(),
        });
        if self.kind != KindChoice::Full {
            parameters["chunk_length"] = args.chunk_length.into();
        }
        if let Some(semantics) = semantics {
            parameters["semantics"] = semantics.into();
            parameters["num_hashes"] = self.num_hashes.into();
            parameters["num_buckets"] = json!(count.factors());
            parameters["exact"] = self.is_exact().into();
        }
        let rounds = semantics.map_or_else(|| "-".into(), |_| self.num_hashes.to_string());
        let result = Result {
            bench: "attention",
            parameters,
            flops: Some(flops),
            flops_formula: &format!("{times}4·batch·length·num_heads·head_dim·({formula})"),
            cells: vec![
                ("kind", self.kind.name().into()),
                ("pass", if backward { "fwd+bwd".into() } else { "forward".into() }),
                ("rounds", rounds),
                ("length", number::count(self.length)),
            ],
        };
        bench.report(result, &measured)
    }

    fn lsh_config(&self) -> LshConfig {
        let chunk = self.args.chunk_length;
        let config = match self.args.semantics {
            SemanticsChoice::Paper => LshConfig::paper(chunk),
            SemanticsChoice::HuggingFace => LshConfig::hugging_face(chunk),
            SemanticsChoice::Trax => LshConfig::trax(chunk),
            SemanticsChoice::Lucid => LshConfig::lucid(chunk),
        };
        LshConfig { visibility: config.visibility.with_causal(self.args.causal), ..config }
    }

    fn is_exact(&self) -> bool {
        self.lsh_config().is_exact(self.length)
    }

    fn attention(&self, seed: u64, count: &BucketCount) -> anyhow::Result<Hashing> {
        let args = self.args;
        let visibility = Visibility::CAUSAL.with_causal(args.causal);
        let attention = match self.kind {
            KindChoice::Lsh => Attention::Lsh(self.lsh_config()),
            KindChoice::Local => {
                Attention::Local(LocalConfig { visibility, ..LocalConfig::causal(args.chunk_length) })
            }
            KindChoice::Full => Attention::Full(FullConfig { visibility, ..FullConfig::causal() }),
        };
        let draw = |head| Rotations::draw(seed, 0, head, args.head_dim, self.num_hashes, count);
        let heads = if attention.hashes() { args.num_heads as u32 } else { 0 };
        let rotations = (0..heads).map(draw).collect::<std::result::Result<_, _>>()?;
        Ok(Hashing { attention, rotations })
    }

    /// Keys that a query is compared with, and the formula.
    fn keys(&self) -> (f64, &'static str) {
        let (length, window) = (self.length as f64, 2.0 * self.args.chunk_length as f64);
        match self.kind {
            KindChoice::Lsh if self.is_exact() => (length, "length"),
            KindChoice::Lsh => (self.num_hashes as f64 * window, "num_hashes·2·chunk_length"),
            KindChoice::Local => (window.min(length), "min(2·chunk_length, length)"),
            KindChoice::Full if self.args.causal => (f64::midpoint(length, 1.0), "(length + 1)/2"),
            KindChoice::Full => (length, "length"),
        }
    }
}

fn pass_name(pass: PassChoice) -> &'static str {
    match pass {
        PassChoice::Forward => "forward",
        PassChoice::ForwardBackward => "forward-backward",
    }
}

/// The loss' gradient and where its consequences go.
struct Sinks {
    dout: Matrix,
    dq: Matrix,
    dk: Option<Matrix>,
    dv: Matrix,
}

impl Sinks {
    /// Gradients are added to what is there: clearing is part of the work.
    fn clear(&mut self) {
        for gradient in [Some(&mut self.dq), self.dk.as_mut(), Some(&mut self.dv)].into_iter().flatten() {
            gradient.as_mut_slice().fill(0.0);
        }
    }
}

impl Hashing {
    fn hash(&self, cpu: &Cpu, layout: Layout, inputs: &Inputs<'_>) -> anyhow::Result<Vec<Buckets>> {
        if !self.attention.needs_buckets(layout.len) {
            return Ok(Vec::new());
        }
        let of_head = |index: usize| {
            let rotations = &self.rotations[index % layout.heads];
            hash_vectors(cpu, layout.head(inputs.q, index), rotations, None)
        };
        Ok((0..layout.head_count()).map(of_head).collect::<std::result::Result<_, _>>()?)
    }
}
