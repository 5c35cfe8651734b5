//! Every sentence that rollpin says, in one place: status, events, CLI and logs repeat these words.
//!
//! Facts in, words out. Nothing is decided here.

use rollpin_crds::status::{Baking, Canary, Cause, Ended, FastTrack, Hold, Paused, ReleaseRef, Reverting};

use crate::evidence::{Evidence, Sight};
use crate::gate::{Judged, Judgement, Reason, worst_slice};
use crate::observed::{CommandSeen, Observed, Wanted};
use crate::policy::{Policy, Step};

/// What a sentence about a canary needs to know.
pub(crate) struct TrialFacts<'a> {
    pub(crate) seen: &'a Observed,
    pub(crate) canary: &'a Canary,
    pub(crate) policy: &'a Policy,
    pub(crate) judgement: Option<&'a Judgement<'a>>,
}

/// The first characters of a release, as in names and columns.
#[must_use]
pub fn short(release: &ReleaseRef) -> String {
    let name = release.revision.rsplit_once('-').map_or(release.revision.as_str(), |(_, digest)| digest);
    name.chars().take(6).collect()
}

fn asked(command: &CommandSeen) -> String {
    if command.reason.is_empty() { command.by.clone() } else { format!("{}: {}", command.by, command.reason) }
}

fn cause(cause: Cause) -> &'static str {
    crate::decide::cause_word(cause)
}

pub(crate) fn first_release(desired: &ReleaseRef) -> String {
    format!(
        "first release {}: its pods are being started; there is no canary, since there is nothing to compare it with",
        short(desired)
    )
}

pub(crate) fn first_ready(desired: &ReleaseRef) -> String {
    format!("first release {} is ready and serves 100 %", short(desired))
}

pub(crate) fn quarantined_without_stable(desired: &ReleaseRef, hold: &Hold) -> String {
    format!(
        "{} is held ({}) since attempt {}, and there is no stable release to serve instead; change the bundle, or: rollpin retry --digest {} --reason ...",
        short(desired),
        held_for(hold),
        hold.attempt,
        desired.digest
    )
}

fn held_for(hold: &Hold) -> String {
    hold.gate.as_ref().map_or_else(|| cause(hold.cause).to_owned(), |gate| format!("{}: {gate}", cause(hold.cause)))
}

pub(crate) fn pods_not_ready(seen: &Observed, release: &ReleaseRef) -> String {
    let Some(revision) = seen.revisions.iter().find(|revision| revision.digest == release.digest) else {
        return format!("{}: its pods are being created", short(release));
    };
    let count = format!("{}: {} of {} pods ready", short(release), revision.ready, revision.wanted);
    match &revision.problem {
        Some(problem) => format!("{count}; {}: {}", problem.reason, problem.message),
        None => count,
    }
}

pub(crate) fn healthy(desired: &ReleaseRef) -> String {
    format!("{} serves 100 %", short(desired))
}

pub(crate) fn back_to_live(desired: &ReleaseRef) -> String {
    format!("the spec asks for {} again, which serves 100 %", short(desired))
}

pub(crate) fn ended(live: &ReleaseRef, end: &Ended) -> String {
    format!("spec asks for {}; {} serves 100 %. {}", short(&end.trial), short(live), end.message)
}

pub(crate) fn held(live: &ReleaseRef, desired: &ReleaseRef, hold: &Hold, end: Option<&Ended>) -> String {
    let why = end
        .filter(|end| end.trial.digest == desired.digest && end.cause == hold.cause && end.proof != "NotNeeded")
        .map_or_else(|| format!("{} is held ({})", short(desired), held_for(hold)), |end| end.message.clone());
    format!(
        "spec asks for {}; {} serves 100 %. {why}. Revert or change the bundle, or: rollpin retry --digest {} --reason ...",
        short(desired),
        short(live),
        desired.digest
    )
}

pub(crate) fn held_target(to: &ReleaseRef, hold: &Hold) -> String {
    format!("{} is held ({}); retry it by name first", short(to), held_for(hold))
}

