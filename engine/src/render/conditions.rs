//! The conditions of a release, for `kubectl wait`, Flux and Argo CD.
//!
//! Each False has one of the reasons that the documentation lists. A transition time changes only when the status does.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use rollpin_crds::status::{Cause, PauseReason, Phase, State};

use crate::decide::{Known, Move, canary_policy_pending, hold_on, time};
use crate::evidence::Sight;
use crate::gate::Judgement;
use crate::observed::{Observed, Wanted};
use crate::phase;
use crate::policy::ReadyWhen;

struct Facts<'a> {
    seen: &'a Observed,
    step: &'a Move,
    known: &'a Known<'a>,
    phase: Phase,
    judgement: Option<&'a Judgement<'a>>,
}

/// A condition before it has its times.
struct Said {
    kind: &'static str,
    status: &'static str,
    reason: String,
    message: String,
}

/// Every condition that has something to say.
pub(crate) fn all(
    seen: &Observed,
    step: &Move,
    known: &Known<'_>,
    phase: Phase,
    judgement: Option<&Judgement<'_>>,
) -> Vec<Condition> {
    let facts = Facts { seen, step, known, phase, judgement };
    let said = [
        Some(ready(&facts)),
        Some(available(&facts)),
        Some(reconciling(&facts)),
        Some(stalled(&facts)),
        attested(&facts),
        evidence_fresh(&facts),
        session_affinity(&facts),
        feasible(&facts),
        policy_pending(&facts),
    ];
    said.into_iter().flatten().map(|said| dated(seen, said)).collect()
}

fn said(kind: &'static str, status: &'static str, reason: impl Into<String>, message: impl Into<String>) -> Said {
    Said { kind, status, reason: reason.into(), message: message.into() }
}

fn dated(seen: &Observed, said: Said) -> Condition {
    let before = seen.status.conditions.iter().find(|condition| condition.type_ == said.kind);
    let since = before
        .filter(|condition| condition.status == said.status)
        .map_or_else(|| time(seen.now), |condition| condition.last_transition_time.clone());
    Condition {
        type_: said.kind.to_owned(),
        status: said.status.to_owned(),
        reason: said.reason,
        message: said.message.chars().take(4096).collect(),
        last_transition_time: since,
        observed_generation: Some(seen.release.generation),
    }
}

fn truth(value: bool) -> &'static str {
    if value { "True" } else { "False" }
}

fn ready(facts: &Facts<'_>) -> Said {
    let because = facts.step.because.clone();
    let accepted = facts.known.settings.is_some_and(|settings| settings.ready_when == ReadyWhen::Accepted);
    match facts.phase {
        Phase::Healthy | Phase::Baking if desired_serves(facts) => said("Ready", "True", "Serving", because),
        Phase::Healthy | Phase::Baking => said("Ready", "False", unready_reason(facts), because),
        Phase::Progressing | Phase::Paused if accepted => said("Ready", "True", "Accepted", because),
        Phase::RolledBack => said("Ready", "False", "DesiredReleaseRolledBack", because),
        Phase::Pending | Phase::Progressing | Phase::Paused | Phase::RollingBack | Phase::Failed => {
            said("Ready", "False", unready_reason(facts), because)
        }
    }
}

