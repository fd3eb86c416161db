//! One head of trax's `LSHSelfAttention` in predict mode: the prompt in one pass, then a position at a time.

use reformer_attention::{Attention, Inputs, Layout, LshConfig};
use reformer_lsh::{BucketCount, Rotations, hash_one, hash_vectors};
use reformer_tensor::{Cpu, Matrix};
use reformer_testing::fixture::{Report, Tensors};
use serde_json::Value;

use super::trax_memory::{TraxMemory, TraxSizes};
use super::{CLOSE, LONE, count, matrix, product};

pub fn trax_head(config: &Value, tensors: &Tensors) -> Result<Report, String> {
    let text = |e: &dyn std::error::Error| e.to_string();
    let (x, w_o) = (matrix(tensors, "x")?, matrix(tensors, "w_o")?);
    let (q, v) = (
        product(x.view(), matrix(tensors, "w_q")?.view()),
        product(x.view(), matrix(tensors, "w_v")?.view()),
    );
    let (len, dim, prompt) = (q.rows(), q.cols(), count(config, "prompt", 0));
    let sizes = TraxSizes {
        chunk_length: count(config, "chunk_len", 64),
        chunks_before: count(config, "n_chunks_before", 1),
        rounds: count(config, "n_hashes", 1),
        mem_len: count(config, "predict_mem_len", 2048),
        drop_len: count(config, "predict_drop_len", 256),
    };
    let buckets = BucketCount::new(&[count(config, "n_buckets", 2)]).map_err(|e| text(&e))?;
    let num_buckets = buckets.total();
    let rotations = Rotations::given(dim, sizes.rounds, buckets, tensors.f32("rotations")?.to_vec())
        .map_err(|e| text(&e))?;

    let (cpu, mut attended) = (Cpu::single(), Matrix::zeros(len, dim));
    let (first_q, first_v) = (q.view().rows_range(0..prompt), v.view().rows_range(0..prompt));
    let hashed = hash_vectors(&cpu, first_q, &rotations, None).map_err(|e| text(&e))?;
    let settings = LshConfig { chunks_before: sizes.chunks_before, ..LshConfig::trax(sizes.chunk_length) };
    let layout = Layout { batch: 1, len: prompt, heads: 1, head_dim: dim };
    let (inputs, mut z) = (Inputs::shared(first_q, first_v), vec![0.0; prompt]);
    let mut rows = attended.view_mut();
    let out = rows.rows_range_mut(0..prompt);
    Attention::Lsh(settings).forward(&cpu, layout, &inputs, &[hashed], out, &mut z).map_err(|e| text(&e))?;

    let mut memory = TraxMemory::new(dim, sizes).map_err(|e| text(&e))?;
    let expected = tensors.i64("buckets")?;
    let mut ids = vec![0; sizes.rounds];
    for t in 0..len {
        hash_one(q.row(t), &rotations, &mut ids);
        for (r, &id) in ids.iter().enumerate() {
            // Offsets are part of the ids there.
            let theirs = expected[r * sizes.mem_len + t] as usize - r * num_buckets;
            if theirs != id as usize {
                return Err(format!("position {t} is in bucket {id} of round {r}, in {theirs} there"));
            }
        }
        memory.push(q.row(t), v.row(t), &ids).map_err(|e| text(&e))?;
        if t >= prompt {
            memory.attend(q.row(t), attended.row_mut(t)).map_err(|e| text(&e))?;
        }
    }
    let out = product(attended.view(), w_o.view());
    let mut report = Report::default();
    let width = out.cols();
    // The first row sees only itself.
    let allowance = |i: usize| Some(if i < width { LONE } else { CLOSE });
    report.compare_where("out", out.as_slice(), tensors.f32("out")?, allowance);
    Ok(report)
}
