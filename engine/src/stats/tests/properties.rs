//! What must hold for every table: exactness by enumeration, order, merging, and the edges.

use proptest::prelude::*;

use super::world::Dice;
use crate::stats::cmh::MAX_SESSIONS;
use crate::stats::sequence::{slice_score, worst_slice};
use crate::stats::{
    Arm, BetProcess, Grid, NatsVec, OddsProcess, Stratum, StratumError, VectorError, ln_choose, log_sum_exp,
};

/// Log chance of `x` bad canary sessions, given the margins, when the odds ratio is `e^log_odds`.
fn log_chance(canary: u64, total: u64, bad: u64, x: u64, log_odds: f64) -> f64 {
    let weight = |x: u64| ln_choose(bad, x) + ln_choose(total - bad, canary - x) + log_odds * x as f64;
    let (low, high) = (bad.saturating_sub(total - canary), bad.min(canary));
    weight(x) - log_sum_exp(&(low..=high).map(weight).collect::<Vec<_>>())
}

fn tables_up_to(size: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    (0..=size).flat_map(|total| (0..=total).flat_map(move |canary| (0..=total).map(move |bad| (canary, total, bad))))
}

fn one(grid: &Grid, stratum: Stratum) -> OddsProcess {
    let mut process = OddsProcess::new(grid.clone());
    process.add(&stratum);
    process
}

/// The mean of an e-value over the table, given the margins, at an odds ratio.
fn mean_e(canary: u64, total: u64, bad: u64, log_odds: f64, log_e: impl Fn(Stratum) -> f64) -> f64 {
    (bad.saturating_sub(total - canary)..=bad.min(canary))
        .map(|x| {
            let stratum = Stratum::new(canary, x, total - canary, bad - x).unwrap();
            (log_chance(canary, total, bad, x, log_odds) + log_e(stratum)).exp()
        })
        .sum()
}

#[test]
fn the_mean_e_value_is_one_on_the_boundary_and_less_inside_the_null() {
    for tolerance in [0.0, 0.35] {
        let grid = Grid::new(tolerance, Some(0.7));
        for (canary, total, bad) in tables_up_to(12) {
            let rollback = |log_odds| mean_e(canary, total, bad, log_odds, |s| one(&grid, s).log_e_rollback());
            let promotion =
                |log_odds| mean_e(canary, total, bad, log_odds, |s| one(&grid, s).log_e_promotion().unwrap());
            let table = format!("{canary} of {total}, {bad} bad");
            assert!((rollback(tolerance) - 1.0).abs() < 1e-9, "{table}");
            assert!((promotion(0.7) - 1.0).abs() < 1e-9, "{table}");
            for inside in [0.1, 1.0, 3.0] {
                assert!(rollback(tolerance - inside) <= 1.0 + 1e-9, "{table}");
                assert!(promotion(0.7 + inside) <= 1.0 + 1e-9, "{table}");
            }
        }
    }
}

#[test]
fn a_bet_has_mean_at_most_one_when_the_canary_is_worse_by_the_margin() {
    let chance = |n: u64, k: u64, p: f64| {
        let power = |p: f64, k: u64| if k == 0 { 0.0 } else { k as f64 * p.ln() };
        (ln_choose(n, k) + power(p, k) + power(1.0 - p, n - k)).exp()
    };
    for margin in [0.01, 0.02, 0.2] {
        for (canary, stable) in [(1, 0), (1, 6), (3, 2), (4, 4), (5, 7), (6, 1)] {
            for (worse_by, stable_rate) in
                [(margin, 0.0), (margin, 0.01), (margin, 0.4), (margin + 0.1, 0.05), (0.6, 0.4)]
            {
                let canary_rate = stable_rate + worse_by;
                let mut mean = 0.0;
                for canary_bad in 0..=canary {
                    for stable_bad in 0..=stable {
                        let mut process = BetProcess::new(margin);
                        process.add(&Stratum::new(canary, canary_bad, stable, stable_bad).unwrap());
                        let weight = chance(canary, canary_bad, canary_rate) * chance(stable, stable_bad, stable_rate);
                        mean += weight * process.log_e_promotion().exp();
                    }
                }
                assert!(mean <= 1.0 + 1e-9, "margin {margin}, {canary}/{stable}, {canary_rate}/{stable_rate}: {mean}");
                let on_the_boundary = worse_by <= margin && (stable >= canary || stable_rate <= 0.0);
                assert!(!on_the_boundary || mean > 1.0 - 1e-9, "not exact: {mean}");
            }
        }
    }
}

