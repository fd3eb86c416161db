//! What every optimizer's step has in common: its scale, and how a group is cut for the threads.

/// Elements of a panel: three streams of it in and two out stay in a second-level cache.
pub(super) const PANEL_ELEMENTS: usize = 16 * 1024;

/// What one step is told beside the gradients.
#[derive(Clone, Copy, Debug)]
pub struct StepScale {
    /// Learning rate.
    pub rate: f64,
    /// Step, counted from 1.
    pub step: u64,
    /// Factor on every gradient, from clipping.
    pub gradient: f32,
}
