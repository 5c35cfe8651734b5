//! Makes the generated schemas what an API server wants: bounded, structural, never nullable, described.
//!
//! One transform over the generated JSON instead of an attribute on every field. It changes schemas only, never data.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// A duration as Kubernetes writes it: numbers with units `ms`, `s`, `m`, `h`, such as `72h` or `1m30s`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Duration(#[schemars(length(min = 2, max = 32), regex(pattern = "^([0-9]+(ms|s|m|h))+$"))] pub String);

/// Longest string where a field says nothing else.
const MAX_LENGTH: u64 = 1024;
/// Longest list where a field says nothing else.
const MAX_ITEMS: u64 = 256;
/// Largest map where a field says nothing else.
const MAX_PROPERTIES: u64 = 64;

/// Every custom resource definition of rollpin, as the API server is given it.
///
/// # Errors
/// When a derived definition is not valid JSON of its own type, which a unit test excludes.
pub fn custom_resource_definitions() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    [
        crate::AgentRelease::crd(),
        crate::AgentRevision::crd(),
        crate::ReleaseCommand::crd(),
        crate::GateTemplate::crd(),
        crate::MetricSource::crd(),
        crate::DecisionRecord::crd(),
        crate::EvidenceLedger::crd(),
    ]
    .into_iter()
    .map(finished)
    .collect()
}

fn finished(crd: CustomResourceDefinition) -> Result<CustomResourceDefinition, serde_json::Error> {
    let mut value = serde_json::to_value(crd)?;
    let kind = value.pointer("/spec/names/kind").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(versions) = value.pointer_mut("/spec/versions").and_then(Value::as_array_mut) {
        for version in versions {
            if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
                tighten(schema);
                add_root_rules(schema, &kind);
            }
        }
    }
    serde_json::from_value(value)
}

/// Names of agents become names of pods and label values, so they are shorter than Kubernetes allows.
fn add_root_rules(schema: &mut Value, kind: &str) {
    if kind != "AgentRelease" {
        return;
    }
    if let Some(root) = schema.as_object_mut() {
        root.insert(
            "x-kubernetes-validations".to_owned(),
            json!([{
                "rule": "self.metadata.name.size() <= 50 && !self.metadata.name.contains('.')",
                "message": "metadata.name must be at most 50 characters and have no dots: names of its pods and Services begin with it",
            }]),
        );
    }
}

fn tighten(node: &mut Value) {
    let Some(schema) = node.as_object_mut() else { return };
    schema.remove("nullable");
    unwrap_optional_reference(schema);
    bound(schema);
    for key in ["properties"] {
        if let Some(children) = schema.get_mut(key).and_then(Value::as_object_mut) {
            children.values_mut().for_each(tighten);
        }
    }
    for key in ["items", "additionalProperties"] {
        if let Some(child) = schema.get_mut(key) {
            tighten(child);
        }
    }
    drop_null_from_enum(schema);
}

/// An optional object comes out of the generator as `anyOf [schema, null]`.
fn unwrap_optional_reference(schema: &mut Map<String, Value>) {
    let Some(Value::Array(options)) = schema.get("anyOf") else { return };
    let kept: Vec<Value> = options
        .iter()
        .filter(|option| option.get("type") != Some(&json!("null")) && option.get("nullable").is_none())
        .cloned()
        .collect();
    if let [Value::Object(only)] = kept.as_slice() {
        let mut only = only.clone();
        schema.remove("anyOf");
        if let Some(text) = schema.remove("description") {
            only.insert("description".to_owned(), text);
        }
        schema.append(&mut only);
    }
}

fn drop_null_from_enum(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(words)) = schema.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
}

fn bound(schema: &mut Map<String, Value>) {
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    match kind.as_str() {
        "string" if !schema.contains_key("enum") && !schema.contains_key("format") => {
            schema.entry("maxLength").or_insert(json!(MAX_LENGTH));
        }
        "array" => {
            schema.entry("maxItems").or_insert(json!(MAX_ITEMS));
        }
        "object" if schema.get("additionalProperties").is_some_and(Value::is_object) => {
            schema.entry("maxProperties").or_insert(json!(MAX_PROPERTIES));
        }
        _ => {}
    }
}
