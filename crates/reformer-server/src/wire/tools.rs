//! `tools` and `tool_choice`: functions that a client offers, and calls that it is asked to run.

use reformer_text::Call;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::ApiError;
use crate::models::ServedModel;

/// Functions that the client offers.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct ToolFields {
    /// What the client can run; a model calls `lookup` and `book`, or what its training called.
    pub(crate) tools: Option<Vec<Tool>>,
    /// `auto` or `none`.
    #[schema(value_type = Option<String>)]
    pub(crate) tool_choice: Option<Value>,
}

/// A function.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Tool {
    /// `function`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) function: Function,
}

/// Its name; what else is told of it is for models that read it.
#[derive(Debug, Deserialize, ToSchema)]
pub(crate) struct Function {
    pub(crate) name: String,
    #[expect(dead_code, reason = "read so that it is not unknown")]
    description: Option<Value>,
    #[expect(dead_code, reason = "read so that it is not unknown")]
    parameters: Option<Value>,
    #[expect(dead_code, reason = "read so that it is not unknown")]
    strict: Option<Value>,
}

impl ToolFields {
    /// The functions that the model may ask the client to run; `None` if the client brings none.
    pub(crate) fn offered(&self, model: &ServedModel) -> Result<Option<Vec<String>>, ApiError> {
        let none = match &self.tool_choice {
            None | Some(Value::Null) => false,
            Some(Value::String(choice)) if choice == "auto" => false,
            Some(Value::String(choice)) if choice == "none" => true,
            Some(other) => {
                let shown: String = other.to_string().chars().take(80).collect();
                let message = format!(
                    "tool_choice is {shown}, but a model here cannot be made to call; send \"auto\" or \"none\""
                );
                return Err(ApiError::field("tool_choice", message));
            }
        };
        let Some(tools) = self.tools.as_ref().filter(|tools| !tools.is_empty()) else { return Ok(None) };
        if let Some(other) = tools.iter().find(|tool| tool.kind != "function") {
            let message = format!("tools has a {:?}; expected \"function\"", other.kind);
            return Err(ApiError::field("tools", message));
        }
        if none {
            return Ok(Some(Vec::new()));
        }
        if !model.tokenizer().has_lookups() {
            let message = format!(
                "{:?} has not learned to call functions; leave tools out, or send tool_choice: \"none\"",
                model.name
            );
            return Err(ApiError::field("tools", message));
        }
        Ok(Some(tools.iter().map(|tool| tool.function.name.clone()).collect()))
    }
}

/// A call that the client is to run.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct ToolCall {
    /// Its place in a stream's list.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    id: String,
    /// `function`.
    #[serde(rename = "type")]
    kind: &'static str,
    function: CalledFunction,
}

/// The function and its arguments.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct CalledFunction {
    name: String,
    /// A JSON object, as text.
    arguments: String,
}

impl ToolCall {
    /// A call of the request `id`; in a stream it tells its place, which is the first.
    pub(crate) fn new(call: &Call, id: &str, streamed: bool) -> Self {
        let arguments = Value::from(call.arguments.clone()).to_string();
        Self {
            index: streamed.then_some(0),
            id: format!("call_{id}"),
            kind: "function",
            function: CalledFunction { name: call.tool.clone(), arguments },
        }
    }
}
