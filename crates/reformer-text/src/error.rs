//! What can go wrong with text, one variant a fault: what, where, what was expected, what to do.

use std::path::PathBuf;

/// A fault in a corpus, a tokenizer's directory or a template.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// The file system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// `read`, `write`, `create`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder of which it is not clear what to read.
    #[error("{} is a folder {problem}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is in it, and what to do.
        problem: String,
    },
    /// Texts without speakers and dialogues in one corpus.
    #[error(
        "{} is plain text and {} is dialogues: a model learns one or the other; name the files of one kind",
        texts.display(),
        dialogues.display()
    )]
    Mixed {
        /// A file of plain text.
        texts: PathBuf,
        /// A file of dialogues.
        dialogues: PathBuf,
    },
    /// A file of a kind that is not read.
    #[error("{} is {what}, which is not read; {advice}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do.
        advice: String,
    },
    /// The memory is full.
    #[error("{}: no memory is left after {unpacked} unpacked bytes; split the file, or free memory", path.display())]
    Memory {
        /// The file.
        path: PathBuf,
        /// Bytes unpacked before.
        unpacked: usize,
    },
    /// Nothing but white space.
    #[error("{} is empty: expected {expected}", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
        /// What a file of this kind holds.
        expected: &'static str,
    },
    /// Bytes that are not UTF-8.
    #[error(
        "{}, line {line}: invalid UTF-8 at byte {offset} (0x{byte:02x}); {advice}",
        path.display()
    )]
    Utf8 {
        /// The file, or `archive.zip/entry`.
        path: PathBuf,
        /// Line of the byte, from 1.
        line: usize,
        /// Offset in the decompressed file, from 0.
        offset: usize,
        /// The offending byte.
        byte: u8,
        /// What encoding it may be in, and what to do.
        advice: String,
    },
    /// A line or file that breaks its format.
    #[error("{}, line {line}: {problem}; expected {expected}", path.display())]
    Malformed {
        /// The file, or `archive.zip/entry`.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What was found.
        problem: String,
        /// What was expected, and what to do.
        expected: String,
    },
    /// A compressed file that ends early or is damaged.
    #[error(
        "{}: damaged or truncated {codec} data after {produced} unpacked bytes ({reason}); copy or download the file again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// `gzip`, `zstd` or `zip`.
        codec: &'static str,
        /// Bytes unpacked before the fault.
        produced: usize,
        /// The decoder's reason.
        reason: String,
    },
    /// More data than a reader is willing to unpack.
    #[error("{} unpacks to more than {limit} bytes; split it or unpack it yourself", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// An archive without the file that a reader needs.
    #[error("{}: no {wanted} in this zip, it holds {found}; {advice}", path.display())]
    MissingEntry {
        /// The archive.
        path: PathBuf,
        /// The entry that is missing.
        wanted: String,
        /// What there is instead.
        found: String,
        /// What to do.
        advice: &'static str,
    },
    /// A split was asked of a corpus that has none.
    #[error(
        "{}: cannot choose the {split} split, the corpus has no {missing}; put the list files beside data.json or give the split as a file of its own",
        path.display()
    )]
    NoSplit {
        /// The corpus.
        path: PathBuf,
        /// The split asked for.
        split: &'static str,
        /// The list file that is missing.
        missing: &'static str,
    },
    /// Too little to cut into parts.
    #[error(
        "{distinct} different dialogues or texts cannot be cut into these parts: at least {needed} are needed"
    )]
    TooFew {
        /// Different ones that there are.
        distinct: usize,
        /// How many it takes.
        needed: usize,
    },
    /// The name of a format that does not exist.
    #[error("unknown corpus format \"{got}\"; expected one of {expected}")]
    UnknownFormat {
        /// What was asked for.
        got: String,
        /// The formats there are.
        expected: String,
    },
    /// A vocabulary too small to hold the 256 bytes and the special tokens.
    #[error(
        "vocabulary of {got} tokens asked for; a byte-level BPE needs at least {least} (256 bytes and {specials} special tokens)"
    )]
    VocabularyTooSmall {
        /// Tokens asked for.
        got: usize,
        /// The least there can be.
        least: usize,
        /// Special tokens among them.
        specials: usize,
    },
    /// Somebody asked to stop.
    #[error("stopped while the tokenizer was being trained; nothing was written")]
    Stopped,
    /// A BPE cannot be trained on nothing.
    #[error("no text to train a tokenizer on: every text of the corpus is empty")]
    NothingToTrainOn,
    /// A directory that says nothing of its tokenizer, or something unknown.
    #[error("{}: {problem}; {advice}", path.display())]
    NoTokenizer {
        /// The directory or file.
        path: PathBuf,
        /// What was found.
        problem: String,
        /// What to do.
        advice: &'static str,
    },
    /// The tokenizer's own library refused.
    #[error("the tokenizer cannot {action}: {reason}")]
    Tokenizer {
        /// `encode`, `be trained`, …
        action: &'static str,
        /// Its reason.
        reason: String,
    },
    /// A text for a model that knows none.
    #[error(
        "this model learned images and its tokens are pixels, so it takes no text; complete an image with `reformer \
         generate DIR --image FILE`"
    )]
    NotText,
    /// Marks were asked of a tokenizer without them.
    #[error(
        "this tokenizer has no special token {token}, which the form \"marks\" needs; use the form \"course\" or a tokenizer with role marks"
    )]
    NoMark {
        /// The missing token.
        token: &'static str,
    },
    /// Lookups in a dialogue that cannot be written.
    #[error("a dialogue has lookups (tool_calls), but {problem}; {advice}")]
    NoLookups {
        /// Why not.
        problem: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A chat template that does not parse or render.
    #[error("chat template: {reason}; see `chat_template` in tokenizer_config.json")]
    Template {
        /// The engine's reason, with the line.
        reason: String,
    },
}

impl TextError {
    pub(crate) fn io(action: &'static str, path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}
