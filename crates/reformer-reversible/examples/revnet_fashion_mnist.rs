//! A small RevNet that learns Fashion-MNIST: reversible layers are not only for attention.
//!
//! ```text
//! cargo run --release -p reformer-reversible --example revnet_fashion_mnist -- FOLDER
//! ```
//!
//! FOLDER holds `t10k-images-idx3-ubyte.gz` and `t10k-labels-idx1-ubyte.gz` (10,000 images; Debian's package
//! dataset-fashion-mnist has them); without it, `$REFORMER_DATA/images`. The first 9,000 are learnt, the last 1,000
//! tested. It prints (52 s of processor time; the two cores were shared with other work, hence the seconds shown):
//!
//! ```text
//! 20170 parameters, 4 blocks; 9000 images to learn, 1000 to test
//! epoch  1: loss 1.021, test loss 0.744, test accuracy 72.5 %, 21 s
//! epoch  2: loss 0.655, test loss 0.574, test accuracy 79.1 %, 42 s
//! epoch  3: loss 0.546, test loss 0.593, test accuracy 78.5 %, 57 s
//! epoch  4: loss 0.475, test loss 0.501, test accuracy 82.8 %, 80 s
//! epoch  5: loss 0.432, test loss 0.449, test accuracy 83.8 %, 96 s
//! epoch  6: loss 0.387, test loss 0.431, test accuracy 84.0 %, 115 s
//! all blocks there and back: off by 3.4e-7 of the largest activation
//! ```
//!
//! 24 channels and 10 epochs reach 88.3 % in four times the processor time.

#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

mod revnet;

use std::{env, error::Error, path::PathBuf, time::Instant};

use reformer_tensor::Cpu;
use revnet::{images::Set, network::RevNet};

const DEPTH: usize = 4;
const CHANNELS: usize = 16;
const BATCH: usize = 50;
const EPOCHS: u64 = 6;
const RATE: f32 = 4e-3;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .or_else(|| env::var_os("REFORMER_DATA").map(|data| PathBuf::from(data).join("images")))
        .ok_or("give the folder of the images, or set REFORMER_DATA to the folder above images/")?;
    let all = Set::read(&folder)?;
    let split = all.len() * 9 / 10;
    let range = |range: std::ops::Range<usize>| all.pick(&range.collect::<Vec<_>>(), |_| false);
    let (train, test) = (range(0..split), range(split..all.len()));

    let cpu = Cpu::new(std::thread::available_parallelism()?.get())?;
    let mut net = RevNet::new(DEPTH, CHANNELS, 0);
    println!(
        "{} parameters, {DEPTH} blocks; {} images to learn, {} to test",
        net.parameters(),
        train.len(),
        test.len()
    );
    let (start, steps) = (Instant::now(), EPOCHS as usize * (split / BATCH));
    let mut done = 0;
    for epoch in 0..EPOCHS {
        let (mut loss, mut batches) = (0.0, 0);
        for batch in train.epoch(BATCH, epoch) {
            let rate = RATE * (1.0 - done as f32 / steps as f32);
            loss += net.train(&cpu, &batch, rate).loss;
            (done, batches) = (done + 1, batches + 1);
        }
        let tested = net.evaluate(&cpu, &test);
        println!(
            "epoch {:2}: loss {:.3}, test loss {:.3}, test accuracy {:.1} %, {:.0} s",
            epoch + 1,
            loss / f64::from(batches),
            tested.loss,
            100.0 * tested.accuracy,
            start.elapsed().as_secs_f64()
        );
    }
    let error = net.round_trip_error(&cpu, &test.pick(&[0, 1, 2, 3], |_| false));
    println!("all blocks there and back: off by {error:.1e} of the largest activation");
    Ok(())
}
