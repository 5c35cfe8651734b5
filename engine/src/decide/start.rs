//! Where nothing is on trial: the first release, the quiet times, the bake, and the start of an attempt.

use rollpin_crds::status::{Baking, Canary, Cause, FastTrack, Pending, ReleaseRef, State, Steady};

use super::{
    Known, Move, after, ended, hold_on, millis_until, next_attempt, policy_hash, revision, seconds_since, time,
    withdraw,
};
use crate::observed::{Observed, Wanted};
use crate::policy::{Policy, Step};
use crate::render::words;

/// The state of a release that was never reconciled.
pub(super) fn beginning(seen: &Observed) -> State {
    super::nothing_yet(seen.now)
}

/// No release serves: bring up the first one, without a canary, since there is nothing to compare it with.
pub(super) fn pending(seen: &Observed, state: &State, pending: &Pending, known: &Known<'_>) -> Move {
    let (Some(desired), Some(policy)) = (known.desired, known.wanted_policy) else {
        return waiting(seen, state);
    };
    if let Some(hold) = hold_on(seen, &desired.behavior_digest) {
        let message = words::quarantined_without_stable(desired, &hold);
        let failed = State::Pending(Pending { first: None, failed: Some("Quarantined".to_owned()), ..pending.clone() });
        let mut step = Move::to(seen, failed, "Quarantined", message).warning();
        if !step.hold.iter().any(|known| known.behavior_digest == hold.behavior_digest) {
            step.hold.push(hold);
        }
        return step;
    }
    if pending.first.as_ref() != Some(desired) {
        let first = Pending { first: Some(desired.clone()), since: time(seen.now), failed: None };
        return Move::to(seen, State::Pending(first), "FirstRelease", words::first_release(desired));
    }
    if is_ready(seen, desired, 1) {
        return promote(seen, None, desired, policy, 1, "First", false, words::first_ready(desired));
    }
    not_ready_yet(seen, state, pending, desired, policy)
}

fn not_ready_yet(seen: &Observed, state: &State, pending: &Pending, first: &ReleaseRef, policy: &Policy) -> Move {
    let waited = seconds_since(seen.now, &pending.since);
    let message = words::pods_not_ready(seen, first);
    if waited >= policy.progress_deadline_seconds && pending.failed.is_none() {
        let failed = Pending { failed: Some("ProgressDeadlineExceeded".to_owned()), ..pending.clone() };
        return Move::to(seen, State::Pending(failed), "ProgressDeadlineExceeded", message).warning();
    }
    Move::stay(seen, state, message).wake((policy.progress_deadline_seconds - waited).max(1) * 1000)
}

/// One release serves; start an attempt if the spec asks for another one that may have one.
pub(super) fn steady(seen: &Observed, state: &State, steady: &Steady, known: &Known<'_>) -> Move {
    let (Some(desired), Some(policy)) = (known.desired, known.wanted_policy) else {
        return waiting(seen, state);
    };
    if desired.digest == steady.live.digest {
        return match steady.ended {
            Some(_) => Move::to(seen, ended(seen, &steady.live, None), "Healthy", words::back_to_live(desired)),
            None => Move::stay(seen, state, words::healthy(desired)),
        };
    }
    if let Some(hold) = hold_on(seen, &desired.behavior_digest) {
        return held(seen, steady, state, desired, hold);
    }
    let terminal = |end: &&rollpin_crds::status::Ended| {
        end.cause == Cause::NotEnoughEvidence
            && end.trial.digest == desired.digest
            && end.policy_hash == policy_hash(policy)
    };
    if let Some(end) = steady.ended.as_ref().filter(terminal) {
        return Move::stay(seen, state, words::ended(&steady.live, end));
    }
    begin(seen, state, &steady.live, desired, policy, known)
}

