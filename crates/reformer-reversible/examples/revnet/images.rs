//! Grey 28x28 images with labels, from IDX files (big-endian counts, then bytes), gzipped.

use std::{error::Error, fs::File, io::Read, path::Path};

use flate2::read::GzDecoder;
use reformer_tensor::{Address, Matrix, Purpose};

/// Height and width.
pub(crate) const SIDE: usize = 28;
/// Pixels of an image.
pub(crate) const PIXELS: usize = SIDE * SIDE;

/// Images, a row per pixel, and their labels.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    /// `[images·28·28, 1]`, mean about 0, deviation about 1
    pub(crate) pixels: Matrix,
    pub(crate) labels: Vec<u32>,
}

impl Set {
    pub(crate) fn len(&self) -> usize {
        self.labels.len()
    }

    /// The images at `indices`, those in `mirrored` places left to right.
    pub(crate) fn pick(&self, indices: &[usize], mirrored: impl Fn(usize) -> bool) -> Self {
        let mut pixels = Matrix::zeros(indices.len() * PIXELS, 1);
        for (i, (to, &from)) in pixels.as_mut_slice().chunks_exact_mut(PIXELS).zip(indices).enumerate() {
            to.copy_from_slice(&self.pixels.as_slice()[from * PIXELS..(from + 1) * PIXELS]);
            if mirrored(i) {
                to.chunks_exact_mut(SIDE).for_each(<[f32]>::reverse);
            }
        }
        Self { pixels, labels: indices.iter().map(|&i| self.labels[i]).collect() }
    }

    /// The set in order, `size` images at a time.
    pub(crate) fn batches(&self, size: usize) -> impl Iterator<Item = Self> {
        let all: Vec<usize> = (0..self.len()).collect();
        let batches: Vec<Vec<usize>> = all.chunks(size).map(<[usize]>::to_vec).collect();
        batches.into_iter().map(|indices| self.pick(&indices, |_| false))
    }

    /// An epoch: the set shuffled by its address, every other image or so mirrored, the ragged rest left out.
    pub(crate) fn epoch(&self, size: usize, epoch: u64) -> impl Iterator<Item = Self> {
        let address = Address { seed: 0, step: epoch, layer: 0, purpose: Purpose::Shuffle };
        let mut order: Vec<usize> = (0..self.len()).collect();
        order.sort_by_key(|&i| address.bits(i as u64));
        let batches: Vec<Vec<usize>> = order.chunks_exact(size).map(<[usize]>::to_vec).collect();
        batches.into_iter().enumerate().map(move |(b, indices)| {
            let mirror = address.sub(b as u64);
            self.pick(&indices, |i| mirror.bits(i as u64) & 1 == 1)
        })
    }

    /// Reads `t10k-images-idx3-ubyte.gz` and `t10k-labels-idx1-ubyte.gz`.
    pub(crate) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let (shape, bytes) = idx(&folder.join("t10k-images-idx3-ubyte.gz"))?;
        let (label_shape, labels) = idx(&folder.join("t10k-labels-idx1-ubyte.gz"))?;
        if shape[1..] != [SIDE, SIDE] || label_shape != shape[..1] {
            return Err(format!("images of shape {shape:?} and labels of shape {label_shape:?}").into());
        }
        let pixels: Vec<f32> = bytes.iter().map(|&b| (f32::from(b) / 255.0 - 0.286) / 0.353).collect();
        Ok(Self {
            pixels: Matrix::from_vec(pixels.len(), 1, pixels),
            labels: labels.into_iter().map(u32::from).collect(),
        })
    }
}

/// Shape and bytes of a gzipped IDX file of unsigned bytes.
fn idx(path: &Path) -> Result<(Vec<usize>, Vec<u8>), Box<dyn Error>> {
    let file = File::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut bytes = Vec::new();
    GzDecoder::new(file).read_to_end(&mut bytes).map_err(|e| format!("{}: {e}", path.display()))?;
    let (head, rest) = bytes.split_at_checked(4).ok_or("an IDX file of fewer than 4 bytes")?;
    let dims = usize::from(head[3]);
    if head[..3] != [0, 0, 8] || rest.len() < 4 * dims || dims == 0 {
        return Err(format!("{} is not an IDX file of bytes", path.display()).into());
    }
    let (counts, data) = rest.split_at(4 * dims);
    let shape: Vec<usize> = counts.as_chunks().0.iter().map(|&c| u32::from_be_bytes(c) as usize).collect();
    if shape.iter().product::<usize>() != data.len() {
        return Err(format!("{}: {} bytes for shape {shape:?}", path.display(), data.len()).into());
    }
    Ok((shape, data.to_vec()))
}
