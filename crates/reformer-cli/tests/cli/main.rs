//! The real binary, as a person or a script uses it: what it prints where, and how it exits.
//!
//! One test binary, because each one links everything.

mod bench;
mod chat;
mod data;
mod documents;
mod explain;
mod fixture;
mod generate;
mod helping;
mod images;
mod inspect_and_eval;
mod kill_resume;
mod plan;
mod plot;
mod refusals;
mod run_directory;
mod serve;
mod shipped;
mod story;
mod tables;
mod train;
