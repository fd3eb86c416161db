//! Which part of a corpus: training, validation or test, as MultiWOZ's list files cut it.

use serde::{Deserialize, Serialize};

/// The part of a corpus that a list file beside MultiWOZ's `data.json` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// In neither list.
    Train,
    /// In `valListFile`.
    Valid,
    /// In `testListFile`.
    Test,
}

impl Split {
    /// The name on a command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Valid => "valid",
            Self::Test => "test",
        }
    }
}
