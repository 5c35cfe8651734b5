//! Gates with every default filled in: roles, margins, tolerances, maturity, and shares of the error budget.

use rollpin_crds::gate::{Gate, Good, OutcomeKind, Role};

use super::{Problem, duration_millis};
use crate::evidence::Outcome;
use crate::policy::GatePolicy;

/// What is known of an outcome when a gate says nothing itself.
struct Known {
    role: Role,
    margin: Option<f64>,
    tolerance: Option<f64>,
}

/// Binary outcomes that can act in this version, in the order of the default gates.
const BUILT_IN: [(&str, Known); 6] = [
    ("task_success", acting(Role::Success, 0.03, 0.015)),
    ("tool_error", acting(Role::Guardrail, 0.02, 0.01)),
    ("truncated", acting(Role::Guardrail, 0.02, 0.01)),
    ("schema_violation", acting(Role::Guardrail, 0.01, 0.0)),
    ("empty_output", acting(Role::Guardrail, 0.01, 0.0)),
    ("missing", acting(Role::Guardrail, 0.02, 0.01)),
];

/// Built-in outcomes that this version reports, or knows by name, and never lets act.
const OBSERVED_ONLY: [&str; 14] = [
    "attempts_per_call",
    "cache_hit",
    "cost",
    "language",
    "latency",
    "model_mismatch",
    "output_length",
    "refusal",
    "steps",
    "tokens_in",
    "tokens_out",
    "tool_calls",
    "tool_mix",
    "ttft",
];

/// Outcomes where any increase is bad, so that nothing is tolerated by default.
const NO_TOLERANCE: [&str; 2] = ["schema_violation", "empty_output"];

/// A missing outcome is known one minute after it was due.
const GRACE_MILLIS: i64 = 60_000;

const fn acting(role: Role, margin: f64, tolerance: f64) -> Known {
    Known { role, margin: Some(margin), tolerance: Some(tolerance) }
}

/// The gates of a policy, shares included. Absent or empty: the default gates.
pub fn gates(written: Option<&[Gate]>, deadline_seconds: i64, problems: &mut Vec<Problem>) -> Vec<GatePolicy> {
    let mut weights = Vec::new();
    let mut gates = Vec::new();
    match written {
        None | Some([]) => {
            for (outcome, default) in &BUILT_IN {
                gates.push(by_default(outcome, default));
                weights.push(1.0);
            }
        }
        Some(written) => {
            for (index, gate) in written.iter().enumerate() {
                let field = format!("spec.gates[{index}]");
                problems.extend(twice(&field, gate, written.get(..index).unwrap_or_default()));
                if let Some(policy) = declared(&field, gate, problems) {
                    gates.push(policy);
                    weights.push(gate.weight.unwrap_or(1.0));
                }
            }
        }
    }
    mature_missing(written.unwrap_or_default(), &mut gates);
    problems.extend(never_mature(&gates, deadline_seconds));
    share(&mut gates, &weights);
    gates
}

fn by_default(outcome: &str, default: &Known) -> GatePolicy {
    GatePolicy {
        name: outcome.to_owned(),
        role: default.role,
        outcome: outcome.to_owned(),
        margin: default.margin,
        tolerance: default.tolerance.unwrap_or(0.0),
        maturity_millis: Outcome::named(outcome).default_maturity_millis(),
        share: 0.0,
        slices: Vec::new(),
        declared: false,
        baseline: None,
    }
}

fn twice(field: &str, gate: &Gate, before: &[Gate]) -> Option<Problem> {
    let same = before.iter().any(|other| other.name == gate.name);
    same.then(|| {
        Problem::new(format!("{field}.name"), format!("another gate is already called {:?}; rename one", gate.name))
    })
}

