//! The recipe's smaller sections: number type, tokenizer, packing, optimizer, schedule.
//!
//! Each `read` asks the document for its keys once, default beside the key, and refuses what its consumer could
//! not run.

use reformer_tensor::Precision;
use reformer_text::Form;
use serde::{Serialize, Serializer};

use super::RecipeError;
use super::document::Document;

/// Reads a number type. Parameters, sums and the optimizer's state are `f32` in any case.
pub(super) fn read_precision(doc: &mut Document, key: &str) -> Result<Precision, RecipeError> {
    doc.choice(key, Precision::F32, &[("f32", Precision::F32), ("bf16", Precision::Bf16)])
}

/// Writes a number type as recipes spell it.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
pub(super) fn write_precision<S: Serializer>(precision: &Precision, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(precision)
}

/// What the tokens are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerKind {
    /// One token a byte.
    Bytes,
    /// Byte-level pair encoding trained on the training corpus.
    Bpe,
    /// One token a pixel: the corpus is images.
    Pixels,
}

/// `[tokenizer]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenizerRecipe {
    /// What the tokens are.
    pub kind: TokenizerKind,
    /// Tokens of a trained vocabulary, marks included; unused by bytes.
    pub vocab_size: usize,
    /// Whether texts are read in lower case.
    pub lowercase: bool,
    /// Levels of grey of a pixel, 2 to 256; unused by text.
    pub levels: usize,
    /// A directory whose tokenizer is used as it is, or its `tokenizer.json`; `kind` and `vocab_size` do not matter
    /// then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
}

impl TokenizerRecipe {
    pub(super) fn read(doc: &mut Document) -> Result<Self, RecipeError> {
        let kinds =
            [("bytes", TokenizerKind::Bytes), ("bpe", TokenizerKind::Bpe), ("pixels", TokenizerKind::Pixels)];
        let levels = doc.size("tokenizer.levels", 256, 2)?;
        if levels > 256 {
            return Err(doc.illegal(
                "tokenizer.levels",
                format_args!("got {levels}"),
                "a pixel has at most 256",
            ));
        }
        let kind = doc.choice("tokenizer.kind", TokenizerKind::Bpe, &kinds)?;
        let lowercase = doc.flag("tokenizer.lowercase", false)?;
        if lowercase && kind != TokenizerKind::Bpe {
            return Err(doc.illegal(
                "tokenizer.lowercase",
                "got true",
                "only tokenizer.kind = \"bpe\" reads lower case; leave it out",
            ));
        }
        Ok(Self {
            kind,
            // 256 bytes and the marks must fit.
            vocab_size: doc.size("tokenizer.vocab_size", 2048, 270)?,
            lowercase,
            levels,
            path: Some(doc.text("tokenizer.path", "")?).filter(|path| !path.is_empty()),
        })
    }
}

/// How dialogues fill rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rows {
    /// Joined end to end, cut every `length` tokens, no gaps.
    Joined,
    /// One dialogue a row, padded to the power-of-two bucket that holds it.
    Buckets,
}

/// Which tokens the loss counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LossOn {
    /// Every token.
    All,
    /// The assistant's turns and the token that ends each.
    Assistant,
}

/// Which dialogues an epoch has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Draw {
    /// Every dialogue once, in a new order.
    Shuffle,
    /// Each drawn at random from all, as the course's generator does: some come twice, some not at all.
    Random,
}

/// What becomes of dialogues longer than a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Longer {
    /// They go on in a row of their own.
    Split,
    /// They are left out, as the course filters by length.
    Drop,
}

/// `[packing]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackingRecipe {
    /// How a dialogue is written.
    pub form: Form,
    /// How dialogues fill rows.
    pub rows: Rows,
    /// Which dialogues an epoch has.
    pub draw: Draw,
    /// What becomes of dialogues longer than a row.
    pub longer: Longer,
    /// The shortest length bucket.
    pub shortest: usize,
    /// Which tokens the loss counts in full.
    pub loss_on: LossOn,
    /// The weight of every other token.
    pub loss_elsewhere: f64,
    /// The weight of the assistant's calls; what a tool answers weighs nothing.
    pub loss_calls: f64,
}

impl PackingRecipe {
    pub(super) fn read(doc: &mut Document) -> Result<Self, RecipeError> {
        let forms = [("marks", Form::Marks), ("course", Form::Course), ("text", Form::Text)];
        let rows = [("joined", Rows::Joined), ("buckets", Rows::Buckets)];
        let loss = [("all", LossOn::All), ("assistant", LossOn::Assistant)];
        let form = doc.choice("packing.form", Form::Marks, &forms)?;
        let rows = doc.choice("packing.rows", Rows::Joined, &rows)?;
        let draws = [("shuffle", Draw::Shuffle), ("random", Draw::Random)];
        let draw = doc.choice("packing.draw", Draw::Shuffle, &draws)?;
        let longer = [("split", Longer::Split), ("drop", Longer::Drop)];
        let longer = doc.choice("packing.longer", Longer::Split, &longer)?;
        let then = "write rows = \"buckets\", or leave the key out";
        if rows == Rows::Joined && draw == Draw::Random {
            return Err(doc.illegal("packing.draw", "random draws need a row for each dialogue", then));
        }
        if rows == Rows::Joined && longer == Longer::Drop {
            return Err(doc.illegal("packing.longer", "in joined rows no dialogue is too long", then));
        }
        Ok(Self {
            form,
            rows,
            draw,
            longer,
            // Below 32, padding costs less than another bucket's leftover batch.
            shortest: doc.size("packing.shortest", 32, 1)?,
            loss_on: doc.choice("packing.loss_on", LossOn::All, &loss)?,
            loss_elsewhere: doc.number("packing.loss_elsewhere", 0.0, 0.0, 1.0)?,
            loss_calls: doc.number("packing.loss_calls", 1.0, 0.0, 100.0)?,
        })
    }
}

