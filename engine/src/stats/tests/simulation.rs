//! Seeded worlds: what the guarantees and the efficiency come to. Every failure names its seed.

use super::world::{Dice, Memo, median, three_errors};
use crate::stats::rate::log_odds_between;
use crate::stats::{BetProcess, Grid, Stratum, threshold};

const ALPHA: f64 = 0.05;

/// Canary sessions until the first crossing, or none.
fn until(strata: impl Iterator<Item = Stratum>, mut log_e: impl FnMut(&Stratum) -> f64) -> Option<u64> {
    let mut canary = 0;
    for stratum in strata {
        canary += stratum.canary();
        if log_e(&stratum) >= threshold(ALPHA) {
            return Some(canary);
        }
    }
    None
}

/// Share of runs in which identical releases are taken back over 200 strata of 50 sessions.
fn false_rollbacks(seed: u64, runs: u64, world: impl Fn(u64) -> (f64, f64)) -> f64 {
    let mut dice = Dice::new(seed);
    let mut memo = Memo::new(Grid::new(0.0, None));
    let mut crossed = 0;
    for _ in 0..runs {
        let mut process = memo.process();
        let strata = (0..200).map(|at| {
            let (weight, rate) = world(at);
            dice.stratum(50, weight, rate, rate)
        });
        let hit = until(strata, |stratum| {
            memo.add(&mut process, stratum);
            process.log_e_rollback()
        });
        crossed += u64::from(hit.is_some());
    }
    crossed as f64 / runs as f64
}

#[test]
fn an_identical_release_is_seldom_taken_back() {
    let share = false_rollbacks(11, 400, |_| (0.05, 0.08));
    assert!(share <= ALPHA + three_errors(ALPHA, 400), "seed 11: {share}");
    assert!(share > 0.0, "seed 11: a test that never rejects shows nothing");
}

#[test]
fn an_identical_release_is_seldom_taken_back_while_weight_and_time_of_day_move() {
    let ramp = |at: u64| match at {
        0..50 => 0.01,
        50..100 => 0.05,
        100..150 => 0.25,
        _ => 0.50,
    };
    let hour = |at: u64| 0.02 + 0.16 * (0.5 - 0.5 * (at as f64 / 200.0 * std::f64::consts::TAU).cos()).powi(2);
    let share = false_rollbacks(12, 400, |at| (ramp(at), hour(at)));
    assert!(share <= ALPHA + three_errors(ALPHA, 400), "seed 12: {share}");
    let rising = false_rollbacks(13, 400, |at| (ramp(at), 0.02 + 0.16 * at as f64 / 200.0));
    assert!(rising <= ALPHA + three_errors(ALPHA, 400), "seed 13: {rising}");
}

/// Canary sessions to detection, strata of 50 (about 2 or 3 canary sessions at 5 %).
fn detections(seed: u64, runs: u64, canary_rate: f64, stable_rate: f64) -> Vec<u64> {
    let mut dice = Dice::new(seed);
    let mut memo = Memo::new(Grid::new(0.0, None));
    (0..runs)
        .map(|_| {
            let mut process = memo.process();
            let strata = (0..800).map(|_| dice.stratum(50, 0.05, canary_rate, stable_rate));
            let hit = until(strata, |stratum| {
                memo.add(&mut process, stratum);
                process.log_e_rollback()
            });
            hit.unwrap_or(2_000)
        })
        .collect()
}

#[test]
fn a_success_rate_falling_from_95_to_70_is_found_within_22_canary_sessions() {
    let middle = median(detections(21, 401, 0.30, 0.05));
    assert!(middle <= 22, "seed 21: median {middle}");
}

#[test]
fn a_success_rate_falling_from_95_to_90_is_found_near_the_bound() {
    let found = detections(22, 300, 0.10, 0.05);
    let mean = found.iter().sum::<u64>() as f64 / found.len() as f64;
    assert!(
        mean <= 1.4 * 155.0 + 3.0 * 7.0,
        "seed 22: mean {mean} against a bound of 155 (one standard error is about 7)"
    );
}

