//! People's commands: each is carried out once, or refused with the reason, against the release that it names.

use rollpin_crds::command::Verb;
use rollpin_crds::status::{Approval, Baking, Canary, Cause, LastCommand, PauseReason, Paused, ReleaseRef, State};

use super::withdraw::{self, Withdrawal};
use super::{Known, Move, canary, hold_on, start, time};
use crate::observed::{CommandSeen, Observed};
use crate::phase;
use crate::render::words;

/// Answers the oldest command that has no result, if there is one.
pub(super) fn answer(seen: &Observed, state: &State, known: &Known<'_>) -> Option<Move> {
    let answered = seen.status.last_command.as_ref().map(|last| last.uid.as_str());
    let command = seen.commands.iter().find(|command| Some(command.uid.as_str()) != answered)?;
    // The result of the last one must stand in its own status before the next one is looked at, or it would be lost.
    if seen.commands.iter().any(|command| Some(command.uid.as_str()) == answered) {
        return None;
    }
    let outcome = if command.expired {
        Err("it expired before it was looked at".to_owned())
    } else {
        carry_out(seen, state, command, known)
    };
    Some(match outcome {
        Ok(step) => with_result(step, command, true),
        Err(why) => {
            let because = words::refused(command, &why);
            with_result(
                Move { notice: Some((true, "CommandRefused")), ..Move::stay(seen, state, because) },
                command,
                false,
            )
        }
    })
}

fn with_result(mut step: Move, command: &CommandSeen, done: bool) -> Move {
    step.command =
        Some(LastCommand { uid: command.uid.clone(), name: command.name.clone(), done, message: step.because.clone() });
    step
}

fn carry_out(seen: &Observed, state: &State, command: &CommandSeen, known: &Known<'_>) -> Result<Move, String> {
    match command.verb {
        Verb::Promote => on_canary(state, command).and_then(|canary| promote(seen, canary, command)),
        Verb::Abort => {
            on_canary(state, command).map(|canary| canary::abort(seen, canary, words::aborted(canary, command), known))
        }
        Verb::Pause => on_canary(state, command).map(|canary| pause(seen, canary, command)),
        Verb::Resume => on_canary(state, command).and_then(|canary| resume(seen, canary, command)),
        Verb::Veto => on_canary(state, command).map(|canary| veto(seen, canary, command)),
        Verb::Rollback => roll_back(seen, state, command, known),
        Verb::Retry => retry(seen, state, command, known),
        Verb::Stop | Verb::Override => Err("this version does not carry it out; use suspend, or retry".to_owned()),
    }
}

fn on_canary<'a>(state: &'a State, command: &CommandSeen) -> Result<&'a Canary, String> {
    match state {
        State::Canary(canary) if canary.trial.digest == command.digest => Ok(canary),
        State::Canary(canary) => Err(format!("the canary is {} by now", words::short(&canary.trial))),
        State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_) => {
            Err("no canary is under way".to_owned())
        }
    }
}

fn changed(
    seen: &Observed,
    canary: &Canary,
    reason: &'static str,
    because: String,
    change: impl FnOnce(&mut Canary),
) -> Move {
    let mut next = canary.clone();
    change(&mut next);
    Move::to(seen, State::Canary(Box::new(next)), reason, because).wake(50)
}

fn promote(seen: &Observed, canary: &Canary, command: &CommandSeen) -> Result<Move, String> {
    if let Some(veto) = &canary.veto {
        return Err(format!("its promotion is vetoed: {veto}"));
    }
    let approval = Approval {
        by: command.by.clone(),
        reason: command.reason.clone(),
        step: (!command.full).then_some(canary.step),
        no_bake_rollback: command.no_bake_rollback,
    };
    let because = words::approved(canary, command);
    Ok(changed(seen, canary, "Approved", because, |next| {
        next.approval = Some(approval);
        if next
            .paused
            .as_ref()
            .is_some_and(|paused| matches!(paused.reason, PauseReason::Person | PauseReason::Inconclusive))
        {
            next.paused = None;
        }
    }))
}

fn pause(seen: &Observed, canary: &Canary, command: &CommandSeen) -> Move {
    let message = words::paused_by(command);
    let paused = Paused { reason: PauseReason::Person, message: message.clone(), since: time(seen.now) };
    changed(seen, canary, "Paused", message, |next| next.paused = Some(paused))
}

