//! The estimates against the published bounds, and against themselves.

use crate::stats::merge::threshold;
use crate::stats::plan::{
    GatePlan, StepPlan, canary_sessions_to_promotion, detectable_rate, information, promotion_time, smallest_weight,
};
use crate::stats::rate::{PromotionForm, log_odds_between};

/// Rates bad in canary and stable, canary share, and the bound on all sessions of a power-one test at 5 %.
const BOUNDS: [(f64, f64, f64, f64); 8] = [
    (0.10, 0.05, 0.50, 653.0),
    (0.10, 0.05, 0.05, 3_095.0),
    (0.20, 0.10, 0.50, 301.0),
    (0.20, 0.10, 0.05, 1_438.0),
    (0.05, 0.02, 0.50, 872.0),
    (0.05, 0.02, 0.05, 3_953.0),
    (0.03, 0.01, 0.50, 1_123.0),
    (0.03, 0.01, 0.05, 4_918.0),
];

#[test]
fn the_information_gives_the_published_bounds() {
    for (canary, stable, weight, bound) in BOUNDS {
        let sessions = threshold(0.05) / information(canary, stable, weight, 0.0);
        assert!((sessions - bound).abs() < 0.51, "{canary} {stable} {weight}: {sessions}");
    }
    for (rate, margin, weight, bound) in
        [(0.05, 0.02, 0.5, 3_960.0), (0.05, 0.05, 0.05, 3_884.0), (0.1, 0.05, 0.5, 1_252.0)]
    {
        let log_odds = log_odds_between(rate, rate + margin);
        let sessions = threshold(0.05) / information(rate, rate, weight, log_odds);
        assert!((sessions - bound).abs() < 0.51, "{rate} {margin} {weight}: {sessions}");
    }
}

#[test]
fn an_agent_without_failures_needs_about_200_canary_sessions_at_two_points() {
    let needs =
        |log_e| canary_sessions_to_promotion(PromotionForm::AbsoluteMargin, 0.02, 0.0, 0.05, log_e, threshold(0.05));
    assert!((150..=220).contains(&needs(0.0).unwrap()), "{:?}", needs(0.0));
    assert!(needs(1.5).unwrap() < needs(0.0).unwrap());
    assert_eq!(needs(3.0), Some(0));
    let odds = PromotionForm::OddsRatio { log_odds: log_odds_between(0.05, 0.10) };
    let sessions = canary_sessions_to_promotion(odds, 0.05, 0.05, 0.05, 0.0, threshold(0.05)).unwrap();
    assert!((194..=280).contains(&sessions), "{sessions}");
}

#[test]
fn a_margin_that_nothing_can_show_has_no_estimate() {
    let at_margin = PromotionForm::OddsRatio { log_odds: 0.0 };
    assert_eq!(canary_sessions_to_promotion(at_margin, 0.0, 0.05, 0.05, 0.0, 3.0), None);
    assert_eq!(canary_sessions_to_promotion(PromotionForm::AbsoluteMargin, 0.0, 0.3, 0.05, 0.0, 3.0), None);
}

#[test]
fn more_sessions_find_smaller_regressions() {
    let find = |sessions| detectable_rate(0.05, 0.05, 0.0, 0.05, sessions).unwrap();
    assert!(find(47) > find(500) && find(500) > find(5_000) && find(5_000) > 0.05);
    assert!((0.2..0.4).contains(&find(47)), "{}", find(47));
    assert_eq!(detectable_rate(0.05, 0.05, 0.0, 0.05, 1), None);
    let with_tolerance = detectable_rate(0.05, 0.05, 0.4, 0.05, 500).unwrap();
    assert!(with_tolerance > find(500));
}

#[test]
fn the_first_weight_is_the_smallest_that_fills_a_step_in_time() {
    let day = 86_400.0;
    assert_eq!(smallest_weight(47, 200.0 / day, day), 24);
    assert_eq!(smallest_weight(47, 10_000.0 / day, day), 1);
    assert_eq!(smallest_weight(47, 0.0, day), 100);
}

#[test]
fn a_promotion_takes_its_steps_and_then_its_slowest_gate() {
    let steps = [0.05, 0.25, 0.50].map(|weight| StepPlan { weight, sessions: 47, min_seconds: 0.0 });
    let needed = threshold(0.05);
    let quick = GatePlan { form: PromotionForm::AbsoluteMargin, margin: 0.1, rate: 0.0, needed };
    let slow = GatePlan {
        form: PromotionForm::OddsRatio { log_odds: log_odds_between(0.1, 0.12) },
        margin: 0.02,
        rate: 0.1,
        needed,
    };
    let time = |gates: &[GatePlan]| promotion_time(&steps, 2.0, gates);
    let only_steps = 47.0 / 0.1 + 47.0 / 0.5 + 47.0;
    assert!((time(&[quick]).unwrap().p50 - only_steps).abs() < 1e-9);
    let both = time(&[quick, slow]).unwrap();
    assert!(both.p50 > 2.0 * only_steps && both.p90 > 1.5 * both.p50, "{both:?}");
    assert_eq!(promotion_time(&steps, 0.0, &[quick]), None);
    assert_eq!(promotion_time(&[], 2.0, &[quick]), None);
    let patient = steps.map(|step| StepPlan { min_seconds: 3_600.0, ..step });
    assert!((promotion_time(&patient, 2.0, &[quick]).unwrap().p50 - 10_800.0).abs() < 1e-9);
}
