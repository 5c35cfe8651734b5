//! Each check fires on what it is for, and on nothing beside it.

use rollpin_crds::{AgentRelease, AgentReleaseSpec};
use serde_json::{Value, json};

use super::*;
use crate::digest::Content;

/// The newcomer's example with `spec.bundle.<pointer>` set to values.
fn spec_with(changes: &[(&str, Value)]) -> AgentReleaseSpec {
    let mut manifest: Value =
        serde_yaml::from_str(include_str!("../../../tests/data/manifests/newcomer.yaml")).unwrap();
    for (path, value) in changes {
        let place = path.split('.').fold(&mut manifest["spec"], |at, step| match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        });
        *place = value.clone();
    }
    serde_json::from_value::<AgentRelease>(manifest).unwrap().spec
}

fn codes(changes: &[(&str, Value)]) -> Vec<(&'static str, Severity)> {
    check(&spec_with(changes)).into_iter().map(|finding| (finding.code, finding.severity)).collect()
}

const E: Severity = Severity::Error;
const W: Severity = Severity::Warning;

fn prompt(text: &str) -> (&'static str, Value) {
    ("bundle.prompt.messages", json!([{"role": "system", "content": text}]))
}

#[test]
fn the_newcomers_example_has_no_finding() {
    assert_eq!(codes(&[]), []);
}

#[test]
fn m01_a_model_is_pinned_to_a_snapshot() {
    for alias in ["latest", "LATEST", "", "claude-haiku-4-5", "x-latest"] {
        assert_eq!(codes(&[("bundle.model.version", json!(alias))]), [("M01", E)], "{alias:?}");
    }
    assert_eq!(codes(&[("bundle.model.version", json!("ga"))]), [("M01", W)]);
    assert_eq!(codes(&[("bundle.model.version", json!("0613"))]), []);
    let fallback = json!([{"provider": "openai", "name": "gpt-4o", "version": "latest"}]);
    assert_eq!(codes(&[("bundle.model.fallbacks", fallback)]), [("M01", E)]);
}

#[test]
fn m02_parameters_are_in_range_and_do_not_exclude_each_other() {
    let parameters = |value: Value| codes(&[("bundle.model.parameters", value)]);
    assert_eq!(parameters(json!({"temperature": 2.5})), [("M02", E)]);
    assert_eq!(parameters(json!({"reasoningEffort": "low", "reasoningTokens": 100})), [("M02", E)]);
    assert_eq!(parameters(json!({"reasoningTokens": 100, "maxOutputTokens": 100})), [("M02", E)]);
    assert_eq!(parameters(json!({"temperature": 0.5, "topP": 0.9})), [("M02", W)]);
    assert_eq!(codes(&[("bundle.model.responseFormat", json!({"type": "objekt"}))]), [("M02", E)]);
}

#[test]
fn p01_variables_are_declared_sourced_and_used() {
    let variables = |value: Value| ("bundle.prompt.variables", value);
    assert_eq!(codes(&[prompt("Be {{tone}} and {{{tone}}}.")]), [("P01", E)]);
    assert_eq!(codes(&[prompt("Be {{ tone }}{{! why }}."), variables(json!([{"name": "tone"}]))]), []);
    assert_eq!(codes(&[prompt("{{#user.name}}x{{/user.name}}"), variables(json!([{"name": "user"}]))]), []);
    assert_eq!(codes(&[variables(json!([{"name": "tone"}]))]), [("P01", W)]);
    let required = json!([{"name": "tone", "required": true}]);
    assert_eq!(codes(&[prompt("{{tone}}"), variables(required)]), [("P01", E)]);
    assert_eq!(codes(&[prompt("Answer {{\"a\": 1}}")]), [("P01", E)]);
    assert_eq!(codes(&[prompt("Answer {{\"a\": 1}}"), ("bundle.prompt.templateEngine", json!("None"))]), []);
}

