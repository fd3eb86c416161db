//! Raw UTF-8 bytes as tokens: `id = byte + 2`, as google/reformer-enwik8 has them, and our marks behind.

use crate::Role;

pub(super) const PAD_ID: u32 = 0;
pub(super) const END_ID: u32 = 1;
const FIRST_BYTE: u32 = 2;
pub(super) const VOCAB_WITHOUT_MARKS: usize = 258;
pub(super) const VOCAB: usize = 261;
pub(super) const MARKS: [(Role, u32); 3] = [(Role::System, 258), (Role::User, 259), (Role::Assistant, 260)];

pub(super) fn encode(text: &str) -> Vec<u32> {
    text.bytes().map(|byte| u32::from(byte) + FIRST_BYTE).collect()
}

pub(super) fn of_id(id: u32) -> Option<u8> {
    id.checked_sub(FIRST_BYTE).and_then(|byte| u8::try_from(byte).ok())
}
