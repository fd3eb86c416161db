//! The numerics floor of reformer: matrices, products, SIMD, layers' arithmetic, addressed randomness.
//!
//! Everything above this crate is `forbid(unsafe_code)`; what needs raw pointers or CPU instructions is here, and
//! each use says why it is sound. Operations are plain functions on row-major views, `forward` beside
//! `backward`: no tape, no broadcasting, no device abstraction. The crate knows no parameters by name, no files,
//! no models.
//!
//! Three rules hold everywhere:
//!
//! - **Threads and scratch memory are arguments** ([`Cpu`] = [`Threads`] + [`Workspace`]); nothing is global.
//! - **Results do not depend on the number of threads.** Work is cut by shape alone (fixed panels), and partial
//!   sums are added in a fixed order. They may differ, within rounding, between SIMD levels.
//! - **Every fast kernel has a [`naive`] twin** of a few lines, generic over `f32`/`f64`; a kernel passes when its
//!   error against the `f64` twin is at most twice the `f32` twin's.
//!
//! # Where to look
//! - data: [`Buffer`], [`Matrix`], [`View`], [`ViewMut`]   - products: [`matmul`], [`matmul_nt`], [`matmul_tn`],
//!   [`few_rows`], [`tile`], [`Precision`], [`bf16`]
//! - layers: [`layer_norm`], [`activation`], [`bias`], [`softmax`], [`cross_entropy`], [`dropout`], [`embedding`],
//!   [`elementwise`]
//! - randomness by address: [`Address`], [`Purpose`], [`Stream`]   - instructions: [`simd`]

#![allow(
    clippy::inline_always,
    reason = "a kernel has the instructions of its level only where it is inlined into the function that enables them"
)]

pub mod activation;
pub mod bf16;
pub mod bias;
mod buffer;
mod cpu;
pub mod cross_entropy;
pub mod dropout;
mod element;
pub mod elementwise;
pub mod embedding;
mod form;
pub mod layer_norm;
mod matrix;
pub mod naive;
pub mod narrow;
mod panels;
mod precision;
mod product;
mod random;
mod real;
mod shared_rows;
pub mod simd;
pub mod softmax;
#[cfg(test)]
mod tests;
mod threads;
pub mod tile;
mod view;
mod weights;
mod workspace;

pub use buffer::Buffer;
pub use cpu::Cpu;
pub use element::{Bf16, Element};
pub use form::Write;
pub use matrix::Matrix;
pub use precision::{Precision, UnknownPrecision};
pub use product::{matmul, matmul_nt, matmul_tn};
pub use random::{Address, Key, Purpose, Stream};
pub use real::Real;
pub use shared_rows::SharedRows;
pub use threads::{ThreadError, Threads};
pub use view::{View, ViewMut};
pub use weights::{Weights, few_rows};
pub use workspace::{Lease, LeasedMatrix, Workspace};
