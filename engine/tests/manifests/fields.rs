//! Every field of the API is classified, and the digests do what its class says.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Container, PodSpec};
use rollpin_crds::{AgentReleaseSpec, custom_resource_definitions};
use rollpin_engine::digest::fields::{Class, FIELDS, class_of};
use rollpin_engine::digest::{NotBuilt, build};
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Value, json};

use crate::{contents, read, value};

fn spec_schema() -> Value {
    let crds = custom_resource_definitions().unwrap();
    let crd = crds.into_iter().find(|crd| crd.spec.names.kind == "AgentRelease").unwrap();
    let schema = crd.spec.versions[0].schema.clone().unwrap().open_api_v3_schema.unwrap();
    serde_json::to_value(schema).unwrap()["properties"]["spec"].take()
}

/// Leaves of a schema: fields that are classified, or that have no fields of their own.
fn leaves(path: &str, schema: &Value, found: &mut BTreeSet<String>) {
    let children = schema.get("properties").and_then(Value::as_object).filter(|_| class_of(path).is_none());
    if let Some(children) = children {
        children.iter().for_each(|(name, child)| leaves(&format!("{path}.{name}"), child, found));
    } else if let Some(items) = schema.get("items") {
        leaves(&format!("{path}[]"), items, found);
    } else {
        found.insert(path.to_owned());
    }
}

#[test]
fn every_field_of_bundle_template_and_contract_in_the_schema_is_classified() {
    let schema = spec_schema();
    let mut found = BTreeSet::new();
    for part in ["bundle", "template", "contract"] {
        leaves(part, &schema["properties"][part], &mut found);
    }
    assert!(found.len() > 60, "the walk lost its way: {found:?}");
    let missing: Vec<&String> = found.iter().filter(|path| class_of(path).is_none()).collect();
    assert!(missing.is_empty(), "say in engine/src/digest/fields.rs what a change of these fields means: {missing:?}");
    let stale: Vec<_> =
        FIELDS.iter().filter(|(path, _)| !path.starts_with("template.spec") && !found.contains(*path)).collect();
    assert!(stale.is_empty(), "the API has no such fields any more: {stale:?}");
}

fn properties_of<T: JsonSchema>() -> Vec<String> {
    let schema = SchemaGenerator::default().into_root_schema_for::<T>().to_value();
    schema["properties"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn every_field_of_kubernetes_own_pod_spec_is_classified() {
    let containers = properties_of::<Container>().into_iter().map(|name| format!("template.spec.containers[].{name}"));
    let pod = properties_of::<PodSpec>()
        .into_iter()
        .filter(|name| name != "containers")
        .map(|name| format!("template.spec.{name}"));
    let known: BTreeSet<String> = containers.chain(pod).collect();
    assert!(known.len() > 50);
    let missing: Vec<&String> = known.iter().filter(|path| class_of(path).is_none()).collect();
    assert!(missing.is_empty(), "say in engine/src/digest/fields.rs what a change of these fields means: {missing:?}");
    let stale: Vec<_> =
        FIELDS.iter().filter(|(path, _)| path.starts_with("template.spec") && !known.contains(*path)).collect();
    assert!(stale.is_empty(), "this Kubernetes has no such fields: {stale:?}");
}

/// Another value of the same type that the API would accept.
fn changed(path: &str, value: &Value) -> Value {
    let word = match path {
        "bundle.prompt.templateEngine" => Some("None"),
        "bundle.prompt.messages[].role" => Some("developer"),
        "bundle.tools.effects[].effect" => Some("IdempotentWrite"),
        "bundle.context.segments[].source" => Some("Input"),
        "bundle.context.segments[].overflow" => Some("TruncateOldest"),
        "bundle.runtime.idempotency" => Some("All"),
        "bundle.context.memory.ttl" => Some("7h"),
        path if path.starts_with("bundle.runtime.deadline") => Some("7s"),
        _ => None,
    };
    match value {
        _ if word.is_some() => json!(word),
        _ if path.ends_with(".reasoningTokens") => json!(64),
        _ if path.ends_with(".ociRef") => {
            json!(format!("ghcr.io/acme/prompt@sha256:{}", "b".repeat(64)))
        }
        _ if path.rsplit('.').next() == Some("image") => {
            json!(format!("ghcr.io/acme/agent@sha256:{}", "b".repeat(64)))
        }
        Value::Null => json!({"changed": true}),
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) if number.is_f64() => json!(number.as_f64().unwrap() + 0.125),
        Value::Number(number) => json!(number.as_i64().unwrap() - 1),
        Value::String(text) => json!(format!("{text}x")),
        Value::Array(items) => json!([items.as_slice(), &[json!("changed")]].concat()),
        Value::Object(_) => {
            let mut changed = value.clone();
            changed["changed"] = json!("yes");
            changed
        }
    }
}

/// The place of a field in a spec; lists by their first item that has it.
fn place<'a>(spec: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').fold(spec, |at, step| match step.strip_suffix("[]") {
        None => at.as_object_mut().unwrap().entry(step).or_insert(Value::Null),
        Some("messages") if path.contains("contentFrom") => &mut at["messages"][1],
        Some(list) => &mut at[list][0],
    })
}

#[test]
fn a_change_of_any_field_moves_the_digests_as_its_class_says() {
    let spec = value("digest/everything.yaml")["spec"].take();
    let of = |spec: &Value| {
        let spec: AgentReleaseSpec = serde_json::from_value(spec.clone()).unwrap();
        build("everything", &spec, &contents()).map(|built| (built.release.digest, built.release.behavior_digest))
    };
    let before = of(&spec).unwrap();
    for (path, class) in FIELDS {
        let mut other = spec.clone();
        let at = place(&mut other, path);
        *at = changed(path, at);
        match path.rsplit_once('.').unwrap().1 {
            // Not the text that was hashed, or one that this version cannot fetch: no release at all.
            "sha256" => assert!(matches!(of(&other), Err(NotBuilt::WaitingForContent(_))), "{path}"),
            "ociRef" => assert!(matches!(of(&other), Err(NotBuilt::Invalid(_))), "{path}"),
            _ => {
                let after = of(&other).unwrap_or_else(|why| panic!("{path}: {why:?}"));
                let moved = (after.0 != before.0, after.1 != before.1);
                let expected = match class {
                    Class::Behavior => (true, true),
                    Class::Provenance => (true, false),
                    Class::Operations => (false, false),
                };
                assert_eq!(moved, expected, "{path}: (release digest, behaviour digest) moved");
            }
        }
    }
}

#[test]
fn the_page_about_the_digest_has_exactly_this_table() {
    let page = read("../../docs/digest.md");
    let rows: Vec<String> =
        FIELDS.iter().map(|(path, class)| format!("| `{path}` | {} |", format!("{class:?}").to_lowercase())).collect();
    let table = rows.join("\n");
    assert!(page.contains(&table), "docs/digest.md must hold this table:\n{table}");
}
