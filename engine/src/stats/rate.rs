//! Margins in percentage points against log odds ratios, once, from the frozen baseline; and which form a promotion
//! takes. Sees no evidence of the attempt itself: what is chosen here is chosen before it.

use serde::{Deserialize, Serialize};

/// The least rate that a baseline is taken for: fewer than 1 in 400 cannot be told from none by a few hundred sessions.
pub const LEAST_RATE: f64 = 0.0025;

/// Bad sessions that a baseline must have seen before its odds can carry a margin (known within about a third).
pub const ENOUGH_BAD: u64 = 10;

/// An odds ratio beyond which a translated margin deserves a warning.
pub const WIDE_ODDS: f64 = 3.0;

/// Bad and all sessions of stable, frozen when the attempt begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Sessions with a bad outcome.
    pub bad: u64,
    /// Sessions with an outcome.
    pub sessions: u64,
}

/// How non-inferiority is shown.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PromotionForm {
    /// By the odds ratio (`OddsProcess`), the margin translated with the baseline.
    OddsRatio {
        /// The margin as a log odds ratio.
        log_odds: f64,
    },
    /// By bets on the absolute margin (`BetProcess`).
    AbsoluteMargin,
}

impl Rate {
    /// The rate that margins are translated with: half a bad session added (Jeffreys), held to 0.25 %..99.75 %.
    /// Without any session it is one half, where a tolerance is worth next to nothing: strict, not lenient.
    #[must_use]
    pub fn smoothed(self) -> f64 {
        let rate = (self.bad as f64 + 0.5) / (self.sessions as f64 + 1.0);
        rate.clamp(LEAST_RATE, 1.0 - LEAST_RATE)
    }

    /// The plain share of bad sessions; 0 without any.
    #[must_use]
    pub fn observed(self) -> f64 {
        if self.sessions == 0 { 0.0 } else { self.bad as f64 / self.sessions as f64 }
    }

    /// `logit(p0 + margin) - logit(p0)` with the smoothed rate: how many log odds an increase by `margin` is.
    #[must_use]
    pub fn log_odds_of(self, margin: f64) -> f64 {
        log_odds_between(self.smoothed(), self.smoothed() + margin)
    }
}

/// `logit(to) - logit(from)`; exactly 0 where they are equal. Both are held inside (0, 1).
#[must_use]
pub fn log_odds_between(from: f64, to: f64) -> f64 {
    logit(to) - logit(from)
}

/// The log odds of a rate, held inside (0, 1) by a ten-thousandth.
#[must_use]
pub fn logit(rate: f64) -> f64 {
    let rate = rate.clamp(1e-4, 1.0 - 1e-4);
    libm::log(rate) - libm::log1p(-rate)
}

/// The rate of log odds.
#[must_use]
pub fn logistic(log_odds: f64) -> f64 {
    1.0 / (1.0 + libm::exp(-log_odds))
}

/// Chooses the form, before the attempt, by the frozen baseline: the odds ratio where the baseline fails at least half
/// the margin and was seen to fail often enough; else, and without a baseline, the absolute margin.
#[must_use]
pub fn promotion_form(baseline: Option<Rate>, margin: f64) -> PromotionForm {
    match baseline {
        Some(rate) if rate.bad >= ENOUGH_BAD && rate.observed() >= margin / 2.0 => {
            PromotionForm::OddsRatio { log_odds: rate.log_odds_of(margin) }
        }
        Some(_) | None => PromotionForm::AbsoluteMargin,
    }
}

/// Whether a margin that was translated at one rate says something else by now: stable moved by more than a factor 2.
#[must_use]
pub fn margin_is_stale(frozen: Rate, now: Rate) -> bool {
    let ratio = now.smoothed() / frozen.smoothed();
    !(0.5..=2.0).contains(&ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_points_at_five_percent_are_an_odds_ratio_of_1_43() {
        let rate = Rate { bad: 500, sessions: 10_000 };
        assert!((libm::exp(rate.log_odds_of(0.02)) - 1.430).abs() < 0.002);
        assert!(rate.log_odds_of(0.0).abs() < 1e-15);
    }

    #[test]
    fn rates_at_the_ends_stay_finite() {
        for rate in [Rate { bad: 0, sessions: 0 }, Rate { bad: 0, sessions: 1 << 40 }, Rate { bad: 9, sessions: 9 }] {
            for margin in [0.0, 0.01, 0.5, 1.0] {
                assert!(rate.log_odds_of(margin).is_finite() && rate.log_odds_of(margin) >= 0.0, "{rate:?} {margin}");
            }
        }
    }

    #[test]
    fn the_form_follows_the_frozen_baseline() {
        let odds = |bad, sessions| {
            matches!(promotion_form(Some(Rate { bad, sessions }), 0.02), PromotionForm::OddsRatio { .. })
        };
        assert!(odds(50, 1_000));
        assert!(!odds(9, 100), "too few bad sessions");
        assert!(!odds(50, 10_000), "rarer than half the margin");
        assert_eq!(promotion_form(None, 0.02), PromotionForm::AbsoluteMargin);
    }

    #[test]
    fn a_margin_goes_stale_when_stable_moves_by_more_than_a_factor_two() {
        let frozen = Rate { bad: 50, sessions: 1_000 };
        assert!(!margin_is_stale(frozen, Rate { bad: 90, sessions: 1_000 }));
        assert!(margin_is_stale(frozen, Rate { bad: 110, sessions: 1_000 }));
        assert!(margin_is_stale(frozen, Rate { bad: 20, sessions: 1_000 }));
    }
}
