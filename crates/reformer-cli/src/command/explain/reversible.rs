//! The unit on reversible layers: a block and its inverse, why, what it saves, and what noise and round-off do to it.

use std::cell::Cell;

use reformer::model::config::Buckets;
use reformer::model::memory::{MemoryEstimate, Setup};
use reformer::model::sublayer::Shape;
use reformer::model::{Batch, Config, Fields, Kind, Model, Pass};
use reformer::reversible::{Block as _, Coupling, Streams};
use reformer::tensor::{Address, Cpu, Matrix, Purpose};

use super::lesson::{Lesson, Step};
use super::noise::{Function, Noise, distance, round_trips};
use super::vectors;
use crate::figure::{Axis, Figure, Scale, Series};
use crate::number::{bytes, count};
use crate::open_model::OpenModel;
use crate::process;

const GIB: f64 = (1u64 << 30) as f64;

pub(crate) fn lesson(cpu: &Cpu, opened: Option<&OpenModel>, seed: u64) -> anyhow::Result<Lesson> {
    let steps = vec![block(), motivation()?, measured(cpu)?, noise(seed), round_off(cpu, opened, seed)?];
    Ok(Lesson { unit: "reversible", steps })
}

fn block() -> Step {
    let block = Coupling { f: Function::times(2.0), g: Function::times(10.0) };
    let one = Matrix::from_slice(1, 1, &[1.0]);
    let mut streams = Streams { first: one.clone(), second: one };
    let show = |s: &Streams<Matrix>| format!("({}, {})", s.first.as_slice()[0], s.second.as_slice()[0]);
    let mut there = vec![format!("input   {}", show(&streams))];
    for number in 1..=2 {
        let Ok(_) = block.forward(&(), &mut streams);
        there.push(format!("block {number} {}", show(&streams)));
    }
    let output = [streams.first.as_slice()[0], streams.second.as_slice()[0]];
    let mut back = vec![format!("output  {}", show(&streams))];
    for number in [2, 1] {
        let Ok(()) = block.inverse(&(), &mut streams);
        back.push(format!("before block {number} {}", show(&streams)));
    }
    Step::new("A block that can be run backwards")
        .say("A residual layer y = x + F(x) cannot be undone: from y one does not get x. With two streams that take turns one can, whatever F and G are:")
        .table(["y1 = x1 + F(x2)        x2 = y2 - G(y1)", "y2 = x2 + G(y1)        x1 = y1 - F(x2)"].map(String::from))
        .say("With F = 2x, G = 10x and both streams 1:")
        .table(there)
        .table(back)
        .say("In a Reformer F is attention and G the feed-forward layer.")
        .number("output", output.to_vec())
}

/// The reading's model: a million tokens, streams of 512 numbers, feed-forward 2048.
fn million(layers: usize) -> anyhow::Result<Config> {
    let shape = vec![1024, 1024];
    Ok(Config::check(Fields {
        vocab_size: 320,
        hidden_size: 512,
        num_attention_heads: 8,
        attention_head_size: 64,
        feed_forward_size: 2048,
        attn_layers: vec![Kind::Lsh; layers],
        axial_pos_shape: shape,
        axial_pos_embds_dim: vec![256, 256],
        num_buckets: Some(Buckets::Factored(vec![128, 256])),
        is_decoder: true,
        ..Fields::paper()
    })?)
}

