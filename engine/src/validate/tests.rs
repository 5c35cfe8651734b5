//! Defaults, and what is refused with which words.

use rollpin_crds::{AgentRelease, AgentReleaseSpec};
use serde_json::{Value, json};

use super::*;
use crate::policy::{Carrier, OnInconclusive, OnRollback, Policy, ReadyWhen, Role, Settings, Step};

fn manifest() -> Value {
    serde_yaml::from_str(include_str!("../../../tests/data/manifests/newcomer.yaml")).unwrap()
}

/// The newcomer's example with some fields of its spec replaced.
fn spec_with(fields: &Value) -> AgentReleaseSpec {
    let mut manifest = manifest();
    for (name, value) in fields.as_object().unwrap() {
        manifest["spec"][name] = value.clone();
    }
    serde_json::from_value::<AgentRelease>(manifest).unwrap().spec
}

fn good(fields: &Value) -> (Policy, Settings) {
    policy(&spec_with(fields)).unwrap()
}

fn refused(fields: &Value) -> String {
    policy(&spec_with(fields)).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn weights(policy: &Policy) -> Vec<(i64, i64)> {
    policy
        .steps
        .iter()
        .map(|step| match step {
            Step::Weight { percent, sessions, .. } => (*percent, *sessions),
            Step::Pause { seconds } => (-1, seconds.unwrap_or(-1)),
        })
        .collect()
}

#[test]
fn a_spec_that_says_nothing_gets_the_documented_defaults() {
    let (policy, settings) = good(&json!({}));
    assert_eq!(weights(&policy), [(1, 47), (5, 47), (25, 47), (50, 47), (100, 47)]);
    assert_eq!((policy.false_rollback, policy.false_promotion), (0.05, 0.05));
    assert_eq!((policy.deadline_seconds, policy.bake_seconds, policy.max_blind_seconds), (604_800, 259_200, 600));
    assert_eq!((policy.progress_deadline_seconds, policy.on_inconclusive), (600, OnInconclusive::RollBack));
    assert_eq!((policy.strata.min_sessions, policy.strata.max_millis), (20, 600_000));
    let expected = Settings {
        replicas: None,
        suspend: false,
        on_rollback: OnRollback::Migrate,
        drain_seconds: 300,
        scale_down_delay_seconds: 30,
        revision_history_limit: 10,
        ready_when: ReadyWhen::Promoted,
        carriers: vec![Carrier::Header, Carrier::McpParam],
        contract_level: 1,
    };
    assert_eq!(settings, expected);
}

#[test]
fn the_default_gates_are_the_documented_ones() {
    let (policy, _) = good(&json!({}));
    let rows: Vec<_> = policy
        .gates
        .iter()
        .map(|it| (it.name.as_str(), it.role, it.margin.unwrap(), it.tolerance, it.maturity_millis))
        .collect();
    let minute = 60_000;
    let expected = [
        ("task_success", Role::Success, 0.03, 0.015, 30 * minute),
        ("tool_error", Role::Guardrail, 0.02, 0.01, 10 * minute),
        ("truncated", Role::Guardrail, 0.02, 0.01, 10 * minute),
        ("schema_violation", Role::Guardrail, 0.01, 0.0, 10 * minute),
        ("empty_output", Role::Guardrail, 0.01, 0.0, 10 * minute),
        ("missing", Role::Guardrail, 0.02, 0.01, 31 * minute),
    ];
    assert_eq!(rows, expected);
    assert!(
        policy
            .gates
            .iter()
            .all(|gate| !gate.declared && gate.baseline.is_none() && (gate.share - 1.0 / 6.0).abs() < 1e-12)
    );
    assert_eq!(good(&json!({"gates": []})).0, policy);
}

#[test]
fn shares_follow_the_weights_of_the_gates_that_can_take_back() {
    let (policy, _) = good(&json!({"gates": [
        {"name": "a", "outcome": "task_success", "weight": 3},
        {"name": "b", "outcome": "tool_error"},
        {"name": "c", "outcome": "latency", "weight": 100},
    ]}));
    let shares: Vec<f64> = policy.gates.iter().map(|gate| gate.share).collect();
    assert_eq!(shares, [0.75, 0.25, 0.0]);
    assert_eq!(policy.gates[2].role, Role::Observed);
}

#[test]
fn a_declared_gate_keeps_what_it_says_and_inherits_the_rest() {
    let (policy, _) = good(&json!({"gates": [
        {"name": "correct", "outcome": "task_success", "margin": 0.1, "maturity": "90s"},
        {"name": "schema", "outcome": "schema_violation", "margin": 0.04},
        {"name": "gone", "outcome": "missing"},
        {"name": "polite", "outcome": "politeness", "margin": 0.05},
        {"name": "watched", "outcome": "politeness"},
    ]}));
    let of = |index: usize| &policy.gates[index];
    assert_eq!(
        (of(0).role, of(0).tolerance, of(0).maturity_millis, of(0).declared),
        (Role::Success, 0.05, 90_000, true)
    );
    assert_eq!((of(1).role, of(1).tolerance), (Role::Guardrail, 0.0));
    assert_eq!((of(3).role, of(3).maturity_millis), (Role::Success, 1_800_000));
    assert_eq!(of(2).maturity_millis, 1_800_000 + 60_000, "a minute after the slowest acting gate");
    assert_eq!(of(4).role, Role::Observed);
}

#[test]
fn missing_is_final_a_minute_after_the_gates_beside_it_or_when_it_says() {
    let gates =
        |missing: Value| json!({"gates": [{"name": "a", "outcome": "task_success", "maturity": "10s"}, missing]});
    assert_eq!(good(&gates(json!({"name": "m", "outcome": "missing"}))).0.gates[1].maturity_millis, 70_000);
    assert_eq!(
        good(&gates(json!({"name": "m", "outcome": "missing", "maturity": "5s"}))).0.gates[1].maturity_millis,
        5_000
    );
    assert_eq!(good(&json!({"gates": [{"name": "m", "outcome": "missing"}]})).0.gates[0].maturity_millis, 1_860_000);
}

#[test]
fn steps_that_end_below_100_are_followed_by_100() {
    let steps = |steps: Value| weights(&good(&json!({"rollout": {"steps": steps}})).0);
    assert_eq!(steps(json!([{"setWeight": 5}, {"pause": {"duration": "1500ms"}}])), [(5, 47), (-1, 2), (100, 0)]);
    assert_eq!(steps(json!([{"pause": {}}])), [(-1, -1), (100, 0)]);
    assert_eq!(steps(json!([{"setWeight": 100, "analysis": {"sessions": 3}}])), [(100, 3)]);
}

#[test]
fn steps_out_of_order_are_refused() {
    let steps = |steps: Value| refused(&json!({"rollout": {"steps": steps}}));
    assert!(
        steps(json!([{"setWeight": 5}, {"setWeight": 5}]))
            .contains("spec.rollout.steps[1].setWeight: 5 after 5: weights rise")
    );
    assert!(steps(json!([{"setWeight": 100}, {"pause": {}}])).contains("steps[1]: nothing follows a weight of 100"));
    assert!(steps(json!([{}])).contains("a step is exactly one of setWeight and pause"));
    assert!(steps(json!([{"setWeight": 0}])).contains("0 is not a percentage"));
}

#[test]
fn durations_are_read_strictly() {
    let millis = |text: &str| duration_millis("f", &Duration(text.to_owned())).ok();
    assert_eq!(millis("1m30s"), Some(90_000));
    assert_eq!(millis("72h"), Some(259_200_000));
    assert_eq!(millis("250ms"), Some(250));
    assert_eq!(millis("0s"), Some(0));
    for bad in
        ["", "5", "s", "1d", "-5s", "1.5h", "5 s", "5S", "999999999999999999h", "9999999999999999999999s", "1h ", "५s"]
    {
        assert_eq!(millis(bad), None, "{bad:?}");
    }
}

#[test]
fn rules_between_fields_name_both() {
    assert!(refused(&json!({"rollout": {"deadline": "20m"}})).contains("gate \"task_success\" is final 1800 s after"));
    assert!(
        refused(&json!({"rollout": {"maxBlind": "0s"}}))
            .contains("spec.rollout.maxBlind: this duration must be longer than 0")
    );
    assert!(refused(&json!({"rollout": {"bake": {"holdbackWeight": 5}}})).contains("keeps no holdback"));
    assert!(
        refused(&json!({"errorBudget": {"falseRollback": 0.9}}))
            .contains("spec.errorBudget.falseRollback: 0.9 is not a share")
    );
    let timeouts = json!({"gateway": {"parentRefs": [{"name": "public"}], "timeouts": {"request": "5x"}}});
    assert!(
        refused(&json!({"traffic": timeouts}))
            .contains("spec.traffic.gateway.timeouts.request: \"5x\" is not a duration")
    );
}

#[test]
fn gates_that_this_version_cannot_keep_are_refused() {
    let gate = |gate: Value| refused(&json!({"gates": [gate]}));
    assert!(
        gate(json!({"name": "a", "outcome": "cost", "role": "Veto", "margin": 0.1})).contains("write role: Observed")
    );
    assert!(gate(json!({"name": "a", "outcome": "toxicity", "good": "Lower", "margin": 0.1})).contains("remove good"));
    assert!(
        gate(json!({"name": "a", "outcome": "tool_error", "good": "Higher"}))
            .contains("less tool_error is always better")
    );
    assert!(
        gate(json!({"name": "a", "outcome": "tool_error", "sourceRef": "prometheus"})).contains("remove sourceRef")
    );
    assert!(gate(json!({"name": "a", "outcome": "tool_error", "slices": ["x", "y"]})).contains("one slice label"));
    assert!(gate(json!({"name": "a", "outcome": "politeness", "role": "Guardrail"})).contains("needs a margin"));
    assert!(gate(json!({"name": "a"})).contains("a gate needs an outcome"));
    assert_eq!(
        good(&json!({"gates": [{"name": "a", "outcome": "x", "kind": "Score"}]})).0.gates[0].role,
        Role::Observed
    );
}

#[test]
fn unknown_fields_are_named_with_the_field_that_was_meant() {
    let mut manifest = manifest();
    manifest["spec"]["replica"] = json!(2);
    manifest["spec"]["bundle"]["prompt"]["mesages"] = json!([]);
    manifest["spec"]["template"]["spec"]["anything"] = json!({"goes": "here"});
    manifest["spec"]["bundle"]["tools"]["items"][0]["inputSchema"]["$defs"] = json!({});
    manifest["specs"] = json!({});
    let said: Vec<String> = unknown_fields(&manifest).iter().map(ToString::to_string).collect();
    let expected = [
        "spec.bundle.prompt.mesages: unknown field \"mesages\"; did you mean \"messages\"?",
        "spec.replica: unknown field \"replica\"; did you mean \"replicas\"?",
        "specs: unknown field \"specs\"; did you mean \"spec\"?",
    ];
    assert_eq!(said, expected);
    assert_eq!(unknown_fields(&json!({"kind": "Deployment"}))[0].field, "kind");
}
