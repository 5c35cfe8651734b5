//! One gate, one verdict; a chain combines them, and only `Pass` advances.
//!
//! Turns evidence into verdicts and says why. Knows nothing of Kubernetes, of phases or of time.

use rollpin_crds::gate::Role;
use serde::{Deserialize, Serialize};

use crate::evidence::{Counts, Evidence, GateEvidence, Sight, SliceEvidence, process};
use crate::policy::{GatePolicy, Policy};
use crate::stats::merge;
use crate::stats::plan::canary_sessions_to_promotion;

/// Weight at which the sessions that are still needed are estimated; between a tenth and a half it hardly matters.
const TYPICAL_WEIGHT: f64 = 0.25;

/// What a gate says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// Shown to be no worse than the margin.
    Pass,
    /// Shown to be worse.
    Fail,
    /// Not known yet.
    Insufficient,
    /// Cannot be seen.
    Blind,
}

impl Verdict {
    /// Both together: one failure fails, one blind spot blinds, one open question leaves it open.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        use Verdict::{Blind, Fail, Insufficient, Pass};
        match (self, other) {
            (Fail, _) | (_, Fail) => Fail,
            (Blind, _) | (_, Blind) => Blind,
            (Insufficient, _) | (_, Insufficient) => Insufficient,
            (Pass, Pass) => Pass,
        }
    }

    /// The word for status and events.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "Pass",
            Self::Fail => "Fail",
            Self::Insufficient => "Insufficient",
            Self::Blind => "Blind",
        }
    }
}

/// How strong the evidence of one gate is, in natural logarithms of e-values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Strength {
    /// Against "no worse than the tolerance".
    pub regression: f64,
    /// Against "worse than the margin"; the largest so far.
    pub promotion: f64,
    /// Odds ratio of a bad outcome: estimate, and the 95 % confidence sequence.
    pub odds: Option<(f64, f64, f64)>,
}

/// One gate's verdict with its reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged<'a> {
    /// The gate.
    pub policy: &'a GatePolicy,
    /// Its evidence.
    pub evidence: &'a GateEvidence,
    /// The verdict.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// How strong the evidence is.
    pub strength: Strength,
    /// Whether it can move the release at all.
    pub acts: bool,
}

/// Why a gate says what it says, as data; rendered in one place.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// It only reports.
    Observed,
    /// A default gate whose outcome stable does not report.
    NotReportedByStable,
    /// The outcome is not reported by the canary, or by neither arm.
    NotReported {
        /// Which arm is silent.
        arm: &'static str,
    },
    /// More sessions are needed, about so many on the canary; absent: unknown yet.
    Needs {
        /// Canary sessions.
        sessions: Option<i64>,
    },
    /// Shown no worse than the margin.
    NonInferior,
    /// Shown worse than the tolerance.
    Regressed,
    /// The source cannot be read.
    Blind,
    /// A sampler stands before the source: nothing that was counted is held for or against the release.
    Sampled,
    /// More sessions are seen on two releases than an honest pin allows: those that stay are no fair sample.
    SessionsMove,
}

/// What all gates say together.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement<'a> {
    /// Every gate, in the order of the policy.
    pub gates: Vec<Judged<'a>>,
    /// Natural logarithm of the weighted average of the e-processes against "no regression".
    pub average: f64,
    /// The gate that is to blame, once the average crossed its line.
    pub guilty: Option<usize>,
    /// The chain over the gates that act: `Pass` promotes, `Fail` takes back.
    pub verdict: Verdict,
    /// Every acting gate shows non-inferiority.
    pub non_inferior: bool,
}

