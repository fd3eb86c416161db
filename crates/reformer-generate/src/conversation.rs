//! A conversation as data: a system prompt and alternating turns, kept apart from any model.
//!
//! On disk it is the OpenAI messages form, which every chat tool reads:
//!
//! ```json
//! {"messages": [{"role": "system", "content": "…"}, {"role": "user", "content": "…"}, …]}
//! ```
//!
//! What the assistant looked up stands there as `tool_calls` and messages of the role `tool`. What else chat tools
//! write is read too. Strings go in and come out; files are the caller's.

use reformer_text::{Role, Turn, messages_of, parse_messages};

use crate::error::{GenerateError, Result};

/// A system prompt and the turns that followed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    system: Option<String>,
    turns: Vec<Turn>,
}

impl Conversation {
    /// An empty conversation under `system`.
    pub fn new(system: Option<String>) -> Self {
        Self { system: system.filter(|text| !text.is_empty()), turns: Vec::new() }
    }

    /// The system prompt.
    pub fn system(&self) -> Option<&str> {
        self.system.as_deref()
    }

    /// The user's and the assistant's turns, oldest first.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// Adds a turn.
    pub fn push(&mut self, role: Role, text: impl Into<String>) {
        self.turns.push(Turn::new(role, text));
    }

    /// Adds a turn with what it looked up.
    pub fn push_turn(&mut self, turn: Turn) {
        self.turns.push(turn);
    }

    /// Takes the last turn away.
    pub(crate) fn pop(&mut self) -> Option<Turn> {
        self.turns.pop()
    }

    /// The system prompt, if any, and the turns from `first` on: what a template renders.
    pub fn messages_from(&self, first: usize) -> Vec<Turn> {
        let system = self.system.iter().map(Turn::system);
        system.chain(self.turns[first.min(self.turns.len())..].iter().cloned()).collect()
    }

    /// Forgets the turns from the last user turn on, which it returns: the first half of regenerate and of undo.
    pub fn take_last_exchange(&mut self) -> Option<String> {
        let at = self.turns.iter().rposition(|turn| turn.role == Role::User)?;
        let text = self.turns[at].text.clone();
        self.turns.truncate(at);
        Some(text)
    }

    /// Forgets every turn; the system prompt stays.
    pub fn clear(&mut self) {
        self.turns.clear();
    }

    /// The messages as pretty JSON.
    pub fn to_json(&self) -> String {
        let saved = serde_json::json!({ "messages": messages_of(&self.messages_from(0)) });
        let mut text = serde_json::to_string_pretty(&saved).unwrap_or_default();
        text.push('\n');
        text
    }

    /// Reads what [`to_json`](Self::to_json) writes, and what other tools write: a bare array of messages, contents
    /// that are null or lists of text parts, `developer` for `system`.
    pub fn from_json(json: &str) -> Result<Self> {
        let mut conversation = Self::default();
        for (index, turn) in
            parse_messages(json).map_err(GenerateError::Conversation)?.into_iter().enumerate()
        {
            match turn.role {
                Role::System if index == 0 => {
                    conversation.system = Some(turn.text).filter(|text| !text.is_empty());
                }
                Role::System => {
                    return Err(GenerateError::Conversation(format!(
                        "message {} has the role \"system\", which may only come first",
                        index + 1
                    )));
                }
                Role::User | Role::Assistant => conversation.push_turn(turn),
            }
        }
        Ok(conversation)
    }
}

#[cfg(test)]
mod tests {
    use reformer_text::{Call, Lookup};

    use super::*;

    fn two_turns() -> Conversation {
        let mut conversation = Conversation::new(Some("Be brief.".into()));
        conversation.push(Role::User, "Grüße 🚂");
        conversation.push(Role::Assistant, "A train?\n\"Yes\"");
        conversation
    }

    #[test]
    fn a_saved_conversation_reads_back_the_same() {
        assert_eq!(Conversation::from_json(&two_turns().to_json()).unwrap(), two_turns());
    }

