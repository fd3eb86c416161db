//! Which words of a reply are values that a row, a wish or a booking explains.
//!
//! Words are held together, without spaces, against values in their plain form, so that "guesthouse", "guest house" and
//! "cb2 1ab" are found as they are written; the longest value that begins at a word wins.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::plain::{is_any, plain};
use crate::{Answer, Compare, Database, Kind, Row, Table, TablesError, Talk};

/// Words that a value is at most held against.
const LONGEST: usize = 9;

/// A text cut to words.
#[derive(Debug, Clone)]
pub(super) struct Words {
    text: String,
    /// Where each word begins and ends.
    spans: Vec<(usize, usize)>,
    plain: Vec<String>,
}

impl Words {
    pub(super) fn of(text: &str) -> Self {
        let (mut spans, mut begun) = (Vec::new(), None);
        for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
            let inside = c.is_alphanumeric() || (matches!(c, '\'' | '’') && begun.is_some());
            match (inside, begun) {
                (true, None) => begun = Some(at),
                (false, Some(from)) => {
                    spans.push((from, at));
                    begun = None;
                }
                _ => {}
            }
        }
        let plain = spans.iter().map(|&(from, to)| plain(&text[from..to])).collect();
        Self { text: text.to_owned(), spans, plain }
    }

    /// The longest run of words from `at` whose plain form `known` knows; the run's end and what is known.
    fn longest<T>(&self, at: usize, known: impl Fn(&str) -> Option<T>) -> Option<(usize, T)> {
        if self.plain[at] == "the" {
            return None;
        }
        let mut joined = String::new();
        let mut best = None;
        for end in at..self.plain.len().min(at + LONGEST) {
            // "&" stands between words and is none.
            joined.push_str(&self.plain[end]);
            if let Some(found) = known(&joined) {
                best = Some((end + 1, found));
            }
        }
        best
    }

    /// Whether the value stands here as a whole.
    pub(super) fn finds(&self, value: &str) -> bool {
        let wanted = plain(value);
        (0..self.plain.len()).any(|at| self.longest(at, |joined| (joined == wanted).then_some(())).is_some())
    }
}

/// The rows of every table by their names.
#[derive(Debug, Default)]
pub(super) struct Names {
    rows: BTreeMap<String, Vec<Row>>,
    by_name: HashMap<String, HashMap<String, usize>>,
}

impl Names {
    pub(super) fn of(database: &Database) -> Result<Self, TablesError> {
        let mut names = Self::default();
        for table in &database.schema().tables {
            let rows = database.all_rows(table)?;
            let titles: Vec<String> = rows.iter().map(|row| table.title_of(row).to_owned()).collect();
            let mut known: HashMap<String, usize> = HashMap::new();
            for (at, name) in titles.iter().enumerate() {
                let name = plain(name);
                if name.len() > 3 {
                    known.entry(name).or_insert(at);
                }
            }
            // A last word that several names share may be left out ("acorn guest house": "acorn").
            let mut last: HashMap<&str, usize> = HashMap::new();
            for name in &titles {
                *last.entry(name.rsplit(' ').next().unwrap_or("")).or_default() += 1;
            }
            let mut short: HashMap<String, Vec<usize>> = HashMap::new();
            for (at, name) in titles.iter().enumerate() {
                if let Some((rest, word)) = name.rsplit_once(' ')
                    && last[word] >= 3
                {
                    let rest = rest.strip_suffix(" guest").unwrap_or(rest);
                    short.entry(plain(rest)).or_default().push(at);
                }
            }
            for (name, rows) in short {
                if let ([row], true) = (rows.as_slice(), name.len() > 5) {
                    known.entry(name).or_insert(*row);
                }
            }
            names.by_name.insert(table.name.clone(), known);
            names.rows.insert(table.name.clone(), rows);
        }
        Ok(names)
    }

    pub(super) fn row(&self, table: &Table, at: usize) -> &Row {
        &self.rows[&table.name][at]
    }

