//! What is still needed, what can be found, and when: estimates for people and for pre-flight.
//!
//! Nothing here is evidence and nothing here decides a verdict. The bounds are Wald's (1945; change-of-measure form
//! Garivier and Kaufmann 2016): no test that stops at level `alpha` needs fewer sessions on average than
//! `ln(1/alpha) / K`, with `K` the information per session against the nearest point of the null.

use super::betd::BETS;
use super::merge::threshold;
use super::rate::{PromotionForm, logistic, logit};

/// Canary sessions per step: the 95th percentile of what it takes to catch failures rising from 5 % to 30 %.
pub const SESSIONS_PER_STEP: u64 = 47;

/// Mean sessions of our tests over the bound; measured 1.03 to 1.38.
pub const MEAN_OVER_BOUND: f64 = 1.3;

/// Median over mean; measured 0.8 to 0.85.
pub const MEDIAN_OVER_MEAN: f64 = 0.85;

/// The 90th percentile over the mean; measured about 2.
pub const P90_OVER_MEAN: f64 = 2.0;

/// The information of one Bernoulli observation at rate `a` against rate `b`, in nats; 0 at equal rates.
#[must_use]
pub fn divergence(a: f64, b: f64) -> f64 {
    let part = |p: f64, q: f64| {
        if p <= 0.0 { 0.0 } else { p * (libm::log(p) - libm::log(q.max(1e-15))) }
    };
    (part(a, b) + part(1.0 - a, 1.0 - b)).max(0.0)
}

/// Information per session (both arms) against the nearest pair of rates whose odds ratio is `e^log_odds`, at a canary
/// share of `weight`. The nearest pair keeps the pooled rate, which bisection finds.
#[must_use]
pub fn information(canary: f64, stable: f64, weight: f64, log_odds: f64) -> f64 {
    let pooled = weight * canary + (1.0 - weight) * stable;
    let (mut low, mut high) = (-40.0_f64, 40.0_f64);
    for _ in 0..100 {
        let middle = 0.5 * (low + high);
        if weight * logistic(middle + log_odds) + (1.0 - weight) * logistic(middle) < pooled {
            low = middle;
        } else {
            high = middle;
        }
    }
    let at = 0.5 * (low + high);
    weight * divergence(canary, logistic(at + log_odds)) + (1.0 - weight) * divergence(stable, logistic(at))
}

/// What one test learns from a canary session and the stable ones beside it, in nats, if both arms are bad at `rate`.
#[must_use]
pub fn promotion_growth(form: PromotionForm, margin: f64, rate: f64, weight: f64) -> f64 {
    match form {
        PromotionForm::OddsRatio { log_odds } if weight > 0.0 => information(rate, rate, weight, log_odds) / weight,
        PromotionForm::OddsRatio { .. } => 0.0,
        PromotionForm::AbsoluteMargin => bet_growth(margin, rate),
    }
}

/// The growth of the best bet on the absolute margin, many stable sessions per canary session, equal rates.
fn bet_growth(margin: f64, rate: f64) -> f64 {
    let of = |share: &f64| {
        let bet = share / (1.0 - margin);
        let level = 1.0 + bet * (margin + rate);
        (1.0 - rate) * libm::log(level) + rate * libm::log(level - bet)
    };
    BETS.iter().map(|(share, _)| of(share)).fold(0.0, f64::max)
}

/// Canary sessions that a promotion still needs on average, if the release is as good as stable (bad at `rate`) and
/// the weight stays: `1.3 (needed - log_e) / growth`. Absent where it cannot come.
#[must_use]
pub fn canary_sessions_to_promotion(
    form: PromotionForm,
    margin: f64,
    rate: f64,
    weight: f64,
    log_e: f64,
    needed: f64,
) -> Option<u64> {
    if log_e >= needed {
        return Some(0);
    }
    whole(MEAN_OVER_BOUND * (needed - log_e) / promotion_growth(form, margin, rate, weight))
}

/// Rounds a positive count up; absent where it is not a number that anyone could wait for.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // within 0..=1e12 by the check
fn whole(count: f64) -> Option<u64> {
    (0.0..=1e12).contains(&count).then(|| libm::ceil(count) as u64)
}