fn unready_reason(facts: &Facts<'_>) -> &'static str {
    match &facts.seen.desired {
        Wanted::Invalid { .. } => "Invalid",
        Wanted::WaitingForContent { .. } => "WaitingForContent",
        Wanted::Release { release, .. } if hold_on(facts.seen, &release.behavior_digest).is_some() => "Quarantined",
        Wanted::Release { .. } => phase::name(facts.phase),
    }
}

fn desired_serves(facts: &Facts<'_>) -> bool {
    match (facts.known.desired, phase::live(&facts.step.state)) {
        (Some(desired), Some(live)) => desired.digest == live.digest,
        _ => false,
    }
}

fn available(facts: &Facts<'_>) -> Said {
    match phase::live(&facts.step.state) {
        Some(live) => {
            let ready = facts
                .seen
                .revisions
                .iter()
                .find(|revision| revision.digest == live.digest)
                .is_some_and(|revision| revision.ready > 0);
            let message = format!(
                "{} pods of the serving release are ready",
                if ready { "at least one of the" } else { "none of the" }
            );
            said("Available", truth(ready), if ready { "ServingPodsReady" } else { "NoServingPodReady" }, message)
        }
        None => said("Available", "False", "NothingServes", "no release serves yet"),
    }
}

fn reconciling(facts: &Facts<'_>) -> Said {
    let busy = match facts.phase {
        Phase::Pending => matches!(facts.seen.desired, Wanted::Release { .. } | Wanted::WaitingForContent { .. }),
        Phase::Progressing | Phase::RollingBack => true,
        Phase::Paused | Phase::RolledBack | Phase::Baking | Phase::Healthy | Phase::Failed => false,
    };
    said("Reconciling", truth(busy), phase::name(facts.phase), facts.step.because.clone())
}

fn stalled(facts: &Facts<'_>) -> Said {
    let because = facts.step.because.clone();
    let held = facts.known.desired.is_some_and(|desired| hold_on_step(facts, &desired.behavior_digest));
    match (&facts.step.state, &facts.seen.desired) {
        (_, Wanted::Invalid { problems, .. }) => said("Stalled", "True", "Invalid", problems.join("; ")),
        (State::Pending(pending), _) if pending.failed.is_some() => {
            said("Stalled", "True", pending.failed.clone().unwrap_or_default(), because)
        }
        (State::Steady(_), _) if held && facts.phase == Phase::RolledBack => {
            said("Stalled", "True", "Quarantined", because)
        }
        (State::Steady(steady), _) if facts.phase == Phase::RolledBack => {
            let cause = steady.ended.as_ref().map_or(Cause::Superseded, |end| end.cause);
            said("Stalled", "True", crate::decide::cause_word(cause), because)
        }
        (State::Canary(canary), _) => match &canary.paused {
            Some(paused) if waits_for_a_person(paused.reason) => {
                said("Stalled", "True", format!("{:?}", paused.reason), because)
            }
            Some(_) | None => said("Stalled", "False", "Progressing", "nothing stands in the way"),
        },
        (State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_), _) => {
            said("Stalled", "False", phase::name(facts.phase), "nothing stands in the way")
        }
    }
}

fn waits_for_a_person(reason: PauseReason) -> bool {
    match reason {
        PauseReason::SampleRatio | PauseReason::Inconclusive => true,
        // A pause that somebody asked for is not a failure to those who wait for one.
        PauseReason::Person
        | PauseReason::Step
        | PauseReason::Suspended
        | PauseReason::Infrastructure
        | PauseReason::Blind => false,
    }
}

fn hold_on_step(facts: &Facts<'_>, behavior: &str) -> bool {
    facts.step.hold.iter().any(|hold| hold.behavior_digest == behavior)
}

fn attested(facts: &Facts<'_>) -> Option<Said> {
    let settings = facts.known.settings?;
    let release = phase::trial(&facts.step.state).or_else(|| phase::live(&facts.step.state))?;
    if settings.contract_level == 0 {
        return Some(said(
            "Attested",
            "Unknown",
            "ContractLevel0",
            "a plain container does not say which release it loaded",
        ));
    }
    let revision = facts.seen.revisions.iter().find(|revision| revision.digest == release.digest)?;
    if revision.ready > 0 {
        let message =
            format!("{} of {} pods answered with the digest that they were given", revision.ready, revision.wanted);
        return Some(said("Attested", "True", "DigestLoaded", message));
    }
    let (reason, message) = revision.problem.as_ref().map_or_else(
        || ("NotReady".to_owned(), "no pod has answered with its digest yet".to_owned()),
        |problem| (problem.reason.clone(), problem.message.clone()),
    );
    Some(said("Attested", "False", reason, message))
}

