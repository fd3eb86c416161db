//! One reversible block: output, reconstruction, gradients of inputs and parameters.

use std::sync::Arc;

use reformer_lsh::BucketCount;
use reformer_model::config::{Buckets, ChunkWrap, Config, Fields, KeyNormKind, Kind};
use reformer_model::sublayer::Shape;
use reformer_model::{GradientStream, Group, Model, Pass};
use reformer_reversible::{Block, Streams};
use reformer_tensor::{Cpu, Matrix};
use reformer_testing::fixture::{Report, Tensors};

use reformer_testing::fixture::model::rotations;

/// Round-off through two sublayers and back.
const ALLOWANCE: f64 = 1e-4;
/// Two rounds: the peers' rounding of lone rows (see the module above).
const ROUNDS: f64 = 5e-3;

/// What a block makes of streams and their gradients.
struct Outcome {
    y: Streams<Matrix>,
    restored: Streams<Matrix>,
    dx: Streams<Matrix>,
    gradient: Group,
}

fn run(
    model: &Model,
    pass: &Pass,
    rows: usize,
    len: usize,
    x: Streams<Matrix>,
    dy: Streams<Matrix>,
) -> Result<Outcome, String> {
    let cpu = Cpu::single();
    let text = |e: reformer_model::ModelError| e.to_string();
    let block = model.block(0, Shape { rows, len, mask: None }, pass).map_err(text)?;
    let mut streams = x;
    let mut grads = Streams { first: dy.first.into(), second: dy.second.into() };
    let saved = block.forward(&cpu, &mut streams).map_err(text)?;
    let y = streams.clone();
    let mut gradient = model.parameters().group(1).zeros_like();
    block.reverse_and_grad(&cpu, &mut streams, &saved, &mut grads, &mut gradient).map_err(text)?;
    let dx = Streams {
        first: GradientStream::into_matrix(grads.first),
        second: GradientStream::into_matrix(grads.second),
    };
    Ok(Outcome { y, restored: streams, dx, gradient })
}

fn matrix(tensors: &Tensors, name: &str) -> Result<Matrix, String> {
    let shape = tensors.shape(name)?;
    Ok(Matrix::from_slice(shape[0] * shape[1], shape[2], tensors.f32(name)?))
}

/// The name in a fixture of a parameter of block 0.
fn fill(model: &mut Model, tensors: &Tensors, name: impl Fn(&str) -> Option<String>) -> Result<(), String> {
    let group = &mut model.parameters_mut().groups_mut()[1];
    for i in 0..group.specs().len() {
        let own = group.specs()[i].name.trim_start_matches("reformer.encoder.layers.0.").to_owned();
        let name = name(&own).ok_or_else(|| format!("no fixture name for {own}"))?;
        group.tensor_mut(i).copy_from_slice(tensors.f32(&name)?);
    }
    Ok(())
}

fn compare_gradients(
    report: &mut Report,
    gradient: &Group,
    tensors: &Tensors,
    name: impl Fn(&str) -> Option<String>,
) -> Result<(), String> {
    for (i, spec) in gradient.specs().iter().enumerate() {
        let own = spec.name.trim_start_matches("reformer.encoder.layers.0.");
        let name = format!("grad_{}", name(own).ok_or_else(|| format!("no fixture name for {own}"))?);
        report.compare(&name, gradient.tensor(i), tensors.f32(&name)?, ROUNDS);
    }
    Ok(())
}

pub(crate) fn hf_reversible_layer(config: &serde_json::Value, tensors: &Tensors) -> Result<Report, String> {
    let config = Config::from_json(&config.to_string()).map_err(|e| e.to_string())?;
    let heads = config.num_attention_heads;
    let given = rotations(tensors, "rotations", heads, config.buckets())?;
    let mut model = Model::new(config, 0);
    let same = |name: &str| Some(name.to_owned());
    fill(&mut model, tensors, same)?;
    let pass = Pass { rotations: Some(Arc::new(vec![given])), ..Pass::evaluation() };
    let shape = tensors.shape("x1")?;
    let pair = |a: &str, b: &str| {
        Ok::<_, String>(Streams { first: matrix(tensors, a)?, second: matrix(tensors, b)? })
    };
    let got = run(&model, &pass, shape[0], shape[1], pair("x1", "x2")?, pair("grad_y1", "grad_y2")?)?;
    let mut report = Report::default();
    for (name, got, allowance) in [
        ("y1", &got.y.first, ROUNDS),
        ("y2", &got.y.second, ROUNDS),
        ("rec_x1", &got.restored.first, ALLOWANCE),
        ("rec_x2", &got.restored.second, ALLOWANCE),
        ("grad_x1", &got.dx.first, ROUNDS),
        ("grad_x2", &got.dx.second, ROUNDS),
    ] {
        report.compare(name, got.as_slice(), tensors.f32(name)?, allowance);
    }
    compare_gradients(&mut report, &got.gradient, tensors, same)?;
    Ok(report)
}

