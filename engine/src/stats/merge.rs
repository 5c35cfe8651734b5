//! Several gates: one error budget for taking a release back, one per gate for promoting it.
//!
//! Gates look at the same sessions, so their e-values are dependent and are never multiplied. Knows nothing of roles,
//! steps or words.

use serde::{Deserialize, Serialize};

use super::fixed::Nats;
use super::log_sum_exp;

/// The average e-value at which a ramp holds still: wrong in at most a quarter of the rollouts, and cheap.
pub const HOLD_AT: f64 = 4.0;

/// The evidence of one gate and its share of the budget.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shared {
    /// Share of the error budget; shares sum to 1.
    pub share: f64,
    /// Log e-value for a regression; 0 for a gate that has seen nothing.
    pub log_e: f64,
}

/// `ln(1 / alpha)`: an e-process reaches this with chance at most `alpha`, at any look (Ville 1939).
#[must_use]
pub fn threshold(alpha: f64) -> f64 {
    -libm::log(alpha)
}

/// What attempt number `attempt` (from 1) at the same release must reach to be promoted: twice the e-value each time.
#[must_use]
pub fn retry_threshold(alpha: f64, attempt: u32) -> f64 {
    threshold(alpha) + f64::from(attempt.saturating_sub(1)) * core::f64::consts::LN_2
}

/// The log of the weighted average of e-values: an e-process under any dependence of the gates.
#[must_use]
pub fn average(gates: &[Shared]) -> f64 {
    let terms: Vec<f64> =
        gates.iter().filter(|gate| gate.share > 0.0).map(|gate| libm::log(gate.share) + gate.log_e).collect();
    log_sum_exp(&terms)
}

/// Whether the average calls for holding the ramp.
#[must_use]
pub fn holds(average: f64) -> bool {
    average >= libm::log(HOLD_AT)
}

/// Which gates are guilty, by position: closed testing with weighted means, so that the chance of naming any innocent
/// gate is at most `alpha` (e-Holm; Vovk and Wang 2021).
///
/// Gate k is named when the mean over every set of gates that contains it reaches `1 / alpha`; the worst set adds all
/// gates that stay below it. May be empty although the average over all has crossed: then many gates did it together.
#[must_use]
pub fn guilty(gates: &[Shared], alpha: f64) -> Vec<usize> {
    let surplus = |gate: &Shared| {
        if gate.share > 0.0 { gate.share * (libm::exp(gate.log_e) - 1.0 / alpha) } else { f64::NEG_INFINITY }
    };
    let debt: f64 = gates.iter().filter(|gate| gate.share > 0.0).map(|gate| surplus(gate).min(0.0)).sum();
    let named = |gate: &Shared| surplus(gate) >= 0.0 && surplus(gate) + debt >= 0.0;
    gates.iter().enumerate().filter(|(_, gate)| named(gate)).map(|(at, _)| at).collect()
}

/// The gate that adds most to the average, to be named where closed testing names none.
#[must_use]
pub fn heaviest(gates: &[Shared]) -> Option<usize> {
    let weight = |gate: &Shared| libm::log(gate.share) + gate.log_e;
    let counted = gates.iter().enumerate().filter(|(_, gate)| gate.share > 0.0);
    counted.max_by(|(_, a), (_, b)| weight(a).total_cmp(&weight(b))).map(|(at, _)| at)
}

/// Whether every gate reached the threshold: promotion needs all of them, each at the full level, without correction
/// (intersection-union). False without any gate.
#[must_use]
pub fn all_reach(log_es: &[f64], threshold: f64) -> bool {
    !log_es.is_empty() && log_es.iter().all(|log_e| *log_e >= threshold)
}

/// The largest log e-value so far: once crossed stays crossed. Starts at 0, an e-value of 1.
///
/// Whoever folds strata keeps one per test and shows it every look; the looks that were skipped do not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Peak(Nats);

impl Peak {
    /// Looks at a log e-value.
    pub fn see(&mut self, log_e: f64) {
        self.0 = self.0.max(Nats::from_f64(log_e));
    }

    /// The largest seen.
    #[must_use]
    pub fn log_e(self) -> f64 {
        self.0.as_f64()
    }

    /// Whether a threshold was reached.
    #[must_use]
    pub fn reached(self, threshold: f64) -> bool {
        self.log_e() >= threshold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn equal(log_es: &[f64]) -> Vec<Shared> {
        log_es.iter().map(|log_e| Shared { share: 1.0 / log_es.len() as f64, log_e: *log_e }).collect()
    }

    #[test]
    fn the_average_is_the_mean_of_e_values() {
        let gates = equal(&[libm::log(30.0), libm::log(10.0)]);
        assert!((libm::exp(average(&gates)) - 20.0).abs() < 1e-9);
        assert!(average(&equal(&[2000.0, 0.0])).is_finite());
        assert!(average(&[]) < -1e300);
    }

    #[test]
    fn closed_testing_agrees_with_trying_every_set() {
        let alpha = 0.05;
        let shares = [0.4, 0.3, 0.2, 0.1];
        for seed in 0..1_000_u32 {
            let es: Vec<f64> =
                (0..4).map(|i| 0.1237 + f64::from((seed * 2_654_435 + i * 40_503 + seed * i * 7_919) % 120)).collect();
            let gates: Vec<Shared> =
                es.iter().zip(shares).map(|(e, share)| Shared { share, log_e: libm::log(*e) }).collect();
            let mean_reaches = |set: u32| {
                let inside = || (0..4).filter(move |i| set & (1 << i) != 0);
                let total: f64 = inside().map(|i| shares[i] * es[i]).sum();
                total >= inside().map(|i| shares[i]).sum::<f64>() / alpha
            };
            let expected: Vec<usize> =
                (0..4).filter(|k| (1..16_u32).filter(|set| set & (1 << k) != 0).all(mean_reaches)).collect();
            assert_eq!(guilty(&gates, alpha), expected, "seed {seed}: {es:?}");
        }
    }

    #[test]
    fn many_small_regressions_together_name_nobody() {
        let mut gates = equal(&[3.5, 3.5, 2.0]);
        assert!(average(&gates) >= threshold(0.05));
        assert_eq!(guilty(&gates, 0.05), vec![0, 1]);
        gates = equal(&[3.31, 3.3, 3.3, 0.0]);
        assert!(average(&gates) >= threshold(0.05));
        assert_eq!(guilty(&gates, 0.05), Vec::<usize>::new());
        assert_eq!(heaviest(&gates), Some(0));
    }

    #[test]
    fn promotion_needs_every_gate_and_at_least_one() {
        assert!(!all_reach(&[], 3.0));
        assert!(!all_reach(&[3.1, 2.9], 3.0));
        assert!(all_reach(&[3.1, 3.0], 3.0));
    }

    #[test]
    fn a_second_attempt_needs_twice_the_e_value() {
        assert!((libm::exp(retry_threshold(0.05, 2)) - 40.0).abs() < 1e-9);
        assert!((libm::exp(retry_threshold(0.05, 1)) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn once_crossed_stays_crossed() {
        let mut peak = Peak::default();
        peak.see(3.2);
        peak.see(-7.0);
        assert!(peak.reached(threshold(0.05)));
    }

    #[test]
    fn an_average_of_four_holds_the_ramp() {
        assert!(holds(average(&equal(&[libm::log(8.1), 0.0 - 1e9]))));
        assert!(!holds(average(&equal(&[libm::log(7.9), 0.0 - 1e9]))));
    }
}
