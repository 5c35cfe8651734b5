//! The policy of an attempt and the settings outside of it, from a spec: every default is filled in here.

use rollpin_crds::AgentReleaseSpec;
use rollpin_crds::rollout::{ErrorBudget, Rollout};
use rollpin_crds::schema::Duration;
use rollpin_crds::traffic::{Carrier, Pin, RouteTimeouts};
use serde_json::Value;

use super::steps::{least_seconds, steps, whole_seconds};
use super::{Problem, duration_millis, gates::gates};
use crate::policy::{Policy, Settings, StrataPolicy};

const HOUR: i64 = 3_600;
const DEFAULT_BUDGET: f64 = 0.05;
const DEFAULT_CARRIERS: [Carrier; 2] = [Carrier::Header, Carrier::McpParam];
const SUPPORTED_CARRIERS: [Carrier; 3] = [Carrier::Header, Carrier::McpParam, Carrier::McpSession];

/// The policy that a new attempt would freeze, and what acts at once.
pub fn policy(spec: &AgentReleaseSpec) -> Result<(Policy, Settings), Vec<Problem>> {
    let mut problems = Vec::new();
    let rollout = spec.rollout.clone().unwrap_or_default();
    let policy = frozen(spec, &rollout, &mut problems);
    let settings = settings(spec, &rollout, &mut problems);
    problems.extend(two_probes(spec));
    problems.extend(unreadable_timeouts(spec.traffic.gateway.timeouts.as_ref()));
    if problems.is_empty() { Ok((policy, settings)) } else { Err(problems) }
}

fn frozen(spec: &AgentReleaseSpec, rollout: &Rollout, problems: &mut Vec<Problem>) -> Policy {
    let deadline_seconds = positive("spec.rollout.deadline", rollout.deadline.as_ref(), 7 * 24 * HOUR, problems);
    let steps = steps(&rollout.steps, problems);
    let least = least_seconds(&steps);
    if least >= deadline_seconds {
        problems.push(Problem::new(
            "spec.rollout.deadline",
            format!("the steps alone take {least} s, and the rollout ends after {deadline_seconds} s; raise the deadline or shorten the pauses"),
        ));
    }
    let bake = rollout.bake.clone().unwrap_or_default();
    if bake.holdback_weight.is_some_and(|weight| weight > 0) {
        problems.push(Problem::new(
            "spec.rollout.bake.holdbackWeight",
            "this version keeps no holdback; remove holdbackWeight, the predecessor stays warm anyway",
        ));
    }
    let strata = rollout.strata.clone().unwrap_or_default();
    let ErrorBudget { false_rollback, false_promotion } = spec.error_budget.clone().unwrap_or_default();
    Policy {
        steps,
        gates: gates(spec.gates.as_deref(), deadline_seconds, problems),
        false_rollback: budget("spec.errorBudget.falseRollback", false_rollback, problems),
        false_promotion: budget("spec.errorBudget.falsePromotion", false_promotion, problems),
        progress_deadline_seconds: rollout.progress_deadline_seconds.unwrap_or(600),
        deadline_seconds,
        on_inconclusive: rollout.on_inconclusive.unwrap_or_default(),
        bake_seconds: seconds("spec.rollout.bake.duration", bake.duration.as_ref(), 72 * HOUR, problems),
        max_blind_seconds: positive("spec.rollout.maxBlind", rollout.max_blind.as_ref(), 600, problems),
        strata: StrataPolicy {
            min_sessions: strata.min_sessions.unwrap_or(20),
            max_millis: positive_millis(
                "spec.rollout.strata.maxDuration",
                strata.max_duration.as_ref(),
                600_000,
                problems,
            ),
        },
    }
}

