//! The recipe's own vectors, and how `build` answers what it refuses.

use rollpin_crds::{AgentRelease, AgentReleaseSpec, AgentRevisionSpec};
use serde_json::{Value, json};

use super::*;
use crate::hash;

const RFC8785: [(&str, &str, &str); 6] = [
    (
        "arrays",
        include_str!("../../../tests/data/digest/rfc8785/arrays.json"),
        "099601b171cafed97c333f8878d68e7f8c8f795412adb34b2fdcf0e7c7beac42",
    ),
    (
        "french",
        include_str!("../../../tests/data/digest/rfc8785/french.json"),
        "d99d0ebdcb0033cb858cfa830ae46bc0fb3309413b271f1da828c89901a27ed5",
    ),
    (
        "structures",
        include_str!("../../../tests/data/digest/rfc8785/structures.json"),
        "605f65004ec2db7692522a0852c22f1c989e036d547e88963d1a3143cf3195d5",
    ),
    (
        "unicode",
        include_str!("../../../tests/data/digest/rfc8785/unicode.json"),
        "0d99aad92a125196ff887876643fd3206786a84ddce2cee52ba4ad256d2381d3",
    ),
    (
        "values",
        include_str!("../../../tests/data/digest/rfc8785/values.json"),
        "2d5e01a318d0f0879ab568c4be289c8b1f64ef8921a53c6277d5e069978baacb",
    ),
    (
        "weird",
        include_str!("../../../tests/data/digest/rfc8785/weird.json"),
        "6af595a9aa80110b964b4de3f82a05fa6ae7423005019bacfa2620dddc4e94d1",
    ),
];

#[test]
fn every_reference_vector_of_rfc_8785_has_its_published_hash() {
    for (name, input, expected) in RFC8785 {
        let value: Value = serde_json::from_str(input).unwrap();
        assert_eq!(hash::of_value(&value), format!("sha256:{expected}"), "{name}");
    }
}