/// The spec asks for a release that is held: nothing happens, and the status says so.
fn held(
    seen: &Observed,
    steady: &Steady,
    state: &State,
    desired: &ReleaseRef,
    hold: rollpin_crds::status::Hold,
) -> Move {
    let message = words::held(&steady.live, desired, &hold, steady.ended.as_ref());
    let told = steady.ended.as_ref().is_some_and(|end| end.trial.digest == desired.digest);
    if told {
        return Move::stay(seen, state, message);
    }
    let end = rollpin_crds::status::Ended {
        trial: desired.clone(),
        cause: hold.cause,
        message: message.clone(),
        attempt: hold.attempt,
        policy_hash: String::new(),
        proof: "NotNeeded".to_owned(),
    };
    let mut step = Move::to(seen, ended(seen, &steady.live, Some(end)), "Quarantined", message).warning();
    if !step.hold.iter().any(|known| known.behavior_digest == hold.behavior_digest) {
        step.hold.push(hold);
    }
    step
}

/// A promoted release bakes: its predecessor is warm, and a newer release may already follow.
pub(super) fn baking(seen: &Observed, state: &State, baking: &Baking, known: &Known<'_>) -> Move {
    if let Some(step) = crash_in_bake(seen, baking, known) {
        return step;
    }
    let newer = known.desired.filter(|desired| desired.digest != baking.live.digest);
    if let (Some(desired), Some(policy)) = (newer, known.wanted_policy) {
        return match hold_on(seen, &desired.behavior_digest) {
            Some(hold) => Move::stay(seen, state, words::held(&baking.live, desired, &hold, None))
                .wake(millis_until(seen.now, baking.until.0)),
            None => begin(seen, state, &baking.live, desired, policy, known),
        };
    }
    let left = millis_until(seen.now, baking.until.0);
    if left > 0 {
        return Move::stay(seen, state, words::baking(baking)).wake(left);
    }
    let done = Move::to(seen, ended(seen, &baking.live, None), "Healthy", words::baked(&baking.live));
    match &baking.predecessor {
        Some(predecessor) => done.retire(seen, predecessor, true, known.drain_seconds()),
        None => done,
    }
}

/// A crash loop is no matter of statistics.
fn crash_in_bake(seen: &Observed, baking: &Baking, known: &Known<'_>) -> Option<Move> {
    let predecessor = baking.predecessor.as_ref().filter(|_| !baking.no_bake_rollback)?;
    let crash = crash_loop(seen, &baking.live)?;
    Some(withdraw::begin(
        seen,
        &withdraw::Withdrawal {
            live: predecessor,
            rejected: &baking.live,
            cause: Cause::Regressed,
            rule: Some("crash_loop"),
            gate: None,
            slice: None,
            message: words::crash_loop(&baking.live, predecessor, &crash),
            attempt: baking.attempt,
            policy_hash: baking.policy_hash.clone(),
            exposed: 0,
        },
        known,
    ))
}

/// The words of a crash loop, if no pod of the release is ready because of one.
pub(super) fn crash_loop(seen: &Observed, release: &ReleaseRef) -> Option<String> {
    let revision = revision(seen, release).filter(|revision| revision.ready == 0)?;
    revision.problem.as_ref().filter(|problem| problem.reason == "CrashLoop").map(|problem| problem.message.clone())
}

/// Begins an attempt, or says why not yet.
pub(super) fn begin(
    seen: &Observed,
    state: &State,
    live: &ReleaseRef,
    desired: &ReleaseRef,
    policy: &Policy,
    known: &Known<'_>,
) -> Move {
    if known.settings.is_some_and(|settings| settings.suspend) {
        return Move::stay(seen, state, words::suspended(desired));
    }
    let attempt = next_attempt(seen, &desired.behavior_digest);
    let fast_track = fast_track(seen, live, desired);
    let frozen = freeze(seen, policy);
    let plan = words::plan(seen, &frozen, attempt);
    let canary = Canary {
        live: live.clone(),
        trial: desired.clone(),
        attempt,
        step: 0,
        weight: 0,
        target: first_weight(&frozen, fast_track),
        since: time(seen.now),
        step_since: None,
        paused: None,
        approval: None,
        fast_track,
        veto: None,
        policy_hash: policy_hash(policy),
        policy: serde_json::to_string(&frozen).unwrap_or_default(),
        ledger: format!("{}-{attempt}", behavior_name(desired)),
        plan: Some(plan.clone()),
    };
    let because = words::attempt_begins(seen, desired, live, fast_track, &plan);
    let step = Move::to(seen, State::Canary(Box::new(canary)), "CanaryStarted", because)
        .wake(policy.progress_deadline_seconds * 1000);
    match state {
        State::Baking(Baking { predecessor: Some(predecessor), .. }) if predecessor.digest != desired.digest => {
            step.retire(seen, predecessor, true, known.drain_seconds())
        }
        State::Baking(_) | State::Pending(_) | State::Steady(_) | State::Canary(_) | State::Reverting(_) => step,
    }
}

