//! Values of states as the standard evaluator corrects them before it asks its database.
//!
//! ```text
//! "5 pm" → 17:00      "guest house" → guesthouse      "hotel du vin bistro" → hotel du vin and bistro
//! ```
//! The lists are the evaluator's own, faults included: scores are compared with scores that were made by them.

/// A slot's name: small letters, no spaces, `arrive` and `leave`.
pub fn slot_name(name: &str) -> String {
    let name = name.to_lowercase().replace(' ', "");
    match name.as_str() {
        "arriveby" => "arrive".to_owned(),
        "leaveat" => "leave".to_owned(),
        _ => name,
    }
}

/// A value as the database has it, where the evaluator knows better.
pub fn canonical(slot: &str, value: &str) -> String {
    match slot {
        "name" | "destination" | "departure" => venue(value),
        "type" => of(&TYPES, value).to_owned(),
        "food" => of(&FOODS, &value.trim().to_lowercase()).to_owned(),
        "arrive" | "leave" | "arriveby" | "leaveat" | "time" => clock(value),
        "parking" | "internet" if value == "free" => "yes".to_owned(),
        _ => value.to_owned(),
    }
}

fn of<'a>(list: &[(&str, &'a str)], value: &'a str) -> &'a str {
    list.iter().find(|(other, _)| *other == value).map_or(value, |(_, meant)| meant)
}

const TYPES: [(&str, &str); 4] = [
    ("swimming pool", "swimmingpool"),
    ("mutliple sports", "multiple sports"),
    ("night club", "nightclub"),
    ("guest house", "guesthouse"),
];

const FOODS: [(&str, &str); 15] = [
    ("eriterean", "mediterranean"),
    ("brazilian", "portuguese"),
    ("sea food", "seafood"),
    ("portugese", "portuguese"),
    ("modern american", "north american"),
    ("americas", "north american"),
    ("intalian", "italian"),
    ("italain", "italian"),
    ("asian or oriental", "asian"),
    ("english", "british"),
    ("australasian", "australian"),
    ("gastropod", "gastropub"),
    ("brutish", "british"),
    ("bristish", "british"),
    ("europeon", "european"),
];

/// Of every kind of venue in one list: the evaluator asks it without the domain.
const VENUES: [(&str, &str); 35] = [
    ("hotel du vin bistro", "hotel du vin and bistro"),
    ("the river bar and grill", "the river bar steakhouse and grill"),
    ("nando's", "nandos"),
    ("city center b and b", "city center north b and b"),
    ("acorn house", "acorn guest house"),
    ("caffee uno", "caffe uno"),
    ("cafe uno", "caffe uno"),
    ("rosa's", "rosas bed and breakfast"),
    ("restaurant called two two", "restaurant two two"),
    ("restaurant 2 two", "restaurant two two"),
    ("restaurant two 2", "restaurant two two"),
    ("restaurant 2 2", "restaurant two two"),
    ("restaurant 1 7", "restaurant one seven"),
    ("restaurant 17", "restaurant one seven"),
    ("lime house", "limehouse"),
    ("cityrooms", "cityroomz"),
    ("whale of time", "whale of a time"),
    ("huntingdon hotel", "huntingdon marriott hotel"),
    ("holiday inn exlpress, cambridge", "express by holiday inn cambridge"),
    ("university hotel", "university arms hotel"),
    ("arbury guesthouse and lodge", "arbury lodge guesthouse"),
    ("bridge house", "bridge guest house"),
    ("arbury guesthouse", "arbury lodge guesthouse"),
    ("nandos in the city centre", "nandos city centre"),
    ("broughton gallery", "broughton house gallery"),
    ("scudamores punt co", "scudamores punting co"),
    ("cambridge botanic gardens", "cambridge university botanic gardens"),
    ("the junction", "junction theatre"),
    ("trinity street college", "trinity college"),
    ("christ college", "christ's college"),
    ("christs", "christ's college"),
    ("history of science museum", "whipple museum of the history of science"),
    ("parkside pools", "parkside swimming pool"),
    ("the botanical gardens at cambridge university", "cambridge university botanic gardens"),
    ("cafe jello museum", "cafe jello gallery"),
];

fn venue(name: &str) -> String {
    let name = name.trim().to_lowercase().replace(" & ", " and ").replace('&', " and ").replace(" '", "'");
    of(&VENUES, &name).to_owned()
}