/// All ways to match five canary sessions with seven stable ones, one by one.
#[test]
fn the_bet_is_the_average_over_every_matching() {
    fn walk(canary: &[bool], stable: &mut Vec<bool>, wealth: f64, level: f64, bet: f64) -> (f64, f64) {
        let Some((bad, rest)) = canary.split_first() else {
            return (wealth, 1.0);
        };
        let mut total = (0.0, 0.0);
        for at in 0..stable.len() {
            let partner = stable.remove(at);
            let factor = level + bet * (f64::from(u8::from(partner)) - f64::from(u8::from(*bad)));
            let (sum, count) = walk(rest, stable, wealth * factor, level, bet);
            total = (total.0 + sum, total.1 + count);
            stable.insert(at, partner);
        }
        total
    }
    let margin = 0.02;
    let canary = [true, false, false, true, false];
    let mut stable = vec![false, true, false, false, true, true, false];
    let part = BetProcess::contribution(margin, &Stratum::new(5, 2, 7, 3).unwrap());
    for (at, (share, _)) in crate::stats::betd::BETS.iter().enumerate() {
        let bet = share / (1.0 - margin);
        let (sum, count) = walk(&canary, &mut stable, 1.0, 1.0 + bet * margin, bet);
        assert!((part.at(at).as_f64() - (sum / count).ln()).abs() < 1e-10, "bet {bet}");
    }
}

#[test]
fn more_bad_canary_sessions_never_speak_for_the_canary() {
    let grid = Grid::new(0.2, Some(0.7));
    for (canary, stable, stable_bad) in [(5, 95, 3), (10, 10, 4), (40, 60, 0), (1, 19, 19), (8, 3, 1)] {
        let mut before: Option<(f64, f64, f64)> = None;
        for canary_bad in 0..=canary {
            let stratum = Stratum::new(canary, canary_bad, stable, stable_bad).unwrap();
            let process = one(&grid, stratum);
            let mut bets = BetProcess::new(0.02);
            bets.add(&stratum);
            let now = (process.log_e_rollback(), process.log_e_promotion().unwrap(), bets.log_e_promotion());
            if let Some(before) = before {
                assert!(now.0 >= before.0 - 1e-9 && now.1 <= before.1 + 1e-9 && now.2 < before.2, "{stratum:?}");
            }
            before = Some(now);
        }
    }
}

#[test]
fn a_table_without_news_adds_nothing() {
    let grid = Grid::new(0.3, Some(0.5));
    for (canary, canary_bad, stable, stable_bad) in
        [(0, 0, 0, 0), (5, 0, 95, 0), (5, 5, 95, 95), (0, 0, 20, 7), (9, 4, 0, 0)]
    {
        let stratum = Stratum::new(canary, canary_bad, stable, stable_bad).unwrap();
        assert_eq!(OddsProcess::contribution(&grid, &stratum), NatsVec::zeros(grid.points().len()), "{stratum:?}");
    }
}

#[test]
fn the_edges_give_finite_numbers() {
    let grid = Grid::new(3.0, Some(3.0));
    let huge = MAX_SESSIONS / 2;
    for (canary, stable) in [(1, 9_999), (5_000, 5_000), (9_999, 1), (10, 9_990), (huge, huge), (1, MAX_SESSIONS - 1)] {
        for (canary_bad, stable_bad) in [(0, 0), (canary, stable), (canary, 0), (0, stable), (canary / 2, stable / 2)] {
            let stratum = Stratum::new(canary, canary_bad, stable, stable_bad).unwrap();
            for point in [-3.0, 0.0, 3.0, 30.0] {
                assert!(stratum.margins().log_ratio(canary_bad, point).is_finite(), "{stratum:?} at {point}");
            }
            if canary + stable <= 10_000 {
                let process = one(&grid, stratum);
                let range = process.odds_ratio_sequence(0.05);
                assert!(process.log_e_rollback().is_finite() && range.low <= range.high, "{stratum:?}");
                let mut bets = BetProcess::new(0.02);
                bets.add(&stratum);
                assert!(bets.log_e_promotion().is_finite(), "{stratum:?}");
            }
        }
    }
}

#[test]
fn a_million_strata_neither_overflow_nor_lose_a_bit() {
    let grid = Grid::new(0.0, Some(0.5));
    let part = OddsProcess::contribution(&grid, &Stratum::new(10, 8, 10, 2).unwrap());
    let mut process = OddsProcess::new(grid);
    for _ in 0..1_000_000 {
        process.add_contribution(&part).unwrap();
    }
    for (sum, part) in process.sums().as_slice().iter().zip(part.as_slice()) {
        let exact = i128::from(part.units()) * 1_000_000;
        let bound = i128::from(crate::stats::Nats::FLOOR.units());
        assert_eq!(i128::from(sum.units()), exact.clamp(bound, -bound));
    }
    assert!(process.log_e_rollback().is_finite() && process.log_e_rollback() > 1e5);
    assert!(process.log_e_promotion().unwrap() < 0.0);
}