#[test]
fn numbers_are_written_as_es6_writes_them() {
    let cases = [
        (0x4340_0000_0000_0001_u64, "9007199254740994"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
    ];
    for (bits, text) in cases {
        assert_eq!(hash::canonical(&json!(f64::from_bits(bits))), text);
    }
}

#[test]
fn the_empty_config_is_the_empty_descriptor_of_oci() {
    assert_eq!(hash::of_bytes(b"{}"), EMPTY_CONFIG);
}

const WORKED: [(&str, &str, usize); 4] = [
    (
        "model",
        r#"{"name":"claude-haiku-4-5","parameters":{"maxOutputTokens":1024,"temperature":0.2,"topP":1},"provider":"anthropic","version":"20251001"}"#,
        136,
    ),
    (
        "prompt",
        "{\"messages\":[{\"role\":\"system\",\"template\":\"You are Ada\u{2019}s caf\u{e9} helper. {{tone}}\\n\"}],\"variables\":[{\"name\":\"tone\",\"required\":true}]}",
        132,
    ),
    (
        "tools",
        r#"{"tools":[{"annotations":{"readOnlyHint":true},"description":"Find an order.","inputSchema":{"properties":{"id":{"type":"string"}},"required":["id"],"type":"object"},"name":"lookup_order"}]}"#,
        190,
    ),
    (
        "context",
        r#"{"segments":[{"cache":true,"maxTokens":2000,"name":"system","source":"prompt"},{"cache":true,"maxTokens":1000,"name":"tools","source":"tools"},{"maxTokens":150000,"name":"history","source":"history"}],"window":200000}"#,
        217,
    ),
];

#[test]
fn the_worked_release_has_its_published_digest() {
    for (name, blob, size) in WORKED {
        assert_eq!(blob.len(), size, "{name}");
        let value: Value = serde_json::from_str(blob).unwrap();
        assert_eq!(hash::canonical(&value), blob, "{name}");
    }
    let text = manifest(WORKED.iter().map(|(name, blob, _)| (*name, *blob)));
    let digest = hash::of_bytes(text.as_bytes());
    assert_eq!(text.len(), 936);
    assert_eq!(digest, "sha256:1e5eecca759e06b8b5579d8373b3d9a8e51ae465cba2343478d291d2312076d5");
    assert_eq!(base32(&digest), "dzpozstvtydlrnkxtwbxhm6zvdsrvzdfzordindy2ki5emjao3kq");
    assert_eq!(object_name("support", &digest), "support-dzpozstvtydl");
}

#[test]
fn a_name_in_base32_leads_back_to_its_digest() {
    let digest = hash::of_bytes(b"anything");
    assert_eq!(base32(&digest).len(), 52);
    assert_eq!(from_base32(&base32(&digest)), Some(digest.clone()));
    assert_eq!(from_base32(&base32(&digest).to_uppercase()), None);
    assert_eq!(from_base32("abc"), None);
    assert_eq!(base32("not a digest").len(), 52);
    assert_ne!(base32("not a digest"), base32("sha256:"));
}

pub fn newcomer() -> AgentReleaseSpec {
    let text = include_str!("../../../tests/data/manifests/newcomer.yaml");
    serde_yaml::from_str::<AgentRelease>(text).unwrap().spec
}

fn with_reference(reference: &Value) -> AgentReleaseSpec {
    let mut spec = newcomer();
    spec.bundle.prompt.messages[0].content = None;
    spec.bundle.prompt.messages[0].content_from = Some(serde_json::from_value(reference.clone()).unwrap());
    spec
}

fn contents(text: Option<&str>, immutable: bool) -> Contents {
    Contents::from([(("prompts".into(), "system.txt".into()), Content { text: text.map(Into::into), immutable })])
}

const TEXT: &str = "You help customers of ACME with their orders.";

fn hex(text: &str) -> String {
    hash::of_bytes(text.as_bytes()).trim_start_matches("sha256:").to_owned()
}

fn problems(result: Result<Built, NotBuilt>) -> Vec<String> {
    match result {
        Err(NotBuilt::Invalid(problems)) => problems.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_same_text_by_any_route_has_the_same_digest() {
    let inline = build("support", &newcomer(), &Contents::new()).unwrap();
    let key = json!({"configMapKeyRef": {"name": "prompts", "key": "system.txt"}});
    let hashed = json!({"configMapKeyRef": {"name": "prompts", "key": "system.txt"}, "sha256": hex(TEXT)});
    let immutable = build("support", &with_reference(&key), &contents(Some(TEXT), true)).unwrap();
    let pinned = build("support", &with_reference(&hashed), &contents(Some(TEXT), false)).unwrap();
    assert_eq!(inline, immutable);
    assert_eq!(inline, pinned);
}

#[test]
fn content_that_is_missing_or_different_is_waited_for() {
    let key = json!({"configMapKeyRef": {"name": "prompts", "key": "system.txt"}, "sha256": hex(TEXT)});
    for found in [Contents::new(), contents(None, false), contents(Some("other"), true)] {
        let Err(NotBuilt::WaitingForContent(why)) = build("support", &with_reference(&key), &found) else { panic!() };
        assert!(why.contains("ConfigMap prompts"), "{why}");
    }
    assert_eq!(references(&with_reference(&key)).len(), 1);
}

#[test]
fn content_that_can_change_under_the_release_is_refused_with_its_hash() {
    let key = json!({"configMapKeyRef": {"name": "prompts", "key": "system.txt"}});
    let found = problems(build("support", &with_reference(&key), &contents(Some(TEXT), false)));
    assert!(found[0].contains(&hex(TEXT)) && found[0].contains("immutable: true"), "{found:?}");
}

#[test]
fn an_oci_reference_is_refused_by_this_version() {
    let spec = with_reference(&json!({"ociRef": format!("ghcr.io/acme/prompt@sha256:{}", hex(TEXT))}));
    assert!(
        problems(build("support", &spec, &Contents::new()))[0]
            .contains("contentFrom.ociRef: this version cannot fetch")
    );
}

#[test]
fn what_cannot_be_hashed_is_refused_and_named() {
    let mut spec = newcomer();
    let tools = spec.bundle.tools.as_mut().unwrap();
    tools.items[0].input_schema.insert("default".into(), Value::Null);
    tools.items[0].input_schema.insert("maximum".into(), json!(9_007_199_254_740_993_u64));
    tools.items[0].description = Some("nul \0".into());
    let found = problems(build("support", &spec, &Contents::new()));
    let start = "spec.bundle.tools.items[0]";
    assert!(
        found.iter().any(|it| it.starts_with(&format!("{start}.inputSchema.default: null is not allowed"))),
        "{found:?}"
    );
    assert!(found.iter().any(|it| it.starts_with(&format!("{start}.inputSchema.maximum: 9007199254740993 is beyond"))));
    assert!(found.iter().any(|it| it.starts_with(&format!("{start}.description: the text contains U+0000"))));
    spec.bundle.model.parameters.as_mut().unwrap().temperature = Some(f64::INFINITY);
    let found = problems(build("support", &spec, &Contents::new()));
    assert!(found[0].starts_with("spec.bundle.model.parameters.temperature: not a finite number"));
}

#[test]
fn an_inline_bundle_over_its_limit_is_refused() {
    let mut spec = newcomer();
    spec.bundle.prompt.messages[0].content = Some("x".repeat(INLINE_LIMIT));
    let found = problems(build("support", &spec, &Contents::new()));
    assert!(found[0].contains("the limit is 204800") && found[0].contains("ociRef"), "{found:?}");
}

#[test]
fn a_release_needs_a_port_and_a_short_name() {
    let mut spec = newcomer();
    spec.contract.as_mut().unwrap().port = None;
    assert_eq!(build("support", &spec, &Contents::new()).unwrap().port, 8080);
    spec.template
        .get_mut("spec")
        .unwrap()
        .pointer_mut("/containers/0")
        .unwrap()
        .as_object_mut()
        .unwrap()
        .remove("ports");
    assert!(problems(build("support", &spec, &Contents::new()))[0].starts_with("spec.contract.port"));
    assert!(problems(build(&"a".repeat(51), &newcomer(), &Contents::new()))[0].starts_with("metadata.name"));
}

fn revision(built: &Built) -> AgentRevisionSpec {
    AgentRevisionSpec {
        agent: "support".into(),
        digest: built.release.digest.clone(),
        behavior_digest: built.release.behavior_digest.clone(),
        digest_version: DIGEST_VERSION,
        manifest: built.manifest.clone(),
        components: built.components.clone(),
        template: built.template.clone(),
        contract_level: built.contract_level,
        port: built.port,
    }
}

#[test]
fn a_stored_revision_is_hashed_again_and_every_change_in_it_is_found() {
    let good = revision(&build("support", &newcomer(), &Contents::new()).unwrap());
    assert_eq!(verify(&good), Ok(()));
    let changes: [fn(&mut AgentRevisionSpec); 12] = [
        |it| it.digest = hash::of_bytes(b"x"),
        |it| it.behavior_digest = hash::of_bytes(b"x"),
        |it| it.digest_version = 2,
        |it| it.manifest.push(' '),
        |it| it.components[1].content = it.components[1].content.replace("ACME", "ACNE"),
        |it| it.components[1].digest = hash::of_bytes(b"x"),
        |it| it.components[1].behavior_digest = hash::of_bytes(b"x"),
        |it| it.components.swap(0, 1),
        |it| drop(it.components.remove(2)),
        |it| it.template = it.template.replace("5f70bf18", "6f70bf18"),
        |it| it.contract_level = 0,
        |it| it.port = 9090,
    ];
    for (index, change) in changes.iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(verify(&bad).is_err(), "change {index}");
    }
}

#[test]
fn a_consistent_forgery_of_one_component_still_misses_the_digest() {
    let mut bad = revision(&build("support", &newcomer(), &Contents::new()).unwrap());
    let part = &mut bad.components[1];
    part.content = part.content.replace("ACME", "ACNE");
    part.digest = hash::of_bytes(part.content.as_bytes());
    part.behavior_digest = part.digest.clone();
    assert!(matches!(verify(&bad), Err(Damaged::Manifest { .. })));
}

#[test]
fn the_components_that_differ_are_named_in_order() {
    let before = build("support", &newcomer(), &Contents::new()).unwrap();
    let mut spec = newcomer();
    spec.bundle.prompt.messages[0].content = Some("Other.".into());
    spec.bundle.tools = None;
    spec.bundle.state = Some(serde_json::from_value(json!({"sessionSchemaVersion": "2"})).unwrap());
    let after = build("support", &spec, &Contents::new()).unwrap();
    assert_eq!(changed_components(&before.components, &after.components), ["prompt", "tools", "state"]);
    assert!(changed_components(&before.components, &before.components).is_empty());
}

#[test]
fn operations_fields_are_laid_over_a_revision_and_nothing_else_is() {
    let image = |host: &str, digit: &str| format!("{host}/agent@sha256:{}", digit.repeat(64));
    let revision = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"volumes": [{"name": "s", "emptyDir": {}}],
        "containers": [{"name": "agent", "image": image("one.example", "a"), "env": [{"name": "A", "value": "1"}]}]}});
    let current = json!({"spec": {"nodeSelector": {"pool": "x"}, "serviceAccountName": "other", "containers": [
        {"name": "new", "image": image("one.example", "c")},
        {"name": "agent", "image": image("mirror.example", "a"), "env": [], "resources": {"limits": {"cpu": "1"}}}]}});
    let laid = overlay_operations(&revision, &current);
    assert_eq!(
        laid,
        json!({"metadata": {"labels": {"a": "b"}}, "spec": {"volumes": [{"name": "s", "emptyDir": {}}],
        "nodeSelector": {"pool": "x"}, "containers": [{"name": "agent", "image": image("mirror.example", "a"),
        "env": [{"name": "A", "value": "1"}], "resources": {"limits": {"cpu": "1"}}}]}})
    );
    let other = json!({"spec": {"containers": [{"name": "agent", "image": image("one.example", "d")}]}});
    assert_eq!(
        overlay_operations(&revision, &other).pointer("/spec/containers/0/image"),
        Some(&json!(image("one.example", "a")))
    );
}

#[test]
fn a_template_split_in_two_holds_each_field_once_but_for_names_and_images() {
    let (kept, operations) = split_template(&json!({"spec": {"priorityClassName": "high", "hostNetwork": true,
        "tolerations": [], "containers": [{"name": "a", "image": "i", "resources": {}, "args": [], "tty": true}]}}));
    assert_eq!(kept, json!({"spec": {"hostNetwork": true, "containers": [{"name": "a", "image": "i", "tty": true}]}}));
    assert_eq!(operations, json!({"spec": {"priorityClassName": "high", "containers": [{"name": "a", "image": "i"}]}}));
}

#[test]
fn an_image_counts_by_its_digest_alone() {
    let digest = format!("sha256:{}", "a".repeat(64));
    assert_eq!(image_content(&format!("ghcr.io/acme/agent:1.2@{digest}")), digest);
    assert_eq!(image_content("ghcr.io/acme/agent:1.2"), "ghcr.io/acme/agent:1.2");
    assert_eq!(image_content("agent@sha256:short"), "agent@sha256:short");
}