fn motivation() -> anyhow::Result<Step> {
    const TOKENS: usize = 1 << 20;
    let stream = (TOKENS * 512 * size_of::<f32>()) as f64 / GIB;
    let depths = [1usize, 4, 8, 12];
    let mut lines: [Vec<(f64, f64)>; 4] = Default::default();
    for depth in depths {
        let config = million(depth)?;
        let reversible = Setup::trainer(0);
        let with = MemoryEstimate::of(&config, 1, TOKENS, &reversible);
        let plain = MemoryEstimate::of(&config, 1, TOKENS, &Setup { reversible: false, ..reversible });
        // Checkpointing: the same code, but the streams before every block are kept instead of restored.
        let pairs = depth as f64 * 2.0 * stream;
        let gib = |bytes: usize| bytes as f64 / GIB;
        let at = depth as f64;
        lines[0].push((at, gib(plain.activation_bytes())));
        lines[1].push((at, (2.0 * at + 1.0) * stream));
        lines[2].push((at, pairs + gib(with.activation_bytes())));
        lines[3].push((at, gib(with.activation_bytes())));
    }
    let row = |i: usize| {
        let [plain, reading, checkpointed, reversible] = [0, 1, 2, 3].map(|line: usize| lines[line][i].1);
        format!(
            "{:>6}   {reading:>8.0}   {plain:>8.0}   {checkpointed:>12.0}   {reversible:>10.1}",
            depths[i]
        )
    };
    let header = "blocks   reading   keep all   checkpointed   reversible     GiB".to_owned();
    let rows: Vec<String> = std::iter::once(header).chain((0..depths.len()).map(row)).collect();
    let names = ["keep all", "the reading's count", "checkpointed", "reversible"];
    let reading = lines[1][3].1;
    let reversible = lines[3][3].1;
    let figure = Figure {
        title: "Activations of a training step on a million tokens".into(),
        subtitle: "streams of 512 numbers, feed-forward 2048, LSH attention; by the planner of this project"
            .into(),
        x: Axis { label: "blocks (attention and feed-forward)".into(), scale: Scale::Linear },
        y: Axis { label: "GiB".into(), scale: Scale::Linear },
        series: lines
            .into_iter()
            .zip(names)
            .enumerate()
            .map(|(look, (points, name))| Series {
                name: name.into(),
                points,
                dashed: look == 1,
                marks: true,
                look,
            })
            .collect(),
    };
    Ok(Step::new("Why: memory")
        .say(format!("A million tokens of 512 numbers are {stream:.0} GiB. The reading counts one such input for each of 12 attention and 12 feed-forward layers and the model's own: 12·2 + 12·2 + 2 = {reading:.0} GiB. A plain implementation keeps more than its layers' inputs (projections, inner values); one that checkpoints keeps the streams before each block; a reversible one keeps the last pair alone:"))
        .table(rows)
        .say("What the last column holds is the two streams and their gradients, the buckets, and one layer's working set: it hardly grows with depth. `reformer plan RECIPE --length 1048576` says it for a recipe of yours.")
        .number("reading_gib", reading)
        .number("reversible_gib", reversible)
        .picture("memory.svg", figure.svg()))
}

fn measured(cpu: &Cpu) -> anyhow::Result<Step> {
    const TOKENS: usize = 2048;
    let config = |layers: usize| {
        Config::check(Fields {
            vocab_size: 64,
            hidden_size: 64,
            num_attention_heads: 2,
            attention_head_size: 32,
            feed_forward_size: 256,
            attn_layers: vec![Kind::Local; layers],
            axial_pos_shape: vec![64, 64],
            axial_pos_embds_dim: vec![32, 32],
            is_decoder: true,
            ..Fields::paper()
        })
    };
    let ids: Vec<u32> = (0..=TOKENS).map(|i| (i * i % 61) as u32).collect();
    let batch = Batch::next_token(1, TOKENS, &ids);
    let step = |layers: usize| -> anyhow::Result<Option<usize>> {
        let model = Model::new(config(layers)?, 1);
        let before = process::restart_peak().then(process::now).flatten();
        model.forward_backward(cpu, &batch, &Pass::training(1, 0), 1.0, &mut |_, _| {})?;
        Ok(before.zip(process::peak()).map(|(before, peak)| peak.saturating_sub(before)))
    };
    // The first step leaves the workspace's buffers behind; what later ones add is what depth costs.
    step(1)?;
    let depths = [1, 4, 8];
    let mut rows = vec!["blocks    step took    keeping all would".to_owned()];
    let mut taken = Vec::new();
    for depth in depths {
        let plain = Setup { reversible: false, ..Setup::trainer(0) };
        let kept = MemoryEstimate::of(&config(depth)?, 1, TOKENS, &plain).kept;
        let took = step(depth)?;
        taken.push(took);
        let took = took.map_or_else(|| "unknown".into(), bytes);
        rows.push(format!("{depth:>6}   {took:>10}    + {:>10}", bytes(kept)));
    }
    Ok(Step::new("Measured")
        .say(format!("The memory that training steps on {} tokens of a small model added to this process, beyond the model and the buffers of a step before them:", count(TOKENS)))
        .table(rows)
        .say("The system tells the program's peak on Linux only; elsewhere it is unknown here.")
        .number("blocks", depths.to_vec())
        .number("bytes", taken))
}

