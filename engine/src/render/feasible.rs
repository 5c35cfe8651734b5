//! Before the first step: what effect stable's own traffic can show, and when a promotion can be expected.
//!
//! A plan for people from `stats::plan`; nothing acts on it.

use crate::gate::baseline_rate;
use crate::observed::Observed;
use crate::policy::{GatePolicy, Policy, Step};
use crate::render::words::span;
use crate::stats::merge::retry_threshold;
use crate::stats::plan::{
    GatePlan, PromotionTime, StepPlan, canary_sessions_to_promotion, detectable_rate, promotion_time,
};
use crate::stats::rate::log_odds_between;

/// Whether a promotion can be expected before the deadline; absent while stable's rate is unknown.
#[must_use]
pub fn fits(seen: &Observed, policy: &Policy, attempt: i64) -> Option<bool> {
    time(seen, policy, attempt).map(|time| time.p90 <= policy.deadline_seconds as f64)
}

/// The line in words.
#[must_use]
pub fn line(seen: &Observed, policy: &Policy, attempt: i64) -> String {
    let (Some(rate), Some(time)) = (seen.baseline.rate, time(seen, policy, attempt)) else {
        return "stable's session rate is not known yet, so no time can be named".to_owned();
    };
    let slowest = slowest(policy, attempt)
        .map_or_else(String::new, |(gate, sessions)| format!("; {} needs about {sessions} canary sessions", gate.name));
    let effect = detectable(policy).unwrap_or_default();
    let when = format!(
        "promotion in about {} (p50) to {} (p90) at stable's {rate:.1} sessions/s{slowest}{effect}",
        span(time.p50),
        span(time.p90)
    );
    if time.p90 <= policy.deadline_seconds as f64 {
        when
    } else {
        format!(
            "{when}; that is past the deadline of {}: choose a larger first step, a paired suite, or a named approval",
            span(policy.deadline_seconds as f64)
        )
    }
}

fn time(seen: &Observed, policy: &Policy, attempt: i64) -> Option<PromotionTime> {
    let rate = seen.baseline.rate.filter(|rate| *rate > 0.0)?;
    let gates: Vec<GatePlan> =
        gates(policy).map(|(gate, margin)| gate_plan(gate, margin, needed(policy, attempt))).collect();
    let time = promotion_time(&steps(policy), rate, &gates)?;
    let waits = maturity(policy) + pauses(policy);
    Some(PromotionTime { p50: time.p50 + waits, p90: time.p90 + waits })
}

/// Gates that must show non-inferiority, as far as stable is known to report them.
fn gates(policy: &Policy) -> impl Iterator<Item = (&GatePolicy, f64)> {
    policy
        .gates
        .iter()
        .filter(|gate| gate.share > 0.0 && (gate.declared || gate.baseline.is_some()))
        .filter_map(|gate| Some((gate, gate.margin?)))
}

fn gate_plan(gate: &GatePolicy, margin: f64, needed: f64) -> GatePlan {
    GatePlan { form: crate::evidence::process::form(gate), margin, rate: baseline_rate(gate), needed }
}

fn needed(policy: &Policy, attempt: i64) -> f64 {
    retry_threshold(policy.false_promotion, u32::try_from(attempt).unwrap_or(1))
}

fn steps(policy: &Policy) -> Vec<StepPlan> {
    let plan = |step: &Step| match step {
        Step::Weight { percent, sessions, min_seconds } if *percent < 100 => Some(StepPlan {
            weight: *percent as f64 / 100.0,
            sessions: u64::try_from(*sessions).unwrap_or(0),
            min_seconds: *min_seconds as f64,
        }),
        Step::Weight { .. } | Step::Pause { .. } => None,
    };
    policy.steps.iter().filter_map(plan).collect()
}

fn pauses(policy: &Policy) -> f64 {
    let seconds = |step: &Step| match step {
        Step::Pause { seconds } => seconds.unwrap_or(0),
        Step::Weight { .. } => 0,
    };
    policy.steps.iter().map(seconds).sum::<i64>() as f64
}

/// Every step waits for its outcomes to mature.
fn maturity(policy: &Policy) -> f64 {
    let longest =
        policy.gates.iter().filter(|gate| gate.share > 0.0).map(|gate| gate.maturity_millis).max().unwrap_or(0);
    longest as f64 / 1000.0 * steps(policy).len() as f64
}

/// The gate that needs most canary sessions to be shown no worse, and how many.
fn slowest(policy: &Policy, attempt: i64) -> Option<(&GatePolicy, u64)> {
    let weight = steps(policy).last().map_or(0.5, |step| step.weight);
    gates(policy)
        .filter_map(|(gate, margin)| {
            let plan = gate_plan(gate, margin, needed(policy, attempt));
            Some((gate, canary_sessions_to_promotion(plan.form, margin, plan.rate, weight, 0.0, plan.needed)?))
        })
        .max_by_key(|(_, sessions)| *sessions)
}

/// The smallest rise of the Success gate (or of the first one) that the first step finds in nine of ten rollouts.
fn detectable(policy: &Policy) -> Option<String> {
    let (gate, _) =
        gates(policy).find(|(gate, _)| gate.role == crate::policy::Role::Success).or_else(|| gates(policy).next())?;
    let first = *steps(policy).first()?;
    let rate = baseline_rate(gate).max(0.001);
    let tolerance = log_odds_between(rate, (rate + gate.tolerance).min(0.999));
    let found = detectable_rate(rate, first.weight, tolerance, policy.false_rollback * gate.share, first.sessions)?;
    Some(format!("; the first step finds bad {} of {:.0} % against {:.0} %", gate.name, found * 100.0, rate * 100.0))
}
