//! Text for Reformers: bytes or BPE, chat templates, stream decoding, dialogue corpora.
//!
//! | to… | use |
//! |---|---|
//! | read a corpus in any of its formats | [`read_dialogues`], [`read_corpus`], [`read_split`] |
//! | write one, describe one, cut one into parts | [`write_dialogues`], [`Summary`], [`Parts`] |
//! | make one without files | [`demo`] |
//! | turn text and dialogues to ids and back | [`Tokenizer`] |
//! | render a conversation for a model | [`Tokenizer::encode_chat`], [`ChatTemplate`] |
//! | read and write what a dialogue looks up | [`lookups`] |
//! | show a reply while it is generated | [`TokenStream`], then [`StopStrings`] |
//!
//! Nothing here knows tensors, models or training.
//!
//! ```
//! use reformer_text::{Dialogue, Form, Tokenizer, Turn};
//!
//! let tokenizer = Tokenizer::bytes();
//! let dialogue = Dialogue::new("1", vec![Turn::user("a table for two"), Turn::assistant("booked.")]);
//! let encoded = tokenizer.encode_dialogue(&dialogue, Form::Marks)?;
//! assert_eq!(encoded.text_bytes, 22);
//! assert_eq!(encoded.ids.len(), 22 + 2 + 1); // two marks, one end
//! # Ok::<(), reformer_text::TextError>(())
//! ```
#![forbid(unsafe_code)]

mod chat_template;
mod corpus;
pub mod demo;
mod describe;
mod dialogue;
mod error;
pub mod lookups;
mod parts;
mod stop_strings;
mod stream_decoder;
mod tokenizer;

pub use chat_template::{ChatTemplate, MARKS_TEMPLATE};
pub use corpus::{
    ChatMessage, CorpusFormat, Reading, Split, parse_dialogues, parse_messages, parse_text, read_corpora,
    read_corpus, read_dialogues, read_split, read_text, turns_of, write_dialogues, write_lines,
};
pub use describe::{Percentiles, Summary, TextCounts, oddities};
pub use dialogue::{Dialogue, Form, Role, Turn, is_plain_text};
pub use error::TextError;
pub use lookups::messages::messages_of;
pub use lookups::{Call, Lookup};
pub use parts::Parts;
pub use stop_strings::{Released, StopStrings};
pub use stream_decoder::StreamDecoder;
pub use tokenizer::{END, Encoded, PAD, Part, Raster, TokenStream, Tokenizer};
