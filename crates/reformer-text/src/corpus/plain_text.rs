//! Plain text: a script of speakers, or a document.
//!
//! A script has lines `name: text` with names that are known: `user`, `human`, `customer`, `person 1`, `a` for
//! the person, `assistant`, `bot`, `agent`, `ai`, `person 2`, `b` for the side that answers, `system` for an
//! instruction (or, where nobody else answers, for the side that answers). A blank line ends a dialogue; a
//! line without a name goes on with the turn before it. A file whose first line has no such name is a
//! document: one dialogue of one turn, the assistant's, its text as it is.

use std::path::Path;

use crate::{Dialogue, Role, Turn};

fn named(line: &str) -> Option<(Role, &str)> {
    let (name, text) = line.split_once(':')?;
    let role = match name.trim().to_ascii_lowercase().as_str() {
        "user" | "human" | "customer" | "person 1" | "a" => Role::User,
        "assistant" | "bot" | "agent" | "ai" | "person 2" | "b" => Role::Assistant,
        "system" => Role::System,
        _ => return None,
    };
    Some((role, text.trim()))
}

pub(super) fn parse(path: &Path, text: &str) -> Vec<Dialogue> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let first = text.lines().find(|line| !line.trim().is_empty());
    if first.and_then(named).is_none() {
        return vec![Dialogue::of_text(name, text)];
    }
    let mut dialogues = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    for line in text.lines().chain([""]) {
        match (named(line), turns.last_mut()) {
            (Some((role, text)), _) => turns.push(Turn::new(role, text)),
            (None, Some(_)) if line.trim().is_empty() => {
                let id = format!("{name}-{}", dialogues.len() + 1);
                dialogues.push(Dialogue::new(id, answering(std::mem::take(&mut turns))));
            }
            (None, Some(last)) => {
                last.text.push('\n');
                last.text.push_str(line.trim());
            }
            // A line without a name after a blank one belongs to the turn before the blank line.
            (None, None) if !line.trim().is_empty() => {
                if let Some(last) = dialogues.last_mut().and_then(|d: &mut Dialogue| d.turns.last_mut()) {
                    last.text.push_str("\n\n");
                    last.text.push_str(line.trim());
                }
            }
            (None, None) => {}
        }
    }
    dialogues
}

/// Where only `user` and `system` speak, the system is who answers.
fn answering(mut turns: Vec<Turn>) -> Vec<Turn> {
    let has = |role| turns.iter().any(|turn| turn.role == role);
    if has(Role::User) && !has(Role::Assistant) {
        for turn in turns.iter_mut().filter(|turn| turn.role == Role::System) {
            turn.role = Role::Assistant;
        }
    }
    turns
}
