//! One stratum, and the conditional likelihood of its table: the noncentral hypergeometric kernel.
//!
//! Given the arm sizes and the pooled number of bad sessions, the number of bad canary sessions has the density
//! `C(n_c, x) C(n_s, k - x) e^(l x)` up to a constant, where `l` is the log odds ratio (Fisher 1935; Cornfield 1956).
//! Knows nothing of gates, priors or sums over strata.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The most sessions that one stratum may hold.
pub const MAX_SESSIONS: u64 = 1_000_000;

/// Sessions of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arm {
    /// Sessions with a bad outcome.
    pub bad: u64,
    /// Sessions with a good outcome.
    pub good: u64,
    /// Sessions that began and have no outcome. Sessions that were not sampled are not counted at all.
    pub missing: u64,
}

/// One closed stratum: sessions and bad sessions of both arms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stratum {
    canary: u64,
    canary_bad: u64,
    stable: u64,
    stable_bad: u64,
}

/// Counters that are no stratum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum StratumError {
    /// More bad sessions than sessions.
    #[error("a stratum counts {bad} bad sessions among {sessions} of one arm")]
    MoreBadThanSessions {
        /// Bad sessions.
        bad: u64,
        /// All sessions of the arm.
        sessions: u64,
    },
    /// Too many sessions.
    #[error("a stratum counts {0} sessions, more than {MAX_SESSIONS}; close strata sooner")]
    TooLarge(u64),
}

impl Stratum {
    /// From sessions and bad sessions per arm.
    pub fn new(canary: u64, canary_bad: u64, stable: u64, stable_bad: u64) -> Result<Stratum, StratumError> {
        for (bad, sessions) in [(canary_bad, canary), (stable_bad, stable)] {
            if bad > sessions {
                return Err(StratumError::MoreBadThanSessions { bad, sessions });
            }
        }
        let total = canary.saturating_add(stable);
        if total > MAX_SESSIONS {
            return Err(StratumError::TooLarge(total));
        }
        Ok(Stratum { canary, canary_bad, stable, stable_bad })
    }

    /// Sessions with an outcome only: the table of the rollback test.
    pub fn complete(canary: Arm, stable: Arm) -> Result<Stratum, StratumError> {
        Stratum::new(
            canary.bad.saturating_add(canary.good),
            canary.bad,
            stable.bad.saturating_add(stable.good),
            stable.bad,
        )
    }

    /// The table of the promotion test: a canary session without outcome counts as bad, a stable one as good.
    pub fn worst_case(canary: Arm, stable: Arm) -> Result<Stratum, StratumError> {
        let canary = Arm { bad: canary.bad.saturating_add(canary.missing), ..canary };
        let stable = Arm { good: stable.good.saturating_add(stable.missing), ..stable };
        Stratum::complete(canary, stable)
    }

    /// The table of the guardrail on missing outcomes: a session is bad when it has none.
    pub fn missingness(canary: Arm, stable: Arm) -> Result<Stratum, StratumError> {
        let as_bad = |arm: Arm| Arm { bad: arm.missing, good: arm.bad.saturating_add(arm.good), missing: 0 };
        Stratum::complete(as_bad(canary), as_bad(stable))
    }

    /// Canary sessions.
    #[must_use]
    pub fn canary(&self) -> u64 {
        self.canary
    }

    /// Bad canary sessions.
    #[must_use]
    pub fn canary_bad(&self) -> u64 {
        self.canary_bad
    }

    /// Stable sessions.
    #[must_use]
    pub fn stable(&self) -> u64 {
        self.stable
    }

    /// Bad stable sessions.
    #[must_use]
    pub fn stable_bad(&self) -> u64 {
        self.stable_bad
    }

    /// The margins that the kernel conditions on.
    #[must_use]
    pub fn margins(&self) -> Margins {
        Margins::of(self.canary, self.stable, self.canary_bad + self.stable_bad)
    }
}

/// The margins of a two-by-two table, and where its distribution peaks.
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    canary: u64,
    stable: u64,
    bad: u64,
    low: u64,
    high: u64,
    mode: u64,
    central: f64,
}