    /// The rows that a text names, in its order.
    pub(super) fn offered(&self, table: &Table, said: &Words) -> Vec<usize> {
        let Some(known) = self.by_name.get(&table.name) else { return Vec::new() };
        let (mut rows, mut at) = (Vec::new(), 0);
        while at < said.plain.len() {
            match said.longest(at, |joined| known.get(joined).copied()) {
                Some((end, row)) => {
                    if !rows.contains(&row) {
                        rows.push(row);
                    }
                    at = end;
                }
                None => at += 1,
            }
        }
        rows
    }
}

/// The row of an answer of whose times the text tells most, where it tells of any.
pub(super) fn mentioned(table: &Table, answer: &Answer, said: &Words) -> Option<Row> {
    let times: Vec<&str> =
        table.columns.iter().filter(|c| c.kind == Kind::Time).map(|c| c.name.as_str()).collect();
    let score = |row: &Row| {
        row.iter().filter(|(name, value)| times.contains(&name.as_str()) && said.finds(value)).count()
    };
    let scored = answer.rows.iter().map(|row| (score(row), row)).filter(|(score, _)| *score > 0);
    // Of equals the first one, as the database has them.
    scored.rev().max_by_key(|(score, _)| *score).map(|(_, row)| row.clone())
}

/// The reference that a reply gives for a booking in `table`.
pub(super) fn reference(said: &Words, table: &Table) -> Option<String> {
    let spelled = |at: usize| {
        let (from, to) = said.spans[at];
        said.text[from..to].to_owned()
    };
    if table.columns.iter().all(|column| !column.ask) {
        // A service gives a number to call instead.
        return (0..said.plain.len()).find(|&at| is_phone(&said.plain[at])).map(spelled);
    }
    let told = said.plain.iter().any(|word| {
        matches!(
            word.as_str(),
            "reference" | "ref" | "booked" | "confirmation" | "booking" | "reserved" | "number"
        )
    });
    let is_reference = |at: &usize| {
        let word = &said.plain[*at];
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let before = at.checked_sub(1).map_or("", |before| said.plain[before].as_str());
        let announced = matches!(before, "is" | "number" | "reference" | "ref");
        word.len() == 8
            && word.is_ascii()
            && digits < 8
            && (digits > 0 || (announced && said.plain.iter().any(|word| word == "reference")))
    };
    if !told {
        return None;
    }
    (0..said.plain.len()).find(is_reference).map(spelled)
}