/// The names of reformer-pytorch's block.
fn lucid(name: &str) -> Option<String> {
    Some(
        match name {
            "attention.layer_norm.weight" => "f.net.norm.weight",
            "attention.layer_norm.bias" => "f.net.norm.bias",
            "attention.self_attention.query_key.weight" => "f.net.fn.toqk.weight",
            "attention.self_attention.value.weight" => "f.net.fn.tov.weight",
            "attention.output.dense.weight" => "f.net.fn.to_out.weight",
            "feed_forward.layer_norm.weight" => "g.net.norm.weight",
            "feed_forward.layer_norm.bias" => "g.net.norm.bias",
            "feed_forward.dense.dense.weight" => "g.net.fn.w1.weight",
            "feed_forward.dense.dense.bias" => "g.net.fn.w1.bias",
            "feed_forward.output.dense.weight" => "g.net.fn.w2.weight",
            "feed_forward.output.dense.bias" => "g.net.fn.w2.bias",
            _ => return None,
        }
        .into(),
    )
}

pub(crate) fn lucid_reversible_block(
    config: &serde_json::Value,
    tensors: &Tensors,
) -> Result<Report, String> {
    let number =
        |key: &str| config[key].as_u64().map(|v| v as usize).ok_or_else(|| format!("config has no {key}"));
    let (dim, heads, chunk) = (number("dim")?, number("heads")?, number("bucket_size")?);
    let shape = tensors.shape("x")?.to_vec();
    let fields = Fields {
        hidden_size: dim,
        num_attention_heads: heads,
        attention_head_size: dim / heads,
        feed_forward_size: dim * number("ff_mult")?,
        attn_layers: vec![Kind::Lsh],
        lsh_attn_chunk_length: chunk,
        num_buckets: Some(Buckets::Single(shape[1] / chunk)),
        num_hashes: number("n_hashes")?,
        is_decoder: config["causal"].as_bool().unwrap_or(false),
        hidden_act: "gelu".into(),
        layer_norm_eps: 1e-5,
        hidden_dropout_prob: 0.0,
        axial_pos_embds: false,
        lsh_chunk_wrap: ChunkWrap::Circular,
        lsh_key_norm: KeyNormKind::UnitScaled,
        lsh_exact_below: Some(0),
        ..Fields::default()
    };
    let config = Config::check(fields).map_err(|e| e.to_string())?;
    let count = BucketCount::new(&[shape[1] / chunk]).map_err(|e| e.to_string())?;
    let given = rotations(tensors, "rotations", heads, &count)?;
    let mut model = Model::new(config, 0);
    fill(&mut model, tensors, lucid)?;
    let pass = Pass { rotations: Some(Arc::new(vec![given])), ..Pass::evaluation() };

    // Halves lie side by side. `to_out` has a bias, which Hugging Face's has not: it is added to the first stream,
    // where it would arrive, and its gradient is that stream's column sums.
    let bias = tensors.f32("f.net.fn.to_out.bias")?;
    let halves = |name: &str| {
        let both = matrix(tensors, name)?;
        let half = |from: usize| Matrix::from_fn(both.rows(), dim, |i, j| both.row(i)[from + j]);
        Ok::<_, String>(Streams { first: half(0), second: half(dim) })
    };
    let shift = |m: &Matrix, sign: f32| Matrix::from_fn(m.rows(), dim, |i, j| m.row(i)[j] + sign * bias[j]);
    let mut x = halves("x")?;
    x.first = shift(&x.first, 1.0);
    let got = run(&model, &pass, shape[0], shape[1], x, halves("grad_y")?)?;
    let joined = |s: &Streams<Matrix>| -> Vec<f32> {
        (0..s.first.rows()).flat_map(|i| [s.first.row(i), s.second.row(i)].concat()).collect()
    };
    let restored = Streams { first: shift(&got.restored.first, -1.0), second: got.restored.second.clone() };
    let mut report = Report::default();
    report.compare("y", &joined(&got.y), tensors.f32("y")?, ROUNDS);
    report.compare("rec_x", &joined(&restored), tensors.f32("rec_x")?, ALLOWANCE);
    report.compare("grad_x", &joined(&got.dx), tensors.f32("grad_x")?, ROUNDS);
    let sums: Vec<f32> =
        (0..dim).map(|j| (0..got.dx.first.rows()).map(|i| got.dx.first.row(i)[j]).sum()).collect();
    report.compare("grad_f.net.fn.to_out.bias", &sums, tensors.f32("grad_f.net.fn.to_out.bias")?, ROUNDS);
    compare_gradients(&mut report, &got.gradient, tensors, lucid)?;
    Ok(report)
}
