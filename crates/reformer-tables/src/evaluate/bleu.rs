//! BLEU of responses against one reference each, over a corpus: as sacrebleu computes it by default.
//!
//! ```text
//! BLEU = 100 · min(1, exp(1 − r/h)) · exp(¼ Σₙ ln pₙ)       pₙ = matching n-grams / n-grams, n = 1…4
//! ```
//! `h` and `r` count words of hypotheses and references; an n-gram matches at most as often as the reference has it. A
//! pₙ of zero is taken as ½, ¼, … of one n-gram (exponential smoothing). Words are cut by the rules of mteval's 13a.

use std::collections::HashMap;

/// The longest n-grams.
const ORDER: usize = 4;

/// From 0 to 100; 0 without pairs. Pairs are a hypothesis and its reference.
pub fn bleu<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> f64 {
    let (mut said, mut wanted) = (0_usize, 0_usize);
    let (mut matching, mut all) = ([0_usize; ORDER], [0_usize; ORDER]);
    for (hypothesis, reference) in pairs {
        let (hypothesis, reference) = (words(hypothesis), words(reference));
        said += hypothesis.len();
        wanted += reference.len();
        for n in 1..=ORDER {
            let (ours, theirs) = (counts(&hypothesis, n), counts(&reference, n));
            all[n - 1] += hypothesis.len().saturating_sub(n - 1);
            matching[n - 1] += ours
                .iter()
                .map(|(gram, count)| theirs.get(gram).copied().unwrap_or(0).min(*count))
                .sum::<usize>();
        }
    }
    if matching.iter().all(|&count| count == 0) || all.contains(&0) {
        return 0.0;
    }
    let mut smooth = 1.0;
    let mut logs = 0.0;
    for (&matching, &all) in matching.iter().zip(&all) {
        let found = if matching == 0 {
            smooth *= 2.0;
            1.0 / smooth
        } else {
            matching as f64
        };
        logs += (found / all as f64).ln();
    }
    let brevity = if said < wanted { (1.0 - wanted as f64 / said as f64).exp() } else { 1.0 };
    100.0 * brevity * (logs / ORDER as f64).exp()
}

fn counts(words: &[String], n: usize) -> HashMap<&[String], usize> {
    let mut counts = HashMap::new();
    for gram in words.windows(n) {
        *counts.entry(gram).or_default() += 1;
    }
    counts
}

/// The words of a text by mteval's rules 13a: signs stand alone, full stops and commas too unless they are in
/// numbers, a dash behind a digit.
fn words(text: &str) -> Vec<String> {
    let text = text.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
    let text = text.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
    let mut apart = String::with_capacity(text.len() + 16);
    apart.push(' ');
    for c in text.chars() {
        if matches!(c, '{'..='~' | '['..='`' | ' '..='&' | '('..='+' | ':'..='@' | '/') {
            apart.extend([' ', c, ' ']);
        } else {
            apart.push(c);
        }
    }
    apart.push(' ');
    let stop = |c: char| matches!(c, '.' | ',');
    let apart = parted(&apart, |a, b| !a.is_ascii_digit() && stop(b), "", " ");
    let apart = parted(&apart, |a, b| stop(a) && !b.is_ascii_digit(), " ", "");
    let apart = parted(&apart, |a, b| a.is_ascii_digit() && b == '-', "", " ");
    apart.split_whitespace().map(str::to_owned).collect()
}

/// Puts a space between two neighbours and `before` and `behind` them; from left to right, no letter taken twice.
fn parted(text: &str, found: impl Fn(char, char) -> bool, before: &str, behind: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text.chars();
    let mut held = rest.next();
    while let Some(a) = held {
        held = rest.next();
        match held {
            Some(b) if found(a, b) => {
                out.push_str(before);
                out.extend([a, ' ', b]);
                out.push_str(behind);
                held = rest.next();
            }
            _ => out.push(a),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_by_the_rules_13a() {
        for (text, expected) in [
            ("it is 10.1 pounds, yes.", "it is 10.1 pounds , yes ."),
            ("(hello) a/b isn't 7-8 x-y", "( hello ) a / b isn't 7 - 8 x-y"),
            ("the NAME's at 12:30 &amp; 3,000.", "the NAME's at 12 : 30 & 3,000 ."),
            ("wait... ok", "wait . . . ok"),
        ] {
            assert_eq!(words(text).join(" "), expected, "{text}");
        }
    }
    #[test]
    fn the_score_is_sacrebleus() {
        let said = ["NAME is a nice place in the AREA.", "i have 3 hotels, shall i book?", "goodbye!"];
        let wanted = [
            "the NAME is a nice TYPE in the AREA .",
            "i have COUNT hotels. shall i book one for you?",
            "thank you and goodbye.",
        ];
        let close = |score: f64, expected: f64| (score - expected).abs() < 1e-9;
        assert!(close(bleu(said.into_iter().zip(wanted)), 28.079_573_347_848_43));
        assert!(close(bleu([("a b c d e f", "a b x y e f")]), 22.957_488_466_614_336), "smoothed");
        assert!(close(bleu(said.into_iter().zip(said)), 100.0));
        assert!(close(bleu([("a b", "a b")]), 0.0), "no n-grams of four");
        assert!(close(bleu([]), 0.0));
    }
}
