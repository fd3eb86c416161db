//! Slots in responses: every system's own names for them as one set of names, in capitals.
//!
//! ```text
//! "Try [restaurant_name] in the [value_area]s ."   → "try NAME in the AREA ."
//! {restaurant.name.2}  → [restaurant_name]          {hotel.book people} → [people]
//! ```
//! The table is the standard evaluator's: what it does not know is nothing.

use reformer_text::lookups::compact::{Piece, inside, split};

/// Names in capitals, and what systems call them.
const SLOTS: [(&str, &[&str]); 19] = [
    (
        "ADDRESS",
        &[
            "address",
            "attraction_address",
            "hospital_address",
            "hotel_address",
            "police_address",
            "restaurant_address",
            "value_address",
        ],
    ),
    ("AREA", &["area", "value_area", "attraction_area", "restaurant_area", "hotel_area"]),
    (
        "TIME",
        &[
            "booktime",
            "value_time",
            "time",
            "duration",
            "value_duration",
            "train_duration",
            "arriveby",
            "taxi_arriveby",
            "value_arrive",
            "arrive by",
            "train_arriveby",
            "leaveat",
            "value_leave",
            "leave at",
            "train_leaveat",
            "train_leave",
            "train_arrive",
            "taxi_leaveat",
        ],
    ),
    ("DAY", &["day", "value_day", "bookday", "train_day"]),
    (
        "PLACE",
        &[
            "destination",
            "value_destination",
            "departure",
            "value_departure",
            "value_place",
            "train_departure",
            "train_destination",
            "taxi_destination",
            "taxi_departure",
        ],
    ),
    ("FOOD", &["food", "value_food", "restaurant_food"]),
    (
        "NAME",
        &[
            "name",
            "attraction_name",
            "hospital_name",
            "hotel_name",
            "police_name",
            "restaurant_name",
            "value_name",
        ],
    ),
    (
        "PHONE",
        &[
            "phone",
            "attraction_phone",
            "hospital_phone",
            "hotel_phone",
            "police_phone",
            "restaurant_phone",
            "taxi_phone",
            "value_phone",
        ],
    ),
    (
        "POST",
        &[
            "postcode",
            "attraction_postcode",
            "hospital_postcode",
            "hotel_postcode",
            "restaurant_postcode",
            "value_postcode",
            "police_postcode",
        ],
    ),
    (
        "PRICE",
        &[
            "price",
            "value_price",
            "entrancefee",
            "entrance fee",
            "train_price",
            "attraction_entrancefee",
            "pricerange",
            "value_pricerange",
            "price range",
            "restaurant_pricerange",
            "hotel_pricerange",
            "attraction_pricerange",
            "attraction_price",
        ],
    ),
    (
        "REFERENCE",
        &[
            "ref",
            "attraction_reference",
            "hotel_reference",
            "restaurant_reference",
            "train_reference",
            "value_reference",
            "reference",
        ],
    ),
    (
        "COUNT",
        &[
            "stars",
            "value_stars",
            "hotel_stars",
            "bookstay",
            "value_stay",
            "stay",
            "bookpeople",
            "value_people",
            "people",
            "choice",
            "value_choice",
            "value_count",
            "attraction_choice",
            "hotel_choice",
            "restaurant_choice",
            "train_choice",
        ],
    ),
    (
        "TYPE",
        &[
            "type",
            "taxi_type",
            "taxi_car",
            "value_type",
            "value_car",
            "car",
            "restaurant_type",
            "hotel_type",
            "attraction_type",
        ],
    ),
    ("TRAINID", &["trainid", "train_id", "value_id", "id", "train", "train_trainid"]),
    ("INTERNET", &["internet", "hotel_internet"]),
    ("PARKING", &["parking", "hotel_parking"]),
    ("ID", &["hospital_id", "attraction_id", "restaurant_id"]),
    ("DEPARTMENT", &["value_department", "department", "hospital_department"]),
    ("OPEN", &["openhours"]),
];

/// The name in capitals, of a name in small letters.
fn known(name: &str) -> Option<&'static str> {
    SLOTS.iter().find(|(_, names)| names.contains(&name)).map(|(slot, _)| *slot)
}

