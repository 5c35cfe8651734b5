//! Non-inferiority on an absolute margin where failures are near zero: betting on matched pairs.
//!
//! The odds-ratio form says nothing while no session is bad; most guardrails live there. Here each canary session is
//! matched with a stable session of its stratum, and a bet `b` multiplies its wealth by `1 + b (margin + s - c)`,
//! `s` and `c` being 1 for a bad session. If the canary fails at least `margin` more often than stable, every factor
//! has mean at most 1, at any rates (Waudby-Smith and Ramdas, arXiv 2010.09686). Decides nothing.
//!
//! A matching must not depend on outcomes, and counters know no order of sessions. So the wealth of a stratum is the
//! *average over all matchings*: the mean of e-values is an e-value, it is a function of the four counters alone,
//! and by concavity of the logarithm it grows at least as fast as any one matching, or any matching with blocks of
//! several stable sessions (the factors are linear in `s`, so blocks average out to pairs). A canary session without
//! a partner bets against `s = 0`, which is valid too: a canary that fails at least `margin` more often than stable
//! fails at least `margin` of the time.

use super::cmh::{Stratum, log_normaliser};
use super::fixed::{Nats, NatsVec, VectorError};
use super::{ln_choose, log_sum_exp};

/// Bets as shares of the largest that cannot go broke, `1 / (1 - margin)`, and the prior weights of their wealths.
/// The weight lies on bold bets: this form is chosen only where failures are rarer than half the margin.
pub const BETS: [(f64, f64); 4] = [(0.35, 0.10), (0.65, 0.20), (0.85, 0.25), (0.99, 0.45)];

/// The log wealth of each bet against "the canary is bad at least `margin` more often".
#[derive(Clone, Debug, PartialEq)]
pub struct BetProcess {
    margin: f64,
    sums: NatsVec,
}

impl BetProcess {
    /// Without evidence. The margin is a fraction, held to 0..=0.5.
    #[must_use]
    pub fn new(margin: f64) -> BetProcess {
        BetProcess { margin: held(margin), sums: NatsVec::zeros(BETS.len()) }
    }

    /// With evidence that was stored for the same margin.
    pub fn resume(margin: f64, sums: NatsVec) -> Result<BetProcess, VectorError> {
        sums.must_have(BETS.len())?;
        Ok(BetProcess { margin: held(margin), sums })
    }

    /// The sums, for storing.
    #[must_use]
    pub fn sums(&self) -> &NatsVec {
        &self.sums
    }

    /// What one stratum adds for a margin.
    #[must_use]
    pub fn contribution(margin: f64, stratum: &Stratum) -> NatsVec {
        let margin = held(margin);
        BETS.iter().map(|(share, _)| Nats::from_f64(log_wealth(stratum, margin, share / (1.0 - margin)))).collect()
    }

    /// Adds a stratum. Give it the worst-case table: missing canary sessions bad, missing stable ones good.
    pub fn add(&mut self, stratum: &Stratum) {
        let part = BetProcess::contribution(self.margin, stratum);
        self.add_contribution(&part).unwrap_or_default(); // a contribution has as many points as there are bets
    }

    /// Adds what `contribution` gave for the same margin.
    pub fn add_contribution(&mut self, part: &NatsVec) -> Result<(), VectorError> {
        self.sums.add(part)
    }

    /// Adds the evidence of other strata.
    pub fn merge(&mut self, other: &BetProcess) -> Result<(), VectorError> {
        if self.margin.to_bits() != other.margin.to_bits() {
            return Err(VectorError::OtherGate);
        }
        self.sums.add(&other.sums)
    }

    /// Log e-value against "the canary is bad at least `margin` more often".
    #[must_use]
    pub fn log_e_promotion(&self) -> f64 {
        let terms: Vec<f64> = self
            .sums
            .as_slice()
            .iter()
            .zip(&BETS)
            .map(|(sum, (_, weight))| sum.as_f64() + libm::log(*weight))
            .collect();
        log_sum_exp(&terms)
    }
}

fn held(margin: f64) -> f64 {
    if margin.is_nan() { 0.0 } else { margin.clamp(0.0, 0.5) }
}

/// The log of the average wealth over all matchings of one stratum.
///
/// A good canary session multiplies by `g = 1 + b margin`, or by `g + b` if its partner is bad; a bad one by `g - b`,
/// or by `g`. With `x` bad partners of good sessions and `y` of bad ones, `(x, y)` is multivariate hypergeometric;
/// the inner mean over `y` is a noncentral normaliser. With fewer stable than canary sessions, good ones fill up.
fn log_wealth(stratum: &Stratum, margin: f64, bet: f64) -> f64 {
    let level = 1.0 + bet * margin;
    let bad = stratum.canary_bad();
    let good = stratum.canary() - bad;
    let unmatched = good as f64 * libm::log(level) + bad as f64 * libm::log(level - bet);
    unmatched + log_partners(stratum, libm::log((level + bet) / level), libm::log(level / (level - bet)))
}

/// The log of the mean of `e^(x for_good + y for_bad)` over the partners.
fn log_partners(stratum: &Stratum, for_good: f64, for_bad: f64) -> f64 {
    let bad = stratum.canary_bad();
    let good = stratum.canary() - bad;
    let pool = stratum.stable().max(stratum.canary());
    let pool_bad = stratum.stable_bad();
    if pool_bad == 0 {
        return 0.0;
    }
    if bad == 0 {
        return log_normaliser(pool, pool_bad, good, for_good);
    }
    let others = pool - good;
    let all = ln_choose(pool, pool_bad);
    let term = |x: u64| {
        let rest = pool_bad - x;
        ln_choose(good, x) + ln_choose(others, rest) - all
            + x as f64 * for_good
            + log_normaliser(others, rest, bad, for_bad)
    };
    log_sum_unimodal(pool_bad.saturating_sub(others), pool_bad.min(good), term)
}

/// `ln sum exp(term(x))` over `low..=high` for terms that rise and then fall: the product of two log-concave
/// sequences does. Leaves out what is 45 nats below the peak.
fn log_sum_unimodal(low: u64, high: u64, term: impl Fn(u64) -> f64) -> f64 {
    let (mut from, mut to) = (low, high);
    while from < to {
        let middle = from + (to - from) / 2;
        if term(middle + 1) > term(middle) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    let peak = term(from);
    let counts = |value: &f64| *value > peak - 45.0;
    let above = (from + 1..=high).map(&term).take_while(counts);
    let below = (low..from).rev().map(&term).take_while(counts);
    let sum: f64 = above.chain(below).map(|value| libm::exp(value - peak)).sum();
    peak + libm::log(1.0 + sum)
}
