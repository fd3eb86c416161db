//! Values as people write them: one plain form for everything that means the same.
//!
//! ```text
//! "The Guest-House"  guesthouse        "St. John's College"  saintjohnscollege
//! "9:15" "09:15"     09:15             "do not care" "any"   no wish
//! ```

/// Lower case, without spaces, signs and a leading "the"; "st" and "&" spelled out.
pub fn plain(text: &str) -> String {
    let lower = text.to_lowercase();
    let mut words: Vec<&str> = lower
        .split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '’' | '&'))
        .filter(|word| !word.is_empty())
        .collect();
    if words.len() > 1 && words[0] == "the" {
        words.remove(0);
    }
    let mut out = String::with_capacity(lower.len());
    for word in words {
        match word {
            "&" => out.push_str("and"),
            "st" => out.push_str("saint"),
            "center" => out.push_str("centre"),
            "theater" => out.push_str("theatre"),
            _ => out.extend(word.chars().filter(|c| c.is_alphanumeric())),
        }
    }
    out
}

/// Whether a value says that anything will do.
pub fn is_any(value: &str) -> bool {
    let said = matches!(
        plain(value).as_str(),
        "any" | "anything" | "donotcare" | "dontcare" | "doesnotmatter" | "notmentioned" | "none"
    );
    said || value.trim().is_empty()
}

/// A time as `HH:MM`, which sorts; hours from 0 to 29 (a night train arrives at 24:06).
pub fn time(text: &str) -> Option<String> {
    let text = text.trim().to_lowercase();
    let (text, after_noon) = match (text.strip_suffix("pm"), text.strip_suffix("am")) {
        (Some(rest), _) => (rest.trim().to_owned(), Some(true)),
        (_, Some(rest)) => (rest.trim().to_owned(), Some(false)),
        _ => (text, None),
    };
    let (hours, minutes) = match text.split_once([':', '.']) {
        Some((hours, minutes)) => (hours.to_owned(), minutes.to_owned()),
        None if text.len() == 4 => (text.get(..2)?.to_owned(), text.get(2..)?.to_owned()),
        None if after_noon.is_some() => (text, "0".to_owned()),
        None => return None,
    };
    let number = |digits: &str| digits.parse::<u32>().ok().filter(|_| digits.len() <= 2);
    let (mut hours, minutes) = (number(&hours)?, number(&minutes)?);
    match after_noon {
        Some(true) if hours < 12 => hours += 12,
        Some(false) if hours == 12 => hours = 0,
        _ => {}
    }
    (hours < 30 && minutes < 60).then(|| format!("{hours:02}:{minutes:02}"))
}

/// Whether two plain texts are the same name with a slip of the pen: one letter in five may differ.
pub(crate) fn near(a: &str, b: &str) -> bool {
    let close = |a: &str| {
        let longest = a.chars().count().max(b.chars().count());
        longest >= 4 && strsim::osa_distance(a, b) * 5 <= longest
    };
    // "wartworth" is warkworth house: people leave the last word out.
    let begun: String = a.chars().take(b.chars().count()).collect();
    close(a) || (begun.chars().count() >= 6 && close(&begun))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_thing_are_one_plain_text() {
        for (a, b) in [
            ("the Guest-House", "guesthouse"),
            ("Saint John's College", "st johns college"),
            ("city centre", "City Center"),
            ("B&B", "b & b"),
        ] {
            assert_eq!(plain(a).replace("bandb", "bb"), plain(b).replace("bandb", "bb"), "{a} {b}");
        }
        assert_eq!(plain("the"), "the");
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, expected) in [
            ("9:15", "09:15"),
            ("0915", "09:15"),
            ("5pm", "17:00"),
            ("12:30 am", "00:30"),
            ("24:06", "24:06"),
        ] {
            assert_eq!(time(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["soon", "9", "99:99", "１２:３０x", ""] {
            assert_eq!(time(text), None, "{text}");
        }
    }
}
