//! Vectors to explain on: the user's, from a NumPy file, or a cloud made here.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context, bail};
use npyz::{DType, NpyFile, Order};
use reformer::tensor::{Address, Matrix, Purpose};

/// Rows used of a longer file: a lesson, not an index.
pub(crate) const MOST: usize = 20_000;

/// Reads a matrix `[rows, dim]` of f32 or f64, C order; of a longer one the first [`MOST`] rows.
pub(crate) fn read(path: &Path) -> anyhow::Result<Matrix> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot read {name}"))?;
    let npy = NpyFile::new(BufReader::new(file))
        .with_context(|| format!("{name} is no NumPy file: save the matrix with numpy.save"))?;
    let shape = npy.shape().to_vec();
    let &[rows, dim] = shape.as_slice() else {
        bail!("{name} holds an array of shape {shape:?}; vectors are the rows of a matrix, [rows, dim]");
    };
    if rows < 2 || dim < 2 {
        bail!("{name} holds {rows} vectors of {dim} numbers; give at least 2 of at least 2");
    }
    if npy.order() != Order::C {
        bail!("{name} is in Fortran order; save it with numpy.save(file, numpy.ascontiguousarray(x))");
    }
    let (rows, dim) = (usize::try_from(rows)?.min(MOST), usize::try_from(dim)?);
    let kind = match npy.dtype() {
        DType::Plain(kind) => kind.to_string(),
        other => other.descr(),
    };
    let cannot = || format!("{name} ends before its {rows} vectors do, or cannot be read");
    let values: Vec<f32> = match kind.trim_start_matches(['<', '=', '|']) {
        "f4" => npy.data::<f32>()?.take(rows * dim).collect::<Result<_, _>>().with_context(cannot)?,
        "f8" => {
            let numbers = npy.data::<f64>()?.take(rows * dim);
            numbers.map(|x| x.map(|x| x as f32)).collect::<Result<_, _>>().with_context(cannot)?
        }
        other => bail!("{name} holds numbers of type {other}; save f32 or f64 (x.astype(numpy.float32))"),
    };
    if values.len() != rows * dim {
        bail!("{name} holds {} numbers where {rows} vectors of {dim} need {}", values.len(), rows * dim);
    }
    if let Some(at) = values.iter().position(|x| !x.is_finite()) {
        let (row, column, value) = (at / dim, at % dim, values[at]);
        bail!("{name} holds {value} in row {row}, column {column}; only finite numbers have a direction");
    }
    Ok(Matrix::from_vec(rows, dim, values))
}

/// `count` vectors around `centres` random ones: alike within a group, as embeddings of one topic are.
pub(crate) fn clusters(seed: u64, count: usize, dim: usize, centres: usize, spread: f32) -> Matrix {
    let place = Address::new(seed, Purpose::Corpus);
    let (mut centre, mut noise) = (Matrix::zeros(centres, dim), Matrix::zeros(count, dim));
    place.sub(1).fill_normal(centre.as_mut_slice());
    place.sub(2).fill_normal(noise.as_mut_slice());
    Matrix::from_fn(count, dim, |i, d| centre.row(i % centres)[d] + spread * noise.row(i)[d])
}

/// Independent normal numbers.
pub(crate) fn normal(seed: u64, rows: usize, cols: usize) -> Matrix {
    let mut x = Matrix::zeros(rows, cols);
    Address::new(seed, Purpose::Corpus).sub(3).fill_normal(x.as_mut_slice());
    x
}