fn noise(seed: u64) -> Step {
    const BLOCKS: usize = 12;
    let x = vectors::normal(seed, 2, 64);
    let half = |row: usize| Matrix::from_slice(1, 64, x.row(row));
    let x = Streams { first: half(0), second: half(1) };
    let replayed = round_trips(BLOCKS, &x, &|sublayer| {
        Noise::Replayed(Address { layer: sublayer as u32, ..Address::new(seed, Purpose::Corpus) })
    });
    let fresh = round_trips(BLOCKS, &x, &|sublayer| Noise::Fresh(Cell::new(1000 * sublayer as u64)));
    let none = round_trips(BLOCKS, &x, &|_| Noise::None);
    let row = |depth: usize| {
        format!(
            "{depth:>6}   {:>9.1e}   {:>9.1e}   {:>9.1e}",
            none[depth - 1],
            replayed[depth - 1],
            fresh[depth - 1]
        )
    };
    let header = "blocks    no noise    replayed   drawn anew".to_owned();
    let series = |name: &str, errors: &[f64], look| Series {
        name: name.into(),
        points: errors.iter().enumerate().map(|(i, e)| (i as f64 + 1.0, *e)).collect(),
        dashed: false,
        marks: true,
        look,
    };
    let figure = Figure {
        title: "How far the inverse ends from the input".into(),
        subtitle: "tanh blocks with noise of size 0.1 in F and G; largest error of 128 numbers".into(),
        x: Axis { label: "blocks undone".into(), scale: Scale::Linear },
        y: Axis { label: "error".into(), scale: Scale::Powers },
        series: vec![
            series("drawn anew", &fresh, 1),
            series("replayed", &replayed, 0),
            series("no noise", &none, 2),
        ],
    };
    Step::new("Noise must be replayed")
        .say("Dropout is noise in F and G. Run backwards, a block computes F again: with other noise it subtracts something else than it added, and the input does not come back:")
        .table(std::iter::once(header).chain([1, 2, 4, 8, 12].map(row)))
        .say("trax hands the layer the same random key twice; transformers reseeds a global generator. Here every random number has an address (seed, step, layer, purpose), so that recomputing gives the same one and there is no state to save. Buckets are a decision too: the reverse pass is handed those of the forward pass.")
        .number("replayed", replayed)
        .number("fresh", fresh)
        .picture("noise.svg", figure.svg())
}

fn round_off(cpu: &Cpu, opened: Option<&OpenModel>, seed: u64) -> anyhow::Result<Step> {
    const TOKENS: usize = 64;
    let fresh;
    let (model, whose) = if let Some(opened) = opened {
        (&opened.model, format!("the model in {}", opened.folder.display()))
    } else {
        let config = Config::check(Fields {
            vocab_size: 64,
            hidden_size: 64,
            num_attention_heads: 2,
            attention_head_size: 32,
            feed_forward_size: 128,
            attn_layers: vec![Kind::Local; 16],
            axial_pos_shape: vec![8, 8],
            axial_pos_embds_dim: vec![32, 32],
            is_decoder: true,
            ..Fields::paper()
        })?;
        fresh = Model::new(config, seed);
        (&fresh, "an untrained model of 16 blocks".to_owned())
    };
    let len = model.config().position_limit().map_or(TOKENS, |limit| limit.min(TOKENS));
    let vocab = model.config().vocab_size.min(61);
    let ids: Vec<u32> = (0..len).map(|i| (i * i % vocab) as u32).collect();
    let (pass, shape) = (Pass::evaluation(), Shape { rows: 1, len, mask: None });
    let x = model.embed(cpu, &ids, 1, len)?;
    let input = Streams { first: x.clone(), second: x };
    let mut streams = input.clone();
    let (mut rows, mut errors) = (vec!["blocks   largest error".to_owned()], Vec::new());
    for depth in 1..=model.config().layers() {
        model.block(depth - 1, shape, &pass)?.forward(cpu, &mut streams)?;
        if !depth.is_power_of_two() && depth != model.config().layers() {
            continue;
        }
        let mut back = streams.clone();
        for block in (0..depth).rev() {
            model.block(block, shape, &pass)?.inverse(cpu, &mut back)?;
        }
        let error = distance(&back, &input);
        rows.push(format!("{depth:>6}   {error:>13.1e}"));
        errors.push(error);
    }
    Ok(Step::new("Round-off")
        .say(format!("Adding and subtracting the same number rounds. Real blocks, run forward over {len} tokens and undone ({whose}):"))
        .table(rows)
        .say("That is the size of the last digit of an f32: the gradients of a reversible pass are those of a pass that kept everything.")
        .number("errors", errors))
}