/// A time as `HH:MM` where it can be read as one.
fn clock(time: &str) -> String {
    let time = time.trim().to_lowercase();
    let said = match time.as_str() {
        "afternoon" => "13:00",
        "lunch" | "noon" | "mid-day" | "around lunch time" => "12:00",
        "morning" => "08:00",
        "seven o'clock tomorrow evening" => "07:00",
        "three forty five p.m" => "15:45",
        "one thirty p.m." => "13:30",
        "six fourty five" => "06:45",
        "eight thirty" => "08:30",
        _ if time.starts_with("one o'clock p.m") => "13:00",
        _ if time.starts_with("ten o'clock a.m") => "10:00",
        _ => "",
    };
    if !said.is_empty() {
        return said.to_owned();
    }
    // "by 9" loses the sign after the word too, whatever it is.
    let mut time = match time.strip_prefix("by") {
        Some(rest) => rest.chars().skip(1).collect(),
        None => time,
    };
    for word in ["after", "afer"] {
        if let Some(rest) = time.strip_prefix(word) {
            time = rest.trim().to_owned();
        }
    }
    for word in ["am", "a.m."] {
        if let Some(rest) = time.strip_suffix(word) {
            time = rest.trim().to_owned();
        }
    }
    if let Some(rest) = time.strip_suffix("pm").or_else(|| time.strip_suffix("p.m.")) {
        time = rest.trim().to_owned();
        let parts: Vec<_> = time.split(':').collect();
        match (parts.as_slice(), parts[0].trim().parse::<u32>()) {
            ([_, minutes], Ok(hours)) => return format!("{}:{minutes}", hours + 12),
            ([_], Ok(hours)) if is_digits(&time) => return format!("{}:00", hours + 12),
            _ => {}
        }
    }
    if time.is_empty() {
        return "00:00".to_owned();
    }
    if time.ends_with(['.', ',', '?']) {
        time.pop();
    }
    if is_digits(&time) {
        return if time.len() == 4 {
            format!("{}:{}", &time[..2], &time[2..])
        } else {
            format!("{time:0>2}:00")
        };
    }
    if time.contains(':') {
        time = time.replace(' ', "");
    }
    if time.len() == 4 && time.as_bytes()[1] == b':' {
        time.insert(0, '0');
    }
    time
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Minutes of the day; what is no time is midnight.
pub fn minutes(time: &str) -> u32 {
    let b = time.as_bytes();
    let digits = |at: usize| b.get(at..at + 2).is_some_and(|pair| pair.iter().all(u8::is_ascii_digit));
    if !(digits(0) && b.get(2) == Some(&b':') && digits(3)) {
        return 0;
    }
    let number = |at: usize| u32::from(b[at] - b'0') * 10 + u32::from(b[at + 1] - b'0');
    number(0) * 60 + number(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_become_hours_and_minutes() {
        for (time, expected) in [
            ("5pm", "17:00"),
            ("5:15 p.m.", "17:15"),
            ("12:30pm", "24:30"),
            ("9 am", "09:00"),
            ("0915", "09:15"),
            ("9:15", "09:15"),
            ("17 : 15", "17:15"),
            ("after 9:30", "09:30"),
            ("by 11", "11:00"),
            ("noon", "12:00"),
            ("10:45.", "10:45"),
            ("", "00:00"),
            ("pm", "00:00"),
            ("one o'clock p.m. sharp", "13:00"),
            ("dontcare", "dontcare"),
            ("é:15", "é:15"),
        ] {
            assert_eq!(canonical("leave", time), expected, "{time}");
        }
        assert_eq!(minutes("24:06"), 1446);
        for none in ["9:15", "soon", "", "1é:15"] {
            assert_eq!(minutes(none), 0, "{none}");
        }
    }

    #[test]
    fn words_are_corrected_where_the_evaluator_corrects_them() {
        for (slot, value, expected) in [
            ("name", "The Junction", "junction theatre"),
            ("name", "restaurant 17", "restaurant one seven"),
            ("destination", "Christ 's&church", "christ's and church"),
            ("type", "guest house", "guesthouse"),
            ("type", "Guest house", "Guest house"),
            ("food", " Sea Food ", "seafood"),
            ("parking", "free", "yes"),
            ("area", "free", "free"),
        ] {
            assert_eq!(canonical(slot, value), expected, "{slot} {value}");
        }
        assert_eq!(
            (slot_name("Arrive By"), slot_name("book people")),
            ("arrive".into(), "bookpeople".into())
        );
    }
}
