//! One canary: pods, weight, evidence, next step; or back.
//!
//! A list of rules in their order of urgency; the first that has something to say decides.

use rollpin_crds::status::{Canary, Cause, FastTrack, PauseReason, Paused, ReleaseRef, State};

use super::withdraw::{self, Withdrawal};
use super::{Known, Move, hold_on, policy_hash, seconds_since, start, time};
use crate::evidence::Sight;
use crate::gate::{Judgement, Verdict, worst_slice};
use crate::observed::Observed;
use crate::phase;
use crate::plan::canary_replicas;
use crate::policy::{OnInconclusive, Policy, Step};
use crate::render::words;

/// An e-value of 1,000 (`stats::srm::ALPHA`) against the realised share: the router is not honest.
const SAMPLE_RATIO_LINE: f64 = 6.907_755_278_982_137;
/// Above this weight every acting gate must have seen a matured stratum.
const CAUTIOUS_PERCENT: i64 = 25;

/// Everything that the rules look at.
struct Trial<'a> {
    seen: &'a Observed,
    state: &'a State,
    canary: &'a Canary,
    policy: &'a Policy,
    judgement: Option<Judgement<'a>>,
    known: &'a Known<'a>,
}

/// Looks at one canary.
pub(super) fn advance(seen: &Observed, state: &State, canary: &Canary, known: &Known<'_>) -> Move {
    let Some(policy) = known.frozen.as_ref() else {
        return unreadable_policy(seen, canary, known);
    };
    let judgement = known.judgement(seen, canary.attempt);
    let trial = Trial { seen, state, canary, policy, judgement, known };
    let rules: [fn(&Trial<'_>) -> Option<Move>; 10] =
        [replaced, crashed, judged, capped, out_of_time, out_of_sight, out_of_ratio, out_of_pods, waits, climbs];
    rules.iter().find_map(|rule| rule(&trial)).unwrap_or_else(|| trial.stay(words::analysing(&trial.facts())))
}

/// The frozen policy is written by rollpin itself; if it cannot be read, nothing may advance.
fn unreadable_policy(seen: &Observed, canary: &Canary, known: &Known<'_>) -> Move {
    let message =
        "the frozen policy of this attempt cannot be read: the status was edited; traffic is returned without blame"
            .to_owned();
    withdraw::begin(seen, &withdrawal(seen, canary, Cause::Infrastructure, message), known)
}

fn withdrawal<'a>(seen: &Observed, canary: &'a Canary, cause: Cause, message: String) -> Withdrawal<'a> {
    Withdrawal {
        live: &canary.live,
        rejected: &canary.trial,
        cause,
        rule: None,
        gate: None,
        slice: None,
        message,
        attempt: canary.attempt,
        policy_hash: canary.policy_hash.clone(),
        exposed: exposed(seen),
    }
}

/// Sessions that began on the canary.
pub(super) fn exposed(seen: &Observed) -> i64 {
    seen.evidence.as_ref().map_or(0, |evidence| evidence.sessions.canary)
}

impl Trial<'_> {
    fn stay(&self, because: String) -> Move {
        let step = Move::stay(self.seen, self.state, because);
        let left = self.policy.deadline_seconds - seconds_since(self.seen.now, &self.canary.since);
        step.wake(left.max(1) * 1000)
    }

    fn with(&self, change: impl FnOnce(&mut Canary)) -> State {
        let mut canary = self.canary.clone();
        change(&mut canary);
        State::Canary(Box::new(canary))
    }

    fn to(&self, reason: &'static str, because: String, change: impl FnOnce(&mut Canary)) -> Move {
        Move::to(self.seen, self.with(change), reason, because)
    }

    /// The step that is under way; past the last one there is only the promotion.
    fn step(&self) -> Option<&Step> {
        usize::try_from(self.canary.step).ok().and_then(|index| self.policy.steps.get(index))
    }

    fn approved(&self) -> bool {
        self.canary.approval.as_ref().is_some_and(|approval| approval.step.is_none_or(|step| step == self.canary.step))
    }

    fn approved_fully(&self) -> bool {
        self.canary.approval.as_ref().is_some_and(|approval| approval.step.is_none())
    }

    fn facts(&self) -> words::TrialFacts<'_> {
        words::TrialFacts {
            seen: self.seen,
            canary: self.canary,
            policy: self.policy,
            judgement: self.judgement.as_ref(),
        }
    }

    fn park(&self, reason: PauseReason, message: String) -> Move {
        let because = words::parked(self.canary, &message);
        let paused = Paused { reason, message, since: time(self.seen.now) };
        self.to("Parked", because, |canary| {
            canary.weight = 0;
            canary.step_since = None;
            canary.paused = Some(paused);
        })
        .warning()
    }
}

