//! The decision: one pure, total function from everything that was seen to what must be.
//!
//! No I/O, no clock, no randomness, no `Result`: what went wrong is a fact in `Observed` or a reason in the answer.
//! A person's command comes first, then what the spec asks for, then the evidence.

mod canary;
mod command;
mod start;
mod withdraw;

pub(crate) use canary::policy_pending as canary_policy_pending;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rollpin_crds::status::{
    AgentReleaseStatus, Cause, Ended, Hold, LastCommand, Pending, ReleaseRef, Retiring, State, Steady,
};

use crate::gate::Judgement;
use crate::observed::{Observed, RevisionSeen, Wanted};
use crate::phase;
use crate::policy::{Policy, Settings};
use crate::render;

/// What follows from one look at the world.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The status to commit, complete: state, texts, conditions and, on a phase edge, the pending record.
    pub status: AgentReleaseStatus,
    /// The state changed: commit at once. Otherwise only texts may differ, and the caller may wait a few seconds.
    pub edge: bool,
    /// The decision rests on the evidence: the ledger must be durable before the status is committed.
    pub cites_evidence: bool,
    /// Events for people; rendered from the same words as the status.
    pub events: Vec<Notice>,
    /// Why, in one sentence; the log line.
    pub because: String,
    /// Look again after so many milliseconds; absent: only when something changes.
    pub wake_millis: Option<i64>,
}

/// An event for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Somebody may have to act.
    pub warning: bool,
    /// A `CamelCase` word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// A step of the state machine, before it is put into words.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) state: State,
    pub(crate) retiring: Vec<Retiring>,
    pub(crate) hold: Vec<Hold>,
    pub(crate) command: Option<LastCommand>,
    pub(crate) because: String,
    pub(crate) notice: Option<(bool, &'static str)>,
    pub(crate) cites_evidence: bool,
    pub(crate) wake_millis: Option<i64>,
}

impl Move {
    /// Stay where we are, and say why.
    pub(crate) fn stay(seen: &Observed, state: &State, because: impl Into<String>) -> Self {
        Self {
            state: state.clone(),
            retiring: seen.status.retiring.clone(),
            hold: seen.status.hold.clone(),
            command: seen.status.last_command.clone(),
            because: because.into(),
            notice: None,
            cites_evidence: false,
            wake_millis: None,
        }
    }

    /// Go to another state, and say why.
    pub(crate) fn to(seen: &Observed, state: State, reason: &'static str, because: impl Into<String>) -> Self {
        Self { state, notice: Some((false, reason)), ..Self::stay(seen, &nothing_yet(seen.now), because) }
    }

    pub(crate) fn warning(mut self) -> Self {
        self.notice = self.notice.map(|(_, reason)| (true, reason));
        self
    }

    pub(crate) fn citing(mut self) -> Self {
        self.cites_evidence = true;
        self
    }

    pub(crate) fn wake(mut self, millis: i64) -> Self {
        let millis = millis.max(50);
        self.wake_millis = Some(self.wake_millis.map_or(millis, |already| already.min(millis)));
        self
    }

    /// A release leaves: its pods stay for a while, its conversations go where `pinned` says.
    pub(crate) fn retire(mut self, seen: &Observed, release: &ReleaseRef, pinned: bool, seconds: i64) -> Self {
        self.retiring.retain(|retiring| retiring.release.digest != release.digest);
        self.retiring.push(Retiring { release: release.clone(), pinned, until: after(seen.now, seconds) });
        // The route has room for twelve; the oldest gives way.
        while self.retiring.len() > 12 {
            self.retiring.remove(0);
        }
        self
    }
}

/// Decides.
#[must_use]
pub fn decide(seen: &Observed) -> Decision {
    let state = seen.status.state.clone().unwrap_or_else(|| start::beginning(seen));
    let known = Known::of(seen, &state);
    let step = expire(seen, command::answer(seen, &state, &known).unwrap_or_else(|| advance(seen, &state, &known)));
    render::decision(seen, step, &known)
}

/// What most rules ask for, computed once.
pub(crate) struct Known<'a> {
    /// The policy that a new attempt would freeze.
    pub(crate) wanted_policy: Option<&'a Policy>,
    /// The frozen policy of the attempt under way.
    pub(crate) frozen: Option<Policy>,
    /// What acts at once.
    pub(crate) settings: Option<&'a Settings>,
    /// The release that the spec asks for.
    pub(crate) desired: Option<&'a ReleaseRef>,
}

