//! The vectors of one gate: the tests of `stats` behind one type that can be stored.
//!
//! Only sums are stored. What they are sums *at* follows from the frozen policy of the gate, so the same policy must be given
//! to every call; a vector that belongs to another policy counts as no evidence.

use serde::{Deserialize, Serialize};

use super::signal::Arm;
use crate::policy::GatePolicy;
use crate::stats::cmh;
use crate::stats::{BetProcess, Grid, Nats, NatsVec, OddsProcess, PromotionForm, Rate, Stratum, promotion_form};

/// Error level of the confidence sequence that is shown with an odds ratio.
const DISPLAY_ALPHA: f64 = 0.05;

/// One stratum as one gate sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcomes {
    /// The canary.
    pub canary: cmh::Arm,
    /// Stable.
    pub stable: cmh::Arm,
}

impl Outcomes {
    /// Counts one session: bad, good, or without an outcome.
    pub fn push(&mut self, arm: Arm, outcome: Option<bool>) {
        let side = match arm {
            Arm::Canary => &mut self.canary,
            Arm::Stable => &mut self.stable,
        };
        match outcome {
            Some(true) => side.bad += 1,
            Some(false) => side.good += 1,
            None => side.missing += 1,
        }
    }
}

/// The vectors of one gate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateProcess {
    /// Sums over sessions with an outcome: for the rollback test, and for the odds ratio that is shown.
    complete: NatsVec,
    /// Sums of the promotion test, a missing canary outcome taken as bad and a missing stable one as good.
    worst_case: NatsVec,
    /// The most evidence for a promotion so far, in units of 2^-40: what was shown once stays shown.
    peak: Nats,
}

impl GateProcess {
    /// No evidence yet.
    #[must_use]
    pub fn new(policy: &GatePolicy) -> Self {
        let complete = NatsVec::zeros(grid(policy).points().len());
        let worst_case = match form(policy) {
            PromotionForm::OddsRatio { .. } => complete.clone(),
            PromotionForm::AbsoluteMargin => BetProcess::new(margin(policy)).sums().clone(),
        };
        Self { complete, worst_case, peak: Nats::ZERO }
    }

    /// Adds a matured stratum. A stratum in which one arm is empty adds nothing.
    pub fn fold(&mut self, policy: &GatePolicy, outcomes: &Outcomes) {
        if let Ok(table) = Stratum::complete(outcomes.canary, outcomes.stable) {
            let mut process = odds(policy, &self.complete);
            process.add(&table);
            self.complete = process.sums().clone();
        }
        if let Ok(table) = Stratum::worst_case(outcomes.canary, outcomes.stable) {
            self.fold_promotion(policy, &table);
        }
        self.peak = self.peak.max(Nats::from_f64(self.log_e_promotion_now(policy)));
    }

    fn fold_promotion(&mut self, policy: &GatePolicy, table: &Stratum) {
        if table.canary() == 0 || table.stable() == 0 {
            return;
        }
        self.worst_case = match form(policy) {
            PromotionForm::OddsRatio { .. } => {
                let mut process = odds(policy, &self.worst_case);
                process.add(table);
                process.sums().clone()
            }
            PromotionForm::AbsoluteMargin => {
                let mut process = self.bets(policy);
                process.add(table);
                process.sums().clone()
            }
        };
    }

    fn bets(&self, policy: &GatePolicy) -> BetProcess {
        BetProcess::resume(margin(policy), self.worst_case.clone()).unwrap_or_else(|_| BetProcess::new(margin(policy)))
    }

    /// Natural logarithm of the e-value against "no worse than the tolerance", at this moment.
    #[must_use]
    pub fn log_e_regression(&self, policy: &GatePolicy) -> f64 {
        odds(policy, &self.complete).log_e_rollback()
    }

    /// Natural logarithm of the e-value against "worse than the margin": the largest so far.
    #[must_use]
    pub fn log_e_promotion(&self, policy: &GatePolicy) -> f64 {
        self.peak.as_f64().max(self.log_e_promotion_now(policy))
    }

    fn log_e_promotion_now(&self, policy: &GatePolicy) -> f64 {
        if policy.margin.is_none() {
            return f64::NEG_INFINITY;
        }
        match form(policy) {
            PromotionForm::OddsRatio { .. } => {
                odds(policy, &self.worst_case).log_e_promotion().unwrap_or(f64::NEG_INFINITY)
            }
            PromotionForm::AbsoluteMargin => self.bets(policy).log_e_promotion(),
        }
    }

    /// Odds ratio of a bad session, canary against stable: estimate, and the lower and upper end of its 95 % confidence
    /// sequence. Absent without evidence.
    #[must_use]
    pub fn odds_ratio(&self, policy: &GatePolicy) -> Option<(f64, f64, f64)> {
        let process = odds(policy, &self.complete);
        let range = process.odds_ratio_sequence(DISPLAY_ALPHA);
        Some((process.odds_ratio()?, range.low, range.high))
    }
}

fn odds(policy: &GatePolicy, sums: &NatsVec) -> OddsProcess {
    OddsProcess::resume(grid(policy), sums.clone()).unwrap_or_else(|_| OddsProcess::new(grid(policy)))
}

