//! Scripts: lines `name: text`, a blank line between dialogues.
//!
//! ```text
//! User: A latte, please.        the first name is known: the person
//! Barista: Coming up.           the name that answers it: the assistant
//! Note: no sugar                not a speaker: goes on with the turn before
//! ```
//!
//! Known are `user`, `human`, `customer`, `person 1` for the person, `assistant`, `bot`, `agent`, `ai`, `person 2`
//! for the side that answers, `system` for an instruction (or, where nobody else answers, for the side that answers),
//! and `a` and `b` where the first line is theirs. Where one side is not known it is the other name that begins lines
//! as often; where neither is, a text in which two names take turns on every line is a script, the first one's the
//! person. A file is a script or it is not: who speaks is decided once, so that `A: red` in somebody's list stays
//! what it is.

use std::collections::HashMap;
use std::path::Path;

use crate::{Dialogue, Role, Turn};

/// Who speaks in a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Speakers(Vec<(String, Role)>);

/// The longest name, so that a sentence with a colon is none.
const LONGEST: usize = 30;

fn known(name: &str) -> Option<Role> {
    match name {
        "user" | "human" | "customer" | "person 1" => Some(Role::User),
        "assistant" | "bot" | "agent" | "ai" | "person 2" => Some(Role::Assistant),
        "system" => Some(Role::System),
        _ => None,
    }
}

/// The name that a line begins with, in lower case, and what follows it.
fn named(line: &str) -> Option<(String, &str)> {
    let (name, text) = line.split_once(':')?;
    let name = name.trim();
    let letters = name.chars().all(|c| c.is_alphanumeric() || " .'_-".contains(c));
    // `http://` and `12:30` are no names.
    let one = name.starts_with(char::is_alphabetic) && name.len() <= LONGEST && !text.starts_with("//");
    (letters && one).then(|| (name.to_lowercase(), text.trim()))
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let separator = if text.contains('\n') { '\n' } else { '\r' };
    text.split(separator)
}

impl Speakers {
    /// Who speaks in `text`, if it is a script.
    pub(super) fn of(text: &str) -> Option<Self> {
        let first = lines(text).find(|line| !line.trim().is_empty())?;
        let (first, _) = named(first)?;
        let mut counts: HashMap<String, usize> = HashMap::new();
        let mut order: Vec<String> = Vec::new();
        let (mut full, mut bare) = (0, 0);
        for line in lines(text).filter(|line| !line.trim().is_empty()) {
            match named(line) {
                Some((name, said)) => {
                    full += usize::from(!said.is_empty());
                    if !counts.contains_key(&name) {
                        order.push(name.clone());
                    }
                    *counts.entry(name).or_insert(0) += 1;
                }
                None => bare += 1,
            }
        }
        if matches!(first.as_str(), "a" | "b") {
            let roles = [("a", Role::User), ("b", Role::Assistant)];
            return Some(Self(roles.map(|(name, role)| (name.to_owned(), role)).to_vec()));
        }
        let mut speakers: Vec<(String, Role)> =
            order.iter().filter_map(|name| Some((name.clone(), known(name)?))).collect();
        let has = |speakers: &[(String, Role)], role| speakers.iter().any(|(_, r)| *r == role);
        if known(&first).is_none() {
            // Names of people are written large, unlike the beginning of a sentence with a colon.
            let large = lines(text).all(|line| !line.trim_start().starts_with(char::is_lowercase));
            let two = order.len() == 2 && bare == 0 && large && full == counts.values().sum::<usize>();
            return two
                .then(|| Self(vec![(order[0].clone(), Role::User), (order[1].clone(), Role::Assistant)]));
        }
        // The side that is missing is the name that begins lines as often as the other, or nearly.
        let missing = match (has(&speakers, Role::User), has(&speakers, Role::Assistant)) {
            (true, false) if !has(&speakers, Role::System) => Some(Role::Assistant),
            (false, true) => Some(Role::User),
            _ => None,
        };
        if let Some(role) = missing {
            let others: usize = speakers.iter().filter(|s| s.1 != Role::System).map(|s| counts[&s.0]).sum();
            let candidates = order.iter().filter(|name| known(name).is_none() && name.len() > 1);
            let most = candidates.max_by_key(|name| counts[*name]);
            speakers.extend(most.filter(|name| counts[*name] * 2 >= others).map(|name| (name.clone(), role)));
        }
        // Where only `user` and `system` speak, the system is who answers.
        if has(&speakers, Role::User) && !has(&speakers, Role::Assistant) {
            for speaker in speakers.iter_mut().filter(|speaker| speaker.1 == Role::System) {
                speaker.1 = Role::Assistant;
            }
        }
        Some(Self(speakers))
    }

    fn of_line<'t>(&self, line: &'t str) -> Option<(Role, &'t str)> {
        let (name, text) = named(line)?;
        self.0.iter().find(|(speaker, _)| *speaker == name).map(|(_, role)| (*role, text))
    }

    /// What a reader of the script should know: who is who, and which names were taken for text.
    pub(super) fn notes(&self, text: &str) -> Vec<String> {
        let mut others: HashMap<String, usize> = HashMap::new();
        for (name, _) in lines(text).filter(|line| self.of_line(line).is_none()).filter_map(named) {
            *others.entry(name).or_insert(0) += 1;
        }
        let mut others: Vec<(String, usize)> = others.into_iter().filter(|(_, count)| *count > 1).collect();
        others.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let who = self.0.iter().map(|(name, role)| format!("\"{name}\" is the {}", role.name()));
        let mut notes = Vec::new();
        if self.0.iter().any(|(name, _)| known(name).is_none()) {
            notes.push(format!(
                "speakers by their place in the script: {}",
                who.collect::<Vec<_>>().join(", ")
            ));
        }
        notes.extend(others.into_iter().take(3).map(|(name, count)| {
            format!("{count} lines begin with \"{name}:\", which is no speaker here: they are part of the turns before them")
        }));
        notes
    }
}

pub(super) fn parse(path: &Path, text: &str, speakers: &Speakers) -> Vec<Dialogue> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut dialogues: Vec<Dialogue> = Vec::new();
    let mut turns: Vec<Turn> = Vec::new();
    for line in lines(text).chain([""]) {
        match (speakers.of_line(line), turns.last_mut()) {
            (Some((role, text)), _) => turns.push(Turn::new(role, text)),
            (None, Some(_)) if line.trim().is_empty() => {
                let id = format!("{name}-{}", dialogues.len() + 1);
                dialogues.push(Dialogue::new(id, std::mem::take(&mut turns)));
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