fn declared(field: &str, gate: &Gate, problems: &mut Vec<Problem>) -> Option<GatePolicy> {
    let before = problems.len();
    let Gate { name, role, outcome, kind, good, margin, tolerance, maturity, slices, weight, source_ref, template_ref } =
        gate;
    problems.extend(unsupported(field, template_ref.as_deref(), source_ref.as_deref(), slices));
    let Some(outcome) = outcome else {
        if template_ref.is_none() {
            problems.push(Problem::new(
                format!("{field}.outcome"),
                "a gate needs an outcome, such as task_success or tool_error",
            ));
        }
        return None;
    };
    let default = BUILT_IN.iter().find(|(known, _)| known == outcome).map(|(_, default)| default);
    let role = role.unwrap_or_else(|| default_role(outcome, default, *kind, *margin));
    let margin = margin.or_else(|| default.and_then(|default| default.margin));
    problems.extend(bad_direction(field, outcome, *good));
    problems.extend(bad_kind(field, outcome, role, *kind));
    problems.extend(bad_numbers(field, role, margin, *tolerance, *weight));
    let maturity_millis = match maturity.as_ref().map(|it| duration_millis(&format!("{field}.maturity"), it)) {
        Some(Ok(millis)) => millis,
        Some(Err(problem)) => {
            problems.push(problem);
            0
        }
        None => Outcome::named(outcome).default_maturity_millis(),
    };
    (problems.len() == before).then(|| GatePolicy {
        name: name.clone(),
        role,
        outcome: outcome.clone(),
        margin,
        tolerance: tolerance.unwrap_or_else(|| default_tolerance(outcome, gate.margin, default)),
        maturity_millis,
        share: 0.0,
        slices: slices.clone(),
        declared: true,
        baseline: None,
    })
}

fn unsupported(field: &str, template_ref: Option<&str>, source_ref: Option<&str>, slices: &[String]) -> Vec<Problem> {
    let mut found = Vec::new();
    if template_ref.is_some() {
        found.push(Problem::new(
            format!("{field}.templateRef"),
            "this version does not resolve GateTemplates; write the template's outcome, role and margin here",
        ));
    }
    if source_ref.is_some() {
        found.push(Problem::new(
            format!("{field}.sourceRef"),
            "this version reads evidence from the built-in OTLP receiver only; remove sourceRef",
        ));
    }
    if slices.len() > 1 {
        found.push(Problem::new(format!("{field}.slices"), "this version looks at one slice label per gate; keep one"));
    }
    found
}

/// An evaluation with a margin was meant to act; one without can only be watched.
fn default_role(outcome: &str, default: Option<&Known>, kind: Option<OutcomeKind>, margin: Option<f64>) -> Role {
    let binary = matches!(kind, None | Some(OutcomeKind::Binary));
    match default {
        Some(default) => default.role,
        None if OBSERVED_ONLY.contains(&outcome) || margin.is_none() || !binary => Role::Observed,
        None => Role::Success,
    }
}

/// The API's promise: half the margin, or 0 where any increase is bad. A default margin comes with its own tolerance.
fn default_tolerance(outcome: &str, written_margin: Option<f64>, default: Option<&Known>) -> f64 {
    match (written_margin, default.and_then(|default| default.tolerance)) {
        _ if NO_TOLERANCE.contains(&outcome) => 0.0,
        (Some(margin), _) => margin / 2.0,
        (None, Some(tolerance)) => tolerance,
        (None, None) => 0.0,
    }
}

fn bad_direction(field: &str, outcome: &str, good: Option<Good>) -> Option<Problem> {
    let higher = outcome == "task_success" || !is_built_in(outcome);
    let message = match (good?, higher) {
        (Good::Lower, true) if is_built_in(outcome) => "more task_success is always better; remove good".to_owned(),
        (Good::Lower, true) => format!(
            "an evaluation passes or fails, and passing is good; let {outcome} report pass for a good session, and remove good"
        ),
        (Good::Higher, false) if !OBSERVED_ONLY.contains(&outcome) => {
            format!("less {outcome} is always better; remove good")
        }
        (Good::Higher, _) | (Good::Lower, false) => return None,
    };
    Some(Problem::new(format!("{field}.good"), message))
}

fn is_built_in(outcome: &str) -> bool {
    OBSERVED_ONLY.contains(&outcome) || BUILT_IN.iter().any(|(known, _)| *known == outcome)
}

