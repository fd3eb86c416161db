//! What can go wrong in this crate. Every text says what, what was got, what was expected and what to do.

use std::fmt;
use std::path::PathBuf;

use reformer_attention::AttentionError;
use reformer_reversible::SequenceError;

/// The one error type of the crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A key of `config.json` holds something a model cannot have.
    #[error("config key \"{key}\": got {got}, expected {expected}")]
    Config {
        /// The key as it stands in `config.json`.
        key: String,
        /// The value found.
        got: String,
        /// What would have been right.
        expected: String,
    },
    /// A configuration is not a JSON object.
    #[error("not a JSON object: {0}")]
    ConfigSyntax(String),
    /// Something is wrong with what a file says.
    #[error("{}: {problem}", path.display())]
    InFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: Box<ModelError>,
    },
    /// A configuration asks for more numbers than any machine holds.
    #[error("{what} are {numbers} numbers, expected at most {limit}; correct the key that is too large")]
    TooLarge {
        /// Which numbers, with the formula.
        what: String,
        /// How many.
        numbers: u128,
        /// How many are accepted.
        limit: u128,
    },
    /// The input is longer than the positions reach.
    #[error(
        "sequence length {len} is more than the {limit} positions that {key} gives; shorten the input or enlarge {key}"
    )]
    TooLong {
        /// The length asked for.
        len: usize,
        /// The longest length possible.
        limit: usize,
        /// The key that sets the limit.
        key: &'static str,
    },
    /// A token id is outside the vocabulary.
    #[error(
        "token id {id} at index {index} is outside the vocabulary of {vocab_size}; is this the model's own tokenizer?"
    )]
    Token {
        /// The id.
        id: u32,
        /// Where it stands in the input.
        index: usize,
        /// `vocab_size` of the model.
        vocab_size: usize,
    },
    /// Inputs that should have one shape have not.
    #[error("{what}: got {got}, expected {expected}")]
    Shape {
        /// Which input.
        what: &'static str,
        /// Its length or shape.
        got: String,
        /// The right one.
        expected: String,
    },
    /// A tensor is not in the checkpoint.
    #[error("{}: tensor \"{name}\" is missing; the config asks for shape {expected:?}", path.display())]
    MissingTensor {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The shape that the config asks for.
        expected: Vec<usize>,
    },
    /// The checkpoint holds tensors the config knows no place for.
    #[error(
        "{}: {count} tensors that the config has no place for, the first \"{name}\" {shape:?}; \
         does config.json belong to this file?",
        path.display()
    )]
    ExtraTensor {
        /// The file.
        path: PathBuf,
        /// The first of them.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many.
        count: usize,
    },
    /// A tensor's shape is not the config's.
    #[error("{}: tensor \"{name}\" has shape {got:?}, expected {expected:?} from config.json", path.display())]
    TensorShape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its shape in the file.
        got: Vec<usize>,
        /// The shape that the config asks for.
        expected: Vec<usize>,
    },
    /// A tensor's number type cannot be read.
    #[error("{}: tensor \"{name}\" is {got}, expected F32, F16 or BF16", path.display())]
    TensorType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Its type in the file.
        got: String,
    },
    /// A tied model's file holds a decoder of its own.
    #[error(
        "{}: \"tie_word_embeddings\" is true but lm_head.decoder.weight is not [E | E] of the word embeddings; \
         set \"tie_word_embeddings\": false to use the file's decoder",
        path.display()
    )]
    TiedDecoder {
        /// The file.
        path: PathBuf,
    },
    /// A safetensors file is damaged or something else.
    #[error("{}: not a readable safetensors file ({reason}); it may be truncated: copy it again", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// Somebody asked to stop while a prompt was read.
    #[error("stopped while the prompt was read")]
    Stopped,
    /// A file of weights is something else.
    #[error("{}: {found}", path.display())]
    NoWeights {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        found: String,
    },
    /// The weights are there, but pickled.
    #[error(
        "{}: weights pickled by PyTorch are not read, as a pickle may run any code; write model.safetensors beside it: \
         ReformerModelWithLMHead.from_pretrained(DIR).save_pretrained(DIR)",
        path.display()
    )]
    Pickle {
        /// The file.
        path: PathBuf,
    },
    /// The table of the shards is wrong.
    #[error("{}: no table of weight files: {reason}; copy it again", path.display())]
    Index {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The weights belong to a model for another task.
    #[error(
        "{}: not a language model: {found}; expected lm_head, as of ReformerModelWithLMHead or ReformerForMaskedLM",
        path.display()
    )]
    NoLanguageModel {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error(
        "{}: tensor \"{name}\" holds {value} at index {index}: the model is damaged and predicts nothing; copy it again \
         or use an earlier checkpoint",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// Where in it.
        index: usize,
        /// The number.
        value: f32,
    },
    /// A decode state's file cannot be used.
    #[error("{}: not a decode state of this model: {reason}; read the prompt again and save a new one", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A decode state cannot go back so far.
    #[error(
        "a state of {len} tokens cannot go back to {wanted}: its local layers keep what {undo} tokens need; \
         read the tokens again, or keep more (DecodeOptions::undo)"
    )]
    Forgotten {
        /// The length asked for.
        wanted: usize,
        /// The length now.
        len: usize,
        /// Tokens that can surely be taken back.
        undo: usize,
    },
    /// The file system said no.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// A number stopped being finite in the middle of a pass.
    #[error("{place} is not finite; lower the learning rate or go back to the last good checkpoint")]
    NonFinite {
        /// Where.
        place: NonFinite,
    },
    /// What takes the gradients (an optimizer in the reverse pass) ended the pass.
    #[error("the pass was ended by what takes its gradients")]
    Refused,
    /// An error of the hashing room.
    #[error(transparent)]
    Lsh(#[from] reformer_lsh::LshError),
    /// An error of the attention room.
    #[error(transparent)]
    Attention(#[from] AttentionError),
}

/// A part of a model. Blocks are numbered from 0, as the names of their tensors are (`encoder.layers.0`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Word embeddings and positions.
    Embeddings,
    /// A block: attention and feed-forward.
    Block(usize),
    /// The last norm and the decoder.
    Head,
}