/// The smallest bad rate of the canary that so many of its sessions find with chance 90 %, when stable is bad at
/// `stable`, against a rollback null of odds ratio `e^tolerance` at level `alpha`. Absent where not even failing
/// always is found.
#[must_use]
pub fn detectable_rate(stable: f64, weight: f64, tolerance: f64, alpha: f64, canary_sessions: u64) -> Option<f64> {
    let needed = threshold(alpha) * MEAN_OVER_BOUND * P90_OVER_MEAN;
    let finds = |rate: f64| canary_sessions as f64 * information(rate, stable, weight, tolerance) / weight >= needed;
    let null = logistic(logit(stable) + tolerance).max(stable);
    let (mut low, mut high) = (null, 1.0);
    if weight <= 0.0 || weight >= 1.0 || !finds(high) {
        return None;
    }
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if finds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Some(high)
}

/// A step of a rollout below a weight of 100 %.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPlan {
    /// The share of the canary, a fraction.
    pub weight: f64,
    /// Canary sessions that the step needs.
    pub sessions: u64,
    /// Least seconds at this weight.
    pub min_seconds: f64,
}

/// A gate that must show non-inferiority.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GatePlan {
    /// How.
    pub form: PromotionForm,
    /// The margin, a fraction.
    pub margin: f64,
    /// The rate at which both arms are expected to be bad.
    pub rate: f64,
    /// The log e-value that promotes.
    pub needed: f64,
}

/// When a release that is as good as stable is promoted, in seconds from its first step; maturity of the outcomes and
/// pauses come on top.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromotionTime {
    /// In half of the rollouts.
    pub p50: f64,
    /// In nine of ten.
    pub p90: f64,
}

/// Seconds for so many canary sessions at a share of `rate` sessions per second.
#[must_use]
pub fn seconds_for(sessions: f64, weight: f64, rate: f64) -> f64 {
    if sessions <= 0.0 { 0.0 } else { sessions / (weight * rate) }
}

/// The smallest weight in whole percent, 1..=100, that gives a step its sessions within a time.
#[must_use]
pub fn smallest_weight(sessions: u64, rate: f64, seconds: f64) -> u64 {
    whole(100.0 * sessions as f64 / (rate * seconds)).unwrap_or(100).clamp(1, 100)
}

/// When a release as good as stable is promoted: all steps one after the other, then at the last weight until the
/// slowest gate has its evidence. Absent without traffic, without a step below 100 %, or if a gate learns nothing.
#[must_use]
pub fn promotion_time(steps: &[StepPlan], rate: f64, gates: &[GatePlan]) -> Option<PromotionTime> {
    let at = |factor: f64| {
        let times = gates.iter().map(|gate| gate_time(steps, rate, gate, factor));
        let own = steps_time(steps, rate);
        times.chain([own]).try_fold(0.0_f64, |slowest, time| time.map(|time| slowest.max(time)))
    };
    Some(PromotionTime { p50: at(MEDIAN_OVER_MEAN)?, p90: at(P90_OVER_MEAN)? })
}

fn step_time(step: &StepPlan, rate: f64) -> f64 {
    seconds_for(step.sessions as f64, step.weight, rate).max(step.min_seconds)
}

fn steps_time(steps: &[StepPlan], rate: f64) -> Option<f64> {
    let total: f64 = steps.iter().map(|step| step_time(step, rate)).sum();
    (!steps.is_empty() && total.is_finite()).then_some(total)
}

fn gate_time(steps: &[StepPlan], rate: f64, gate: &GatePlan, factor: f64) -> Option<f64> {
    let growth = |weight: f64| promotion_growth(gate.form, gate.margin, gate.rate, weight);
    let gained: f64 = steps.iter().map(|step| growth(step.weight) * step_time(step, rate) * step.weight * rate).sum();
    let last = steps.last()?;
    let lacking = (gate.needed * MEAN_OVER_BOUND * factor - gained).max(0.0);
    let more = if lacking > 0.0 { seconds_for(lacking / growth(last.weight), last.weight, rate) } else { 0.0 };
    let total = steps_time(steps, rate)? + more;
    total.is_finite().then_some(total)
}