impl Judgement<'_> {
    /// The average is high enough that the weight must not rise: an e-value of 4, wrong in at most a quarter of attempts, which a cheap act may be.
    #[must_use]
    pub fn holds_the_ramp(&self) -> bool {
        merge::holds(self.average)
    }

    /// A gate in which both releases are worse than stable was before the attempt, by more than the margin: trouble of
    /// the provider or of the callers, and no evidence about the release. The weight waits until it has passed.
    #[must_use]
    pub fn common_trouble(&self) -> Option<&Judged<'_>> {
        self.acting().find(|gate| {
            let before = baseline_rate(gate.policy) + gate.policy.margin.unwrap_or(1.0);
            let worse = |arm: Counts| arm.sessions >= 20 && arm.bad as f64 > before * arm.sessions as f64;
            gate.policy.baseline.is_some() && worse(gate.evidence.canary) && worse(gate.evidence.stable)
        })
    }

    /// Gates that can hold the release back.
    pub fn acting(&self) -> impl Iterator<Item = &Judged<'_>> {
        self.gates.iter().filter(|gate| gate.acts)
    }

    /// The acting gate that is nearest to a verdict against the release.
    #[must_use]
    pub fn tightest(&self) -> Option<&Judged<'_>> {
        self.acting().max_by(|a, b| a.strength.regression.total_cmp(&b.strength.regression))
    }
}

/// Judges an attempt. `attempt` counts from 1: each further one needs twice the evidence to promote, so that trying again
/// never makes it easier.
#[must_use]
pub fn judge<'a>(policy: &'a Policy, evidence: &'a Evidence, attempt: i64) -> Judgement<'a> {
    let line = merge::retry_threshold(policy.false_promotion, u32::try_from(attempt).unwrap_or(1));
    let distrust = distrust(evidence);
    let mut gates: Vec<Judged<'a>> = policy
        .gates
        .iter()
        .filter_map(|gate| Some((gate, evidence.gates.iter().find(|seen| seen.gate == gate.name)?)))
        .map(|(gate, seen)| judge_one(gate, seen, line, &evidence.sight, distrust.as_ref()))
        .collect();
    let shares: Vec<merge::Shared> = gates.iter().map(shared).collect();
    let average = merge::average(&shares);
    let guilty = (average >= merge::threshold(policy.false_rollback))
        .then(|| to_blame(&shares, policy.false_rollback))
        .flatten();
    if let Some(gate) = guilty.and_then(|index| gates.get_mut(index)) {
        gate.verdict = Verdict::Fail;
        gate.reason = Reason::Regressed;
    }
    let mut acting = gates.iter().filter(|gate| gate.acts).map(|gate| gate.verdict);
    // Without a single acting gate nothing was shown; behind a sampler there is none.
    let verdict = acting.next().map_or(Verdict::Insufficient, |first| acting.fold(first, Verdict::and));
    let non_inferior = gates.iter().any(|gate| gate.acts)
        && gates
            .iter()
            .filter(|gate| gate.acts && gate.policy.role != Role::Veto)
            .all(|gate| gate.strength.promotion >= line);
    Judgement { gates, average, guilty, verdict, non_inferior }
}

/// Sessions that are seen on two releases, of a thousand, from which on nothing is compared.
const MOVED_PER_MILLE: i64 = 20;

/// Why nothing that was counted is held for or against the release, if so.
fn distrust(evidence: &Evidence) -> Option<Reason> {
    let sessions = &evidence.sessions;
    let moved = sessions.moved * 1_000 > (sessions.canary + sessions.stable) * MOVED_PER_MILLE;
    match evidence.sight {
        Sight::Sampled { .. } => Some(Reason::Sampled),
        // Two sessions are an accident.
        Sight::Fresh | Sight::Quiet { .. } | Sight::Blind { .. } => {
            (moved && sessions.moved > 2).then_some(Reason::SessionsMove)
        }
    }
}

fn judge_one<'a>(
    policy: &'a GatePolicy,
    evidence: &'a GateEvidence,
    line: f64,
    sight: &Sight,
    distrust: Option<&Reason>,
) -> Judged<'a> {
    let strength = if distrust.is_some() { Strength::default() } else { strength_of(policy, evidence) };
    let (acts, verdict, reason) = match policy.role {
        Role::Observed => (false, Verdict::Insufficient, Reason::Observed),
        Role::Guardrail | Role::Success | Role::Veto if left_out(policy, evidence) => {
            (false, Verdict::Insufficient, Reason::NotReportedByStable)
        }
        Role::Guardrail | Role::Success | Role::Veto => match distrust {
            Some(reason) => (false, Verdict::Insufficient, reason.clone()),
            None if matches!(sight, Sight::Blind { .. }) => (true, Verdict::Blind, Reason::Blind),
            None => {
                let (verdict, reason) = by_evidence(policy, evidence, strength, line);
                (true, verdict, reason)
            }
        },
    };
    Judged { policy, evidence, verdict, reason, strength, acts }
}

