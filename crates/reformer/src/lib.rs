//! Reformer in Rust: Transformers for very long sequences (Kitaev, Kaiser, Levskaya 2020, arXiv 2001.04451).
//!
//! This crate is a door, not a room: it re-exports the libraries under one name. Depend on it to get everything, or on
//! a single library to get only that.
//!
//! | module | what it is for |
//! |---|---|
//! | [`tensor`] | matrices, products, layers' forward and backward, threads, workspace, addressed random numbers |
//! | [`lsh`] | hash families, buckets, sort, chunks, nearest neighbours: LSH on its own |
//! | [`attention`] | full, local and LSH attention, forward, backward and one decode step |
//! | [`reversible`] | couplings and sequences that recompute their activations, generic over F and G |
//! | [`model`] | the Reformer language model and Hugging Face directories |
//! | [`text`] | bytes or BPE, chat templates, dialogue corpora |
//! | [`images`] | IDX files and PNGs as sequences of pixels, grids of images as a PNG |
//! | [`train`] | recipes, packing, optimizers, checkpoints, evaluation |
//! | [`files`] | files written whole or not at all, and read only where they are files |
//! | [`generate`] | sampling, streaming, conversations |
//!
//! The examples of this crate are small and complete: `train_tiny` trains and evaluates, `chat_loop` talks,
//! `lsh_attention` uses LSH attention without a model.

#![forbid(unsafe_code)]

pub use reformer_attention as attention;
pub use reformer_files as files;
pub use reformer_generate as generate;
pub use reformer_images as images;
pub use reformer_lsh as lsh;
pub use reformer_model as model;
pub use reformer_reversible as reversible;
pub use reformer_tensor as tensor;
pub use reformer_text as text;
pub use reformer_train as train;

/// The README's Rust blocks, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The course's page: its Rust blocks, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/course.md")]
struct Course;
