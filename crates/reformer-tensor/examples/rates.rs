//! How fast products run here: GFLOP per second, the best of several runs; on a machine that does nothing else.
//!
//! `cargo run --release -p reformer-tensor --example rates [threads]`
#![allow(clippy::print_stdout, reason = "an example that prints a table")]

use std::time::Instant;

use reformer_tensor::{Cpu, Engine, Form, Matrix, Write, bf16, multiply, simd, tile};

/// The engine that the shape chooses, then each.
const ENGINES: [Option<Engine>; 5] =
    [None, Some(Engine::Tile), Some(Engine::Faer), Some(Engine::Gemm), Some(Engine::Bf16)];

fn engines() -> impl Iterator<Item = Option<Engine>> {
    ENGINES.into_iter().filter(|&engine| engine != Some(Engine::Bf16) || bf16::available())
}

/// Best of several runs of at least 20 ms, in flop per nanosecond.
fn rate(flop: f64, mut f: impl FnMut()) -> f64 {
    f();
    let mut best = 0.0_f64;
    let (mut times, mut repeats) = (0, 1_u32);
    while times < 4 {
        let before = Instant::now();
        for _ in 0..repeats {
            f();
        }
        let took = before.elapsed().as_nanos() as f64;
        if took < 2e7 {
            repeats *= 2;
            continue;
        }
        best = best.max(flop * f64::from(repeats) / took);
        times += 1;
    }
    best
}

fn ramp(rows: usize, cols: usize) -> Matrix {
    Matrix::from_fn(rows, cols, |i, j| ((i * 7 + j * 3) % 13) as f32 - 6.0)
}

fn main() {
    let threads = std::env::args().nth(1).map_or(1, |n| n.parse().expect("a number of threads"));
    println!("{}", simd::Level::detect().name());
    for (m, n, k) in [
        (64, 128, 64),
        (64, 64, 128),
        (128, 64, 64),
        (64, 192, 64),
        (128, 256, 64),
        (32, 64, 64),
        (17, 33, 63),
    ] {
        let flop = (2 * m * n * k) as f64;
        let (a, b, mut c) = (ramp(m, k), ramp(k, n), ramp(m, n));
        let (a, b, c) = (a.as_slice(), b.as_slice(), c.as_mut_slice());
        let nn = rate(flop, || tile::nn_add(m, n, k, a, b, c));
        let nt = rate(flop, || tile::nt(m, n, k, a, b, c));
        let tn = rate(flop, || tile::tn_add(m, n, k, a, b, c));
        println!("tile {m:4} x {n:4} over {k:4}   nn {nn:6.1}   nt {nt:6.1}   tn {tn:6.1}");
    }
    let x = vec![-1.5_f32; 4096];
    let mut y = x.clone();
    let exp = rate(4096.0, || {
        y.copy_from_slice(&x);
        tile::row_exp_sum(&mut y, 0.25);
    });
    println!("exp {exp:.2} per ns");
    let cpu = Cpu::new(threads).expect("threads");
    println!("columns: chosen, tile, faer, gemm, bf16");
    let shapes = [
        (4096, 512, 512),
        (4096, 2048, 512),
        (4096, 512, 2048),
        (2048, 256, 256),
        (4096, 1024, 256),
        (512, 320, 256),
        (1024, 8192, 512),
        (256, 256, 256),
        (128, 128, 128),
        (16, 512, 512),
        (4, 512, 512),
        (1, 512, 512),
        (1, 2048, 512),
        (1, 8192, 512),
    ];
    for (m, n, k) in shapes {
        let flop = (2 * m * n * k) as f64;
        let (a, b, bt) = (ramp(m, k), ramp(k, n), ramp(n, k));
        let mut c = ramp(m, n);
        print!("matmul {m:5} x {n:5} over {k:5}");
        for (name, form, b) in [("nn", Form::Plain, &b), ("nt", Form::RightTransposed, &bt)] {
            print!("   {name}");
            for engine in engines() {
                let r = rate(flop, || {
                    multiply(&cpu, form, a.view(), b.view(), Write::Overwrite, c.view_mut(), engine);
                });
                print!(" {r:6.1}");
            }
        }
        // The gradient of the weights: tokens are summed over.
        let mut w = ramp(k, n);
        print!("   tn");
        for engine in engines() {
            let r = rate(flop, || {
                multiply(
                    &cpu,
                    Form::LeftTransposed,
                    a.view(),
                    c.view(),
                    Write::Overwrite,
                    w.view_mut(),
                    engine,
                );
            });
            print!(" {r:6.1}");
        }
        println!();
    }
}
