//! R01: deadlines nest, so that the inner one always fires first: tool call < turn < request < gateway.

use rollpin_crds::bundle::Bundle;
use rollpin_crds::schema::Duration;
use rollpin_crds::traffic::RouteTimeouts;

use super::Finding;
use crate::validate::duration_millis;

pub fn check(bundle: &Bundle, gateway: Option<&RouteTimeouts>) -> Vec<Finding> {
    let Some(runtime) = &bundle.runtime else {
        return Vec::new();
    };
    let deadline = runtime.deadline.clone().unwrap_or_default();
    let nested = [
        ("spec.bundle.runtime.deadline.toolCall", millis(deadline.tool_call.as_ref())),
        ("spec.bundle.runtime.deadline.turn", millis(deadline.turn.as_ref())),
        ("spec.bundle.runtime.deadline.request", millis(deadline.request.as_ref())),
        ("spec.traffic.gateway.timeouts.request", millis(gateway.and_then(|it| it.request.as_ref()))),
    ];
    let there: Vec<(&str, i64)> = nested.into_iter().filter_map(|(field, millis)| Some((field, millis?))).collect();
    let mut found: Vec<Finding> = there.windows(2).filter_map(not_nested).collect();
    found.extend(retries(bundle));
    found
}

fn not_nested(pair: &[(&str, i64)]) -> Option<Finding> {
    let [(inner, inner_millis), (outer, outer_millis)] = pair else {
        return None;
    };
    (inner_millis >= outer_millis).then(|| {
        let message = format!("{inner_millis} ms is not below {outer} ({outer_millis} ms), which would cut it off; write less here or more there");
        Finding::error("R01", *inner, message)
    })
}

fn retries(bundle: &Bundle) -> Option<Finding> {
    let runtime = bundle.runtime.as_ref()?;
    let deadline = runtime.deadline.as_ref()?;
    let attempts = runtime.retry.as_ref()?.max_attempts;
    let (call, turn) = (millis(deadline.tool_call.as_ref())?, millis(deadline.turn.as_ref())?);
    let all = call.saturating_mul(attempts);
    (attempts > 1 && call < turn && all > turn).then(|| {
        let message = format!("{attempts} attempts of a tool call of {call} ms take {all} ms, and a turn ends after {turn} ms; write fewer attempts or a shorter toolCall");
        Finding::error("R01", "spec.bundle.runtime.retry.maxAttempts", message)
    })
}

/// Durations that cannot be read are `validate`'s finding.
fn millis(duration: Option<&Duration>) -> Option<i64> {
    duration_millis("", duration?).ok()
}