#[test]
fn a_release_as_good_as_stable_is_promoted_near_the_bound_and_one_at_the_margin_is_not() {
    let margin = log_odds_between(0.05, 0.10);
    let mut memo = Memo::new(Grid::new(0.0, Some(margin)));
    let mut promoted = |seed: u64, runs: u64, canary_rate: f64| -> Vec<Option<u64>> {
        let mut dice = Dice::new(seed);
        (0..runs)
            .map(|_| {
                let mut process = memo.process();
                let strata = (0..250).map(|_| dice.stratum(100, 0.05, canary_rate, 0.05));
                until(strata, |stratum| {
                    memo.add(&mut process, stratum);
                    process.log_e_promotion().unwrap()
                })
            })
            .collect()
    };
    let good = promoted(31, 200, 0.05);
    let mean = good.iter().map(|hit| hit.unwrap_or(1_250)).sum::<u64>() as f64 / 200.0;
    assert!(mean <= 1.2 * 194.0 + 3.0 * 10.0, "seed 31: mean {mean} against a bound of 194");
    let at_margin = promoted(32, 300, 0.10).iter().filter(|hit| hit.is_some()).count() as f64 / 300.0;
    assert!(at_margin <= ALPHA + three_errors(ALPHA, 300), "seed 32: {at_margin}");
}

fn bets_until(margin: f64, strata: impl Iterator<Item = Stratum>) -> Option<u64> {
    let mut process = BetProcess::new(margin);
    until(strata, |stratum| {
        process.add(stratum);
        process.log_e_promotion()
    })
}

#[test]
fn an_agent_that_never_fails_is_promoted_within_190_canary_sessions_at_any_weight() {
    for (canary, stable) in [(1, 99), (1, 19), (5, 15), (10, 10), (15, 5)] {
        let strata = std::iter::repeat_n(Stratum::new(canary, 0, stable, 0).unwrap(), 400);
        let sessions = bets_until(0.02, strata).unwrap();
        assert!((150..=190).contains(&sessions), "{canary} of {}: {sessions}", canary + stable);
    }
}

#[test]
fn an_agent_that_seldom_fails_is_promoted_and_one_at_the_margin_is_not() {
    let share = |seed: u64, canary_rate: f64, stable_rate: f64, weight: f64| {
        let mut dice = Dice::new(seed);
        let hits = (0..300).filter(|_| {
            let strata = (0..300).map(|_| dice.stratum(20, weight, canary_rate, stable_rate)).collect::<Vec<_>>();
            bets_until(0.02, strata.into_iter()).is_some()
        });
        hits.count() as f64 / 300.0
    };
    let good = share(41, 0.002, 0.002, 0.25);
    assert!(good >= 0.97, "seed 41: {good}");
    for (seed, canary_rate, stable_rate, weight) in
        [(42, 0.02, 0.0, 0.25), (43, 0.025, 0.005, 0.25), (44, 0.022, 0.002, 0.5)]
    {
        let bad = share(seed, canary_rate, stable_rate, weight);
        assert!(bad <= ALPHA + three_errors(ALPHA, 300), "seed {seed}: {bad}");
    }
}

#[test]
fn the_confidence_sequence_covers_the_odds_ratio_at_every_look_and_narrows() {
    let (canary_rate, stable_rate) = (0.12, 0.05);
    let truth = log_odds_between(stable_rate, canary_rate).exp();
    let mut dice = Dice::new(51);
    let mut memo = Memo::new(Grid::new(0.0, None));
    let mut missed = 0;
    let mut estimates = Vec::new();
    for _ in 0..200 {
        let mut process = memo.process();
        let mut outside = false;
        for _ in 0..150 {
            memo.add(&mut process, &dice.stratum(40, 0.25, canary_rate, stable_rate));
            let range = process.odds_ratio_sequence(ALPHA);
            outside |= range.low > truth || range.high < truth;
        }
        let range = process.odds_ratio_sequence(ALPHA);
        assert!(range.low > 1.0 && range.high < 6.0, "seed 51: {range:?}");
        let estimate = process.odds_ratio().unwrap();
        assert!(range.low < estimate && estimate < range.high, "seed 51: {estimate} {range:?}");
        estimates.push(estimate.ln());
        missed += u64::from(outside);
    }
    let share = missed as f64 / 200.0;
    assert!(share <= ALPHA + three_errors(ALPHA, 200), "seed 51: {share}");
    let mean = estimates.iter().sum::<f64>() / 200.0;
    assert!((mean - truth.ln()).abs() < 0.05, "seed 51: mean log odds ratio {mean} against {}", truth.ln());
}

#[test]
fn without_evidence_there_is_no_estimate_and_no_limit() {
    let process = Memo::new(Grid::new(0.0, None)).process();
    assert_eq!(process.odds_ratio(), None);
    let range = process.odds_ratio_sequence(ALPHA);
    assert!(range.low <= 0.0 && range.high.is_infinite());
}
