//! Whether a rollout is settled, and how: from a status to the exit code. Pure.

use rollpin_crds::AgentRelease;
use rollpin_crds::status::{AgentReleaseStatus, Cause, PauseReason, Phase, State};

use rollpin_engine::phase;

use crate::failure::Exit;

/// Where a rollout stands for somebody who waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It goes on; the text says what is being waited for.
    Waiting(String),
    /// It is over, so.
    Settled(Exit, String),
}

/// Judges a release. `baked`: a bake is not the end.
pub fn standing(release: &AgentRelease, baked: bool) -> Standing {
    let Some(status) = &release.status else {
        return Standing::Waiting("the operator has not looked at it yet; is it installed and running?".to_owned());
    };
    let generation = release.metadata.generation.unwrap_or_default();
    if status.observed_generation.is_none_or(|seen| seen < generation) {
        return Standing::Waiting(format!("the operator has not seen generation {generation} yet"));
    }
    let text = sentence(status);
    if invalid(status) {
        return Standing::Settled(Exit::Failed, text);
    }
    match status.phase {
        Some(Phase::Healthy) => Standing::Settled(Exit::Ok, text),
        Some(Phase::Baking) if !baked => Standing::Settled(Exit::Ok, text),
        Some(Phase::RolledBack) => Standing::Settled(how_it_ended(status), text),
        Some(Phase::Failed) => Standing::Settled(Exit::Failed, text),
        Some(Phase::Paused) if inconclusive(status) => Standing::Settled(Exit::Inconclusive, text),
        Some(Phase::Baking | Phase::Progressing | Phase::Paused | Phase::RollingBack | Phase::Pending) | None => {
            Standing::Waiting(text)
        }
    }
}

/// Phase and message as one line.
pub fn sentence(status: &AgentReleaseStatus) -> String {
    let phase = status.phase.map_or("Pending", phase::name);
    match status.message.as_deref().filter(|message| !message.is_empty()) {
        Some(message) => format!("{phase}: {message}"),
        None => phase.to_owned(),
    }
}

/// A return without blame is inconclusive, not a rollback; neither is an infrastructure that did not come up.
fn how_it_ended(status: &AgentReleaseStatus) -> Exit {
    let cause = match &status.state {
        Some(State::Steady(steady)) => steady.ended.as_ref().map(|ended| ended.cause),
        Some(State::Reverting(reverting)) => Some(reverting.cause),
        Some(State::Pending(_) | State::Canary(_) | State::Baking(_)) | None => None,
    };
    match cause {
        Some(Cause::NotEnoughEvidence) => Exit::Inconclusive,
        Some(Cause::Infrastructure) => Exit::Failed,
        Some(Cause::Regressed | Cause::Alert | Cause::Person | Cause::Superseded) | None => Exit::RolledBack,
    }
}

fn inconclusive(status: &AgentReleaseStatus) -> bool {
    let Some(State::Canary(canary)) = &status.state else {
        return false;
    };
    canary.paused.as_ref().is_some_and(|paused| paused.reason == PauseReason::Inconclusive)
}

/// A spec that cannot be carried out never becomes ready by itself, whatever still serves.
fn invalid(status: &AgentReleaseStatus) -> bool {
    status.desired.as_ref().is_some_and(|desired| desired.state == "Invalid")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::explain::tests::rolled_back;

    fn with(phase: Phase, change: impl FnOnce(&mut AgentReleaseStatus)) -> Standing {
        let mut release = rolled_back();
        let status = release.status.as_mut().unwrap();
        status.phase = Some(phase);
        change(status);
        standing(&release, false)
    }

    fn ended_by(cause: Cause) -> Standing {
        with(Phase::RolledBack, |status| {
            if let Some(State::Steady(steady)) = &mut status.state {
                steady.ended.as_mut().unwrap().cause = cause;
            }
        })
    }

    fn exit(standing: &Standing) -> Option<u8> {
        match standing {
            Standing::Settled(exit, _) => Some(exit.code()),
            Standing::Waiting(_) => None,
        }
    }

    #[test]
    fn each_end_has_the_exit_code_that_is_documented() {
        assert_eq!(exit(&with(Phase::Healthy, |_| {})), Some(0));
        assert_eq!(exit(&with(Phase::Baking, |_| {})), Some(0));
        assert_eq!(exit(&with(Phase::Failed, |_| {})), Some(1));
        assert_eq!(exit(&ended_by(Cause::Regressed)), Some(3));
        assert_eq!(exit(&ended_by(Cause::Alert)), Some(3));
        assert_eq!(exit(&ended_by(Cause::Person)), Some(3));
        assert_eq!(exit(&ended_by(Cause::NotEnoughEvidence)), Some(5));
        assert_eq!(exit(&ended_by(Cause::Infrastructure)), Some(1));
    }

    #[test]
    fn what_goes_on_is_waited_for() {
        for phase in [Phase::Pending, Phase::Progressing, Phase::Paused, Phase::RollingBack] {
            assert_eq!(exit(&with(phase, |_| {})), None, "{phase:?}");
        }
    }

    #[test]
    fn a_healthy_agent_with_an_invalid_spec_is_not_a_success() {
        assert_eq!(
            exit(&with(Phase::Healthy, |status| status.desired.as_mut().unwrap().state = "Invalid".to_owned())),
            Some(1)
        );
    }

    #[test]
    fn a_status_of_an_older_generation_says_nothing() {
        assert_eq!(exit(&with(Phase::Healthy, |status| status.observed_generation = Some(1))), None);
    }
}