/// The spec asks for something else by now.
fn replaced(trial: &Trial<'_>) -> Option<Move> {
    let desired = trial.known.desired.filter(|desired| desired.digest != trial.canary.trial.digest)?;
    if desired.digest == trial.canary.live.digest || hold_on(trial.seen, &desired.behavior_digest).is_some() {
        let message = words::superseded(&trial.canary.trial, desired);
        return Some(withdraw::begin(
            trial.seen,
            &withdrawal(trial.seen, trial.canary, Cause::Superseded, message),
            trial.known,
        ));
    }
    let policy = trial.known.wanted_policy?;
    let step = start::begin(trial.seen, trial.state, &trial.canary.live, desired, policy, trial.known);
    let started = matches!(&step.state, State::Canary(next) if next.trial.digest == desired.digest);
    Some(if started { step.retire(trial.seen, &trial.canary.trial, false, trial.known.drain_seconds()) } else { step })
}

/// A crash loop while it has traffic is no matter of statistics.
fn crashed(trial: &Trial<'_>) -> Option<Move> {
    if trial.canary.weight == 0 {
        return None;
    }
    let crash = start::crash_loop(trial.seen, &trial.canary.trial)?;
    let message = words::crash_loop(&trial.canary.trial, &trial.canary.live, &crash);
    let why =
        Withdrawal { rule: Some("crash_loop"), ..withdrawal(trial.seen, trial.canary, Cause::Regressed, message) };
    Some(withdraw::begin(trial.seen, &why, trial.known))
}

/// The gates showed a regression. If they also show non-inferiority, the canary is worse, but by less than what was declared to matter.
fn judged(trial: &Trial<'_>) -> Option<Move> {
    let judgement = trial.judgement.as_ref()?;
    let gate = judgement.gates.get(judgement.guilty?)?;
    if judgement.non_inferior && trial.canary.veto.is_none() {
        return Some(promote(trial, "WithinMarginRegression", words::within_margin(&trial.facts(), gate)).citing());
    }
    let slice = worst_slice(gate.evidence).map(|slice| slice.slice.clone());
    let why = Withdrawal {
        gate: Some(gate.policy.name.clone()),
        slice,
        ..withdrawal(trial.seen, trial.canary, Cause::Regressed, words::regressed(gate, judgement.average))
    };
    Some(withdraw::begin(trial.seen, &why, trial.known).citing())
}

/// Every one of the first twenty sessions broke the schema: no statistics are needed.
fn capped(trial: &Trial<'_>) -> Option<Move> {
    let judgement = trial.judgement.as_ref()?;
    let gate = judgement.acting().find(|gate| gate.policy.outcome == "schema_violation")?;
    let counts = gate.evidence.canary;
    if counts.sessions < 20 || counts.bad < counts.sessions || gate.evidence.stable.bad == gate.evidence.stable.sessions
    {
        return None;
    }
    let message = words::every_session_violates(&trial.canary.trial, counts.sessions);
    let why = Withdrawal {
        rule: Some("schema_violation_always"),
        gate: Some(gate.policy.name.clone()),
        ..withdrawal(trial.seen, trial.canary, Cause::Regressed, message)
    };
    Some(withdraw::begin(trial.seen, &why, trial.known).citing())
}

/// The deadline came before a verdict.
fn out_of_time(trial: &Trial<'_>) -> Option<Move> {
    let waited = seconds_since(trial.seen.now, &trial.canary.since);
    if waited < trial.policy.deadline_seconds || trial.approved_fully() {
        return None;
    }
    let message = words::not_enough_evidence(&trial.facts());
    let sighted = trial
        .judgement
        .as_ref()
        .is_some_and(|judgement| judgement.verdict != Verdict::Blind && judgement.average < SAMPLE_RATIO_LINE);
    match trial.policy.on_inconclusive {
        OnInconclusive::RollBack => Some(
            withdraw::begin(
                trial.seen,
                &withdrawal(trial.seen, trial.canary, Cause::NotEnoughEvidence, message),
                trial.known,
            )
            .citing(),
        ),
        OnInconclusive::PromoteIfNoRegression if sighted && seen_something(trial) && trial.canary.veto.is_none() => {
            Some(promote(trial, "NoRegressionDetected", words::no_regression(&trial.facts())).citing())
        }
        OnInconclusive::Hold | OnInconclusive::PromoteIfNoRegression => {
            Some(pause(trial, PauseReason::Inconclusive, message))
        }
    }
}