fn bad_kind(field: &str, outcome: &str, role: Role, kind: Option<OutcomeKind>) -> Option<Problem> {
    if role == Role::Observed {
        return None;
    }
    if OBSERVED_ONLY.contains(&outcome) {
        return Some(Problem::new(
            format!("{field}.role"),
            format!("this version reports {outcome} and does not judge by it; write role: Observed"),
        ));
    }
    match kind {
        None | Some(OutcomeKind::Binary) => None,
        Some(OutcomeKind::Score | OutcomeKind::Positive | OutcomeKind::Category) => Some(Problem::new(
            format!("{field}.kind"),
            "this version judges Binary outcomes only; write kind: Binary for an evaluation that passes or fails, or role: Observed",
        )),
    }
}

fn bad_numbers(
    field: &str,
    role: Role,
    margin: Option<f64>,
    tolerance: Option<f64>,
    weight: Option<f64>,
) -> Vec<Problem> {
    let mut found = Vec::new();
    if margin.is_none() && matches!(role, Role::Guardrail | Role::Success) {
        found.push(Problem::new(
            format!("{field}.margin"),
            "a Guardrail or Success gate needs a margin: how many sessions more may fail, as a fraction such as 0.02",
        ));
    }
    if margin.is_some_and(|margin| !(0.0001..=0.9).contains(&margin)) {
        found.push(Problem::new(
            format!("{field}.margin"),
            "a margin is a fraction of sessions from 0.0001 to 0.9; 2 percentage points are 0.02",
        ));
    }
    if tolerance.is_some_and(|tolerance| !(0.0..=0.9).contains(&tolerance)) {
        found.push(Problem::new(format!("{field}.tolerance"), "a tolerance is a fraction of sessions from 0 to 0.9"));
    }
    if let (Some(margin), Some(tolerance)) = (margin, tolerance)
        && tolerance > margin
    {
        found.push(Problem::new(
                format!("{field}.tolerance"),
                format!("tolerance {tolerance} is larger than margin {margin}: what is tolerated cannot be worse than what is refused"),
            ));
    }
    if weight.is_some_and(|weight| !(0.001..=1000.0).contains(&weight)) {
        found.push(Problem::new(
            format!("{field}.weight"),
            "a weight is a number from 0.001 to 1000; 1 is an equal share",
        ));
    }
    found
}

/// `missing` is final a minute after the slowest outcome that it may be missing from.
fn mature_missing(written: &[Gate], gates: &mut [GatePolicy]) {
    let slowest =
        gates.iter().filter(|gate| gate.outcome != "missing" && acts(gate.role)).map(|gate| gate.maturity_millis).max();
    let Some(slowest) = slowest else { return };
    for gate in gates.iter_mut().filter(|gate| gate.outcome == "missing") {
        let said = written.iter().any(|it| it.name == gate.name && it.maturity.is_some());
        if !said {
            gate.maturity_millis = slowest.saturating_add(GRACE_MILLIS);
        }
    }
}

fn never_mature(gates: &[GatePolicy], deadline_seconds: i64) -> Vec<Problem> {
    let late = gates.iter().filter(|gate| gate.maturity_millis >= deadline_seconds.saturating_mul(1000));
    late.map(|gate| {
        Problem::new(
            "spec.rollout.deadline",
            format!(
                "gate {:?} is final {} s after a session's start, and the rollout ends after {deadline_seconds} s; raise the deadline or lower the maturity",
                gate.name,
                gate.maturity_millis / 1000
            ),
        )
    })
    .collect()
}

fn acts(role: Role) -> bool {
    match role {
        Role::Guardrail | Role::Success | Role::Veto => true,
        Role::Observed => false,
    }
}

/// Divides the false-rollback budget among the gates that can take a release back, by weight.
fn share(gates: &mut [GatePolicy], weights: &[f64]) {
    let total: f64 = gates.iter().zip(weights).filter(|(gate, _)| acts(gate.role)).map(|(_, weight)| weight).sum();
    for (gate, weight) in gates.iter_mut().zip(weights) {
        gate.share = if acts(gate.role) && total > 0.0 { weight / total } else { 0.0 };
    }
}
