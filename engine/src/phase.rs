//! The eight phases that people read, as a function of the committed state.
//!
//! The state is the truth; a phase is its name. No phase is ever stored without the state that it names.

use rollpin_crds::status::{Phase, ReleaseRef, State};

/// The phase that a state is called, given whether the desired release is the one that serves.
#[must_use]
pub fn phase_of(state: &State, desired_serves: bool) -> Phase {
    match state {
        State::Pending(pending) if pending.failed.is_some() => Phase::Failed,
        State::Pending(_) => Phase::Pending,
        State::Steady(steady) if steady.ended.is_some() && !desired_serves => Phase::RolledBack,
        State::Steady(_) => Phase::Healthy,
        State::Canary(canary) if canary.paused.is_some() => Phase::Paused,
        State::Canary(_) => Phase::Progressing,
        State::Reverting(_) => Phase::RollingBack,
        State::Baking(_) => Phase::Baking,
    }
}

/// The release that answers new sessions, if one does.
#[must_use]
pub fn live(state: &State) -> Option<&ReleaseRef> {
    match state {
        State::Pending(_) => None,
        State::Steady(steady) => Some(&steady.live),
        State::Canary(canary) => Some(&canary.live),
        State::Reverting(reverting) => Some(&reverting.live),
        State::Baking(baking) => Some(&baking.live),
    }
}

/// The release on trial, being brought up, or being taken back, if there is one.
#[must_use]
pub fn trial(state: &State) -> Option<&ReleaseRef> {
    match state {
        State::Pending(pending) => pending.first.as_ref(),
        State::Canary(canary) => Some(&canary.trial),
        State::Reverting(reverting) => Some(&reverting.rejected),
        State::Steady(_) | State::Baking(_) => None,
    }
}

/// The release that the live one replaced, while it is warm.
#[must_use]
pub fn predecessor(state: &State) -> Option<&ReleaseRef> {
    match state {
        State::Baking(baking) => baking.predecessor.as_ref(),
        State::Pending(_) | State::Steady(_) | State::Canary(_) | State::Reverting(_) => None,
    }
}

/// A word for a state, for log lines and events.
#[must_use]
pub fn name(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Progressing => "Progressing",
        Phase::Paused => "Paused",
        Phase::RollingBack => "RollingBack",
        Phase::RolledBack => "RolledBack",
        Phase::Baking => "Baking",
        Phase::Healthy => "Healthy",
        Phase::Failed => "Failed",
    }
}
