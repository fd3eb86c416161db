//! The course "NLP with Attention Models", week 4, and what it builds on: every exercise and lab with its published
//! value.
//!
//! One file a unit, in the order of the course; a test is named after what the unit teaches. The values are the
//! course's own, printed in its notebooks and checked by its unit tests; the code is this project's, through the door
//! that a reader would use. Where a notebook draws random numbers, the draws stand in a JSON file beside the test.
//!
//! | unit | file |
//! |---|---|
//! | nearest neighbours and hash tables (course 1, week 4) | `nearest.rs` |
//! | LSH attention (lab 1) | `lsh_attention.rs` |
//! | reversible layers (lab 2, assignment parts 2 and 3) | `reversible.rs` |
//! | the chatbot (assignment) | `chatbot.rs` |

mod attend;
mod chatbot;
mod lsh_attention;
mod nearest;
mod reversible;