pub(crate) fn baking(baking: &Baking) -> String {
    let warm =
        baking.predecessor.as_ref().map_or_else(String::new, |release| format!("; {} stays warm", short(release)));
    format!("{} serves 100 % ({}) and bakes until {}{warm}", short(&baking.live), baking.basis, baking.until.0)
}

pub(crate) fn baked(live: &ReleaseRef) -> String {
    format!("{} serves 100 % and has passed its bake", short(live))
}

pub(crate) fn crash_loop(release: &ReleaseRef, back_to: &ReleaseRef, crash: &str) -> String {
    format!("taken back: {} crashes in a loop ({crash}); {} serves", short(release), short(back_to))
}

pub(crate) fn suspended(desired: &ReleaseRef) -> String {
    format!("{} waits: spec.rollout.suspend is true", short(desired))
}

/// What stable's own sessions say about how long an attempt takes; stands in the status before the first step.
pub(crate) fn plan(seen: &Observed, policy: &Policy, attempt: i64) -> String {
    crate::render::feasible::line(seen, policy, attempt)
}

pub(crate) fn attempt_begins(
    seen: &Observed,
    desired: &ReleaseRef,
    live: &ReleaseRef,
    fast: Option<FastTrack>,
    plan: &str,
) -> String {
    let changed = match &seen.desired {
        Wanted::Release { changed, .. } if !changed.is_empty() => format!(" ({} changed)", changed.join(", ")),
        Wanted::Release { .. } | Wanted::WaitingForContent { .. } | Wanted::Invalid { .. } => String::new(),
    };
    match fast {
        Some(FastTrack::SameBehavior) => {
            format!("{} behaves like {}: it rolls in on readiness, without a canary", short(desired), short(live))
        }
        Some(FastTrack::PassedBakeBefore) => {
            format!("{} passed its bake before: it returns on readiness", short(desired))
        }
        None => format!("{}{changed} is on trial against {}; {plan}", short(desired), short(live)),
    }
}

pub(crate) fn waiting_for_content(why: &str) -> String {
    format!("WaitingForContent: {why}")
}

pub(crate) fn invalid(problems: &[String]) -> String {
    format!("the spec cannot be carried out: {}", problems.join("; "))
}

pub(crate) fn proving(reverting: &Reverting, why: &str) -> String {
    format!(
        "{} serves 100 %; waiting for the proof that nobody reaches {}: {why}",
        short(&reverting.live),
        short(&reverting.rejected)
    )
}

pub(crate) fn taken_back(reverting: &Reverting, proof: &str) -> String {
    format!(
        "{} serves 100 %; {} is out of traffic (proof {proof}). {}",
        short(&reverting.live),
        short(&reverting.rejected),
        reverting.message
    )
}

pub(crate) fn parked(canary: &Canary, message: &str) -> String {
    format!(
        "{} is parked at weight 0, nothing is held: {message}; it resumes at step {}",
        short(&canary.trial),
        canary.step + 1
    )
}

pub(crate) fn superseded(trial: &ReleaseRef, desired: &ReleaseRef) -> String {
    format!("{} is withdrawn without blame: the spec asks for {} by now", short(trial), short(desired))
}

/// `task_success, odds of failure 5.3 times (95 % sequence 2.6..9.8) after 61 canary and 540 stable sessions; worst slice dataset=prime`.
fn finding(gate: &Judged<'_>) -> String {
    let counts =
        format!("after {} canary and {} stable sessions", gate.evidence.canary.sessions, gate.evidence.stable.sessions);
    let odds = gate.strength.odds.map_or_else(String::new, |(estimate, low, high)| {
        format!(", odds of failure {estimate:.1} times (95 % sequence {})", range(low, high))
    });
    let slice = worst_slice(gate.evidence).map_or_else(String::new, |slice| format!("; worst slice {}", slice.slice));
    format!("{}{odds} {counts}{slice}", gate.policy.name)
}

/// A confidence sequence; an end that is not known yet is left open.
pub(crate) fn range(low: f64, high: f64) -> String {
    match (low > 0.0, high.is_finite()) {
        (true, true) => format!("{low:.1}..{high:.1}"),
        (true, false) => format!("{low:.1}.."),
        (false, true) => format!("..{high:.1}"),
        (false, false) => "not known yet".to_owned(),
    }
}