/// "No regression was found" is worth nothing where nothing was looked at.
fn seen_something(trial: &Trial<'_>) -> bool {
    trial.judgement.as_ref().is_some_and(|judgement| {
        judgement.acting().count() > 0
            && judgement.acting().all(|gate| gate.evidence.canary.sessions > 0 && gate.evidence.stable.sessions > 0)
    })
}

/// Stay at the weight for a reason that ends by itself or by a person; said once.
fn pause(trial: &Trial<'_>, reason: PauseReason, message: String) -> Move {
    if trial.canary.paused.as_ref().is_some_and(|paused| paused.reason == reason) {
        return trial.stay(message);
    }
    let paused = Paused { reason, message: message.clone(), since: time(trial.seen.now) };
    trial.to("Paused", message, |canary| canary.paused = Some(paused))
}

/// The evidence cannot be read: freeze, and after a while park.
fn out_of_sight(trial: &Trial<'_>) -> Option<Move> {
    let parked = trial.canary.paused.as_ref().is_some_and(|paused| paused.reason == PauseReason::Blind);
    match trial.seen.evidence.as_ref().map(|evidence| &evidence.sight) {
        Some(Sight::Blind { why, since_millis }) => {
            let blind = (trial.seen.now.as_millisecond() - since_millis) / 1000;
            let left = trial.policy.max_blind_seconds - blind;
            if parked || trial.canary.weight == 0 {
                return Some(trial.stay(words::blind(trial.canary, why)));
            }
            if left > 0 {
                return Some(trial.stay(words::blind(trial.canary, why)).wake(left * 1000));
            }
            Some(trial.park(PauseReason::Blind, why.clone()))
        }
        Some(Sight::Fresh | Sight::Quiet { .. } | Sight::Sampled { .. }) | None if parked => {
            Some(trial.to("EvidenceReturned", words::sight_returned(trial.canary), |canary| canary.paused = None))
        }
        Some(Sight::Fresh | Sight::Quiet { .. } | Sight::Sampled { .. }) | None => None,
    }
}

/// The realised share of sessions is not the weight: nothing that was counted can be trusted.
fn out_of_ratio(trial: &Trial<'_>) -> Option<Move> {
    let nats = crate::gate::nats(trial.seen.evidence.as_ref()?.sessions.sample_ratio);
    let known = trial.canary.paused.as_ref().is_some_and(|paused| paused.reason == PauseReason::SampleRatio);
    if known {
        return Some(trial.stay(words::sample_ratio(trial.seen)));
    }
    (nats >= SAMPLE_RATIO_LINE && trial.canary.weight > 0)
        .then(|| trial.park(PauseReason::SampleRatio, words::sample_ratio(trial.seen)))
}

/// Pods are missing: no weight without them.
fn out_of_pods(trial: &Trial<'_>) -> Option<Move> {
    let needed = canary_replicas(trial.seen.status.replicas.unwrap_or(1), trial.canary.target);
    let ready = start::is_ready(trial.seen, &trial.canary.trial, if trial.canary.weight == 0 { 1 } else { needed });
    let parked = trial.canary.paused.as_ref().is_some_and(|paused| paused.reason == PauseReason::Infrastructure);
    if ready {
        return parked
            .then(|| trial.to("PodsReturned", words::pods_returned(trial.canary), |canary| canary.paused = None));
    }
    let message = words::pods_not_ready(trial.seen, &trial.canary.trial);
    let none = !start::is_ready(trial.seen, &trial.canary.trial, 1);
    if trial.canary.weight > 0 && none {
        return Some(trial.park(PauseReason::Infrastructure, message));
    }
    let waited = seconds_since(trial.seen.now, &trial.canary.since);
    let left = trial.policy.progress_deadline_seconds - waited;
    if trial.canary.weight == 0 && left <= 0 && !parked {
        return Some(trial.park(PauseReason::Infrastructure, message));
    }
    Some(if parked { trial.stay(message) } else { trial.stay(message).wake(left.max(1) * 1000) })
}

/// A person, the spec or the step asks to wait.
fn waits(trial: &Trial<'_>) -> Option<Move> {
    let suspended = trial.known.settings.is_some_and(|settings| settings.suspend);
    match (&trial.canary.paused, suspended) {
        (_, true) => Some(pause(trial, PauseReason::Suspended, words::suspended(&trial.canary.trial))),
        (Some(paused), false) => match paused.reason {
            PauseReason::Person | PauseReason::Inconclusive if !trial.approved() => {
                Some(trial.stay(words::paused(trial.canary, paused)))
            }
            PauseReason::Suspended
            | PauseReason::Step
            | PauseReason::Person
            | PauseReason::Inconclusive
            | PauseReason::Infrastructure
            | PauseReason::Blind
            | PauseReason::SampleRatio => None,
        },
        (None, false) => None,
    }
}