fn evidence_fresh(facts: &Facts<'_>) -> Option<Said> {
    let evidence = facts.seen.evidence.as_ref()?;
    Some(match &evidence.sight {
        Sight::Blind { why, .. } => said("EvidenceFresh", "False", "Blind", why.clone()),
        Sight::Quiet { why } => said("EvidenceFresh", "False", "Quiet", why.clone()),
        Sight::Sampled { why } => said("EvidenceFresh", "False", "EvidenceSampled", why.clone()),
        Sight::Fresh => match left_out(facts) {
            names if names.is_empty() => said("EvidenceFresh", "True", "Arriving", "telemetry of both arms arrives"),
            names => said(
                "EvidenceFresh",
                "True",
                "SomeOutcomesAbsent",
                format!("telemetry arrives; not reported: {}", names.join(", ")),
            ),
        },
    })
}

fn left_out(facts: &Facts<'_>) -> Vec<String> {
    use crate::gate::Reason;
    let gates = facts.judgement.map(|judgement| judgement.gates.as_slice()).unwrap_or_default();
    gates
        .iter()
        .filter(|gate| matches!(gate.reason, Reason::NotReportedByStable | Reason::NotReported { .. }))
        .map(|gate| gate.policy.name.clone())
        .collect()
}

fn session_affinity(facts: &Facts<'_>) -> Option<Said> {
    let route = &facts.seen.route;
    let moved = facts.seen.evidence.as_ref().map_or(0, |evidence| evidence.sessions.moved);
    let counted =
        facts.seen.evidence.as_ref().map_or(0, |evidence| evidence.sessions.canary + evidence.sessions.stable);
    if moved > 2 && moved * 50 > counted {
        let message = format!(
            "{moved} of {counted} sessions were seen on two releases: their clients do not carry the pin, so session gates read Insufficient"
        );
        return Some(said("SessionAffinity", "False", "SessionsMove", message));
    }
    match route.pin_holds {
        Some(false) => Some(said(
            "SessionAffinity",
            "False",
            "PinNotKept",
            "a probe that carries the pin does not reach its release",
        )),
        Some(true) if route.carriers_missing.is_empty() => Some(said(
            "SessionAffinity",
            "True",
            "PinHolds",
            "probes by every carrier reach the release that they name",
        )),
        Some(true) => Some(said(
            "SessionAffinity",
            "True",
            "SomeCarriersMissing",
            format!("the gateway does not match: {}", route.carriers_missing.join(", ")),
        )),
        // Probes run while a canary is under way; what the last ones found stays said.
        None => last_said(facts, "SessionAffinity").or_else(|| {
            phase::live(&facts.step.state)
                .map(|_| said("SessionAffinity", "Unknown", "NotProbed", "the pin was not probed through the gateway"))
        }),
    }
}

/// A condition as it stands in the status.
fn last_said(facts: &Facts<'_>, kind: &'static str) -> Option<Said> {
    let before = facts.seen.status.conditions.iter().find(|condition| condition.type_ == kind)?;
    Some(Said { kind, status: word(&before.status), reason: before.reason.clone(), message: before.message.clone() })
}

fn word(status: &str) -> &'static str {
    match status {
        "True" => "True",
        "False" => "False",
        _ => "Unknown",
    }
}

fn feasible(facts: &Facts<'_>) -> Option<Said> {
    let State::Canary(canary) = &facts.step.state else { return None };
    let plan = canary.plan.clone()?;
    let fits = facts.known.frozen.as_ref().and_then(|policy| super::feasible::fits(facts.seen, policy, canary.attempt));
    let before = facts.seen.status.conditions.iter().find(|condition| condition.type_ == "Feasible");
    Some(match (before, fits) {
        // Said before the first step, and not changed by what the attempt itself does to the traffic.
        (Some(before), _) if before.message == plan => {
            Said { kind: "Feasible", status: word(&before.status), reason: before.reason.clone(), message: plan }
        }
        (_, Some(true)) => said("Feasible", "True", "FitsDeadline", plan),
        (_, Some(false)) => said("Feasible", "False", "PastDeadline", plan),
        (_, None) => said("Feasible", "Unknown", "RateUnknown", plan),
    })
}

fn policy_pending(facts: &Facts<'_>) -> Option<Said> {
    let State::Canary(canary) = &facts.step.state else { return None };
    canary_policy_pending(canary, facts.known).then(|| {
        said("PolicyPending", "True", "FrozenForAttempt", "gates or steps were changed: this attempt keeps those that it began with; to use the new ones now, abort and retry")
    })
}
