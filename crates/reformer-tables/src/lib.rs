//! What a dialogue may look up: tables in SQLite, and everything between a model's call and a reply that is right.
//!
//! | to… | use |
//! |---|---|
//! | say which tables and columns may be asked | [`Schema`] |
//! | make a database of a folder of CSV and JSON | [`import`] |
//! | ask it, with limits | [`Database`] |
//! | keep bookings, one transaction each | [`Bookings`] |
//! | answer a model's calls and fill its placeholders | [`Talk`] |
//! | hold a conversation against what it should have been | [`Check`] |
//! | turn an annotated corpus to dialogues with lookups | [`ground`] |
//! | measure how well a system helps: Inform, Success, BLEU, joint goal accuracy | [`evaluate`] |
//!
//! Nothing here knows tensors, models or terminals. A model's text never becomes SQL: names of tables and columns come
//! from the schema, values are bound.

#![forbid(unsafe_code)]

mod bookings;
mod check;
mod database;
mod error;
pub mod evaluate;
pub mod ground;
mod import;
mod plain;
mod result;
mod schema;
mod talk;

pub use bookings::{Booked, Bookings, Outcome};
pub use check::{Check, Fault, Said};
pub use database::{Answer, Database, Row};
pub use error::TablesError;
pub use import::{Imported, build, import};
pub use plain::{is_any, plain, time};
pub use schema::{Booking, Column, Compare, Detail, Kind, Lookups, Schema, Table};
pub use talk::{About, Talk};