#[test]
fn counters_that_are_no_stratum_are_refused() {
    assert_eq!(Stratum::new(3, 4, 9, 0), Err(StratumError::MoreBadThanSessions { bad: 4, sessions: 3 }));
    assert_eq!(Stratum::new(MAX_SESSIONS, 0, 1, 0), Err(StratumError::TooLarge(MAX_SESSIONS + 1)));
    assert!(Stratum::new(u64::MAX, 0, u64::MAX, 0).is_err());
}

#[test]
fn a_missing_outcome_counts_against_the_canary_in_both_arms() {
    let arm = Arm { bad: 1, good: 8, missing: 3 };
    assert_eq!(Stratum::worst_case(arm, arm), Stratum::new(12, 4, 12, 1));
    assert_eq!(Stratum::complete(arm, arm), Stratum::new(9, 1, 9, 1));
    assert_eq!(Stratum::missingness(arm, arm), Stratum::new(12, 3, 12, 3));
}

#[test]
fn the_worst_slice_is_the_one_with_evidence_not_the_one_with_the_highest_rate() {
    let tiny = Stratum::new(1, 1, 20, 3).unwrap();
    let large = Stratum::new(60, 20, 500, 40).unwrap();
    let fine = Stratum::new(60, 1, 500, 40).unwrap();
    assert_eq!(worst_slice([("tiny", &tiny), ("large", &large), ("fine", &fine)]), Some("large"));
    assert_eq!(worst_slice([("fine", &fine)]), None);
    assert!(slice_score(&large) > slice_score(&tiny));
}

#[test]
fn evidence_of_another_gate_is_not_merged() {
    let mut odds = OddsProcess::new(Grid::new(0.4, Some(0.8)));
    assert_eq!(odds.merge(&OddsProcess::new(Grid::new(0.4, Some(0.7)))), Err(VectorError::OtherGate));
    assert_eq!(BetProcess::new(0.02).merge(&BetProcess::new(0.01)), Err(VectorError::OtherGate));
}

fn any_stratum() -> impl Strategy<Value = Stratum> {
    (0..60_u64, 0..200_u64, 0.0..=1.0_f64, 0.0..=1.0_f64).prop_map(|(canary, stable, a, b)| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let part = |n: u64, share: f64| (n as f64 * share) as u64;
        Stratum::new(canary, part(canary, a), stable, part(stable, b)).unwrap()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn order_and_merging_change_no_bit(strata in prop::collection::vec(any_stratum(), 0..30), cut in 0..30_usize, seed in any::<u64>()) {
        let grid = Grid::new(0.4, Some(0.8));
        let fold = |strata: &[Stratum]| {
            let mut odds = OddsProcess::new(grid.clone());
            let mut bets = BetProcess::new(0.02);
            for stratum in strata {
                odds.add(stratum);
                bets.add(stratum);
            }
            (odds, bets)
        };
        let (odds, bets) = fold(&strata);
        let mut shuffled = strata.clone();
        Dice::new(seed).shuffle(&mut shuffled);
        prop_assert_eq!(&fold(&shuffled), &(odds.clone(), bets.clone()));
        let (left, right) = strata.split_at(cut.min(strata.len()));
        let (mut left, right) = (fold(left), fold(right));
        left.0.merge(&right.0).unwrap();
        left.1.merge(&right.1).unwrap();
        prop_assert_eq!(left, (odds.clone(), bets.clone()));
        let stored = NatsVec::from_base64(&odds.sums().to_base64()).unwrap();
        prop_assert_eq!(OddsProcess::resume(grid.clone(), stored).unwrap(), odds);
        prop_assert_eq!(BetProcess::resume(0.02, bets.sums().clone()).unwrap(), bets);
    }

    #[test]
    fn exchanging_the_arms_turns_the_odds_around(stratum in any_stratum(), log_odds in -3.0..3.0_f64) {
        let turned = Stratum::new(stratum.stable(), stratum.stable_bad(), stratum.canary(), stratum.canary_bad()).unwrap();
        let here = stratum.margins().log_ratio(stratum.canary_bad(), log_odds);
        let there = turned.margins().log_ratio(turned.canary_bad(), -log_odds);
        prop_assert!((here - there).abs() < 1e-10);
    }

    #[test]
    fn evidence_of_another_policy_is_refused(points in 0..30_usize) {
        prop_assert!(OddsProcess::resume(Grid::new(0.0, None), NatsVec::zeros(points)).is_err());
    }
}