fn resume(seen: &Observed, canary: &Canary, command: &CommandSeen) -> Result<Move, String> {
    let Some(paused) = &canary.paused else {
        return Err("it is not paused".to_owned());
    };
    let approve_step = paused.reason == PauseReason::Step;
    let approval = Approval {
        by: command.by.clone(),
        reason: command.reason.clone(),
        step: Some(canary.step),
        no_bake_rollback: false,
    };
    Ok(changed(seen, canary, "Resumed", words::resumed(command), |next| {
        if approve_step {
            next.approval = Some(approval);
        } else {
            next.paused = None;
        }
    }))
}

fn veto(seen: &Observed, canary: &Canary, command: &CommandSeen) -> Move {
    let because = words::vetoed(command);
    changed(seen, canary, "Vetoed", because.clone(), |next| next.veto = Some(because))
}

fn roll_back(seen: &Observed, state: &State, command: &CommandSeen, known: &Known<'_>) -> Result<Move, String> {
    if let Some(name) = &command.to_missing {
        return Err(format!("there is no revision {name:?}"));
    }
    match state {
        State::Canary(canary) if canary.trial.digest == command.digest => {
            Ok(canary::abort(seen, canary, words::aborted(canary, command), known))
        }
        State::Baking(baking) if baking.live.digest == command.digest => {
            return_to_predecessor(seen, baking, command, known)
        }
        State::Steady(steady) if steady.live.digest == command.digest => {
            let to = command.to.as_ref().ok_or("no predecessor is warm any more; name one with --to-revision")?;
            return_to(seen, &steady.live, to, command, known)
        }
        State::Pending(_) | State::Steady(_) | State::Canary(_) | State::Reverting(_) | State::Baking(_) => {
            let now = canary::subject(state).map_or_else(|| "nothing".to_owned(), words::short);
            Err(format!("the release concerned is {now} by now"))
        }
    }
}

fn return_to_predecessor(
    seen: &Observed,
    baking: &Baking,
    command: &CommandSeen,
    known: &Known<'_>,
) -> Result<Move, String> {
    let to = command
        .to
        .as_ref()
        .or(baking.predecessor.as_ref())
        .ok_or("there is no predecessor to return to; name one with --to-revision")?;
    return_to(seen, &baking.live, to, command, known)
}

fn return_to(
    seen: &Observed,
    live: &ReleaseRef,
    to: &ReleaseRef,
    command: &CommandSeen,
    known: &Known<'_>,
) -> Result<Move, String> {
    if to.digest == live.digest {
        return Err(format!("{} serves already", words::short(to)));
    }
    if let Some(hold) = hold_on(seen, &to.behavior_digest) {
        return Err(words::held_target(to, &hold));
    }
    if !start::is_ready(seen, to, 1) {
        return Err(format!(
            "no pod of {} is ready; apply its bundle again and it returns on readiness",
            words::short(to)
        ));
    }
    let why = Withdrawal {
        live: to,
        rejected: live,
        cause: Cause::Person,
        rule: None,
        gate: None,
        slice: None,
        message: words::rolled_back_by(live, to, command),
        attempt: attempt_of(seen),
        policy_hash: String::new(),
        exposed: canary::exposed(seen),
    };
    Ok(withdraw::begin(seen, &why, known))
}

fn attempt_of(seen: &Observed) -> i64 {
    match &seen.status.state {
        Some(State::Baking(baking)) => baking.attempt,
        Some(State::Canary(canary)) => canary.attempt,
        Some(State::Pending(_) | State::Steady(_) | State::Reverting(_)) | None => 1,
    }
}

/// A named person tries again what is held or has ended: the hold goes, the ledger of the earlier attempts stays.
fn retry(seen: &Observed, state: &State, command: &CommandSeen, known: &Known<'_>) -> Result<Move, String> {
    if command.reason.trim().is_empty() {
        return Err("a retry needs a reason (--reason)".to_owned());
    }
    let desired = known.desired.filter(|desired| desired.digest == command.digest);
    let Some(desired) = desired else {
        return Err("the spec does not ask for this release; apply its manifest first".to_owned());
    };
    let State::Steady(steady) = state else {
        return Err(format!("{} has not ended", words::short(desired)));
    };
    if phase::live(state).is_some_and(|live| live.digest == desired.digest) {
        return Err(format!("{} serves already", words::short(desired)));
    }
    let policy = known.wanted_policy.ok_or("the spec has no valid policy")?;
    let mut step = start::begin(seen, state, &steady.live, desired, policy, known);
    step.hold.retain(|hold| hold.behavior_digest != desired.behavior_digest);
    step.because = words::retried(desired, command, &step.because);
    Ok(step)
}