/// Which optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// Adam with decoupled weight decay.
    Adamw,
    /// Factored second moments.
    Adafactor,
}

impl OptimizerKind {
    /// Bytes of state a parameter; Adafactor's row and column of a matrix do not show.
    pub const fn state_bytes(self) -> usize {
        match self {
            Self::Adamw => 8,
            Self::Adafactor => 0,
        }
    }
}

/// Whose norm is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClipBy {
    /// That of all gradients together.
    Global,
    /// That of each group (embeddings, a block, head) by itself.
    Group,
}

/// `[optimizer]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OptimizerRecipe {
    /// Which optimizer.
    pub kind: OptimizerKind,
    /// AdamW: decay of the first moment.
    pub beta1: f64,
    /// AdamW: decay of the second moment.
    pub beta2: f64,
    /// AdamW: added to the root of the second moment. Adafactor: added to the squared gradient.
    pub eps: f64,
    /// Decoupled decay of weight matrices per unit of learning rate.
    pub weight_decay: f64,
    /// Largest gradient norm, 0 = no clipping.
    pub clip: f64,
    /// Whose norm that is.
    pub clip_by: ClipBy,
    /// Update each group as soon as the reverse pass has its gradient: one group's gradients exist instead of all, a
    /// group is clipped by its own norm (`clip_by = "group"`), or by the global one at the price of a second pass.
    pub in_backward: bool,
    /// Adafactor: the step is relative to the parameter's own size.
    pub scale_parameter: bool,
}

impl OptimizerRecipe {
    pub(super) fn read(doc: &mut Document) -> Result<Self, RecipeError> {
        let kinds = [("adamw", OptimizerKind::Adamw), ("adafactor", OptimizerKind::Adafactor)];
        let kind = doc.choice("optimizer.kind", OptimizerKind::Adamw, &kinds)?;
        let eps = if kind == OptimizerKind::Adamw { 1e-8 } else { 1e-30 };
        let beta = |doc: &mut Document, key, default| {
            let beta = doc.number(key, default, 0.0, 1.0)?;
            if beta < 1.0 { Ok(beta) } else { Err(doc.illegal(key, "got 1", "must be below 1")) }
        };
        Ok(Self {
            kind,
            beta1: beta(doc, "optimizer.beta1", 0.9)?,
            beta2: beta(doc, "optimizer.beta2", 0.98)?,
            // As f32 it must not be 0: where a moment is 0, the step would be 0 by 0.
            eps: doc.number("optimizer.eps", eps, 1e-37, 1.0)?,
            weight_decay: doc.number("optimizer.weight_decay", 0.01, 0.0, 10.0)?,
            clip: doc.number("optimizer.clip", 1.0, 0.0, f64::MAX)?,
            clip_by: doc.choice(
                "optimizer.clip_by",
                ClipBy::Global,
                &[("global", ClipBy::Global), ("group", ClipBy::Group)],
            )?,
            in_backward: doc.flag("optimizer.in_backward", false)?,
            scale_parameter: doc.flag("optimizer.scale_parameter", false)?,
        })
    }
}

/// The shape of the learning rate's course after warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Stays at the peak.
    Constant,
    /// Falls as 1/√step, as trax and the Transformer paper have it.
    WarmupRsqrt,
    /// Half a cosine down to `final` of the peak at the last step.
    Cosine,
}

/// `[schedule]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleRecipe {
    /// The shape after warm-up.
    pub kind: ScheduleKind,
    /// Steps of linear warm-up from zero.
    pub warmup: u64,
    /// Cosine: the last learning rate as a fraction of the peak.
    #[serde(rename = "final")]
    pub last: f64,
}

impl ScheduleRecipe {
    /// The warm-up of a run of so many steps, if nobody says.
    pub(super) fn warmup_of(steps: u64) -> u64 {
        (steps / 20).min(1000)
    }

    pub(super) fn read(doc: &mut Document, steps: u64) -> Result<Self, RecipeError> {
        let kinds = [
            ("constant", ScheduleKind::Constant),
            ("warmup_rsqrt", ScheduleKind::WarmupRsqrt),
            ("cosine", ScheduleKind::Cosine),
        ];
        let kind = doc.choice("schedule.kind", ScheduleKind::Cosine, &kinds)?;
        let warmup = doc.count("schedule.warmup", Self::warmup_of(steps), 0)?;
        if kind == ScheduleKind::WarmupRsqrt && warmup == 0 {
            let then = "warmup_rsqrt peaks at the end of its warm-up, so write at least 1";
            return Err(doc.illegal("schedule.warmup", "got 0", then));
        }
        Ok(Self { kind, warmup, last: doc.number("schedule.final", 0.1, 0.0, 1.0)? })
    }
}