fn is_phone(word: &str) -> bool {
    (10..=11).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a reply says that a booking could not be made.
pub(super) fn failure(said: &Words) -> bool {
    let text = said.plain.join(" ");
    [
        "unsuccessful",
        "not able to book",
        "unable to book",
        "not successful",
        "could not book",
        "cannot book",
        "was not available",
        "is not available",
        "were not available",
        "not possible",
        "no tables",
        "booking failed",
        "unable to make",
        "not able to make",
        "unable to reserve",
        "no rooms",
        "is unavailable",
        "fully booked",
        "booking is not",
        "not able to reserve",
        "unable to complete",
        "could not make",
    ]
    .iter()
    .any(|words| text.contains(words))
}

/// A booked row with what the reply says of it where the row itself is a service's: its name and its number.
pub(super) fn as_said(table: &Table, mut row: Row, said: &Words, names: &Names) -> Row {
    if table.columns.iter().any(|column| column.ask) {
        return row;
    }
    if let Some(&at) = names.offered(table, said).first() {
        row.clone_from(names.row(table, at));
    }
    let phone = said.plain.iter().find(|word| is_phone(word));
    if let (Some(phone), Some((_, cell))) = (phone, row.iter_mut().find(|(name, _)| name == "phone")) {
        cell.clone_from(phone);
    }
    row
}

/// What a run of words stands for.
type Known = HashMap<String, String>;

/// The reply with placeholders for what is explained.
pub(super) fn replace(
    said: &Words,
    talk: &Talk,
    database: &Database,
    active: &[String],
    names: &Names,
) -> String {
    let (mut known, numbers) = candidates(talk, database, active);
    for table in active.iter().filter_map(|name| database.schema().table(name)) {
        // A row that the system names although it does not meet the wishes: its values are a row's all the same.
        for &at in names.offered(table, said).iter().take(1) {
            for (column, value) in names.row(table, at) {
                if table.column(column).is_some_and(|c| !c.ask || *column == table.title().name) {
                    for form in written_forms(value) {
                        known.entry(form).or_insert_with(|| format!("{{{}.{column}}}", table.name));
                    }
                }
            }
        }
    }
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while at < said.plain.len() {
        let found = said
            .longest(at, |joined| known.get(joined))
            .map(|(end, name)| (end, name.clone()))
            .or_else(|| numbered(said, at, &numbers).map(|name| (at + 1, name)))
            .or_else(|| counted(said, at, talk, active).map(|name| (at + 1, name)))
            .or_else(|| formed(said, at, database, active));
        let Some((end, name)) = found else {
            at += 1;
            continue;
        };
        out.push_str(&said.text[copied..said.spans[at].0]);
        out.push_str(&name);
        copied = said.spans[end - 1].1;
        at = end;
    }
    out + &said.text[copied..]
}

/// Numbers with the words beside which they mean something.
type Numbers = Vec<(String, Vec<String>, String)>;

fn candidates(talk: &Talk, database: &Database, active: &[String]) -> (Known, Numbers) {
    let (mut known, mut numbers) = (Known::new(), Numbers::new());
    let mut order: Vec<&str> = active.iter().map(String::as_str).collect();
    order.extend(talk.tables().map(|(name, _)| name).filter(|name| !active.iter().any(|a| a == name)));
    for (place, name) in order.into_iter().enumerate() {
        let (Some(about), Some(table)) = (talk.about(name), database.schema().table(name)) else { continue };
        let title = &table.title().name;
        let mut put = |value: &str, placeholder: String| {
            for value in written_forms(value) {
                if value.len() > 1 && value != plain(&table.name) {
                    known.entry(value).or_insert_with(|| placeholder.clone());
                }
            }
        };
        for (at, row) in about.rows.iter().enumerate() {
            for (column, value) in row {
                let Some(meant) = table.column(column) else { continue };
                // Of rows behind the first only the name is told; of tables out of focus only what is theirs alone.
                let own = column == title || !meant.ask;
                if value.is_empty() || meant.kind == Kind::Flag || !(own || (at == 0 && place == 0)) {
                    continue;
                }
                if at > 0 && column != title {
                    continue;
                }
                let placeholder = match at {
                    0 => format!("{{{name}.{column}}}"),
                    _ => format!("{{{name}.{column}.{}}}", at + 1),
                };
                if meant.kind == Kind::Number || plain(value).len() < 3 {
                    numbers.push((plain(value), meant.units.clone(), placeholder));
                } else {
                    put(value, placeholder);
                }
            }
        }
        // After the rows: what a service gives is its row's number, whatever else it is.
        if let Some(reference) = &about.reference {
            put(reference, format!("{{{name}.reference}}"));
        }
        if let Some(total) = talk.value(&format!("{{{name}.total}}")) {
            put(&total, format!("{{{name}.total}}"));
        }
        if place > 0 {
            continue;
        }
        for (wish, value) in about.wishes.iter().filter(|(_, value)| !is_any(value)) {
            let placeholder = format!("{{{name}.{wish}}}");
            let detail = table.detail(wish);
            let kind = detail.map(|d| d.kind).or(table.column(wish).map(|c| c.kind)).unwrap_or_default();
            let units = detail.map(|d| &d.units).or(table.column(wish).map(|c| &c.units));
            // "after 13:00" is no row's time: the model reads the wish in its own call.
            let bound = table.column(wish).is_some_and(|c| c.compare != Compare::Equal);
            match kind {
                _ if bound => {}
                Kind::Flag => {}
                Kind::Number => numbers.push((plain(value), units.cloned().unwrap_or_default(), placeholder)),
                _ => put(value, placeholder),
            }
        }
    }
    (known, numbers)
}

/// A value in the plain forms that texts have it in: as it is; an address without its last part; a price in another
/// currency's word or without a last zero; and house numbers that the corpus's preprocessing took for times
/// ("at 83:00 regent street").
fn written_forms(value: &str) -> Vec<String> {
    let mut forms = vec![value.to_owned()];
    if let Some((first, _)) = value.split_once(',')
        && first.len() > 8
    {
        forms.push(first.to_owned());
    }
    if let Some(street) = value.to_lowercase().strip_suffix("city centre") {
        forms.push(street.to_owned());
    }
    if let Some(amount) = value.strip_suffix(" pounds") {
        let short = amount.strip_suffix('0').unwrap_or(amount);
        let short = short.strip_suffix(".0").unwrap_or(short);
        for amount in [amount, short] {
            forms.extend(["pounds", "gbp", "pound", "gbps"].map(|word| format!("{amount} {word}")));
        }
    }
    let mut plains: Vec<String> = forms.iter().map(|form| plain(form)).collect();
    let digits = value.len() - value.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    if (1..=3).contains(&digits) && value[digits..].contains(' ') {
        for form in plains.clone() {
            let hour = format!("{}00{}", &form[..digits], &form[digits..]);
            plains.extend([format!("0{hour}"), hour]);
            plains.push(format!("0{form}"));
        }
    }
    plains
}

/// A telephone number or a postcode that no row explains, of the table in focus: people made some up, a database has
/// its own.
fn formed(said: &Words, at: usize, database: &Database, active: &[String]) -> Option<(usize, String)> {
    let word = &said.plain[at];
    let letters = |text: &str| text.bytes().take_while(u8::is_ascii_lowercase).count();
    let (head, tail) = (letters(word), letters(&word.chars().rev().collect::<String>()));
    let middle = word.len().saturating_sub(head + tail);
    let postcode = (1..=2).contains(&head) && tail == 2 && (2..=3).contains(&middle) && word.is_ascii();
    let column = match word {
        word if is_phone(word) => "phone",
        _ if postcode => "postcode",
        _ => return None,
    };
    let table = active
        .iter()
        .find(|name| database.schema().table(name).is_some_and(|table| table.column(column).is_some()))?;
    Some((at + 1, format!("{{{table}.{column}}}")))
}

fn numbered(said: &Words, at: usize, numbers: &Numbers) -> Option<String> {
    let number = &said.plain[at];
    number.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
    let beside: HashSet<&str> =
        said.plain.iter().skip(at + 1).take(2).map(|word| word.trim_end_matches('s')).collect();
    let meant = |units: &[String]| units.iter().any(|unit| beside.contains(unit.trim_end_matches('s')));
    numbers.iter().find(|(value, units, _)| value == number && meant(units)).map(|(.., name)| name.clone())
}

/// A number of rows: "there are 3", "i have 3".
fn counted(said: &Words, at: usize, talk: &Talk, active: &[String]) -> Option<String> {
    let table = active.first()?;
    let about = talk.about(table)?;
    let before = &said.plain[at.saturating_sub(3)..at];
    let announced = before.iter().any(|word| {
        matches!(
            word.as_str(),
            "are" | "have" | "found" | "find" | "is" | "has" | "show" | "showing" | "see" | "got" | "with"
        )
    });
    (announced && said.plain[at] == about.count.to_string()).then(|| format!("{{{table}.count}}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn house_numbers_are_known_also_where_a_corpus_took_them_for_times() {
        for (address, said) in [
            ("83 regent street", "83:00 regent street"),
            ("6 saint edward's passage", "06:00 saint edward's passage"),
            ("6 saint edward's passage", "6 saint edward's passage"),
        ] {
            assert!(written_forms(address).contains(&plain(said)), "{said}");
        }
    }
}