    #[test]
    fn lookups_are_saved_with_the_turn_that_they_served() {
        let mut conversation = two_turns();
        conversation.push(Role::User, "a hotel");
        let call = Call::of_table("lookup", "hotel", [("area", "north")]);
        let lookups = vec![Lookup { call, result: "{\"says\":\"3\"}".into() }];
        conversation.push_turn(Turn { lookups, ..Turn::assistant("{hotel.name} ?") });
        assert_eq!(Conversation::from_json(&conversation.to_json()).unwrap(), conversation);
    }

    #[test]
    fn a_result_without_a_call_is_refused_with_its_number() {
        let json = r#"[{"role": "tool", "content": "3"}]"#;
        let error = Conversation::from_json(json).unwrap_err().to_string();
        assert!(error.contains("message 1 has the role \"tool\""), "{error}");
    }

    #[test]
    fn a_bare_array_of_messages_is_read_too() {
        let json = r#"[{"role": "user", "content": "hi"}]"#;
        assert_eq!(Conversation::from_json(json).unwrap().turns().len(), 1);
    }

    #[test]
    fn an_unknown_or_misplaced_role_is_named_with_its_place() {
        let tool =
            Conversation::from_json(r#"[{"role":"user","content":"a"},{"role":"tool","content":"b"}]"#);
        assert!(tool.unwrap_err().to_string().contains("message 2 has the role \"tool\""));
        let late =
            Conversation::from_json(r#"[{"role":"user","content":"a"},{"role":"system","content":"b"}]"#);
        assert!(late.unwrap_err().to_string().contains("may only come first"));
        assert!(Conversation::from_json("{").is_err());
    }

    #[test]
    fn what_other_tools_write_is_read() {
        let read = |json: &str| Conversation::from_json(json).unwrap();
        let said = read("\u{feff}{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
        assert_eq!(said.turns(), [Turn::user("hi")]);
        assert!(read("\u{feff}[]").turns().is_empty());
        let brief = read(r#"[{"role":"developer","content":"be brief"},{"role":"user","content":"hi"}]"#);
        assert_eq!(brief.system(), Some("be brief"));
        let silent = read(r#"[{"role":"user","content":"hi"},{"role":"assistant","content":null}]"#);
        assert_eq!(silent.turns()[1], Turn::assistant(""));
        let parts = r#"[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#;
        assert_eq!(read(parts).turns(), [Turn::user("ab")]);
        let image = r#"[{"role":"user","content":[{"type":"image_url"}]}]"#;
        assert!(Conversation::from_json(image).unwrap_err().to_string().contains("image_url"));
    }

    /// A mutation fuzzer with a fixed seed: bytes of a good file changed, cut out, doubled.
    #[test]
    fn a_damaged_conversation_is_read_or_refused_in_words() {
        let good = two_turns().to_json().into_bytes();
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            random as usize % below.max(1)
        };
        let mut refused = 0;
        for _ in 0..3000 {
            let mut bytes = good.clone();
            for _ in 0..=draw(3) {
                let at = draw(bytes.len());
                let piece = 1 + draw(20.min(bytes.len() - at));
                match draw(4) {
                    0 => bytes[at] = draw(256) as u8,
                    1 => bytes[at] = b"[]{}:,\"\\0"[draw(9)],
                    2 if piece < bytes.len() => drop(bytes.drain(at..at + piece)),
                    _ => bytes.splice(at..at, good[..piece].iter().copied()).for_each(drop),
                }
            }
            if let Err(error) = Conversation::from_json(&String::from_utf8_lossy(&bytes)) {
                assert!(error.to_string().starts_with("not a conversation: "), "{error}");
                refused += 1;
            }
        }
        assert!(refused > 1000, "only {refused} were refused");
    }

    #[test]
    fn taking_the_last_exchange_removes_the_question_and_its_answer() {
        let mut conversation = two_turns();
        assert_eq!(conversation.take_last_exchange().as_deref(), Some("Grüße 🚂"));
        assert!(conversation.turns().is_empty());
        assert_eq!(conversation.system(), Some("Be brief."));
        assert_eq!(conversation.take_last_exchange(), None);
    }

    #[test]
    fn an_empty_system_prompt_is_none() {
        assert_eq!(Conversation::new(Some(String::new())).messages_from(0), []);
    }
}