impl<'a> Known<'a> {
    fn of(seen: &'a Observed, state: &State) -> Self {
        let frozen = match state {
            State::Canary(canary) => serde_json::from_str(&canary.policy).ok(),
            State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_) => None,
        };
        let (desired, wanted_policy, settings) = match &seen.desired {
            Wanted::Release { release, policy, settings, .. } => (Some(release), Some(policy), Some(settings)),
            Wanted::WaitingForContent { settings, .. } => (None, None, Some(settings)),
            Wanted::Invalid { settings, .. } => (None, None, settings.as_ref()),
        };
        Self { wanted_policy, frozen, settings, desired }
    }

    /// The judgement of the attempt under way.
    pub(crate) fn judgement<'b>(&'b self, seen: &'b Observed, attempt: i64) -> Option<Judgement<'b>> {
        Some(crate::gate::judge(self.frozen.as_ref()?, seen.evidence.as_ref()?, attempt))
    }

    pub(crate) fn drain_seconds(&self) -> i64 {
        self.settings.map_or(300, |settings| settings.drain_seconds)
    }
}

fn advance(seen: &Observed, state: &State, known: &Known<'_>) -> Move {
    match state {
        State::Pending(pending) => start::pending(seen, state, pending, known),
        State::Steady(steady) => start::steady(seen, state, steady, known),
        State::Canary(canary) => canary::advance(seen, state, canary, known),
        State::Reverting(reverting) => withdraw::advance(seen, state, reverting, known),
        State::Baking(baking) => start::baking(seen, state, baking, known),
    }
}

/// Releases whose time is over leave the list; the plan then scales them down.
fn expire(seen: &Observed, mut step: Move) -> Move {
    let named = [phase::live(&step.state), phase::trial(&step.state), phase::predecessor(&step.state)];
    let in_use: Vec<String> = named.into_iter().flatten().map(|release| release.digest.clone()).collect();
    step.retiring.retain(|retiring| retiring.until.0 > seen.now && !in_use.contains(&retiring.release.digest));
    let next = step.retiring.iter().map(|retiring| millis_until(seen.now, retiring.until.0)).min();
    match next {
        Some(millis) => step.wake(millis),
        None => step,
    }
}

/// The hold on a behaviour digest: from the status, or from a ledger that outlived a deleted release.
pub(crate) fn hold_on(seen: &Observed, behavior: &str) -> Option<Hold> {
    let stated = seen.status.hold.iter().find(|hold| hold.behavior_digest == behavior);
    let remembered =
        || seen.past.iter().find_map(|past| past.hold.as_ref().filter(|hold| hold.behavior_digest == behavior));
    stated.or_else(remembered).cloned()
}

/// Number of the next attempt at a behaviour.
pub(crate) fn next_attempt(seen: &Observed, behavior: &str) -> i64 {
    1 + seen.past.iter().filter(|past| past.behavior_digest == behavior).map(|past| past.attempt).max().unwrap_or(0)
}

/// How a revision looks.
pub(crate) fn revision<'a>(seen: &'a Observed, release: &ReleaseRef) -> Option<&'a RevisionSeen> {
    seen.revisions.iter().find(|revision| revision.digest == release.digest)
}

/// Hash of a policy as it was written: baselines are facts of an attempt, not of the policy.
#[must_use]
pub fn policy_hash(policy: &Policy) -> String {
    let mut bare = policy.clone();
    for gate in &mut bare.gates {
        gate.baseline = None;
    }
    crate::hash::of_value(&bare)
}

pub(crate) fn time(now: Timestamp) -> Time {
    Time(now)
}

pub(crate) fn after(now: Timestamp, seconds: i64) -> Time {
    Time(now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX))
}

pub(crate) fn millis_until(now: Timestamp, then: Timestamp) -> i64 {
    then.as_millisecond() - now.as_millisecond()
}

pub(crate) fn seconds_since(now: Timestamp, then: &Time) -> i64 {
    (now.as_millisecond() - then.0.as_millisecond()) / 1000
}

/// A state in which one release serves and the last attempt ended without a promotion.
pub(crate) fn ended(seen: &Observed, live: &ReleaseRef, ended: Option<Ended>) -> State {
    State::Steady(Steady { live: live.clone(), since: time(seen.now), ended })
}

/// The state of a release that was never reconciled.
pub(crate) fn nothing_yet(now: Timestamp) -> State {
    State::Pending(Pending { first: None, since: time(now), failed: None })
}

/// The word for a cause, in status, events and CLI.
#[must_use]
pub fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Regressed => "Regressed",
        Cause::Alert => "Alert",
        Cause::Person => "Person",
        Cause::NotEnoughEvidence => "NotEnoughEvidence",
        Cause::Infrastructure => "Infrastructure",
        Cause::Superseded => "Superseded",
    }
}
