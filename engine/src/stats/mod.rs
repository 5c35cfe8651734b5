//! The mathematics of the gates: from counters per stratum to e-values, and nothing else.
//!
//! A stratum is a cohort of sessions that began together. Inside it the two arm sizes and the pooled number of bad
//! sessions carry no information about which release is better; what is left, *which* arm the bad ones fell on, is
//! what the tests bet on. So baselines may drift, weights may ramp and rates may be unknown: the error bounds hold at
//! every look.
//!
//! | module | what it answers |
//! |---|---|
//! | `fixed` | how log evidence is stored: exact, order-free, mergeable sums |
//! | `cmh` | one stratum: the noncentral hypergeometric kernel |
//! | `grid` | at which log odds ratios a gate keeps sums, frozen before the attempt |
//! | `sequence` | the sums: evidence for a regression, for non-inferiority, and a confidence sequence |
//! | `betd` | non-inferiority on an absolute margin where failures are near zero |
//! | `rate` | margins in percentage points against log odds ratios; which form a promotion takes |
//! | `merge` | several gates: average, closed testing, intersection-union, the running maximum |
//! | `srm` | whether the gateway keeps to the weights |
//! | `plan` | what is still needed, what can be found, and when |
//!
//! No I/O, no clock, no randomness, no knowledge of releases or of Kubernetes. Every `ln`, `exp` and `lgamma` is
//! `libm`'s, whose last bit is the same on every platform, so that a replay is bit for bit.

pub mod betd;
pub mod cmh;
pub mod fixed;
pub mod grid;
pub mod merge;
pub mod plan;
pub mod rate;
pub mod sequence;
pub mod srm;

#[cfg(test)]
mod tests;

pub use betd::BetProcess;
pub use cmh::{Arm, Stratum, StratumError};
pub use fixed::{Nats, NatsVec, VectorError};
pub use grid::Grid;
pub use merge::{Peak, threshold};
pub use rate::{PromotionForm, Rate, promotion_form};
pub use sequence::{OddsProcess, OddsRange};

/// `ln n!`.
pub(crate) fn ln_factorial(n: u64) -> f64 {
    libm::lgamma(n as f64 + 1.0)
}

/// `ln C(n, r)`; callers keep `r <= n`.
pub(crate) fn ln_choose(n: u64, r: u64) -> f64 {
    ln_factorial(n) - ln_factorial(r) - ln_factorial(n.saturating_sub(r))
}

/// `ln sum exp(terms)`; negative infinity for none.
pub(crate) fn log_sum_exp(terms: &[f64]) -> f64 {
    let top = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if top.is_infinite() {
        return top;
    }
    let sum: f64 = terms.iter().map(|term| libm::exp(term - top)).sum();
    top + libm::log(sum)
}