/// A response in small letters with its slots in capitals; plural endings at slots, `-s` and `-ly` fall away.
///
/// The public evaluator then lets a tokenizer for translation move spaces; here spaces before signs go, which
/// [`bleu`](mod@super::bleu) does not notice, as it cuts signs off again.
pub fn normal_response(response: &str) -> String {
    let lower = response.to_lowercase();
    let (mut out, mut rest) = (String::with_capacity(lower.len()), lower.as_str());
    while let Some(open) = rest.find('[') {
        out.push_str(&rest[..open]);
        rest = &rest[open..];
        let close = rest[1..].find(|c: char| !(c.is_alphanumeric() || c == '_' || c.is_whitespace()));
        match close.map(|at| at + 1) {
            Some(close) if close > 1 && rest[close..].starts_with(']') => {
                out.push_str(known(&rest[1..close]).unwrap_or(""));
                rest = &rest[close + 1..];
                // In the order in which the evaluator tries them.
                let ending = ["es", "s", "-s", "-es"].into_iter().find(|ending| rest.starts_with(ending));
                rest = &rest[ending.map_or(0, str::len)..];
            }
            _ => {
                out.push('[');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    let words: Vec<_> =
        out.replace("-s", "").replace("-ly", "").split_whitespace().map(str::to_owned).collect();
    let mut text = String::with_capacity(out.len());
    for word in words {
        let sign = word.starts_with(['.', ',', '!', '?', ';', ':', '\'', ')', '%']) || word == "n't";
        if !text.is_empty() && !sign {
            text.push(' ');
        }
        text.push_str(&word);
    }
    text
}

/// A reply of ours in the evaluator's convention, and the tables whose placeholders it has.
///
/// `{table.column}` is the first of `[table_column]`, `[column]` that the evaluator knows.
pub fn delexicalised(text: &str) -> (String, Vec<String>) {
    let (mut out, mut tables) = (String::with_capacity(text.len()), Vec::new());
    for piece in split(text) {
        match piece {
            Piece::Text(text) => out.push_str(&text),
            Piece::Special(placeholder) => {
                let name = inside(&placeholder).unwrap_or_default();
                let mut parts = name.split('.');
                let table = parts.next().unwrap_or_default();
                match parts.next() {
                    Some(column) => {
                        out.extend(["[", slot(table, column).as_str(), "]"]);
                        if !tables.iter().any(|own| own == table) {
                            tables.push(table.to_owned());
                        }
                    }
                    None => out.push_str(&placeholder),
                }
            }
        }
    }
    (out, tables)
}

fn slot(table: &str, column: &str) -> String {
    let column = match column {
        "count" => "choice",
        "total" => "price",
        other => other.strip_prefix("book ").unwrap_or(other),
    };
    let named = format!("{table}_{column}");
    if known(&named).is_some() || known(column).is_none() { named } else { column.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_systems_names_for_a_slot_are_one_name() {
        for (response, expected) in [
            ("Try [restaurant_name] , in the [value_area] .", "try NAME, in the AREA."),
            ("[hotel_name]s and [value_name]es and [name]-s", "NAME and NAME and NAME"),
            ("there are [value_choice] of [strange_thing]s", "there are COUNT of"),
            ("a [ b! ] [not-a-place] [open", "a [ b! ] [not-a-place] [open"),
            ("[train_id] leaves [leave at] dai-ly , [ref]", "TRAINID leaves TIME dai, REFERENCE"),
            ("it is n't saint john 's", "it isn't saint john's"),
            ("", ""),
        ] {
            assert_eq!(normal_response(response), expected, "{response}");
        }
    }

    #[test]
    fn our_placeholders_are_slots_that_the_evaluator_knows() {
        for (text, expected) in [
            ("try {restaurant.name} or {restaurant.name.2}", "try NAME or NAME"),
            ("{train.trainid} at {train.leaveat}, {train.arriveby}", "TRAINID at TIME, TIME"),
            ("{hotel.count} for {hotel.book people}, {hotel.book stay}", "COUNT for COUNT, COUNT"),
            ("{restaurant.book time} on {restaurant.book day}", "TIME on DAY"),
            ("{train.total} {train.reference} {taxi.reference}", "PRICE REFERENCE REFERENCE"),
            ("{taxi.type} {taxi.phone} {attraction.entrancefee}", "TYPE PHONE PRICE"),
            ("{hotel.postcode} {police.address} {hospital.department}", "POST ADDRESS DEPARTMENT"),
        ] {
            assert_eq!(normal_response(&delexicalised(text).0), expected, "{text}");
        }
        let (_, tables) = delexicalised("{hotel.name} and {hotel.area}, {train.day}; {hotel}");
        assert_eq!(tables, ["hotel", "train"]);
    }
}