#[test]
fn p01_a_variable_may_be_used_by_a_text_that_is_not_here_yet() {
    let reference = json!([{"role": "system", "contentFrom": {"configMapKeyRef": {"name": "p", "key": "k"}}}]);
    let spec =
        spec_with(&[("bundle.prompt.messages", reference), ("bundle.prompt.variables", json!([{"name": "tone"}]))]);
    assert_eq!(check(&spec), []);
    let text =
        |text: &str| Contents::from([(("p".into(), "k".into()), Content { text: Some(text.into()), immutable: true })]);
    assert_eq!(check_with(&spec, &text("{{tone}}")), []);
    assert_eq!(check_with(&spec, &text("{{tune}}")).len(), 2);
}

#[test]
fn p02_named_tools_are_there() {
    assert_eq!(codes(&[prompt("Call the `refund` tool.")]), [("P02", E)]);
    assert_eq!(codes(&[prompt("Use the function `refund()`, then `stop`.")]), [("P02", E)]);
    assert_eq!(codes(&[prompt("Use the tool `lookup_order`. Write `code` in backticks; a tool is useful.")]), []);
    assert_eq!(codes(&[("bundle.tools.choice", json!("refund"))]), [("P02", E)]);
    assert_eq!(codes(&[("bundle.tools.choice", json!("lookup_order"))]), []);
}

#[test]
fn p03_invisible_characters_are_said() {
    for hidden in ["a\u{202e}b", "a\u{200b}b", "a\u{e0041}b", "a\r\n", "e\u{301}", "\u{feff}x"] {
        assert_eq!(codes(&[prompt(hidden)]), [("P03", W)], "{hidden:?}");
    }
    assert_eq!(codes(&[("bundle.tools.items.0.description", json!("a\u{200b}"))]), [("P03", W)]);
    assert_eq!(codes(&[("bundle.tools.items.0.inputSchema.properties", json!({"i\u{200b}d": {}}))]), [("P03", W)]);
    assert_eq!(codes(&[prompt("Ada’s café, 日本語, \u{1f600}\n")]), []);
}

#[test]
fn t01_tool_schemas_are_valid_bounded_and_self_contained() {
    let schema = |value: Value| codes(&[("bundle.tools.items.0.inputSchema", value)]);
    assert_eq!(schema(json!({"type": "array"})), [("T01", E)]);
    assert_eq!(schema(json!({"type": "object", "required": "id"})), [("T01", E)]);
    assert_eq!(schema(json!({"type": "object", "properties": {"a": {"$ref": "other.json"}}})), [("T01", E)]);
    assert_eq!(schema(json!({"type": "object", "$defs": {"a": {}}, "properties": {"a": {"$ref": "#/$defs/a"}}})), []);
    let deep = (0..40).fold(json!({}), |inner, _| json!({"properties": {"a": inner}}));
    assert_eq!(schema(json!({"type": "object", "allOf": [deep]})), [("T01", E)]);
    assert_eq!(schema(json!({"type": "object", "description": "x".repeat(70_000)})), [("T01", E)]);
}

#[test]
fn t05_no_retry_repeats_a_side_effect() {
    let retry = ("bundle.runtime", json!({"retry": {"maxAttempts": 2}}));
    let writes = ("bundle.tools.effects", json!([{"name": "lookup_order", "effect": "Write"}]));
    assert_eq!(codes(&[retry.clone(), writes.clone()]), [("T05", E)]);
    assert_eq!(codes(std::slice::from_ref(&retry)), []);
    let keyed = ("bundle.runtime", json!({"retry": {"maxAttempts": 2}, "idempotency": "WritesOnly"}));
    assert_eq!(codes(&[keyed, writes]), []);
    assert_eq!(codes(&[retry, ("bundle.tools.items.0.annotations", json!({"destructiveHint": true}))]), [("T05", E)]);
    assert_eq!(codes(&[("bundle.tools.effects", json!([{"name": "other", "effect": "Read"}]))]), [("T05", E)]);
}

#[test]
fn c01_the_window_adds_up() {
    assert_eq!(codes(&[("bundle.model.contextWindow", json!(154_024))]), [("C01", W)]);
    assert_eq!(codes(&[("bundle.model.contextWindow", json!(154_023))]), [("C01", E)]);
}

