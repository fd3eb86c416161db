//! A part of the training corpus to measure on, which is never learned.
//!
//! ```text
//! 50 dialogues and more    every 50th
//! fewer                    the last twentieth of the text: whole dialogues, else turns, else the end of a document
//! ```
//!
//! A corpus that can give nothing up is refused: measured on itself it would promise what no new text keeps.

use reformer_text::{Dialogue, Turn};

use crate::error::TrainError;

/// Dialogues to train on, and to validate on.
type Parts = (Vec<Dialogue>, Vec<Dialogue>);

/// Every how many-th dialogue is held out of many.
const EVERY: usize = 50;
/// The share of the text that is held out of few.
const SHARE: usize = 20;
/// Bytes below which a document is not cut: the end of a sentence measures nothing.
const LEAST: usize = 200;

/// The training part and the held-out part; `name` says in an error which corpus is too small.
pub(super) fn hold_out(mut train: Vec<Dialogue>, name: &str) -> Result<Parts, TrainError> {
    if train.len() >= EVERY {
        return Ok(crate::packing::hold_out(train, EVERY));
    }
    let bytes: usize = train.iter().map(Dialogue::text_bytes).sum();
    let wanted = bytes.div_ceil(SHARE);
    let mut held = Vec::new();
    let mut taken = 0;
    // Whole dialogues, as long as one does not take a far larger share than wanted.
    while train.len() > 1 && taken < wanted {
        let next = train.last().map_or(0, Dialogue::text_bytes);
        if taken + next > 2 * wanted && (taken > 0 || next > bytes / 2) {
            break;
        }
        held.extend(train.pop());
        taken += next;
    }
    held.reverse();
    if held.is_empty()
        && let Some((rest, end)) = train.last().and_then(|last| cut(last, wanted))
    {
        train.pop();
        train.push(rest);
        held.push(end);
    }
    if held.is_empty() {
        return Err(TrainError::NothingToHoldOut { name: name.to_owned(), bytes });
    }
    Ok((train, held))
}

/// Cuts about `wanted` bytes off the end of a dialogue: whole turns, or of a single turn the end of its text.
fn cut(dialogue: &Dialogue, wanted: usize) -> Option<(Dialogue, Dialogue)> {
    let part = |turns: &[Turn]| Dialogue { turns: turns.to_vec(), ..dialogue.clone() };
    if let [only] = dialogue.turns.as_slice() {
        if only.text.len() < LEAST {
            return None;
        }
        let at = border(&only.text, only.text.len() - wanted);
        let text = |text: &str| part(&[Turn { text: text.to_owned(), ..only.clone() }]);
        return Some((text(&only.text[..at]), text(&only.text[at..])));
    }
    let mut at = dialogue.turns.len();
    let mut taken = 0;
    while taken < wanted && at > 1 {
        at -= 1;
        taken += dialogue.turns[at].text.len();
    }
    (dialogue.turns.len() >= 4 && at > 1).then(|| (part(&dialogue.turns[..at]), part(&dialogue.turns[at..])))
}

/// Where a text is cut near `at`: after a line end, else after a blank, else between characters.
fn border(text: &str, at: usize) -> usize {
    let at = text.floor_char_boundary(at);
    let after = |c: char| text[..at].rfind(c).map(|found| found + c.len_utf8());
    // Not far back: a text of one line has its only line end anywhere.
    let near = |found: &usize| *found > at / 2;
    after('\n').filter(near).or_else(|| after(' ').filter(near)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialogue(id: usize, turns: usize) -> Dialogue {
        let turn = |n: usize| {
            if n.is_multiple_of(2) {
                Turn::user("is there a table?")
            } else {
                Turn::assistant("yes, for two.")
            }
        };
        Dialogue::new(id.to_string(), (0..turns).map(turn).collect())
    }

    fn texts(dialogues: &[Dialogue]) -> Vec<&str> {
        dialogues.iter().flat_map(|dialogue| &dialogue.turns).map(|turn| turn.text.as_str()).collect()
    }

    #[test]
    fn one_document_is_cut_at_a_line_end_and_nothing_of_it_is_lost_or_in_both_parts() {
        let book = (0..400).map(|n| format!("Line {n} of a béook.\n")).collect::<Vec<_>>().concat();
        let (train, held) =
            hold_out(vec![Dialogue::new("book", vec![Turn::assistant(&*book)])], "book.txt").unwrap();
        let (train, held) = (texts(&train).concat(), texts(&held).concat());
        assert_eq!(format!("{train}{held}"), book);
        assert!(train.ends_with('\n') && held.len() * 15 < book.len() && held.len() * 25 > book.len());
    }

    #[test]
    fn few_dialogues_give_whole_ones_up_and_many_every_fiftieth() {
        let all = |count: usize| (0..count).map(|id| dialogue(id, 4)).collect::<Vec<_>>();
        for (count, held) in [(2, 1), (20, 1), (49, 3), (50, 1), (100, 2)] {
            let (train, valid) = hold_out(all(count), "few.jsonl").unwrap();
            assert_eq!((train.len(), valid.len()), (count - held, held), "{count}");
            assert!(valid.iter().all(|one| train.iter().all(|other| one.id != other.id)));
        }
    }

    #[test]
    fn one_long_dialogue_gives_its_last_turns_up() {
        let (train, held) = hold_out(vec![dialogue(0, 40)], "one.jsonl").unwrap();
        assert_eq!(train[0].turns.len() + held[0].turns.len(), 40);
        assert!((1..=3).contains(&held[0].turns.len()));
    }

    #[test]
    fn a_corpus_that_can_give_nothing_up_is_refused_by_name() {
        for corpus in
            [vec![dialogue(0, 2)], vec![Dialogue::new("a", vec![Turn::assistant("short")])], Vec::new()]
        {
            let error = hold_out(corpus, "tiny.txt").unwrap_err().to_string();
            assert!(error.contains("tiny.txt") && error.contains("valid"), "{error}");
        }
    }
}
