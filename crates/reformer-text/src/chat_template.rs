//! Chat templates: Jinja as `tokenizer_config.json` holds it, rendered by minijinja with Python's methods.
//!
//! A template sees `messages` (each with `role` and `content`), `add_generation_prompt`, `bos_token`,
//! `eos_token` and the function `raise_exception`. It sees no clock, no files, no environment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use minijinja::filters::tojson;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, State, Value, context};

use crate::{TextError, Turn};

/// The template of the form with marks: each turn's mark and text, nothing between.
pub const MARKS_TEMPLATE: &str = "{% for message in messages %}\
    {{ '<|' + message['role'] + '|>' + message['content'] }}\
    {% endfor %}\
    {% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}";

/// What rendering may take, in minijinja's fuel: a unit is an instruction, or some 64 bytes of text that are made.
///
/// A turn takes some twenty instructions in a plain template and some hundreds in one with tools, and its text is
/// copied a few times. What is allowed without any turn bounds the memory of a stranger's template: 13 MB.
fn fuel(messages: &[Message]) -> u64 {
    let bytes: usize = messages.iter().map(|message| message.content.len()).sum();
    200_000 + 2_000 * messages.len() as u64 + bytes as u64 / 8
}

/// What a template sees of a turn; a call's result comes as a message of the role `result`.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Message {
    role: &'static str,
    content: String,
}

impl Message {
    pub(crate) fn new(role: &'static str, content: String) -> Self {
        Self { role, content }
    }
}

/// How long rendering may take. Fuel does not see everything: a list joined to itself forty times costs forty
/// instructions and then takes forever to count, or to write, at some 100 MB a second. A plain turn takes microseconds.
fn patience(messages: &[Message]) -> Duration {
    Duration::from_secs(2) + Duration::from_millis(messages.len() as u64)
}

/// Spaces of `tojson`'s indentation at most: it writes them before it asks whether the fuel pays for them.
const INDENT: usize = 16;

/// A compiled chat template.
#[derive(Clone)]
pub struct ChatTemplate {
    source: String,
    tokens: BTreeMap<String, String>,
    environment: Environment<'static>,
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate")
            .field("source", &self.source)
            .field("tokens", &self.tokens)
            .finish_non_exhaustive()
    }
}

impl ChatTemplate {
    /// The template that [`crate::Form::Marks`] is rendered with.
    pub fn marks() -> Self {
        Self::parse(MARKS_TEMPLATE).expect("the template of the project's own making parses")
    }

    /// Compiles a template.
    pub fn parse(source: impl Into<String>) -> Result<Self, TextError> {
        let source = source.into();
        let mut environment = Environment::new();
        environment.set_syntax(
            SyntaxConfig::builder()
                .trim_blocks(true)
                .lstrip_blocks(true)
                .build()
                .expect("the usual delimiters do not clash"),
        );
        environment.set_unknown_method_callback(method);
        // Strangers' templates: a loop over a huge range must end.
        environment.set_fuel(Some(fuel(&[])));
        environment.set_recursion_limit(64);
        environment.add_function("raise_exception", |reason: String| -> Result<String, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, reason))
        });
        environment.add_filter("tojson", json);
        environment.add_template_owned("chat_template", source.clone()).map_err(fault)?;
        Ok(Self { source, tokens: BTreeMap::new(), environment })
    }

    /// Lets the template see `bos_token`, `eos_token` and the like.
    #[must_use]
    pub fn with_token(mut self, variable: &str, token: &str) -> Self {
        self.tokens.insert(variable.to_owned(), token.to_owned());
        self
    }

    /// The Jinja text.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The text of a conversation; with `add_generation_prompt` it ends where the assistant's reply begins.
    pub fn render(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<String, TextError> {
        let messages: Vec<Message> =
            turns.iter().map(|turn| Message::new(turn.role.name(), turn.text.clone())).collect();
        self.render_messages(&messages, add_generation_prompt)
    }

    pub(crate) fn render_messages(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        self.render_within(patience(messages), messages, add_generation_prompt)
    }

    fn render_within(
        &self,
        patience: Duration,
        messages: &[Message],
        add_generation_prompt: bool,
    ) -> Result<String, TextError> {
        let mut environment = self.environment.clone();
        environment.set_fuel(Some(fuel(messages)));
        let tokens = Value::from(Serde(&self.tokens));
        let variables =
            context! { messages => Value::from(Serde(messages)), add_generation_prompt, ..tokens };
        let (send, rendered) = mpsc::channel();
        // A thread of its own, which nobody waits for once the time is over: rendering cannot be interrupted.
        std::thread::spawn(move || {
            let template = environment.get_template("chat_template");
            // Nobody listens any more if it took too long.
            let _ = send.send(template.and_then(|template| template.render(variables)));
        });
        match rendered.recv_timeout(patience) {
            Ok(result) => result.map_err(fault),
            Err(_) => Err(TextError::Template {
                reason: format!("rendering took more than {patience:?} and was given up"),
            }),
        }
    }
}

/// Python's methods of strings, lists and maps. Those that make a text longer go through minijinja's filters, which ask
/// whether the fuel pays for it before they make it.
fn method(state: &mut State<'_, '_>, value: &Value, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    match (name, arguments, value.as_str()) {
        ("replace", [from, to], Some(_)) => {
            state.apply_filter("replace", &[value.clone(), from.clone(), to.clone()])
        }
        ("join", [items], Some(_)) => state.apply_filter("join", &[items.clone(), value.clone()]),
        ("format", _, Some(text)) if has_wide_field(text) => {
            Err(Error::new(ErrorKind::InvalidOperation, "a field of more than 99,999 characters"))
        }
        _ => minijinja_contrib::pycompat::unknown_method_callback(state, value, name, arguments),
    }
}

/// The filter `tojson`, with an indentation that people use.
fn json(value: &Value, indent: Option<Value>, arguments: Kwargs) -> Result<Value, Error> {
    let wanted = match &indent {
        Some(indent) => Some(indent.clone()),
        None => arguments.get::<Option<Value>>("indent")?,
    };
    if wanted.and_then(|indent| usize::try_from(indent).ok()).is_some_and(|spaces| spaces > INDENT) {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("an indentation of more than {INDENT} spaces"),
        ));
    }
    tojson(value, indent, arguments)
}

/// Whether a format asks for a field with six digits of width.
fn has_wide_field(format: &str) -> bool {
    format.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 5)
}

fn fault(error: Error) -> TextError {
    let line = error.line().map_or_else(String::new, |line| format!("line {line}: "));
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), |detail| format!("{}: {detail}", error.kind()));
    TextError::Template { reason: format!("{line}{detail}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_that_never_ends_is_given_up() {
        let doubled = "{% set ns = namespace(x=['y']) %}{% for i in range(40) %}{% set ns.x = ns.x + ns.x %}{% endfor %}";
        let template = ChatTemplate::parse(doubled).unwrap();
        let error = template
            .render_within(Duration::from_millis(50), &[Message::new("user", "hi".into())], true)
            .unwrap_err();
        assert!(error.to_string().contains("50ms and was given up"), "{error}");
    }
}
