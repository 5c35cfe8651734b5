//! Fields that the API does not have, with the field that was probably meant.
//!
//! kubectl's strict validation says the same for client-side applies; a plain POST prunes in silence.

use rollpin_crds::custom_resource_definitions;
use serde_json::{Map, Value};

use super::Problem;

/// Edits between a word and the one that was meant, at most a third of the word.
const EDITS_PER_WORD: usize = 3;

/// Unknown fields of a manifest of one of rollpin's kinds; a manifest of any other kind is a problem of its own.
#[must_use]
pub fn unknown_fields(manifest: &Value) -> Vec<Problem> {
    let kind = manifest.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some(schema) = schema_of(kind) else {
        return vec![Problem::new(
            "kind",
            format!("{kind:?} is not a kind of rollpin.dev/v1alpha1; write kind: AgentRelease"),
        )];
    };
    let mut found = Vec::new();
    if manifest.get("apiVersion").and_then(Value::as_str) != Some("rollpin.dev/v1alpha1") {
        found.push(Problem::new("apiVersion", "write apiVersion: rollpin.dev/v1alpha1"));
    }
    let Some(members) = manifest.as_object() else {
        return found;
    };
    let known = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, value) in members {
        match known.get(key) {
            // Every object has them, and the schema says nothing about their content.
            _ if matches!(key.as_str(), "apiVersion" | "kind" | "metadata") => {}
            Some(schema) => walk(key, value, schema, &mut found),
            None => found.push(unknown(key, key, &known)),
        }
    }
    found
}

fn schema_of(kind: &str) -> Option<Value> {
    let crds = custom_resource_definitions().ok()?;
    let crd = crds.into_iter().find(|crd| crd.spec.names.kind == kind)?;
    let schema = crd.spec.versions.into_iter().next()?.schema?.open_api_v3_schema?;
    serde_json::to_value(schema).ok()
}

fn walk(field: &str, value: &Value, schema: &Value, found: &mut Vec<Problem>) {
    match value {
        Value::Object(members) => walk_object(field, members, schema, found),
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    walk(&format!("{field}[{index}]"), item, schema, found);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn walk_object(field: &str, members: &Map<String, Value>, schema: &Value, found: &mut Vec<Problem>) {
    let known = schema.get("properties").and_then(Value::as_object);
    let preserved = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    for (key, value) in members {
        let path = format!("{field}.{key}");
        match (known.and_then(|known| known.get(key)), schema.get("additionalProperties")) {
            (Some(schema), _) | (None, Some(schema @ Value::Object(_))) => {
                walk(&path, value, schema, found);
            }
            (None, _) if preserved => {}
            (None, _) => {
                if let Some(known) = known {
                    found.push(unknown(&path, key, known));
                }
            }
        }
    }
}

fn unknown(field: &str, key: &str, known: &Map<String, Value>) -> Problem {
    let nearest =
        known.keys().map(|name| (strsim::osa_distance(&key.to_lowercase(), &name.to_lowercase()), name)).min();
    let message = match nearest {
        Some((edits, name)) if edits <= key.chars().count().div_ceil(EDITS_PER_WORD) => {
            format!("unknown field {key:?}; did you mean {name:?}?")
        }
        _ if known.is_empty() => format!("unknown field {key:?}; remove it"),
        _ => {
            let names: Vec<&str> = known.keys().map(String::as_str).collect();
            format!("unknown field {key:?}; known here: {}", names.join(", "))
        }
    };
    Problem::new(field, message)
}