pub(crate) fn regressed(gate: &Judged<'_>, average: f64) -> String {
    format!("rolled back: {}; evidence {} against 1", finding(gate), e_value(average))
}

pub(crate) fn within_margin(facts: &TrialFacts<'_>, gate: &Judged<'_>) -> String {
    format!(
        "promoted {}: no worse than its margins, though worse within them: {}",
        short(&facts.canary.trial),
        finding(gate)
    )
}

/// An e-value for people: 20 rather than 2.9957.
#[must_use]
pub fn e_value(nats: f64) -> String {
    match libm::exp(nats.clamp(-50.0, 50.0)) {
        small if small < 10.0 => format!("{small:.1}"),
        large if large < 1e6 => format!("{large:.0}"),
        huge => format!("{huge:.0e}"),
    }
}

pub(crate) fn every_session_violates(trial: &ReleaseRef, sessions: i64) -> String {
    format!(
        "rolled back: every one of the first {sessions} canary sessions of {} violated the schema (rule schema_violation_always)",
        short(trial)
    )
}

pub(crate) fn analysing(facts: &TrialFacts<'_>) -> String {
    let sessions = facts.seen.evidence.as_ref().map_or_else(String::new, |evidence| {
        format!(" after {} canary and {} stable sessions", evidence.sessions.canary, evidence.sessions.stable)
    });
    format!("{} at {} %{sessions}: {}", short(&facts.canary.trial), facts.canary.weight, needs(facts))
}

/// What a verdict still needs.
pub(crate) fn needs(facts: &TrialFacts<'_>) -> String {
    if let Some(Sight::Quiet { why } | Sight::Sampled { why }) =
        facts.seen.evidence.as_ref().map(|evidence| &evidence.sight)
    {
        return format!("Insufficient: {why}");
    }
    let Some(judgement) = facts.judgement else { return "waits for evidence".to_owned() };
    if let Some(silent) = judgement.acting().find(|gate| matches!(gate.reason, Reason::NotReported { .. })) {
        return format!("Insufficient: {} {}", silent.policy.name, reason(&silent.reason));
    }
    if let Some(moving) = judgement.gates.iter().find(|gate| gate.reason == Reason::SessionsMove) {
        return format!("Insufficient: {}", reason(&moving.reason));
    }
    if let Some(both) = judgement.common_trouble() {
        return format!(
            "{} is worse than before on both releases, which says nothing about the new one: the weight does not rise",
            both.policy.name
        );
    }
    if judgement.holds_the_ramp() {
        let tightest = judgement.tightest().map_or("a gate", |gate| gate.policy.name.as_str());
        return format!(
            "{tightest} looks worse (evidence {} of {}): the weight does not rise",
            e_value(judgement.average),
            e_value(libm::log(1.0 / facts.policy.false_rollback))
        );
    }
    if let Some(veto) = &facts.canary.veto {
        return format!("promotion is vetoed: {veto}");
    }
    let step = step_needs(facts, judgement);
    let most = judgement.acting().filter_map(|gate| needed(&gate.reason)).max();
    match (step, most) {
        (Some(more), _) => format!("needs {more} more canary sessions at this step{}", duration(facts, more)),
        (None, Some(more)) => format!("needs about {more} more canary sessions{}", duration(facts, more)),
        (None, None) => "needs more canary sessions".to_owned(),
    }
}

fn step_needs(facts: &TrialFacts<'_>, judgement: &Judgement<'_>) -> Option<i64> {
    let index = usize::try_from(facts.canary.step).ok()?;
    let Step::Weight { sessions, .. } = facts.policy.steps.get(index)? else { return None };
    let seen = judgement.acting().map(|gate| gate.evidence.by_step.get(index).copied().unwrap_or(0)).min()?;
    (seen < *sessions).then(|| sessions - seen)
}

fn needed(reason: &Reason) -> Option<i64> {
    match reason {
        Reason::Needs { sessions } => *sessions,
        Reason::Observed
        | Reason::NotReportedByStable
        | Reason::NotReported { .. }
        | Reason::NonInferior
        | Reason::Regressed
        | Reason::Blind
        | Reason::Sampled
        | Reason::SessionsMove => None,
    }
}