impl Part {
    /// The part whose parameters are group `index` of a model of `layers` blocks.
    pub fn of_group(index: usize, layers: usize) -> Self {
        match index {
            0 => Self::Embeddings,
            index if index > layers => Self::Head,
            index => Self::Block(index - 1),
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embeddings => f.write_str("embeddings"),
            Self::Block(block) => write!(f, "block {block}"),
            Self::Head => f.write_str("head"),
        }
    }
}

/// A place in a model where something was NaN or infinite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NonFinite {
    /// The part.
    pub part: Part,
    /// A tensor's name, or what was computed, such as `output of attention`.
    pub tensor: String,
}

impl fmt::Display for NonFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.part, self.tensor)
    }
}

/// `Result` with this crate's error.
pub type Result<T, E = ModelError> = core::result::Result<T, E>;

impl ModelError {
    pub(crate) fn config(key: &str, got: impl ToString, expected: impl ToString) -> Self {
        Self::Config { key: key.into(), got: got.to_string(), expected: expected.to_string() }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.into(), action, source }
    }
}

impl From<SequenceError<ModelError>> for ModelError {
    /// Attention looks at its operands before it computes; which block saw the NaN is known here.
    fn from(error: SequenceError<ModelError>) -> Self {
        let part = Part::Block(error.block());
        match error.into_source() {
            Self::Attention(AttentionError::NonFinite { what, row, .. }) => {
                let tensor = format!("{what} of attention at token {row}");
                Self::NonFinite { place: NonFinite { part, tensor } }
            }
            other => other,
        }
    }
}
