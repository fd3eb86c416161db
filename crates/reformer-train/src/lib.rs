//! Training Reformers: recipes, packing, optimizers, schedules, checkpoints, events, evaluation.
//!
//! ```text
//! recipe → corpora → tokenizer → packing ─► trainer (model · optimizer · schedule) ─► run: events, checkpoints
//! ```
//!
//! | to… | use |
//! |---|---|
//! | read and check a recipe | [`Recipe`] |
//! | train into a run directory, or resume one | [`train`] |
//! | see what a run would cost | [`dry_run`], or [`Budget`] without reading a corpus |
//! | take steps of a recipe by hand | [`Trainer`] |
//! | take steps on batches of your own | [`Learner`] |
//! | measure a model | [`evaluate()`] |
//! | compare its steps with its forward pass | [`compare_steps`] |
//! | find a run's weights | [`resolve_checkpoint`] |
//!
//! Nothing here prints, reads the clock or handles signals: events go to a callback, the clock and the wish to stop
//! are arguments.
#![forbid(unsafe_code)]

pub mod checkpoint;
pub mod corpora;
mod dry_run;
mod error;
mod evaluate;
mod event;
mod init;
mod journal;
pub mod learner;
pub mod optimizer;
pub mod packing;
mod plan;
pub mod recipe;
mod run;
mod saved;
mod schedule;
mod stepwise;
mod trainer;

pub use checkpoint::resolve_checkpoint;
pub use dry_run::{Plan, dry_run};
pub use error::TrainError;
pub use evaluate::{EvalOptions, EvalReport, evaluate, evaluate_corpus, evaluate_images, mask_token};
pub use event::{Event, Span};
pub use init::InitReport;
pub use journal::{LOG, METRICS};
pub use learner::{Learned, Learner};
pub use plan::{Budget, Change, Way, changes_to_fit, planned_config};
pub use recipe::{Recipe, RecipeError};
pub use run::{Outcome, RECIPE, Resume, Sampler, Surroundings, TrainOptions, recipe_of_run, train};
pub use schedule::Schedule;
pub use stepwise::{CompareOptions, StepComparison, compare_steps};
pub use trainer::{StepReport, Trainer};
