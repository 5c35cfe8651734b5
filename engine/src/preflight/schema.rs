//! Whether a value is a JSON Schema of the 2020-12 dialect that can be read without fetching anything.

use serde_json::Value;

/// Deepest nesting of a schema.
pub const MAX_DEPTH: usize = 32;
/// Longest schema in bytes.
pub const MAX_BYTES: usize = 64 * 1024;

/// What is wrong with a schema: not bounded, not self-contained, or no schema at all.
pub fn problems(schema: &Value) -> impl Iterator<Item = String> {
    let mut found = Vec::new();
    let depth = depth(schema);
    let bytes = crate::hash::canonical(schema).len();
    if depth > MAX_DEPTH {
        found.push(format!("the schema is nested {depth} deep, the limit is {MAX_DEPTH}; move parts into $defs"));
    }
    if bytes > MAX_BYTES {
        found.push(format!("the schema is {bytes} bytes, the limit is {MAX_BYTES}; shorten it"));
    }
    if found.is_empty() {
        external_references(schema, &mut found);
        found.extend(invalid(schema));
    }
    found.into_iter()
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

fn external_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| external_references(item, found)),
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(target)
                        if matches!(key.as_str(), "$ref" | "$dynamicRef") && !target.starts_with('#') =>
                    {
                        found.push(format!(
                            "$ref {target:?} points outside of the schema, where it can change; copy it into $defs"
                        ));
                    }
                    _ => external_references(member, found),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn invalid(schema: &Value) -> Option<String> {
    let error = jsonschema::draft202012::meta::validate(schema).err()?;
    let at = error.instance_path().to_string();
    let place = if at.is_empty() { "its root".to_owned() } else { at };
    Some(format!("not a JSON Schema of 2020-12, at {place}: {error}"))
}