/// A default gate does not act on an agent whose stable release never reports its outcome. Stable decides, never the
/// canary: a new release cannot switch a gate off by falling silent.
fn left_out(policy: &GatePolicy, evidence: &GateEvidence) -> bool {
    let reported_before = policy.baseline.is_some_and(|baseline| baseline.sessions > 0);
    !policy.declared
        && !reported_before
        && evidence.strata > 0
        && evidence.stable.sessions == 0
        && evidence.stable.missing > 0
}

fn by_evidence(policy: &GatePolicy, evidence: &GateEvidence, strength: Strength, line: f64) -> (Verdict, Reason) {
    if strength.promotion >= line {
        return (Verdict::Pass, Reason::NonInferior);
    }
    if evidence.strata > 0 && evidence.canary.sessions == 0 && evidence.canary.missing > 0 {
        return (Verdict::Insufficient, Reason::NotReported { arm: "canary" });
    }
    if evidence.strata > 0 && evidence.stable.sessions == 0 && evidence.stable.missing > 0 {
        return (Verdict::Insufficient, Reason::NotReported { arm: "stable" });
    }
    let sessions = sessions_needed(policy, evidence, strength, line);
    (Verdict::Insufficient, Reason::Needs { sessions })
}

/// More canary sessions until the promotion line, if the canary is as good as stable; for people.
fn sessions_needed(policy: &GatePolicy, evidence: &GateEvidence, strength: Strength, line: f64) -> Option<i64> {
    let margin = policy.margin?;
    let stable = evidence.stable;
    let rate = if stable.sessions > 0 { stable.bad as f64 / stable.sessions as f64 } else { baseline_rate(policy) };
    let sessions = canary_sessions_to_promotion(
        process::form(policy),
        margin,
        rate,
        TYPICAL_WEIGHT,
        strength.promotion.max(0.0),
        line,
    )?;
    i64::try_from(sessions).ok()
}

/// Share of stable's sessions that were bad before the attempt; 0 where none was seen.
pub(crate) fn baseline_rate(policy: &GatePolicy) -> f64 {
    policy.baseline.filter(|seen| seen.sessions > 0).map_or(0.0, |seen| seen.bad as f64 / seen.sessions as f64)
}

fn strength_of(policy: &GatePolicy, evidence: &GateEvidence) -> Strength {
    evidence.process.as_ref().map_or_else(Strength::default, |process| Strength {
        regression: process.log_e_regression(policy),
        promotion: process.log_e_promotion(policy),
        odds: process.odds_ratio(policy),
    })
}

/// A gate that does not act keeps its share with an e-value of 1: shares must not move with the data.
fn shared(gate: &Judged<'_>) -> merge::Shared {
    merge::Shared { share: gate.policy.share, log_e: if gate.acts { gate.strength.regression } else { 0.0 } }
}

/// The gate that closed testing names with the most evidence, or the heaviest one where many did it together.
fn to_blame(shares: &[merge::Shared], alpha: f64) -> Option<usize> {
    let named: Vec<usize> = merge::guilty(shares, alpha);
    let heaviest = merge::heaviest(shares)?;
    if named.contains(&heaviest) { Some(heaviest) } else { named.first().copied().or(Some(heaviest)) }
}

/// The slice in which the canary is worst: the largest difference of bad shares, in slices with at least five sessions per arm.
#[must_use]
pub fn worst_slice(evidence: &GateEvidence) -> Option<&SliceEvidence> {
    evidence
        .slices
        .iter()
        .filter(|slice| slice.canary.sessions >= 5 && slice.stable.sessions >= 5)
        .filter(|slice| excess(slice) > 0.0)
        .max_by(|a, b| excess(a).total_cmp(&excess(b)))
}

fn excess(slice: &SliceEvidence) -> f64 {
    slice.canary.bad as f64 / slice.canary.sessions as f64 - slice.stable.bad as f64 / slice.stable.sessions as f64
}

/// Natural logarithm from its fixed-point form, units of 2^-40.
#[must_use]
pub fn nats(fixed: i64) -> f64 {
    fixed as f64 / 1_099_511_627_776.0
}
