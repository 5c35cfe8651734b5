//! Taking a release back: traffic first, then the proof that nobody reaches it, then its pods. Never another order.

use rollpin_crds::status::{Cause, Ended, Hold, ReleaseRef, Reverting, State};

use super::{Known, Move, ended, hold_on, seconds_since, time};
use crate::observed::Observed;
use crate::policy::OnRollback;
use crate::render::words;

/// How long nothing must be heard of a withdrawn release.
const SILENCE_MILLIS: i64 = 2_000;

/// Why a release is taken back.
pub(super) struct Withdrawal<'a> {
    pub(super) live: &'a ReleaseRef,
    pub(super) rejected: &'a ReleaseRef,
    pub(super) cause: Cause,
    pub(super) rule: Option<&'static str>,
    pub(super) gate: Option<String>,
    pub(super) slice: Option<String>,
    pub(super) message: String,
    pub(super) attempt: i64,
    pub(super) policy_hash: String,
    pub(super) exposed: i64,
}

/// Begins to take a release back; one commit, from which the route follows.
pub(super) fn begin(seen: &Observed, why: &Withdrawal<'_>, known: &Known<'_>) -> Move {
    let reverting = Reverting {
        live: why.live.clone(),
        rejected: why.rejected.clone(),
        cause: why.cause,
        message: why.message.clone(),
        attempt: why.attempt,
        policy_hash: why.policy_hash.clone(),
        since: time(seen.now),
    };
    let reason = match why.cause {
        Cause::Regressed => "Regressed",
        Cause::Alert => "TakenBackByAlert",
        Cause::Person => "TakenBackByPerson",
        Cause::NotEnoughEvidence => "NotEnoughEvidence",
        Cause::Infrastructure => "Infrastructure",
        Cause::Superseded => "Superseded",
    };
    let mut step = Move::to(seen, State::Reverting(reverting), reason, why.message.clone()).warning().wake(200);
    step.cites_evidence = why.gate.is_some();
    if holds(why.cause) && hold_on(seen, &why.rejected.behavior_digest).is_none() {
        step.hold.push(hold(seen, why));
    }
    let _ = known;
    step
}

/// Which causes quarantine a behaviour digest.
fn holds(cause: Cause) -> bool {
    match cause {
        Cause::Regressed | Cause::Alert | Cause::Person => true,
        Cause::NotEnoughEvidence | Cause::Infrastructure | Cause::Superseded => false,
    }
}

fn hold(seen: &Observed, why: &Withdrawal<'_>) -> Hold {
    let sequence = seen.status.history.as_ref().map_or(0, |history| history.sequence) + 1;
    Hold {
        behavior_digest: why.rejected.behavior_digest.clone(),
        digest: why.rejected.digest.clone(),
        cause: why.cause,
        gate: why.gate.clone().or_else(|| why.rule.map(str::to_owned)),
        slice: why.slice.clone(),
        record: crate::record::name(&seen.release.name, &seen.release.uid, sequence),
        exposed_sessions: why.exposed,
        since: time(seen.now),
        attempt: why.attempt,
    }
}

/// Waits for the proof, then says that it is over.
pub(super) fn advance(seen: &Observed, state: &State, reverting: &Reverting, known: &Known<'_>) -> Move {
    match proof(seen, reverting, known) {
        Proof::Open { why, wake } => Move::stay(seen, state, words::proving(reverting, &why)).wake(wake),
        Proof::Complete(proof) => {
            let end = Ended {
                trial: reverting.rejected.clone(),
                cause: reverting.cause,
                message: reverting.message.clone(),
                attempt: reverting.attempt,
                policy_hash: reverting.policy_hash.clone(),
                proof: proof.to_owned(),
            };
            let because = words::taken_back(reverting, proof);
            let delay = known.settings.map_or(30, |settings| settings.scale_down_delay_seconds);
            Move::to(seen, ended(seen, &reverting.live, Some(end)), "RolledBack", because).warning().retire(
                seen,
                &reverting.rejected,
                false,
                delay,
            )
        }
    }
}

enum Proof {
    Open { why: String, wake: i64 },
    Complete(&'static str),
}

fn proof(seen: &Observed, reverting: &Reverting, known: &Known<'_>) -> Proof {
    let route = &seen.route;
    let waited = seconds_since(seen.now, &reverting.since);
    if !(route.current && route.accepted) {
        let why = route.problem.clone().unwrap_or_else(|| "the gateway has not accepted the route yet".to_owned());
        return Proof::Open { why, wake: 250 };
    }
    let drains = known.settings.is_some_and(|settings| settings.on_rollback != OnRollback::Migrate);
    let drain_left = known.drain_seconds() - waited;
    if drains {
        return match drain_left {
            1.. => Proof::Open {
                why: format!("its conversations may finish for {drain_left} s more"),
                wake: drain_left * 1000,
            },
            _ => Proof::Complete("Drained"),
        };
    }
    if route.withdrawn_reached == Some(true) {
        return Proof::Open { why: "a probe through the gateway still reaches it".to_owned(), wake: 250 };
    }
    let began = reverting.since.0.as_millisecond();
    let silent = seen.now.as_millisecond() - route.withdrawn_heard_millis.unwrap_or(began).max(began);
    if silent < SILENCE_MILLIS {
        return Proof::Open {
            why: "telemetry from it has not fallen silent yet".to_owned(),
            wake: SILENCE_MILLIS - silent,
        };
    }
    match (route.withdrawn_reached, known.settings.map_or(0, |settings| settings.contract_level)) {
        (Some(_), _) => Proof::Complete("Complete"),
        (None, 1..) => Proof::Complete("TelemetryOnly"),
        // Nothing speaks for a plain container: only time does.
        (None, _) if drain_left > 0 => Proof::Open {
            why: format!("nothing can be asked of a plain container: {drain_left} s more"),
            wake: drain_left * 1000,
        },
        (None, _) => Proof::Complete("Unknown"),
    }
}
