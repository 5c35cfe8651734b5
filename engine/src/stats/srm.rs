//! Sample-ratio check: does the gateway send the canary the share of sessions that it was told to?
//!
//! Selective loss of sessions breaks the exchangeability that every gate rests on. Looks at counts of starts, never at
//! outcomes, and does not say what follows from an alarm.

/// Concentration of the Dirichlet prior around the nominal weights.
pub const CONCENTRATION: f64 = 100.0;

/// Chance of a false alarm over an attempt.
pub const ALPHA: f64 = 0.001;

/// Session starts while one weight was in force; periods of the same weight are counted together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Starts {
    /// The nominal share of the canary, a fraction.
    pub weight: f64,
    /// Starts on the canary.
    pub canary: u64,
    /// Starts on stable.
    pub stable: u64,
}

/// Log e-value against "sessions were assigned at the nominal weights": a Dirichlet-multinomial Bayes factor per
/// weight (Lindon and Malek, arXiv 2011.03567), multiplied over weights, which bet at different times.
/// Weights of 0 and 100 % are not random and are left out.
#[must_use]
pub fn log_e(periods: &[Starts]) -> f64 {
    periods.iter().filter(|period| period.weight > 0.0 && period.weight < 1.0).map(log_bayes_factor).sum()
}

fn log_bayes_factor(period: &Starts) -> f64 {
    let (canary, stable) = (period.canary as f64, period.stable as f64);
    let (prior_canary, prior_stable) = (CONCENTRATION * period.weight, CONCENTRATION * (1.0 - period.weight));
    ln_beta(prior_canary + canary, prior_stable + stable)
        - ln_beta(prior_canary, prior_stable)
        - canary * libm::log(period.weight)
        - stable * libm::log1p(-period.weight)
}

fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{ln_choose, threshold};

    #[test]
    fn it_has_mean_one_at_the_nominal_weight() {
        for weight in [0.01, 0.05, 0.5, 0.9] {
            let mean: f64 = (0..=40_u64)
                .map(|canary| {
                    let chance = ln_choose(40, canary)
                        + canary as f64 * libm::log(weight)
                        + (40 - canary) as f64 * libm::log1p(-weight);
                    libm::exp(chance + log_e(&[Starts { weight, canary, stable: 40 - canary }]))
                })
                .sum();
            assert!((mean - 1.0).abs() < 1e-11, "weight {weight}: {mean}");
        }
    }

    #[test]
    fn a_gateway_that_loses_a_third_of_the_canary_is_found() {
        let lossy = [Starts { weight: 0.05, canary: 330, stable: 9_500 }];
        assert!(log_e(&lossy) > threshold(ALPHA));
        let honest =
            [Starts { weight: 0.05, canary: 500, stable: 9_500 }, Starts { weight: 0.25, canary: 100, stable: 310 }];
        assert!(log_e(&honest) < 0.0);
    }

    #[test]
    fn weights_without_chance_say_nothing() {
        let sure = [Starts { weight: 0.0, canary: 5, stable: 9 }, Starts { weight: 1.0, canary: 5, stable: 9 }];
        assert!(log_e(&sure).abs() < 1e-300 && log_e(&[]).abs() < 1e-300);
    }
}
