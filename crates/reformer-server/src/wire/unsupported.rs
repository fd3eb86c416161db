//! Fields that OpenAI has and that mean something which no model here does: refused, rather than passed over.
//!
//! A value that asks for nothing (null, `{"type": "text"}`, `false`) is accepted.

use serde::Deserialize;
use serde_json::Value;

use crate::error::ApiError;

/// Such fields.
#[derive(Debug, Deserialize)]
pub(crate) struct Unsupported {
    response_format: Option<Value>,
    modalities: Option<Value>,
    audio: Option<Value>,
    prediction: Option<Value>,
    web_search_options: Option<Value>,
    functions: Option<Value>,
    function_call: Option<Value>,
    suffix: Option<Value>,
    reasoning_effort: Option<Value>,
    verbosity: Option<Value>,
}

/// Fields that are taken note of and change nothing: they are about the client's books, not about the text.
#[derive(Debug, Deserialize)]
#[expect(dead_code, reason = "read so that they are not unknown")]
pub(crate) struct Noted {
    user: Option<Value>,
    metadata: Option<Value>,
    safety_identifier: Option<Value>,
    prompt_cache_key: Option<Value>,
    prompt_cache_retention: Option<Value>,
    service_tier: Option<Value>,
    store: Option<Value>,
    parallel_tool_calls: Option<Value>,
}

impl Unsupported {
    /// Refuses the first field that asks for something.
    pub(crate) fn check(&self) -> Result<(), ApiError> {
        let text = |value: &Value| value.get("type").and_then(Value::as_str) == Some("text");
        if let Some(format) = self.response_format.as_ref().filter(|format| !text(format)) {
            return Err(refused("response_format", format, "leave it out, or send {\"type\": \"text\"}"));
        }
        let spoken = |value: &&Value| **value != serde_json::json!(["text"]);
        if let Some(modalities) = self.modalities.as_ref().filter(spoken) {
            return Err(refused("modalities", modalities, "leave it out, or send [\"text\"]"));
        }
        for (name, value, advice) in [
            ("audio", &self.audio, "leave it out"),
            ("prediction", &self.prediction, "leave it out"),
            ("web_search_options", &self.web_search_options, "leave it out"),
            ("functions", &self.functions, "send tools, the form that replaced it"),
            ("function_call", &self.function_call, "send tool_choice, the form that replaced it"),
            ("suffix", &self.suffix, "leave it out: these models only go on at the end of a text"),
            ("reasoning_effort", &self.reasoning_effort, "leave it out"),
            ("verbosity", &self.verbosity, "leave it out"),
        ] {
            if let Some(value) = value {
                return Err(refused(name, value, advice));
            }
        }
        Ok(())
    }
}

fn refused(name: &str, value: &Value, advice: &str) -> ApiError {
    let shown: String = value.to_string().chars().take(80).collect();
    ApiError::field(name, format!("{name} is {shown}, which is not supported here; {advice}"))
}