fn settings(spec: &AgentReleaseSpec, rollout: &Rollout, problems: &mut Vec<Problem>) -> Settings {
    let pin = spec.traffic.pin.clone().unwrap_or_default();
    Settings {
        replicas: spec.replicas,
        suspend: rollout.suspend.unwrap_or(false),
        on_rollback: pin.on_rollback.unwrap_or_default(),
        drain_seconds: pin.drain_seconds.unwrap_or(300),
        scale_down_delay_seconds: rollout.abort_scale_down_delay_seconds.unwrap_or(30),
        revision_history_limit: rollout.revision_history_limit.unwrap_or(10),
        ready_when: rollout.ready_when.unwrap_or_default(),
        carriers: carriers(&pin, problems),
        contract_level: spec.contract.as_ref().map_or(0, |contract| contract.level),
    }
}

fn carriers(pin: &Pin, problems: &mut Vec<Problem>) -> Vec<Carrier> {
    for (name, duration) in [("maxIdle", &pin.max_idle), ("maxAge", &pin.max_age)] {
        if let Some(duration) = duration {
            problems.extend(duration_millis(&format!("spec.traffic.pin.{name}"), duration).err());
        }
    }
    for (index, carrier) in pin.by.iter().enumerate() {
        if !SUPPORTED_CARRIERS.contains(carrier) {
            problems.push(Problem::new(
                format!("spec.traffic.pin.by[{index}]"),
                format!(
                    "this version does not match {carrier:?}; write one or more of Header, McpParam and McpSession"
                ),
            ));
        }
    }
    if pin.by.is_empty() { DEFAULT_CARRIERS.to_vec() } else { pin.by.clone() }
}

fn budget(field: &str, written: Option<f64>, problems: &mut Vec<Problem>) -> f64 {
    let budget = written.unwrap_or(DEFAULT_BUDGET);
    if !(0.0001..=0.5).contains(&budget) {
        problems.push(Problem::new(field, format!("{budget} is not a share from 0.0001 to 0.5; 5 % are 0.05")));
    }
    budget
}

fn seconds(field: &str, written: Option<&Duration>, default: i64, problems: &mut Vec<Problem>) -> i64 {
    match written.map(|duration| whole_seconds(field, duration)) {
        None => default,
        Some(Ok(seconds)) => seconds,
        Some(Err(problem)) => {
            problems.push(problem);
            default
        }
    }
}

fn positive(field: &str, written: Option<&Duration>, default: i64, problems: &mut Vec<Problem>) -> i64 {
    let seconds = seconds(field, written, default, problems);
    if seconds == 0 {
        problems
            .push(Problem::new(field, "this duration must be longer than 0; write one such as 10m, or leave it out"));
    }
    seconds
}

fn positive_millis(field: &str, written: Option<&Duration>, default: i64, problems: &mut Vec<Problem>) -> i64 {
    positive(field, written, 1, problems);
    written.and_then(|duration| duration_millis(field, duration).ok()).unwrap_or(default)
}

/// At level 1 the attestation is the container's readiness probe or, if that is taken, its startup probe.
fn two_probes(spec: &AgentReleaseSpec) -> Option<Problem> {
    let level = spec.contract.as_ref().map_or(0, |contract| contract.level);
    let harness = spec.template.get("spec")?.pointer("/containers/0")?;
    let both = ["readinessProbe", "startupProbe"].iter().all(|probe| harness.get(*probe).is_some_and(Value::is_object));
    (level >= 1 && both).then(|| {
        Problem::new(
            "spec.template.spec.containers[0].startupProbe",
            "contract level 1 needs the readiness or the startup probe for its attestation, and both are taken; remove one, or write contract.level: 0",
        )
    })
}

fn unreadable_timeouts(timeouts: Option<&RouteTimeouts>) -> Vec<Problem> {
    let Some(RouteTimeouts { request, backend_request }) = timeouts else {
        return Vec::new();
    };
    [("request", request), ("backendRequest", backend_request)]
        .into_iter()
        .filter_map(|(name, duration)| {
            duration_millis(&format!("spec.traffic.gateway.timeouts.{name}"), duration.as_ref()?).err()
        })
        .collect()
}