/// The next thing upwards: set the weight of this step, see it accepted, see enough, take the next step.
fn climbs(trial: &Trial<'_>) -> Option<Move> {
    if let Some(basis) = basis_without_evidence(trial) {
        return Some(full_weight(trial, &basis));
    }
    match trial.step() {
        Some(Step::Pause { seconds }) => Some(pause_step(trial, *seconds)),
        Some(Step::Weight { percent, .. }) if *percent >= 100 => finish(trial),
        Some(Step::Weight { percent, sessions, min_seconds }) => weight_step(trial, *percent, *sessions, *min_seconds),
        None => finish(trial),
    }
}

/// A release that needs no evidence, or whose evidence a person replaced by a name and a reason.
fn basis_without_evidence(trial: &Trial<'_>) -> Option<String> {
    match trial.canary.fast_track {
        Some(FastTrack::SameBehavior) => Some("SameBehavior".to_owned()),
        Some(FastTrack::PassedBakeBefore) => Some("PassedBakeBefore".to_owned()),
        None => trial.approved_fully().then(|| "Approved".to_owned()),
    }
}

/// Pods for all of the traffic first, then all of the traffic.
fn full_weight(trial: &Trial<'_>, basis: &str) -> Move {
    if trial.canary.target < 100 {
        return trial.to("ScalingUp", words::scaling_up(trial.canary, 100), |canary| canary.target = 100);
    }
    let needed = trial.seen.status.replicas.unwrap_or(1);
    if !start::is_ready(trial.seen, &trial.canary.trial, needed.max(1)) || !pins_hold(trial) {
        return trial.stay(words::pods_not_ready(trial.seen, &trial.canary.trial)).wake(500);
    }
    promote(trial, basis, words::promoted_without_evidence(trial.canary, basis))
}

/// Before any weight: the gateway has accepted the pin rule, and a probe that carries the pin reaches the canary.
fn pins_hold(trial: &Trial<'_>) -> bool {
    let route = &trial.seen.route;
    route.current && route.accepted && route.pin_holds != Some(false)
}

fn pause_step(trial: &Trial<'_>, seconds: Option<i64>) -> Move {
    let Some(paused) = trial.canary.paused.as_ref().filter(|paused| paused.reason == PauseReason::Step) else {
        return pause(trial, PauseReason::Step, words::pause_step(trial.canary, seconds));
    };
    let waited = seconds_since(trial.seen.now, &paused.since);
    match seconds {
        _ if trial.approved() => next_step(trial, "StepApproved"),
        Some(seconds) if waited >= seconds => next_step(trial, "PauseOver"),
        Some(seconds) => trial.stay(paused.message.clone()).wake((seconds - waited) * 1000),
        None => trial.stay(paused.message.clone()),
    }
}

fn weight_step(trial: &Trial<'_>, percent: i64, sessions: i64, min_seconds: i64) -> Option<Move> {
    if trial.canary.weight != percent {
        return Some(raise(trial, percent));
    }
    let Some(since) = &trial.canary.step_since else {
        return Some(begin_step(trial, percent));
    };
    let waited = seconds_since(trial.seen.now, since);
    if trial.approved() {
        return Some(next_step(trial, "StepApproved"));
    }
    if waited < min_seconds {
        return Some(trial.stay(words::analysing(&trial.facts())).wake((min_seconds - waited) * 1000));
    }
    enough(trial, sessions).then(|| next_step(trial, "StepPassed"))
}

/// Pods and pins first, then weight.
fn raise(trial: &Trial<'_>, percent: i64) -> Move {
    if trial.canary.target != percent {
        return trial.to("ScalingUp", words::scaling_up(trial.canary, percent), |canary| canary.target = percent);
    }
    if !pins_hold(trial) {
        return trial.stay(words::route_not_ready(trial.seen)).wake(500);
    }
    let trial_ready = start::is_ready(
        trial.seen,
        &trial.canary.trial,
        canary_replicas(trial.seen.status.replicas.unwrap_or(1), percent),
    );
    if !trial_ready {
        return trial.stay(words::pods_not_ready(trial.seen, &trial.canary.trial)).wake(1000);
    }
    trial
        .to("WeightRaised", words::weight_raised(trial.canary, trial.policy, percent), |canary| {
            canary.weight = percent;
            canary.step_since = None;
            canary.paused = None;
        })
        .wake(250)
}

