//! From a step of the state machine to a complete status: phase, words, columns, conditions, record, events.
//!
//! The one place where a status is put together. It decides nothing: it says what was decided.

pub mod conditions;
pub mod feasible;
pub mod words;

use rollpin_crds::status::{AgentReleaseStatus, Columns, Desired, GateStatus, Phase, Serving, State};

use crate::decide::{Decision, Known, Move, Notice, hold_on};
use crate::evidence::Evidence;
use crate::gate::{Judged, Judgement, worst_slice};
use crate::observed::{Observed, Wanted};
use crate::phase;
use crate::record;

/// Puts a step into words.
pub(crate) fn decision(seen: &Observed, step: Move, known: &Known<'_>) -> Decision {
    let before = seen.status.state.as_ref();
    let desired_serves = serves(known, &step.state);
    let phase = phase::phase_of(&step.state, desired_serves);
    // The evidence is of the attempt that was under way; it also explains the edge that ended it.
    let judgement = before.and_then(attempt).and_then(|(_, attempt)| known.judgement(seen, attempt));
    let begun = attempt(&step.state)
        .is_some_and(|(ledger, _)| before.and_then(attempt).map(|(before, _)| before) != Some(ledger));
    let judgement = judgement.filter(|_| !begun);
    let changed = before != Some(&step.state);
    let edge = changed
        || step.retiring != seen.status.retiring
        || step.hold != seen.status.hold
        || step.command != seen.status.last_command;
    let mut status = AgentReleaseStatus {
        observed_generation: Some(seen.release.generation),
        phase: Some(phase),
        message: Some(step.because.clone()),
        columns: Some(columns(seen, &step, known, judgement.as_ref())),
        weight: Some(weight(&step.state, desired_serves)),
        serving: serving(&step.state),
        desired: Some(desired(seen, &step, known, desired_serves)),
        hold: step.hold.clone(),
        conditions: conditions::all(seen, &step, known, phase, judgement.as_ref()),
        gates: if begun { vec![] } else { gates(seen, judgement.as_ref()) },
        contract_level: known.settings.map(|settings| settings.contract_level),
        replicas: pods(seen, &step.state),
        selector: selector(&step.state),
        state: Some(step.state.clone()),
        retiring: step.retiring.clone(),
        last_command: step.command.clone(),
        history: seen.status.history.clone(),
        pending_record: None,
    };
    if recorded(seen, &step.state, phase) {
        let (pending, history) = record::make(seen, phase, &step.state, &step.because);
        status.pending_record = Some(pending);
        status.history = Some(history);
    }
    Decision {
        edge: edge || phase_changed(seen, phase),
        cites_evidence: step.cites_evidence,
        events: events(&step, edge),
        because: step.because,
        wake_millis: step.wake_millis,
        status,
    }
}

fn phase_changed(seen: &Observed, phase: Phase) -> bool {
    seen.status.phase != Some(phase)
}

/// Every phase edge and every rise of a weight leaves a record.
fn recorded(seen: &Observed, state: &State, phase: Phase) -> bool {
    let risen = match (seen.status.state.as_ref(), state) {
        (Some(State::Canary(before)), State::Canary(after)) => {
            before.trial != after.trial || before.weight != after.weight || before.step != after.step
        }
        _ => false,
    };
    phase_changed(seen, phase) || risen
}

/// The ledger and the number of the attempt under way.
fn attempt(state: &State) -> Option<(&str, i64)> {
    match state {
        State::Canary(canary) => Some((&canary.ledger, canary.attempt)),
        State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_) => None,
    }
}

fn serves(known: &Known<'_>, state: &State) -> bool {
    match (known.desired, phase::live(state)) {
        (Some(desired), Some(live)) => desired.digest == live.digest,
        _ => false,
    }
}

fn weight(state: &State, desired_serves: bool) -> i64 {
    match state {
        State::Canary(canary) => canary.weight,
        State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_) if desired_serves => 100,
        State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_) => 0,
    }
}

fn serving(state: &State) -> Option<Serving> {
    let live = phase::live(state)?;
    let weight = match state {
        State::Canary(canary) => 100 - canary.weight,
        State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_) => 100,
    };
    Some(Serving { digest: live.digest.clone(), revision: live.revision.clone(), weight })
}

fn desired(seen: &Observed, step: &Move, known: &Known<'_>, desired_serves: bool) -> Desired {
    let Some(release) = known.desired else {
        let state = match &seen.desired {
            Wanted::Invalid { .. } => "Invalid",
            Wanted::WaitingForContent { .. } | Wanted::Release { .. } => "Waiting",
        };
        return Desired { digest: None, revision: None, state: state.to_owned() };
    };
    let on_trial = phase::trial(&step.state).is_some_and(|trial| trial.digest == release.digest);
    let held = step.hold.iter().any(|hold| hold.behavior_digest == release.behavior_digest)
        || hold_on(seen, &release.behavior_digest).is_some();
    let state = match (&step.state, desired_serves, on_trial, held) {
        (_, true, _, _) => "Serving",
        (State::Reverting(_), _, true, _) | (_, _, false, true) => "Quarantined",
        (_, _, true, _) => "OnTrial",
        (State::Steady(steady), _, _, _) if steady.ended.is_some() => "Inconclusive",
        (_, _, false, false) => "Waiting",
    };
    Desired { digest: Some(release.digest.clone()), revision: Some(release.revision.clone()), state: state.to_owned() }
}

