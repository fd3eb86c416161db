//! Schemas of fields that come in several forms, for whoever reads `/openapi.json`.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};

/// A list of messages.
pub(crate) fn messages() -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let null = || ObjectBuilder::new().schema_type(Type::Null);
    let part = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("type", text().enum_values(Some(["text"])))
        .property("text", text())
        .required("type")
        .required("text");
    let content = OneOfBuilder::new()
        .item(text())
        .item(ArrayBuilder::new().items(part))
        .item(null())
        .description(Some("A string, a list of text parts, or null"));
    let function = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("name", text())
        .property("arguments", text().description(Some("A JSON object, as text")))
        .required("name");
    let call = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("id", text())
        .property("type", text().enum_values(Some(["function"])))
        .property("function", function)
        .required("function");
    let message = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("role", text().enum_values(Some(["system", "developer", "user", "assistant", "tool"])))
        .property("content", content)
        .property("tool_calls", ArrayBuilder::new().items(call))
        .property("tool_call_id", text())
        .required("role");
    RefOr::T(Schema::Array(ArrayBuilder::new().items(message).min_items(Some(1)).build()))
}

/// A prompt, or several.
pub(crate) fn prompts() -> RefOr<Schema> {
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let id = || ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    let one_of = OneOfBuilder::new()
        .item(text())
        .item(ArrayBuilder::new().items(text()))
        .item(ArrayBuilder::new().items(id()))
        .item(ArrayBuilder::new().items(ArrayBuilder::new().items(id())));
    RefOr::T(Schema::OneOf(one_of.build()))
}

/// A string, several, or none.
pub(crate) fn strings() -> RefOr<Schema> {
    let string = || ObjectBuilder::new().schema_type(Type::String);
    let one_of = OneOfBuilder::new()
        .item(ObjectBuilder::new().schema_type(Type::Null))
        .item(string())
        .item(ArrayBuilder::new().items(string()));
    RefOr::T(Schema::OneOf(one_of.build()))
}
