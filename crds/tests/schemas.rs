//! The schemas that the chart ships are those of the types, and they are what an API server and a reader want.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)] // tests fail loudly

use std::path::PathBuf;

use serde_json::Value;

const HOW: &str = "run: cargo run -p rollpin-crds --example print-crds > charts/rollpin-crds/templates/crds.yaml";

/// Larger, and a client-side apply would not fit its annotation of 256 KiB.
const MAX_BYTES: usize = 200 * 1024;

fn chart(file: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../charts/rollpin-crds").join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|cause| panic!("{}: {cause}; {HOW}", path.display()))
}

fn definitions() -> Vec<Value> {
    rollpin_crds::custom_resource_definitions()
        .unwrap()
        .into_iter()
        .map(|crd| serde_json::to_value(crd).unwrap())
        .collect()
}

fn schemas() -> Vec<(String, Value)> {
    definitions()
        .into_iter()
        .map(|crd| {
            let kind = crd["spec"]["names"]["kind"].as_str().unwrap().to_owned();
            (kind, crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
        })
        .collect()
}

/// Every node of every schema, with its path.
fn nodes() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for (kind, schema) in schemas() {
        walk(&kind, &schema, &mut found);
    }
    assert!(found.len() > 200);
    found
}

fn walk(path: &str, schema: &Value, found: &mut Vec<(String, Value)>) {
    found.push((path.to_owned(), schema.clone()));
    for (name, child) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(&format!("{path}.{name}"), child, found);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(child) = schema.get(key) {
            walk(&format!("{path}{mark}"), child, found);
        }
    }
}

fn refused(is_wrong: impl Fn(&str, &Value) -> bool) -> Vec<String> {
    nodes().into_iter().filter(|(path, schema)| is_wrong(path, schema)).map(|(path, _)| path).collect()
}

/// Below `oneOf` and the like an API server allows conditions on values, never types or descriptions.
fn has_types(junctor: &Value) -> bool {
    match junctor {
        Value::Array(items) => items.iter().any(has_types),
        Value::Object(members) => members.iter().any(|(key, member)| {
            ["type", "description", "default", "additionalProperties"].contains(&key.as_str())
                || (key != "required" && has_types(member))
        }),
        _ => false,
    }
}

fn assert_none(found: &[String], what: &str) {
    assert!(found.is_empty(), "{what}: {found:#?}");
}

#[test]
fn the_chart_holds_exactly_the_generated_schemas() {
    let mut generated = String::new();
    for crd in rollpin_crds::custom_resource_definitions().unwrap() {
        generated.push_str("---\n");
        generated.push_str(&serde_yaml::to_string(&crd).unwrap());
    }
    assert!(
        chart("templates/crds.yaml") == generated,
        "charts/rollpin-crds/templates/crds.yaml is not what the types say; {HOW}"
    );
}

#[test]
fn helm_has_nothing_to_expand_so_that_kubectl_reads_the_same_file() {
    assert!(!chart("templates/crds.yaml").contains("{{"));
}

#[test]
fn every_definition_fits_a_client_side_apply() {
    for crd in definitions() {
        let bytes = crd.to_string().len();
        assert!(bytes < MAX_BYTES, "{}: {bytes} bytes", crd["metadata"]["name"]);
    }
}

#[test]
fn every_field_is_described() {
    let found = refused(|path, schema| {
        let item_of_a_list = path.ends_with("[]") || path.ends_with("{}");
        !item_of_a_list && schema.get("description").and_then(Value::as_str).is_none_or(str::is_empty)
    });
    assert_none(&found, "fields without a description");
}

#[test]
fn every_string_list_and_map_is_bounded() {
    let found = refused(|_, schema| match schema.get("type").and_then(Value::as_str) {
        Some("string") => !["maxLength", "enum", "format"].iter().any(|bound| schema.get(*bound).is_some()),
        Some("array") => schema.get("maxItems").is_none(),
        Some("object") => schema.get("additionalProperties").is_some() && schema.get("maxProperties").is_none(),
        _ => false,
    });
    assert_none(&found, "fields without a bound");
}

#[test]
fn every_schema_is_structural() {
    let found = refused(|_, schema| {
        let typed = schema.get("type").is_some_and(Value::is_string);
        let foreign = ["$ref", "nullable", "definitions"].iter().any(|key| schema.get(*key).is_some());
        let foreign =
            foreign || ["anyOf", "oneOf", "allOf", "not"].iter().any(|key| schema.get(*key).is_some_and(has_types));
        let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
        let both = schema.get("properties").is_some() && schema.get("additionalProperties").is_some();
        !typed || foreign || closed || both
    });
    assert_none(&found, "nodes that are not structural, or nullable");
}

#[test]
fn every_kind_has_a_short_name_the_category_and_no_default_is_written_by_the_server_into_a_spec() {
    for crd in definitions() {
        let names = &crd["spec"]["names"];
        assert!(names["shortNames"].as_array().is_some_and(|it| !it.is_empty()), "{names}");
        assert!(names["categories"].as_array().is_some_and(|it| it.contains(&"rollpin".into())), "{names}");
    }
    // A default in a spec is what a later version cannot change; `contract.level` is 0 by definition.
    let allowed = ["AgentRelease.spec.contract.level"];
    let found = refused(|path, schema| {
        schema.get("default").is_some() && path.starts_with("AgentRelease.spec") && !allowed.contains(&path)
    });
    assert_none(&found, "defaults");
}

#[test]
fn the_release_has_status_and_scale() {
    let crd = definitions().into_iter().find(|crd| crd["spec"]["names"]["kind"] == "AgentRelease").unwrap();
    let version = &crd["spec"]["versions"][0];
    assert!(version["subresources"]["status"].is_object());
    assert_eq!(version["subresources"]["scale"]["specReplicasPath"], ".spec.replicas");
    let columns: Vec<&str> =
        version["additionalPrinterColumns"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(columns, ["Phase", "Serving", "Desired", "Weight", "Verdict", "Age", "Step", "Sessions", "Tightest"]);
}

#[test]
fn the_chart_has_a_name_and_the_version_of_the_workspace() {
    let text = chart("Chart.yaml");
    let meta: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(meta["name"], "rollpin-crds");
    assert_eq!(meta["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(meta["appVersion"], env!("CARGO_PKG_VERSION"));
}
