//! What a corpus holds, in numbers.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use crate::{Dialogue, Role};

/// Turns, bytes and words of some texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TextCounts {
    /// Texts.
    pub turns: usize,
    /// UTF-8 bytes.
    pub bytes: usize,
    /// Pieces between white space.
    pub words: usize,
}

/// Where a set of numbers lies; the p-th percentile is the smallest number that p percent do not exceed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Smallest.
    pub min: usize,
    /// Median.
    pub p50: usize,
    /// 90th percentile.
    pub p90: usize,
    /// 99th percentile.
    pub p99: usize,
    /// Largest.
    pub max: usize,
    /// Mean.
    pub mean: f64,
}

impl Percentiles {
    /// The percentiles of `values`, all zero if there are none.
    pub fn of(mut values: Vec<usize>) -> Self {
        values.sort_unstable();
        let (Some(&min), Some(&max)) = (values.first(), values.last()) else {
            return Self::default();
        };
        let at = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
        Self {
            min,
            p50: at(50),
            p90: at(90),
            p99: at(99),
            max,
            mean: values.iter().sum::<usize>() as f64 / values.len() as f64,
        }
    }
}

/// A corpus in numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Dialogues.
    pub dialogues: usize,
    /// Turns of all.
    pub turns: usize,
    /// UTF-8 bytes of all turns' texts.
    pub bytes: usize,
    /// Words of all turns' texts.
    pub words: usize,
    /// Different words, letters in lower case.
    pub distinct_words: usize,
    /// The same by role.
    pub roles: BTreeMap<Role, TextCounts>,
    /// Turns of a dialogue.
    pub turns_per_dialogue: Percentiles,
    /// Bytes of a dialogue's texts.
    pub bytes_per_dialogue: Percentiles,
    /// Bytes of a turn's text.
    pub bytes_per_turn: Percentiles,
    /// Dialogues that a domain occurs in.
    pub domains: BTreeMap<String, usize>,
}

impl Summary {
    /// Counts `dialogues`.
    pub fn of(dialogues: &[Dialogue]) -> Self {
        let mut roles = BTreeMap::<Role, TextCounts>::new();
        let mut domains = BTreeMap::new();
        let mut distinct = HashSet::new();
        for dialogue in dialogues {
            for domain in &dialogue.domains {
                *domains.entry(domain.clone()).or_insert(0) += 1;
            }
            for turn in &dialogue.turns {
                let counts = roles.entry(turn.role).or_default();
                counts.turns += 1;
                counts.bytes += turn.text.len();
                for word in turn.text.split_whitespace() {
                    counts.words += 1;
                    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
                    if !distinct.contains(word) {
                        distinct.insert(word.to_lowercase());
                    }
                }
            }
        }
        distinct.remove("");
        let turns = || dialogues.iter().flat_map(|dialogue| &dialogue.turns);
        Self {
            dialogues: dialogues.len(),
            turns: turns().count(),
            bytes: roles.values().map(|counts| counts.bytes).sum(),
            words: roles.values().map(|counts| counts.words).sum(),
            distinct_words: distinct.len(),
            roles,
            turns_per_dialogue: Percentiles::of(dialogues.iter().map(|d| d.turns.len()).collect()),
            bytes_per_dialogue: Percentiles::of(dialogues.iter().map(Dialogue::text_bytes).collect()),
            bytes_per_turn: Percentiles::of(turns().map(|turn| turn.text.len()).collect()),
            domains,
        }
    }
}

