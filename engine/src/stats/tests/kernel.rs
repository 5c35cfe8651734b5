//! The kernels against 50-digit references (`tests/data/oracle/README.md` says how they were computed).

use serde_json::Value;

use crate::stats::betd::BETS;
use crate::stats::cmh::log_normaliser;
use crate::stats::srm::{Starts, log_e};
use crate::stats::{BetProcess, Grid, OddsProcess, Stratum};

const ORACLE: &str = include_str!("../../../../tests/data/oracle/kernel.json");

fn rows(name: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(ORACLE).unwrap();
    let rows = all[name].as_array().unwrap().clone();
    assert!(!rows.is_empty());
    rows
}

fn number(row: &Value, key: &str) -> f64 {
    match &row[key] {
        Value::String(text) => text.parse().unwrap(),
        other => other.as_f64().unwrap(),
    }
}

fn count(row: &Value, key: &str) -> u64 {
    row[key].as_u64().unwrap()
}

fn strata(row: &Value) -> Vec<Stratum> {
    let rows: Vec<[u64; 4]> = serde_json::from_value(row["strata"].clone()).unwrap();
    rows.iter()
        .map(|[canary, total, bad, canary_bad]| {
            Stratum::new(*canary, *canary_bad, total - canary, bad - canary_bad).unwrap()
        })
        .collect()
}

fn process(grid: Grid, strata: &[Stratum]) -> OddsProcess {
    let mut process = OddsProcess::new(grid);
    for stratum in strata {
        process.add(stratum);
    }
    process
}

#[test]
fn one_stratum_agrees_with_fifty_digits() {
    for row in rows("increments") {
        let (canary, total, bad) = (count(&row, "canary"), count(&row, "total"), count(&row, "bad"));
        let canary_bad = count(&row, "canary_bad");
        let stratum = Stratum::new(canary, canary_bad, total - canary, bad - canary_bad).unwrap();
        let log_odds = number(&row, "log_odds");
        let expected = number(&row, "value");
        let ratio = stratum.margins().log_ratio(canary_bad, log_odds);
        let allowed = 1e-10 * expected.abs().max(1.0);
        assert!((ratio - expected).abs() < allowed, "{row}: {ratio}");
        let normaliser = log_normaliser(total, bad, canary, log_odds);
        assert!((log_odds * canary_bad as f64 - normaliser - expected).abs() < allowed, "{row}: {normaliser}");
    }
}

#[test]
fn three_strata_agree_for_rollback() {
    for row in rows("rollback") {
        let got = process(Grid::new(number(&row, "tolerance"), None), &strata(&row)).log_e_rollback();
        assert!((got - number(&row, "value")).abs() < 1e-10, "{row}: {got}");
    }
}

#[test]
fn three_strata_agree_for_promotion() {
    for row in rows("promotion") {
        let got = process(Grid::new(0.0, Some(number(&row, "margin"))), &strata(&row)).log_e_promotion().unwrap();
        assert!((got - number(&row, "value")).abs() < 1e-10, "{row}: {got}");
    }
}

#[test]
fn matched_pairs_agree_with_their_definition() {
    for row in rows("pairs") {
        let count = |key| count(&row, key);
        let stratum = Stratum::new(count("canary"), count("canary_bad"), count("stable"), count("stable_bad")).unwrap();
        let at = BETS.iter().position(|(share, _)| (share - number(&row, "share")).abs() < 1e-12).unwrap();
        let got = BetProcess::contribution(number(&row, "margin"), &stratum).at(at).as_f64();
        assert!((got - number(&row, "value")).abs() < 1e-10, "{row}: {got}");
    }
}

#[test]
fn the_sample_ratio_agrees() {
    for row in rows("sample_ratio") {
        let starts =
            Starts { weight: number(&row, "weight"), canary: count(&row, "canary"), stable: count(&row, "stable") };
        let got = log_e(&[starts]);
        assert!((got - number(&row, "value")).abs() < 1e-8, "{row}: {got}");
    }
}

#[test]
fn a_second_library_gives_the_same_hypergeometric() {
    use statrs::distribution::{Discrete, Hypergeometric};
    let law = Hypergeometric::new(60, 11, 17).unwrap();
    for log_odds in [-2.0_f64, 0.4, 1.7] {
        let sum: f64 = (0..=11_u64).map(|x| law.pmf(x) * (log_odds * x as f64).exp()).sum();
        assert!((log_normaliser(60, 11, 17, log_odds) - sum.ln()).abs() < 1e-9);
    }
}