#[test]
fn c02_caches_end_where_it_is_stable() {
    let history = ("bundle.context.segments.2.cacheBreakpoint", json!(true));
    assert_eq!(codes(&[history]), []);
    let input = json!({"name": "input", "source": "Input", "maxTokens": 10, "cacheBreakpoint": true});
    let segments = json!([{"name": "system", "source": "Prompt", "maxTokens": 10}, input]);
    assert_eq!(codes(&[("bundle.context.segments", segments)]), [("C02", W)]);
}

#[test]
fn c03_compaction_comes_in_time_and_is_pinned() {
    let compaction = |value: Value| codes(&[("bundle.context.compaction", value)]);
    assert_eq!(compaction(json!({"triggerTokens": 150_000})), [("C03", E)]);
    assert_eq!(compaction(json!({"triggerTokens": 149_999})), []);
    let summarizer = json!({"provider": "anthropic", "name": "m", "version": "latest"});
    assert_eq!(compaction(json!({"triggerTokens": 100, "summarizer": summarizer})), [("C03", E)]);
}

#[test]
fn c04_every_segment_has_a_source_of_its_own() {
    let segments = |value: Value| codes(&[("bundle.context.segments", value)]);
    let one = |name: &str, source: &str| json!({"name": name, "source": source, "maxTokens": 10});
    assert_eq!(segments(json!([one("a", "Prompt"), one("a", "Tools")])), [("C04", E)]);
    assert_eq!(segments(json!([one("a", "Prompt"), one("b", "Prompt")])), [("C04", E)]);
    assert_eq!(segments(json!([one("a", "Prompt"), one("b", "Memory")])), [("C04", E)]);
    assert_eq!(segments(json!([one("a", "Prompt"), one("b", "Retrieval")])), [("C04", E)]);
    assert_eq!(segments(json!([one("b", "History")])), [("C04", E)]);
}

#[test]
fn r01_deadlines_nest() {
    let deadline = |value: Value| codes(&[("bundle.runtime", json!({"deadline": value}))]);
    assert_eq!(deadline(json!({"toolCall": "10s", "turn": "30s", "request": "60s"})), []);
    assert_eq!(deadline(json!({"toolCall": "30s", "turn": "30s"})), [("R01", E)]);
    assert_eq!(deadline(json!({"toolCall": "60s", "request": "30s"})), [("R01", E)]);
    let gateway = ("traffic.gateway.timeouts", json!({"request": "20s"}));
    assert_eq!(codes(&[gateway, ("bundle.runtime", json!({"deadline": {"turn": "30s"}}))]), [("R01", E)]);
    let retries = json!({"deadline": {"toolCall": "10s", "turn": "25s"}, "retry": {"maxAttempts": 3}});
    assert_eq!(codes(&[("bundle.runtime", retries)]), [("R01", E)]);
}

#[test]
fn h01_images_are_pinned_in_all_containers() {
    let image = ("template.spec.containers.0.image", json!("ghcr.io/acme/agent:1.4"));
    assert_eq!(codes(&[image]), [("H01", E)]);
    assert_eq!(
        codes(&[("template.spec.initContainers", json!([{"name": "a", "image": "b@sha256:12"}]))]),
        [("H01", E)]
    );
}

#[test]
fn h02_what_the_digest_does_not_cover_is_said() {
    let env = json!([{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]);
    assert_eq!(codes(&[("template.spec.containers.0.env", env)]), [("H02", W)]);
    assert_eq!(codes(&[("template.spec.volumes", json!([{"name": "v", "configMap": {"name": "c"}}]))]), [("H02", W)]);
    assert_eq!(codes(&[("template.spec.volumes", json!([{"name": "v", "emptyDir": {}}]))]), []);
}

#[test]
fn n01_fields_that_do_nothing_yet_are_said() {
    assert_eq!(codes(&[("drift", json!({}))]), [("N01", W)]);
    assert_eq!(codes(&[("alerts", json!([{"matchLabels": {"a": "b"}, "action": "Pause"}]))]), [("N01", W)]);
}

#[test]
fn errors_come_before_warnings() {
    let found = codes(&[("drift", json!({})), ("bundle.model.version", json!("latest"))]);
    assert_eq!(found, [("M01", E), ("N01", W)]);
}