fn pods(seen: &Observed, state: &State) -> Option<i32> {
    let live = phase::live(state)?;
    seen.revisions
        .iter()
        .find(|revision| revision.digest == live.digest)
        .map(|revision| revision.wanted)
        .filter(|wanted| *wanted > 0)
        .or(seen.status.replicas)
}

fn selector(state: &State) -> Option<String> {
    phase::live(state).map(|live| format!("{}={}", rollpin_crds::RELEASE_LABEL, crate::digest::base32(&live.digest)))
}

fn columns(seen: &Observed, step: &Move, known: &Known<'_>, judgement: Option<&Judgement<'_>>) -> Columns {
    let held = known
        .desired
        .is_some_and(|desired| step.hold.iter().any(|hold| hold.behavior_digest == desired.behavior_digest));
    let desired = known.desired.map(words::short).unwrap_or_default();
    Columns {
        serving: phase::live(&step.state).map(words::short).unwrap_or_default(),
        desired: if held { format!("{desired} (held)") } else { desired },
        verdict: verdict(seen, step, judgement).chars().take(256).collect(),
        step: steps(step, known),
        sessions: words::sessions(seen.evidence.as_ref()),
        tightest: judgement
            .and_then(Judgement::tightest)
            .map(|gate| format!("{} {}", gate.policy.name, words::e_value(gate.strength.regression)))
            .unwrap_or_default(),
    }
}

fn steps(step: &Move, known: &Known<'_>) -> String {
    match (&step.state, &known.frozen) {
        (State::Canary(canary), Some(policy)) => {
            let step = usize::try_from(canary.step + 1).unwrap_or(usize::MAX);
            format!("{}/{}", step.min(policy.steps.len()), policy.steps.len())
        }
        _ => String::new(),
    }
}

/// The verdict column: a word or two, then what is missing.
fn verdict(seen: &Observed, step: &Move, judgement: Option<&Judgement<'_>>) -> String {
    match &step.state {
        State::Pending(pending) => pending.failed.clone().unwrap_or_default(),
        State::Steady(steady) => match &steady.ended {
            Some(end) => ended_verdict(step, end),
            None => String::new(),
        },
        State::Canary(canary) => match (&canary.paused, judgement) {
            (Some(paused), _) => format!("{:?}", paused.reason),
            (None, Some(judgement)) => running_verdict(seen, judgement),
            (None, None) => "Insufficient".to_owned(),
        },
        State::Reverting(reverting) => {
            format!("{:?}{}", reverting.cause, gate_of(step, &reverting.rejected.behavior_digest))
        }
        State::Baking(baking) => baking.basis.clone(),
    }
}

fn ended_verdict(step: &Move, end: &rollpin_crds::status::Ended) -> String {
    format!("{:?}{}", end.cause, gate_of(step, &end.trial.behavior_digest))
}

fn gate_of(step: &Move, behavior: &str) -> String {
    step.hold
        .iter()
        .find(|hold| hold.behavior_digest == behavior)
        .and_then(|hold| hold.gate.as_ref())
        .map_or_else(String::new, |gate| format!(": {gate}"))
}

fn running_verdict(_seen: &Observed, judgement: &Judgement<'_>) -> String {
    let passed = judgement.acting().filter(|gate| gate.verdict == crate::gate::Verdict::Pass).count();
    let all = judgement.acting().count();
    format!("{} ({passed}/{all} gates passed)", judgement.verdict.word())
}

fn gates(seen: &Observed, judgement: Option<&Judgement<'_>>) -> Vec<GateStatus> {
    match judgement {
        Some(judgement) => judgement.gates.iter().map(|gate| gate_status(gate, seen.evidence.as_ref())).collect(),
        // After an attempt its last table stays readable until the next one begins.
        None => seen.status.gates.clone(),
    }
}

fn gate_status(gate: &Judged<'_>, evidence: Option<&Evidence>) -> GateStatus {
    let counts = gate.evidence;
    GateStatus {
        name: gate.policy.name.clone(),
        role: format!("{:?}", gate.policy.role),
        verdict: gate.verdict.word().to_owned(),
        message: words::numbers(gate, evidence).unwrap_or_else(|| words::reason(&gate.reason)),
        canary_sessions: counts.canary.sessions,
        canary_bad: counts.canary.bad,
        stable_sessions: counts.stable.sessions,
        stable_bad: counts.stable.bad,
        regression: gate.acts.then(|| words::e_value(gate.strength.regression)),
        non_inferiority: gate.acts.then(|| words::e_value(gate.strength.promotion)),
        odds_ratio: gate
            .strength
            .odds
            .map(|(estimate, low, high)| format!("{estimate:.1} ({})", words::range(low, high))),
        worst_slice: worst_slice(counts).map(|slice| slice.slice.clone()),
    }
}

fn events(step: &Move, edge: bool) -> Vec<Notice> {
    match step.notice {
        Some((warning, reason)) if edge => {
            vec![Notice { warning, reason: reason.to_owned(), message: step.because.clone() }]
        }
        Some(_) | None => vec![],
    }
}
