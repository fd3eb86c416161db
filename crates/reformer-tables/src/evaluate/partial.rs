//! How well the shorter of two texts stands somewhere in the longer one, from 0 to 100.
//!
//! ```text
//! partial_ratio("cambridge", "the cambridge belfry") = 100
//! ```
//! fuzzywuzzy's `partial_ratio` over python-Levenshtein: the texts are aligned by least edits, and the shorter one is
//! laid over the longer one at each place where a run of equal letters begins. Which of several least alignments is
//! taken decides which places are tried; the choice here is that library's.

/// Of texts without 90 the evaluator says that they are not the same name.
pub fn partial_ratio(a: &str, b: &str) -> u32 {
    if a == b {
        return 100;
    }
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let mut best = 0.0_f64;
    for from in places(&short, &long) {
        let part = &long[from..(from + short.len()).min(long.len())];
        let ratio = ratio(&short, part);
        if ratio > 0.995 {
            return 100;
        }
        best = best.max(ratio);
    }
    // Python rounds halves to even.
    (100.0 * best).round_ties_even() as u32
}

/// One less the share of letters that are taken out and put in.
fn ratio(a: &[char], b: &[char]) -> f64 {
    let all = a.len() + b.len();
    let edits = all - 2 * common(a, b);
    1.0 - edits as f64 / all as f64
}

/// Length of the longest common subsequence.
fn common(a: &[char], b: &[char]) -> usize {
    let mut row = vec![0; b.len() + 1];
    for x in a {
        let mut diagonal = 0;
        for (j, y) in b.iter().enumerate() {
            let above = row[j + 1];
            row[j + 1] = if x == y { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    row[b.len()]
}

/// Where in `long` the beginning of `short` lies by each run of equal letters, and by the end of both.
fn places(short: &[char], long: &[char]) -> Vec<usize> {
    let prefix = short.iter().zip(long).take_while(|(x, y)| x == y).count();
    let (a, b) = (&short[prefix..], &long[prefix..]);
    let suffix = a.iter().rev().zip(b.iter().rev()).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[..a.len() - suffix], &b[..b.len() - suffix]);

    let width = b.len() + 1;
    let mut least = vec![0_usize; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            least[i * width + j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let changed = least[(i - 1) * width + j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    changed.min(least[(i - 1) * width + j] + 1).min(least[i * width + j - 1] + 1)
                }
            };
        }
    }
    let end = long.len() - short.len();
    let mut places = vec![end];
    let mut place = |i: usize, j: usize| {
        let at = j.saturating_sub(i);
        if !places.contains(&at) {
            places.push(at);
        }
    };
    if prefix > 0 {
        place(0, 0);
    }
    let (mut i, mut j) = (a.len(), b.len());
    while i > 0 && j > 0 {
        let here = least[i * width + j];
        if here == least[(i - 1) * width + j] + 1 {
            i -= 1;
            continue;
        }
        j -= 1;
        // A letter of the longer text alone, where taking one of the shorter back would only cost more.
        if j > 0 && least[(i - 1) * width + j] == least[i * width + j] + 1 {
            continue;
        }
        i -= 1;
        if a[i] == b[j] {
            place(prefix + i, prefix + j);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::partial_ratio;

    #[test]
    fn names_are_held_against_names_as_the_evaluators_library_does() {
        // What the library says, run on these pairs.
        for (a, b, expected) in [
            ("cambridge", "the cambridge belfry", 100),
            ("italain", "italian", 86),
            ("warkworth", "wartworth house", 89),
            ("cityroomz", "city roomz hotel", 89),
            ("gonville hotel", "the gonvile hotl", 92),
            ("bishops stortford", "bishop's stortford", 94),
            ("alexander bed and breakfast", "alexandar b and b", 82),
            ("london kings cross", "london liverpool street", 61),
            ("pizza hut city centre", "pizza hut fen ditton", 65),
            ("abcab", "cabcabd", 100),
            ("kirkwood", "wood kirk", 67),
            // It stands there whole, but the alignment that is taken does not lead to it.
            ("aab", "abaabb", 67),
            ("", "", 100),
            ("", "a", 0),
            ("a", "", 0),
        ] {
            assert_eq!(partial_ratio(a, b), expected, "{a} {b}");
        }
    }
}