/// `<agent>-<12 characters of the behaviour digest>`: ledgers are keyed by behaviour.
fn behavior_name(release: &ReleaseRef) -> String {
    let agent = release.revision.rsplit_once('-').map_or(release.revision.as_str(), |(agent, _)| agent);
    let digest: String = crate::digest::base32(&release.behavior_digest).chars().take(12).collect();
    format!("{agent}-{digest}")
}

/// A release that needs no evidence: nothing but provenance differs, or it proved itself in an earlier bake.
fn fast_track(seen: &Observed, live: &ReleaseRef, desired: &ReleaseRef) -> Option<FastTrack> {
    if desired.behavior_digest == live.behavior_digest {
        return Some(FastTrack::SameBehavior);
    }
    revision(seen, desired).filter(|revision| revision.baked).map(|_| FastTrack::PassedBakeBefore)
}

fn first_weight(policy: &Policy, fast_track: Option<FastTrack>) -> i64 {
    if fast_track.is_some() {
        return 100;
    }
    policy
        .steps
        .iter()
        .find_map(|step| match step {
            Step::Weight { percent, .. } => Some(*percent),
            Step::Pause { .. } => None,
        })
        .unwrap_or(100)
}

/// The policy with what stable was seen to do, as it will stay for the whole attempt.
fn freeze(seen: &Observed, policy: &Policy) -> Policy {
    let mut frozen = policy.clone();
    for gate in &mut frozen.gates {
        gate.baseline = seen.baseline.outcomes.get(&gate.outcome).copied();
    }
    frozen
}

/// The trial serves from now on, its predecessor is warm.
#[allow(clippy::too_many_arguments)] // the facts of a promotion; a struct would only repeat `Baking`
pub(super) fn promote(
    seen: &Observed,
    predecessor: Option<&ReleaseRef>,
    live: &ReleaseRef,
    policy: &Policy,
    attempt: i64,
    basis: &str,
    no_bake_rollback: bool,
    because: String,
) -> Move {
    let baking = Baking {
        live: live.clone(),
        predecessor: predecessor.cloned(),
        since: time(seen.now),
        until: after(seen.now, policy.bake_seconds),
        attempt,
        basis: basis.to_owned(),
        policy_hash: policy_hash(policy),
        no_bake_rollback,
    };
    Move::to(seen, State::Baking(baking), "Promoted", because).wake(policy.bake_seconds * 1000)
}

/// Whether enough pods of a release are ready.
pub(super) fn is_ready(seen: &Observed, release: &ReleaseRef, needed: i32) -> bool {
    revision(seen, release)
        .is_some_and(|revision| revision.intact && revision.ready >= needed && revision.endpoints >= 1)
}

fn waiting(seen: &Observed, state: &State) -> Move {
    match &seen.desired {
        Wanted::WaitingForContent { why, .. } => Move::stay(seen, state, words::waiting_for_content(why)),
        Wanted::Invalid { problems, .. } => Move::stay(seen, state, words::invalid(problems)),
        // A complete release is handled by the caller.
        Wanted::Release { release, .. } => Move::stay(seen, state, words::healthy(release)),
    }
}