fn duration(facts: &TrialFacts<'_>, sessions: i64) -> String {
    let rate = facts.seen.evidence.as_ref().and_then(|evidence| evidence.rate).unwrap_or(0.0)
        * facts.canary.weight as f64
        / 100.0;
    if rate <= 0.0 { String::new() } else { format!(", {} at this rate", span(sessions as f64 / rate)) }
}

/// A time span for people: `40 s`, `35 min`, `6 h`, `3 d`.
#[must_use]
pub fn span(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{} s", libm::ceil(s.max(1.0))),
        s if s < 5_400.0 => format!("{} min", libm::round(s / 60.0)),
        s if s < 172_800.0 => format!("{} h", libm::round(s / 3_600.0)),
        s => format!("{} d", libm::round(s / 86_400.0)),
    }
}

/// Why a gate says what it says.
#[must_use]
pub fn reason(reason: &Reason) -> String {
    match reason {
        Reason::Observed => "observed, does not act".to_owned(),
        Reason::NotReportedByStable => {
            "stable does not report this outcome, so this default gate does not act".to_owned()
        }
        Reason::NotReported { arm } => format!("is not reported by {arm}"),
        Reason::Needs { sessions: Some(sessions) } => format!("needs about {sessions} more canary sessions"),
        Reason::Needs { sessions: None } => "needs more canary sessions".to_owned(),
        Reason::NonInferior => "shown no worse than its margin".to_owned(),
        Reason::Regressed => "shown worse than its tolerance".to_owned(),
        Reason::Blind => "its source cannot be read".to_owned(),
        Reason::Sampled => "its source is sampled: every rate is biased".to_owned(),
        Reason::SessionsMove => {
            "too many sessions are seen on both releases: their clients do not carry the pin".to_owned()
        }
    }
}

/// What an observed number was in both arms.
pub(crate) fn numbers(gate: &Judged<'_>, evidence: Option<&Evidence>) -> Option<String> {
    let number = evidence?.numbers.iter().find(|number| number.name == gate.policy.outcome)?;
    let (canary, stable) = (number.canary.quantile(0.5)?, number.stable.quantile(0.5)?);
    Some(format!("observed, does not act: median {canary:.0} on the canary, {stable:.0} on stable"))
}

pub(crate) fn not_enough_evidence(facts: &TrialFacts<'_>) -> String {
    format!(
        "not enough evidence for {} by the deadline ({}); {}",
        short(&facts.canary.trial),
        span(facts.policy.deadline_seconds as f64),
        needs(facts)
    )
}

pub(crate) fn no_regression(facts: &TrialFacts<'_>) -> String {
    format!(
        "promoted {} at the deadline: no regression was found, which is less than being shown no worse",
        short(&facts.canary.trial)
    )
}

pub(crate) fn blind(canary: &Canary, why: &str) -> String {
    format!("Blind: {why}; {} stays at {} %", short(&canary.trial), canary.weight)
}

pub(crate) fn sight_returned(canary: &Canary) -> String {
    format!("evidence can be read again: {} resumes at step {}", short(&canary.trial), canary.step + 1)
}

pub(crate) fn sample_ratio(seen: &Observed) -> String {
    let sessions = seen.evidence.as_ref().map(|evidence| evidence.sessions.clone()).unwrap_or_default();
    format!(
        "{} canary and {} stable sessions do not fit the weights: sessions are lost or routed elsewhere, so nothing that was counted can be trusted",
        sessions.canary, sessions.stable
    )
}

pub(crate) fn pods_returned(canary: &Canary) -> String {
    format!("the pods of {} are ready again: it resumes at step {}", short(&canary.trial), canary.step + 1)
}

pub(crate) fn paused(canary: &Canary, paused: &Paused) -> String {
    format!("{} waits at {} %: {}", short(&canary.trial), canary.weight, paused.message)
}

