//! A recipe's text as a flat table of dotted keys, each with the place it came from.
//!
//! Sections are one level deep, so `[model]` with `num_hashes = 2` and the top-level spelling
//! `model.num_hashes = 2` are the same key. `--set key=value` replaces a key and takes the place of its line in every
//! message. A getter consumes its key; what no getter asked for is unknown, and
//! [`Document::finish`] reports it with the nearest key that exists.
//!
//! Knows nothing of which keys there are: the sections in [`super`] ask for them, with their defaults, and the keys
//! they ask for are the ones that suggestions come from.

use std::collections::BTreeMap;
use std::fmt::Display;

use toml::Value;
use toml::de::{DeTable, DeValue};

use super::error::RecipeError;

/// Where a value was written.
#[derive(Clone, Debug)]
enum Place {
    Line(usize),
    Set,
}

impl Place {
    fn name(&self) -> String {
        match self {
            Self::Line(line) => format!("line {line}"),
            Self::Set => "--set".to_owned(),
        }
    }
}

/// The flat table; see the module's documentation.
#[derive(Debug)]
pub(crate) struct Document {
    values: BTreeMap<String, (Value, Place)>,
    places: BTreeMap<String, Place>,
    asked: Vec<String>,
}

impl Document {
    /// Parses the text and lays the overrides over it, the last one of a key winning.
    pub(crate) fn parse(text: &str, sets: &[(String, String)]) -> Result<Self, RecipeError> {
        let table = DeTable::parse(text).map_err(|error| RecipeError::Syntax {
            place: error
                .span()
                .map_or_else(String::new, |span| format!(" in line {}", line_of(text, span.start))),
            message: error.message().trim().to_owned(),
        })?;
        let mut values = BTreeMap::new();
        flatten(text, "", table.get_ref(), &mut values)?;
        for (key, value) in sets {
            let key = key.trim().to_owned();
            if key.is_empty() {
                return Err(RecipeError::Syntax {
                    place: " in --set".to_owned(),
                    message: format!("no key before `={value}`; write --set section.key=value"),
                });
            }
            values.insert(key, (parse_set(value), Place::Set));
        }
        let places = values.iter().map(|(key, (_, place))| (key.clone(), place.clone())).collect();
        Ok(Self { values, places, asked: Vec::new() })
    }

    /// Whether the key was written, for defaults that depend on it. Does not consume it.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    /// Whether both keys were written, by one hand: neither by `--set` over the other in the file.
    pub(crate) fn contradict(&self, a: &str, b: &str) -> bool {
        match (self.places.get(a), self.places.get(b)) {
            (Some(a), Some(b)) => matches!(a, Place::Set) == matches!(b, Place::Set),
            _ => false,
        }
    }