/// `ln Z(l)` of the noncentral hypergeometric: `total` sessions, `bad` of them bad, `canary` of them on the canary.
#[must_use]
pub fn log_normaliser(total: u64, bad: u64, canary: u64, log_odds: f64) -> f64 {
    let canary = canary.min(total);
    Margins::of(canary, total - canary, bad.min(total)).log_normaliser(log_odds)
}

impl Margins {
    fn of(canary: u64, stable: u64, bad: u64) -> Margins {
        let low = bad.saturating_sub(stable);
        let high = bad.min(canary);
        let mut margins = Margins { canary, stable, bad, low, high, mode: low, central: 0.0 };
        margins.mode = margins.find_mode();
        margins.central = margins.log_sum(0.0);
        margins
    }

    /// The fewest and the most bad sessions that the canary can have.
    #[must_use]
    pub fn support(&self) -> (u64, u64) {
        (self.low, self.high)
    }

    /// `ln sum_x P(x) e^(l x)` with `P` the central hypergeometric; 0 at `l = 0`.
    #[must_use]
    pub fn log_normaliser(&self, log_odds: f64) -> f64 {
        log_odds * self.mode as f64 + self.log_sum(log_odds) - self.central
    }

    /// `l k_c - ln Z(l)`: the log likelihood ratio of an odds ratio `e^l` against 1. Exactly 0 where only one table
    /// is possible.
    #[must_use]
    pub fn log_ratio(&self, canary_bad: u64, log_odds: f64) -> f64 {
        if self.low == self.high {
            return 0.0;
        }
        log_odds * (canary_bad as f64 - self.mode as f64) - (self.log_sum(log_odds) - self.central)
    }

    /// `P(x + 1) / P(x)`; falls as x grows.
    fn rise(&self, x: u64) -> f64 {
        let taken = (self.bad - x) as f64 * (self.canary - x) as f64;
        taken / ((x + 1) as f64 * (self.stable + x + 1 - self.bad) as f64)
    }

    /// Where the central distribution peaks, by bisection on `rise`.
    fn find_mode(&self) -> u64 {
        let (mut low, mut high) = (self.low, self.high);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.rise(middle) >= 1.0 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// `ln sum_x P(x) e^(l (x - mode)) / P(mode)`, by the recurrence of neighbouring terms from the mode outwards:
    /// all terms are positive, so nothing cancels. The side on which terms may still grow comes first.
    fn log_sum(&self, log_odds: f64) -> f64 {
        let tilt = libm::exp(log_odds);
        let up = (self.mode..self.high).map(|x| self.rise(x) * tilt);
        let down = (self.low..self.mode).rev().map(|x| 1.0 / (self.rise(x) * tilt));
        let mut sum = ScaledSum::one();
        if log_odds >= 0.0 {
            sum.extend(up);
            sum.extend(down);
        } else {
            sum.extend(down);
            sum.extend(up);
        }
        sum.ln()
    }
}

/// A sum of positive terms around 1, kept in range by powers of two.
struct ScaledSum {
    sum: f64,
    one: f64,
    shifts: u32,
}

impl ScaledSum {
    const SHIFT: f64 = 1.0 / Self::LIMIT;
    const LIMIT: f64 = 1.340_780_792_994_259_7e154; // 2^512
    const LN_LIMIT: f64 = 512.0 * core::f64::consts::LN_2;

    fn one() -> ScaledSum {
        ScaledSum { sum: 1.0, one: 1.0, shifts: 0 }
    }

    /// Adds `r1 + r1 r2 + r1 r2 r3 ...`. The ratios fall, so once they are below 1 the rest is at most a geometric
    /// series, and it ends where that no longer changes the sum.
    fn extend(&mut self, ratios: impl Iterator<Item = f64>) {
        let mut term = self.one;
        for ratio in ratios {
            term *= ratio;
            self.sum += term;
            if self.sum > Self::LIMIT {
                self.sum *= Self::SHIFT;
                self.one *= Self::SHIFT;
                term *= Self::SHIFT;
                self.shifts += 1;
            }
            if ratio < 1.0 && term < self.sum * 1e-18 * (1.0 - ratio) {
                break;
            }
        }
    }

    fn ln(&self) -> f64 {
        libm::log(self.sum) + f64::from(self.shifts) * Self::LN_LIMIT
    }
}