pub(crate) fn pause_step(canary: &Canary, seconds: Option<i64>) -> String {
    let until = seconds.map_or_else(
        || "until a person promotes or resumes it".to_owned(),
        |seconds| format!("for {}", span(seconds as f64)),
    );
    format!("{} pauses at {} % {until}", short(&canary.trial), canary.weight)
}

pub(crate) fn scaling_up(canary: &Canary, percent: i64) -> String {
    format!("pods of {} are scaled for {percent} % before the weight", short(&canary.trial))
}

pub(crate) fn weight_raised(canary: &Canary, policy: &Policy, percent: i64) -> String {
    format!(
        "{} takes {percent} % of new sessions (step {} of {})",
        short(&canary.trial),
        canary.step + 1,
        policy.steps.len()
    )
}

pub(crate) fn step_begun(canary: &Canary, policy: &Policy, percent: i64) -> String {
    format!(
        "the gateway accepted {percent} % for {}: step {} of {} begins",
        short(&canary.trial),
        canary.step + 1,
        policy.steps.len()
    )
}

pub(crate) fn step_passed(facts: &TrialFacts<'_>) -> String {
    format!("step {} of {} passed for {}", facts.canary.step + 1, facts.policy.steps.len(), short(&facts.canary.trial))
}

pub(crate) fn non_inferior(facts: &TrialFacts<'_>) -> String {
    let (canary, stable) =
        facts.seen.evidence.as_ref().map_or((0, 0), |evidence| (evidence.sessions.canary, evidence.sessions.stable));
    let gates = facts
        .judgement
        .map(|judgement| judgement.acting().map(|gate| gate.policy.name.as_str()).collect::<Vec<_>>().join(", "))
        .unwrap_or_default();
    format!(
        "promoted {}: shown no worse than its margins in {gates} after {canary} canary and {stable} stable sessions",
        short(&facts.canary.trial)
    )
}

pub(crate) fn promoted_without_evidence(canary: &Canary, basis: &str) -> String {
    match &canary.approval {
        Some(approval) => {
            format!("promoted {} on the word of {}: {}", short(&canary.trial), approval.by, approval.reason)
        }
        None => format!("promoted {} ({basis})", short(&canary.trial)),
    }
}

pub(crate) fn route_not_ready(seen: &Observed) -> String {
    let route = &seen.route;
    match (&route.problem, route.accepted, route.pin_holds) {
        (Some(problem), false, _) => format!("the route is not accepted: {problem}"),
        (_, true, Some(false)) => {
            "a probe that carries the canary's pin does not reach the canary through the gateway".to_owned()
        }
        _ => "the gateway has not accepted the route yet".to_owned(),
    }
}

pub(crate) fn aborted(canary: &Canary, command: &CommandSeen) -> String {
    format!("{} was taken back by {}", short(&canary.trial), asked(command))
}

pub(crate) fn rolled_back_by(live: &ReleaseRef, to: &ReleaseRef, command: &CommandSeen) -> String {
    format!("{} was taken back to {} by {}", short(live), short(to), asked(command))
}

pub(crate) fn refused(command: &CommandSeen, why: &str) -> String {
    format!("{:?} of {} refused: {why}", command.verb, command.by)
}

pub(crate) fn approved(canary: &Canary, command: &CommandSeen) -> String {
    let what = if command.full { "all remaining steps".to_owned() } else { format!("step {}", canary.step + 1) };
    format!("{what} of {} approved by {}", short(&canary.trial), asked(command))
}

pub(crate) fn paused_by(command: &CommandSeen) -> String {
    format!("paused by {}", asked(command))
}

pub(crate) fn resumed(command: &CommandSeen) -> String {
    format!("resumed by {}", asked(command))
}

pub(crate) fn vetoed(command: &CommandSeen) -> String {
    format!("vetoed by {}", asked(command))
}

pub(crate) fn retried(desired: &ReleaseRef, command: &CommandSeen, begun: &str) -> String {
    format!("{} is tried again by {}; {begun}", short(desired), asked(command))
}

/// Sessions that began, canary/stable.
pub(crate) fn sessions(evidence: Option<&Evidence>) -> String {
    evidence.map_or_else(String::new, |evidence| format!("{}/{}", evidence.sessions.canary, evidence.sessions.stable))
}