    /// Whether `--set` laid this key over another hand's.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        matches!(self.places.get(key), Some(Place::Set))
    }

    /// The keys that were asked for, in order.
    #[cfg(test)]
    pub(crate) fn asked(&self) -> &[String] {
        &self.asked
    }

    fn take(&mut self, key: &str) -> Option<Value> {
        self.asked.push(key.to_owned());
        self.values.remove(key).map(|(value, _)| value)
    }

    /// An error about a key that was read already: `is` says what is wrong, `then` what to do.
    pub(crate) fn illegal(&self, key: &str, is: impl Display, then: impl Display) -> RecipeError {
        let place = self.places.get(key).map_or_else(|| "default".to_owned(), Place::name);
        RecipeError::Value { key: key.to_owned(), place, message: format!("{is}; {then}") }
    }

    fn wrong_type(&self, key: &str, got: &Value, wanted: &str) -> RecipeError {
        let got = format!("got the {} `{got}`", got.type_str());
        self.illegal(key, got, format_args!("write {wanted}"))
    }

    /// A whole number of at least `least`.
    pub(crate) fn count(&mut self, key: &str, default: u64, least: u64) -> Result<u64, RecipeError> {
        let Some(value) = self.take(key) else { return Ok(default) };
        match value {
            Value::Integer(n) if u64::try_from(n).is_ok_and(|n| n >= least) => Ok(n as u64),
            Value::Integer(n) => {
                Err(self.illegal(key, format_args!("got {n}"), format_args!("must be at least {least}")))
            }
            other => Err(self.wrong_type(key, &other, "a whole number")),
        }
    }

    /// [`Document::count`] as a length.
    pub(crate) fn size(&mut self, key: &str, default: usize, least: usize) -> Result<usize, RecipeError> {
        let size = self.count(key, default as u64, least as u64)?;
        if size > u64::from(u32::MAX) {
            return Err(self.illegal(key, format_args!("got {size}"), "must be below 4294967296"));
        }
        Ok(size as usize)
    }

    /// A finite number in `low..=high`; whole numbers count.
    pub(crate) fn number(
        &mut self,
        key: &str,
        default: f64,
        low: f64,
        high: f64,
    ) -> Result<f64, RecipeError> {
        let Some(value) = self.take(key) else { return Ok(default) };
        let number = match value {
            Value::Integer(n) => n as f64,
            Value::Float(x) => x,
            other => return Err(self.wrong_type(key, &other, "a number")),
        };
        if (low..=high).contains(&number) {
            return Ok(number);
        }
        let wanted = if high == f64::MAX {
            format!("must be at least {low}")
        } else {
            format!("must lie between {low} and {high}")
        };
        Err(self.illegal(key, format_args!("got {number}"), wanted))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, key: &str, default: bool) -> Result<bool, RecipeError> {
        match self.take(key) {
            None => Ok(default),
            Some(Value::Boolean(flag)) => Ok(flag),
            Some(other) => Err(self.wrong_type(key, &other, "true or false")),
        }
    }

    /// Any text.
    pub(crate) fn text(&mut self, key: &str, default: &str) -> Result<String, RecipeError> {
        match self.take(key) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text),
            Some(other) => Err(self.wrong_type(key, &other, "a text in quotes")),
        }
    }

    /// One of the named choices.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &str,
        default: T,
        choices: &[(&str, T)],
    ) -> Result<T, RecipeError> {
        let listed = || choices.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        match self.take(key) {
            None => Ok(default),
            Some(Value::String(text)) => {
                if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == text) {
                    return Ok(*choice);
                }
                let hint = nearest(&text, choices.iter().map(|(name, _)| *name))
                    .map_or_else(String::new, |name| format!(", did you mean \"{name}\"?"));
                let then = format!("choose one of {}{hint}", listed());
                Err(self.illegal(key, format_args!("got \"{text}\""), then))
            }
            Some(other) => Err(self.wrong_type(key, &other, &format!("one of {}", listed()))),
        }
    }

    /// A list of texts; a single text stands for a list of one.
    pub(crate) fn texts(&mut self, key: &str, default: &[&str]) -> Result<Vec<String>, RecipeError> {
        match self.take(key) {
            None => Ok(default.iter().map(|&text| text.to_owned()).collect()),
            Some(Value::String(text)) => Ok(vec![text]),
            Some(Value::Array(items)) if items.iter().all(Value::is_str) => {
                Ok(items.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            Some(other) => Err(self.wrong_type(key, &other, "a list of texts, such as [\"a\", \"b\"]")),
        }
    }

    /// A list of whole numbers of at least `least`, a single one, or `"auto"` (`None`, also when absent).
    pub(crate) fn sizes_or_auto(
        &mut self,
        key: &str,
        least: usize,
    ) -> Result<Option<Vec<usize>>, RecipeError> {
        let value = self.take(key);
        let items = match &value {
            None => return Ok(None),
            Some(Value::String(text)) if text == "auto" => return Ok(None),
            Some(Value::Integer(_)) => value.iter().cloned().collect(),
            Some(Value::Array(items)) if !items.is_empty() => items.clone(),
            Some(other) => {
                return Err(self.wrong_type(key, other, "a whole number, a list of them, or \"auto\""));
            }
        };
        let sizes = items.iter().map(|item| {
            let size = item.as_integer().and_then(|n| usize::try_from(n).ok()).filter(|&n| n >= least);
            size.ok_or_else(|| {
                self.illegal(
                    key,
                    format_args!("got {item}"),
                    format_args!("each number must be whole and at least {least}"),
                )
            })
        });
        sizes.collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// A whole number of at least `least`, or `"auto"` (`None`, also when absent).
    pub(crate) fn size_or_auto(&mut self, key: &str, least: usize) -> Result<Option<usize>, RecipeError> {
        if let Some((Value::String(text), _)) = self.values.get(key)
            && text == "auto"
        {
            self.take(key);
            return Ok(None);
        }
        if self.has(key) {
            self.size(key, 0, least).map(Some)
        } else {
            self.take(key).map_or(Ok(None), |_| Ok(None))
        }
    }

    /// The first key that nobody asked for is an error.
    pub(crate) fn finish(self) -> Result<(), RecipeError> {
        let Some((key, (_, place))) = self.values.iter().next() else { return Ok(()) };
        let tail = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
        // The right key in the wrong section is the commonest slip, so it wins over the spelling.
        let moved = self.asked.iter().find(|asked| tail(asked) == tail(key));
        let suggestion = moved.map(String::as_str).or_else(|| {
            nearest(key, self.asked.iter().map(String::as_str)).or_else(|| {
                self.asked
                    .iter()
                    .map(String::as_str)
                    .find(|asked| nearest(&tail(key), std::iter::once(tail(asked).as_str())).is_some())
            })
        });
        let hint = suggestion.map_or_else(
            || "`reformer recipe --explain` lists every key of a recipe".to_owned(),
            |key| format!("did you mean `{key}`?"),
        );
        Err(RecipeError::UnknownKey { key: key.clone(), place: place.name(), hint })
    }
}

/// The candidate nearest in spelling, if any is near.
fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

/// A value as TOML if it parses as TOML, else the text itself: `--set data=a.jsonl` needs no quotes.
fn parse_set(value: &str) -> Value {
    let parsed = format!("v = {value}").parse::<toml::Table>().ok();
    match parsed {
        Some(mut table) if table.len() == 1 => table.remove("v").unwrap_or_else(|| value.into()),
        _ => Value::String(value.trim().to_owned()),
    }
}

fn flatten(
    text: &str,
    prefix: &str,
    table: &DeTable<'_>,
    values: &mut BTreeMap<String, (Value, Place)>,
) -> Result<(), RecipeError> {
    for (key, value) in table {
        let path =
            if prefix.is_empty() { key.get_ref().to_string() } else { format!("{prefix}.{}", key.get_ref()) };
        let line = line_of(text, key.span().start);
        if let DeValue::Table(inner) = value.get_ref() {
            flatten(text, &path, inner, values)?;
        } else {
            let converted = convert(value.get_ref()).ok_or_else(|| RecipeError::Value {
                key: path.clone(),
                place: format!("line {line}"),
                message: "the value is no number, text, flag or list of these; write one of them".to_owned(),
            })?;
            values.insert(path, (converted, Place::Line(line)));
        }
    }
    Ok(())
}

fn convert(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Integer(n) => Value::Integer(i64::from_str_radix(n.as_str(), n.radix()).ok()?),
        DeValue::Float(x) => Value::Float(x.as_str().parse().ok()?),
        DeValue::Array(items) => {
            Value::Array(items.iter().map(|item| convert(item.get_ref())).collect::<Option<_>>()?)
        }
        DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}