/// The step counts from the moment at which the gateway accepted its weight.
fn begin_step(trial: &Trial<'_>, percent: i64) -> Move {
    if !(trial.seen.route.current && trial.seen.route.accepted) {
        return trial.stay(words::route_not_ready(trial.seen)).wake(250);
    }
    let now = time(trial.seen.now);
    trial
        .to("StepBegun", words::step_begun(trial.canary, trial.policy, percent), |canary| canary.step_since = Some(now))
}

/// Enough was seen at this weight: each acting gate has its sessions, or is slow and the weight stays small.
fn enough(trial: &Trial<'_>, sessions: i64) -> bool {
    let Some(judgement) = trial.judgement.as_ref() else { return false };
    if judgement.holds_the_ramp() || judgement.verdict == Verdict::Blind || judgement.common_trouble().is_some() {
        return false;
    }
    let next = next_percent(trial.policy, trial.canary.step);
    let at_step = |gate: &crate::gate::Judged<'_>| {
        usize::try_from(trial.canary.step).ok().and_then(|step| gate.evidence.by_step.get(step)).copied().unwrap_or(0)
    };
    let silent = judgement.acting().any(|gate| gate.evidence.strata > 0 && gate.evidence.canary.sessions == 0);
    let one = judgement.acting().any(|gate| at_step(gate) >= sessions);
    let rest = judgement
        .acting()
        .all(|gate| at_step(gate) >= sessions || (next <= CAUTIOUS_PERCENT && gate.evidence.strata == 0));
    // The last step before 100 % is where the promotion is decided: there is nothing to compare with beyond it.
    let shown = next < 100 || (judgement.non_inferior && trial.canary.veto.is_none());
    one && rest && !silent && shown
}

/// Percent of the next weight step; 100 past the last one.
fn next_percent(policy: &Policy, step: i64) -> i64 {
    let skip = usize::try_from(step + 1).unwrap_or(usize::MAX);
    policy
        .steps
        .iter()
        .skip(skip)
        .find_map(|step| match step {
            Step::Weight { percent, .. } => Some(*percent),
            Step::Pause { .. } => None,
        })
        .unwrap_or(100)
}

fn next_step(trial: &Trial<'_>, reason: &'static str) -> Move {
    let because = words::step_passed(&trial.facts());
    let step = trial.to(reason, because, |canary| {
        canary.step += 1;
        canary.step_since = None;
        canary.paused = None;
        if canary.approval.as_ref().is_some_and(|approval| approval.step.is_some()) {
            canary.approval = None;
        }
    });
    step.citing().wake(50)
}

/// The last step is the promotion itself: at 100 % nothing is left to compare with.
fn finish(trial: &Trial<'_>) -> Option<Move> {
    let judgement = trial.judgement.as_ref()?;
    if trial.canary.veto.is_some() || !(judgement.non_inferior || trial.approved()) {
        return None;
    }
    let needed = trial.seen.status.replicas.unwrap_or(1).max(1);
    if trial.canary.target < 100 {
        return Some(trial.to("ScalingUp", words::scaling_up(trial.canary, 100), |canary| canary.target = 100));
    }
    if !start::is_ready(trial.seen, &trial.canary.trial, needed) {
        return Some(trial.stay(words::pods_not_ready(trial.seen, &trial.canary.trial)).wake(1000));
    }
    let (basis, because) = if judgement.non_inferior {
        ("NonInferior", words::non_inferior(&trial.facts()))
    } else {
        ("Approved", words::promoted_without_evidence(trial.canary, "Approved"))
    };
    Some(promote(trial, basis, because).citing())
}

fn promote(trial: &Trial<'_>, basis: &str, because: String) -> Move {
    let canary = trial.canary;
    let no_bake_rollback = canary.approval.as_ref().is_some_and(|approval| approval.no_bake_rollback);
    start::promote(
        trial.seen,
        Some(&canary.live),
        &canary.trial,
        trial.policy,
        canary.attempt,
        basis,
        no_bake_rollback,
        because,
    )
}

/// Takes the canary back because a person asked for it.
pub(super) fn abort(seen: &Observed, canary: &Canary, message: String, known: &Known<'_>) -> Move {
    withdraw::begin(seen, &withdrawal(seen, canary, Cause::Person, message), known)
}

/// The release that a command about a canary must name.
pub(super) fn subject(state: &State) -> Option<&ReleaseRef> {
    match state {
        State::Canary(canary) => Some(&canary.trial),
        State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_) => phase::live(state),
    }
}

/// Whether the policy in the spec is another than the frozen one.
pub(crate) fn policy_pending(canary: &Canary, known: &Known<'_>) -> bool {
    known.wanted_policy.is_some_and(|policy| policy_hash(policy) != canary.policy_hash)
}
