//! placeholder
use reformer_tensor::Cpu;
use crate::error::Result;
use crate::model::Model;
/// state
#[derive(Clone, Debug, Default)]
pub struct DecodeState { len: usize }
impl DecodeState {
    /// Tokens seen.
    pub fn len(&self) -> usize { self.len }
    /// None yet.
    pub fn is_empty(&self) -> bool { self.len == 0 }
    /// Forgets all but the first `n` tokens.
    pub fn truncate(&mut self, n: usize) { self.len = self.len.min(n); }
}
impl Model {
    /// An empty state.
    pub fn decode_state(&self) -> DecodeState { DecodeState::default() }
    /// Reads a prompt; logits after its last token.
    pub fn prefill(&self, _cpu: &Cpu, state: &mut DecodeState, ids: &[u32]) -> Result<Vec<f32>> { state.len += ids.len(); todo!() }
    /// Reads one token; logits after it.
    pub fn step(&self, _cpu: &Cpu, state: &mut DecodeState, _id: u32) -> Result<Vec<f32>> { state.len += 1; todo!() }
}