fn margin(policy: &GatePolicy) -> f64 {
    policy.margin.unwrap_or(0.0)
}

fn rate(policy: &GatePolicy) -> Option<Rate> {
    policy.baseline.map(|baseline| Rate {
        bad: u64::try_from(baseline.bad).unwrap_or(0),
        sessions: u64::try_from(baseline.sessions).unwrap_or(0),
    })
}

/// The form of the promotion test, fixed by the frozen baseline before the attempt.
#[must_use]
pub fn form(policy: &GatePolicy) -> PromotionForm {
    promotion_form(rate(policy), margin(policy))
}

fn grid(policy: &GatePolicy) -> Grid {
    let tolerance = rate(policy).unwrap_or_default().log_odds_of(policy.tolerance.max(0.0));
    let margin = match form(policy) {
        PromotionForm::OddsRatio { log_odds } => Some(log_odds),
        PromotionForm::AbsoluteMargin => None,
    };
    Grid::new(tolerance, margin)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Baseline, Role};

    fn gate(baseline: Option<Baseline>) -> GatePolicy {
        GatePolicy {
            name: "g".into(),
            role: Role::Guardrail,
            outcome: "task_success".into(),
            margin: Some(0.05),
            tolerance: 0.0,
            maturity_millis: 1_000,
            share: 1.0,
            slices: vec![],
            declared: true,
            baseline,
        }
    }

    fn outcomes(canary: (u64, u64, u64), stable: (u64, u64, u64)) -> Outcomes {
        let arm = |(bad, good, missing)| cmh::Arm { bad, good, missing };
        Outcomes { canary: arm(canary), stable: arm(stable) }
    }

    const OFTEN: Option<Baseline> = Some(Baseline { bad: 100, sessions: 1_000 });

    #[test]
    fn a_worse_canary_gathers_evidence_against_itself_and_an_equal_one_for_itself() {
        for baseline in [None, OFTEN] {
            let gate = gate(baseline);
            let (mut worse, mut equal) = (GateProcess::new(&gate), GateProcess::new(&gate));
            for _ in 0..60 {
                worse.fold(&gate, &outcomes((5, 5, 0), (1, 9, 0)));
                equal.fold(&gate, &outcomes((1, 9, 0), (1, 9, 0)));
            }
            assert!(worse.log_e_regression(&gate) > 20.0);
            assert!(worse.log_e_promotion(&gate) <= 0.7);
            assert!(equal.log_e_regression(&gate) < 0.0);
            let (estimate, low, high) = worse.odds_ratio(&gate).unwrap();
            assert!(low > 1.0 && low < estimate && estimate < high, "{low} {estimate} {high}");
        }
    }

    #[test]
    fn a_release_that_never_fails_is_shown_to_be_no_worse() {
        let gate = gate(Some(Baseline { bad: 0, sessions: 500 }));
        let mut process = GateProcess::new(&gate);
        assert_eq!(form(&gate), PromotionForm::AbsoluteMargin);
        for _ in 0..40 {
            process.fold(&gate, &outcomes((0, 5, 0), (0, 15, 0)));
        }
        assert!(process.log_e_promotion(&gate) > libm::log(20.0));
        assert_eq!(process.odds_ratio(&gate), None);
    }

    #[test]
    fn a_canary_without_outcomes_is_never_shown_to_be_no_worse() {
        for baseline in [None, OFTEN] {
            let gate = gate(baseline);
            let mut process = GateProcess::new(&gate);
            for _ in 0..100 {
                process.fold(&gate, &outcomes((0, 1, 9), (1, 9, 0)));
            }
            assert!(process.log_e_promotion(&gate) <= 0.7, "{baseline:?}");
            assert!(process.log_e_regression(&gate) < 0.0, "{baseline:?}");
        }
    }

    #[test]
    fn what_was_shown_once_stays_shown() {
        let gate = gate(None);
        let mut process = GateProcess::new(&gate);
        (0..40).for_each(|_| process.fold(&gate, &outcomes((0, 10, 0), (0, 10, 0))));
        let shown = process.log_e_promotion(&gate);
        (0..40).for_each(|_| process.fold(&gate, &outcomes((10, 0, 0), (0, 10, 0))));
        assert!((process.log_e_promotion(&gate) - shown).abs() < 1e-9);
    }

    #[test]
    fn it_survives_its_text_form_bit_for_bit() {
        let gate = gate(OFTEN);
        let mut process = GateProcess::new(&gate);
        (0..7).for_each(|n| process.fold(&gate, &outcomes((n, 10, 1), (1, 30, 2))));
        let text = serde_json::to_string(&process).unwrap();
        assert_eq!(serde_json::from_str::<GateProcess>(&text).unwrap(), process);
        assert!(text.len() < 2_000, "{}", text.len());
    }

    #[test]
    fn a_vector_of_another_policy_is_no_evidence() {
        let gate = gate(OFTEN);
        let stranger = GateProcess::default();
        assert!(stranger.log_e_regression(&gate).abs() < 1e-9);
        assert!(stranger.log_e_promotion(&gate).abs() < 1e-9);
    }
}