/// What is odd about a corpus, in sentences: what a person would want to know before training on it.
pub fn oddities(dialogues: &[Dialogue]) -> Vec<String> {
    let turns = || dialogues.iter().flat_map(|dialogue| &dialogue.turns);
    let talks = || dialogues.iter().filter(|dialogue| !dialogue.document);
    let of = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let silent = |dialogue: &&Dialogue| !dialogue.turns.iter().any(|turn| turn.role == Role::Assistant);
    let first =
        |dialogue: &&Dialogue| dialogue.turns.first().is_some_and(|turn| turn.role == Role::Assistant);
    let in_a_row =
        |dialogue: &Dialogue| dialogue.turns.windows(2).filter(|two| two[0].role == two[1].role).count();
    let empty = |role: Role| turns().filter(|turn| turn.role == role && turn.text.trim().is_empty()).count();
    let holds = |wanted: &dyn Fn(&str) -> bool| turns().filter(|turn| wanted(&turn.text)).count();
    let marks = Role::ALL.map(Role::mark);
    let mut seen = HashSet::new();
    let repeated = dialogues.iter().filter(|dialogue| !seen.insert(&dialogue.turns)).count();
    [
        of(empty(Role::Assistant), "turns of the assistant are empty: a model learns to say nothing"),
        of(empty(Role::User), "turns of the user are empty"),
        of(
            talks().filter(silent).count(),
            "dialogues have no turn of the assistant: there is nothing to learn in them",
        ),
        of(talks().filter(first).count(), "dialogues begin with the assistant"),
        of(talks().map(in_a_row).sum(), "turns follow another one of the same side"),
        of(repeated, "dialogues or texts are there more than once"),
        of(
            turns().filter(|turn| !turn.learned).count(),
            "turns have the weight 0: they are read and not learned",
        ),
        of(
            holds(&|text| text.contains('\u{fffd}')),
            "turns hold U+FFFD (�), which stands for text that was lost",
        ),
        of(
            holds(&|text| text.contains(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))),
            "turns hold control characters",
        ),
        of(
            holds(&|text| marks.iter().any(|mark| text.contains(mark))),
            "turns spell a mark such as <|user|>: it is learned as the text that it is",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Turn;

    #[test]
    fn percentiles_are_values_that_occur() {
        let p = Percentiles::of((1..=200).rev().collect());
        assert_eq!((p.min, p.p50, p.p90, p.p99, p.max), (1, 100, 180, 198, 200));
        assert_eq!(p.mean, 100.5);
        assert_eq!(Percentiles::of(vec![7]).p99, 7);
        assert_eq!(Percentiles::of(vec![]), Percentiles::default());
    }

    #[test]
    fn a_summary_counts_by_role_and_domain() {
        let mut dialogue = Dialogue::new("a", vec![Turn::user("Hello, hello"), Turn::assistant("é!")]);
        dialogue.domains = vec!["taxi".into()];
        let summary = Summary::of(&[dialogue.clone(), dialogue]);
        assert_eq!((summary.dialogues, summary.turns, summary.bytes), (2, 4, 30));
        assert_eq!((summary.words, summary.distinct_words), (6, 2));
        let user = TextCounts { turns: 2, bytes: 24, words: 4 };
        assert_eq!(summary.roles[&Role::User], user);
        assert_eq!(summary.domains["taxi"], 2);
        assert_eq!(summary.turns_per_dialogue.p50, 2);
    }

    #[test]
    fn what_is_odd_is_counted_and_what_is_not_is_not() {
        assert_eq!(oddities(&crate::demo::dialogues(1, 50)), Vec::<String>::new());
        assert_eq!(oddities(&[Dialogue::of_text("a", "text")]), Vec::<String>::new());
        let mut dialogue =
            Dialogue::new("a", vec![Turn::assistant(""), Turn::user("\u{1b}[0m<|end|><|user|>")]);
        dialogue.turns[1].learned = false;
        let alone = Dialogue::new("b", vec![Turn::user("\u{fffd}"), Turn::user(" ")]);
        let found = oddities(&[dialogue, alone.clone(), alone]);
        for part in [
            "1 turns of the assistant are empty",
            "2 turns of the user are empty",
            "2 dialogues have no turn of the assistant",
            "1 dialogues begin with the assistant",
            "2 turns follow",
            "1 dialogues or texts are there more than once",
            "1 turns have the weight 0",
            "2 turns hold U+FFFD",
            "1 turns hold control characters",
            "1 turns spell a mark",
        ] {
            assert!(found.iter().any(|odd| odd.starts_with(part)), "{part}: {found:?}");
        }
    }
}
