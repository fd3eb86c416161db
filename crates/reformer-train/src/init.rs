//! Another model's weights as a run's beginning, whatever fits of them.
//!
//! ```text
//! vocabulary    row by row: a token takes the row of the token of the same text; new tokens stay fresh
//! positions     a longer table repeats the shorter one's rows, a shorter one takes the first ones
//! the rest      taken where name and shape agree, fresh where not
//! ```
//! The optimizer begins anew, as do the steps.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};

use reformer_model::Model;
use reformer_text::Tokenizer;
use serde::Serialize;

use crate::error::TrainError;

/// What became of every tensor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InitReport {
    /// Whose weights they are.
    pub from: PathBuf,
    /// Tensors that were taken as they are.
    pub taken: usize,
    /// Tensors of which rows were taken, with what was done.
    pub resized: Vec<String>,
    /// Tensors that nothing was taken for.
    pub fresh: Vec<String>,
    /// Tensors of the other model that this one has no use for.
    pub left: Vec<String>,
}

/// Gives `model` what fits of the weights in the checkpoint directory `from`.
pub(crate) fn initialize(
    model: &mut Model,
    tokenizer: &Tokenizer,
    from: &Path,
) -> Result<InitReport, TrainError> {
    let other = Model::load(from)?;
    let rows = vocabulary(tokenizer, &Tokenizer::load(from)?);
    let mut report = InitReport { from: from.to_owned(), ..InitReport::default() };
    let wanted: Vec<(String, Vec<usize>)> =
        model.parameters().iter().map(|(name, shape, _)| (name.to_owned(), shape.to_vec())).collect();
    for (name, _, _) in other.parameters().iter() {
        if !wanted.iter().any(|(own, _)| own == name) {
            report.left.push(name.to_owned());
        }
    }
    for (name, shape) in wanted {
        let own = model.parameters_mut().find_mut(&name).expect("the model has its own tensors");
        let Some((was, values)) = other.parameters().find(&name) else {
            report.fresh.push(name);
            continue;
        };
        if is_vocabulary(&name) && was[1..] == shape[1..] {
            let width = shape[1..].iter().product();
            let known = rows.iter().filter(|&&(row, _)| row < shape[0]);
            let mut taken = 0;
            for &(row, old) in known.filter(|&&(_, old)| old < was[0]) {
                own[row * width..][..width].copy_from_slice(&values[old * width..][..width]);
                taken += 1;
            }
            let same = taken == shape[0] && was == shape && rows.iter().all(|(row, old)| row == old);
            if same {
                report.taken += 1;
            } else {
                report.resized.push(format!("{name}: {taken} of {} rows, by their tokens", shape[0]));
            }
        } else if was == shape {
            own.copy_from_slice(values);
            report.taken += 1;
        } else if let Some(axis) = table_axis(&name, was, &shape) {
            let width = *shape.last().expect("a table has columns");
            for (at, row) in own.chunks_exact_mut(width).enumerate() {
                row.copy_from_slice(&values[at % was[axis] * width..][..width]);
            }
            let how = if shape[axis] > was[axis] { "repeated" } else { "cut" };
            report.resized.push(format!("{name}: {how} from {} to {} rows", was[axis], shape[axis]));
        } else {
            report.fresh.push(format!("{name}: {shape:?}, there {was:?}"));
        }
    }
    if report.taken == 0 && report.resized.is_empty() {
        return Err(TrainError::NothingInCommon(from.to_owned()));
    }
    Ok(report)
}

/// Pairs of a token here and the token of the same text there.
fn vocabulary(own: &Tokenizer, other: &Tokenizer) -> Vec<(usize, usize)> {
    // A special token may have the text of a plain one.
    let key = |tokenizer: &Tokenizer, id: u32| (tokenizer.token_bytes(id), tokenizer.token_name(id));
    let known: HashMap<_, usize> =
        (0..other.vocab_size() as u32).rev().map(|id| (key(other, id), id as usize)).collect();
    (0..own.vocab_size() as u32)
        .filter_map(|id| known.get(&key(own, id)).map(|&old| (id as usize, old)))
        .collect()
}

fn is_vocabulary(name: &str) -> bool {
    name.ends_with("word_embeddings.weight") || name.starts_with("lm_head.")
}

/// The axis along which two position tables differ, if it is their only one that is longer than 1.
fn table_axis(name: &str, was: &[usize], shape: &[usize]) -> Option<usize> {
    if !name.contains("position_embeddings") || was.last() != shape.last() {
        return None;
    }
    let axis = |shape: &[usize]| shape[..shape.len() - 1].iter().position(|&size| size > 1).unwrap_or(0);
    (was.len() == shape.len() && axis(was) == axis(shape)).then(|| axis(shape))
}

impl fmt::Display for InitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tensors = |count: usize| if count == 1 { "tensor" } else { "tensors" };
        write!(f, "weights of {}: {} {} as they are", self.from.display(), self.taken, tensors(self.taken))?;
        for (what, names) in [("resized", &self.resized), ("fresh", &self.fresh), ("left there", &self.left)]
        {
            if !names.is_empty() {
                write!(f, "; {} {what} ({})", names.len(), names.join(", "))?;
            }
        }
        Ok(())
    }
}
