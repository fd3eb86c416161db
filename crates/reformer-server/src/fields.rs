//! From a JSON object to what a route needs, so that whatever is wrong is told with the field's name.
//!
//! A route reads several structures from one object ([`Fields::take`]). Fields that none of them knows are neither
//! refused, since clients send many, nor passed over in silence: [`Fields::unknown`] names them.

use std::collections::BTreeSet;
use std::fmt;

use serde::de::{self, DeserializeOwned, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::error::ApiError;

/// An object, and which of its fields nobody has known so far.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    object: &'a Value,
    unknown: Option<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    /// The fields of an object.
    pub(crate) fn new(object: &'a Value) -> Self {
        Self { object, unknown: None }
    }

    /// Those fields that `T` has.
    pub(crate) fn take<T: DeserializeOwned>(&mut self) -> Result<T, ApiError> {
        let mut unknown = BTreeSet::new();
        let mut track = serde_path_to_error::Track::new();
        let tracked = serde_path_to_error::Deserializer::new(self.object, &mut track);
        let mut note = |path: serde_ignored::Path<'_>| {
            unknown.insert(path.to_string());
        };
        let read = T::deserialize(serde_ignored::Deserializer::new(tracked, &mut note));
        let value = read.map_err(|error| fault(&track.path().to_string(), &error))?;
        // A field is unknown if every structure passes it over.
        self.unknown = Some(match self.unknown.take() {
            None => unknown,
            Some(before) => before.intersection(&unknown).cloned().collect(),
        });
        Ok(value)
    }

    /// The fields that no structure knew.
    pub(crate) fn unknown(self) -> BTreeSet<String> {
        self.unknown.unwrap_or_default()
    }
}

fn fault(path: &str, error: &serde_json::Error) -> ApiError {
    let words = error.to_string();
    if let Some(field) = words.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let whole = if path == "." { field.to_owned() } else { format!("{path}.{field}") };
        return ApiError::field(&whole, format!("{whole} is missing"));
    }
    ApiError::field(path, format!("{path}: {words}"))
}

/// A whole number that is not negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count(pub(crate) usize);

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Real(pub(crate) f32);

/// A seed: any whole number; negative ones are seeds too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seed(pub(crate) u64);

/// A string or a list of strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Strings(pub(crate) Vec<String>);

struct CountVisitor;

impl Visitor<'_> for CountVisitor {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, 0 or more")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Count, E> {
        Ok(Count(usize::try_from(number).unwrap_or(usize::MAX)))
    }

    // What comes this way is negative: JSON's other whole numbers are unsigned.
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Count, E> {
        Err(de::Error::invalid_value(de::Unexpected::Signed(number), &self))
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(CountVisitor)
    }
}

struct RealVisitor;

impl Visitor<'_> for RealVisitor {
    type Value = Real;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number")
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Real, E> {
        Ok(Real(number as f32))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Real, E> {
        Ok(Real(number as f32))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Real, E> {
        Ok(Real(number as f32))
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_f64(RealVisitor)
    }
}

struct SeedVisitor;

impl Visitor<'_> for SeedVisitor {
    type Value = Seed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Seed, E> {
        Ok(Seed(number))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Seed, E> {
        Ok(Seed(number.cast_unsigned()))
    }
}

impl<'de> Deserialize<'de> for Seed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_i64(SeedVisitor)
    }
}

struct StringsVisitor;

impl<'de> Visitor<'de> for StringsVisitor {
    type Value = Strings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Strings, E> {
        Ok(Strings(vec![text.to_owned()]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strings, A::Error> {
        let mut strings = Vec::new();
        while let Some(text) = list.next_element()? {
            strings.push(text);
        }
        Ok(Strings(strings))
    }
}

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StringsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    struct Wish {
        n: Option<Count>,
        heat: Option<Real>,
        seed: Option<Seed>,
        stop: Option<Strings>,
        list: Option<Vec<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    struct Inner {
        #[expect(dead_code, reason = "only its absence matters")]
        name: String,
    }

    #[derive(Debug, Deserialize)]
    struct Other {
        #[expect(dead_code, reason = "only its name matters")]
        more: Option<bool>,
    }

    fn refusal(object: &Value) -> String {
        serde_json::to_string(&Fields::new(object).take::<Wish>().unwrap_err().body()).unwrap()
    }

    #[test]
    fn what_is_wrong_is_told_with_the_fields_path_what_was_got_and_what_is_expected() {
        let said = refusal(&json!({"n": -1}));
        assert!(
            said.contains("n: invalid value: integer `-1`, expected a whole number, 0 or more"),
            "{said}"
        );
        assert!(said.contains("\"param\":\"n\""), "{said}");
        let said = refusal(&json!({"heat": "hot"}));
        assert!(said.contains("heat: invalid type: string \\\"hot\\\", expected a number"), "{said}");
        let said = refusal(&json!({"stop": [1]}));
        assert!(said.contains("\"param\":\"stop[0]\""), "{said}");
        let said = refusal(&json!({"list": [{"name": "a"}, {}]}));
        assert!(said.contains("list[1].name is missing"), "{said}");
    }

    #[test]
    fn null_is_as_good_as_nothing_and_every_form_is_read() {
        let none = json!({"n": null, "heat": null, "seed": null, "stop": null});
        let read: Wish = Fields::new(&none).take().unwrap();
        assert!(read.n.is_none() && read.heat.is_none() && read.seed.is_none() && read.stop.is_none());
        let all = json!({"n": 3, "heat": 1, "seed": -7, "stop": "a", "list": []});
        let read: Wish = Fields::new(&all).take().unwrap();
        assert_eq!((read.n, read.heat), (Some(Count(3)), Some(Real(1.0))));
        assert_eq!(read.seed, Some(Seed((-7_i64).cast_unsigned())));
        assert_eq!(read.stop.unwrap().0, ["a"]);
        assert_eq!(read.list.unwrap().len(), 0);
    }

    #[test]
    fn a_field_is_unknown_only_if_no_structure_has_it() {
        let object = json!({"n": 1, "more": true, "tempreature": 1});
        let mut fields = Fields::new(&object);
        let _: Wish = fields.take().unwrap();
        let _: Other = fields.take().unwrap();
        assert_eq!(fields.unknown().into_iter().collect::<Vec<_>>(), ["tempreature"]);
    }
}
