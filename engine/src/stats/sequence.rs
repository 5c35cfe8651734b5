//! The evidence of one gate as a vector of sums over strata, and everything that is a function of it.
//!
//! `S(l) = sum over strata of l k_c - ln Z(l)` is the log likelihood ratio of an odds ratio `e^l` against 1, given the
//! margins of every stratum. Differences of it against a base are e-processes (Ville 1939; safe tests: Grünwald, de
//! Heide, Koolen, arXiv 1906.07801), so a threshold holds at every look. Decides nothing; keeps no running maximum
//! (`merge::Peak` does).

use super::cmh::Stratum;
use super::fixed::{Nats, NatsVec, VectorError};
use super::grid::{Grid, Mixture};
use super::log_sum_exp;
use super::merge::threshold;

/// The sums of one gate. Additive over strata, so mergeable and order-free; whoever folds strata counts each once.
#[derive(Clone, Debug, PartialEq)]
pub struct OddsProcess {
    grid: Grid,
    sums: NatsVec,
}

/// A confidence sequence for the odds ratio of bad sessions, canary against stable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OddsRange {
    /// The odds ratio is above this; 0 where nothing is known.
    pub low: f64,
    /// The odds ratio is below this; infinite where nothing is known.
    pub high: f64,
}

impl OddsProcess {
    /// Without evidence.
    #[must_use]
    pub fn new(grid: Grid) -> OddsProcess {
        let sums = NatsVec::zeros(grid.points().len());
        OddsProcess { grid, sums }
    }

    /// With evidence that was stored for the same grid.
    pub fn resume(grid: Grid, sums: NatsVec) -> Result<OddsProcess, VectorError> {
        sums.must_have(grid.points().len())?;
        Ok(OddsProcess { grid, sums })
    }

    /// The sums, for storing.
    #[must_use]
    pub fn sums(&self) -> &NatsVec {
        &self.sums
    }

    /// The points.
    #[must_use]
    pub fn grid(&self) -> &Grid {
        &self.grid
    }

    /// What one stratum adds. Zero where one arm is empty, or no session or every session is bad.
    #[must_use]
    pub fn contribution(grid: &Grid, stratum: &Stratum) -> NatsVec {
        let margins = stratum.margins();
        grid.points().iter().map(|point| Nats::from_f64(margins.log_ratio(stratum.canary_bad(), *point))).collect()
    }

    /// Adds a stratum.
    pub fn add(&mut self, stratum: &Stratum) {
        let part = OddsProcess::contribution(&self.grid, stratum);
        self.add_contribution(&part).unwrap_or_default(); // a contribution of the same grid has its length
    }

    /// Adds what `contribution` gave for the same grid.
    pub fn add_contribution(&mut self, part: &NatsVec) -> Result<(), VectorError> {
        self.sums.add(part)
    }

    /// Adds the evidence of other strata.
    pub fn merge(&mut self, other: &OddsProcess) -> Result<(), VectorError> {
        if self.grid != other.grid {
            return Err(VectorError::OtherGate);
        }
        self.sums.add(&other.sums)
    }

    /// Log e-value against "the odds ratio is at most the tolerance".
    #[must_use]
    pub fn log_e_rollback(&self) -> f64 {
        self.log_e(self.grid.rollback())
    }

    /// Log e-value against "the odds ratio is at least the margin"; absent where promotion takes another form.
    #[must_use]
    pub fn log_e_promotion(&self) -> Option<f64> {
        self.grid.promotion().map(|test| self.log_e(test))
    }

    fn log_e(&self, test: &Mixture) -> f64 {
        let base = self.sums.at(test.base);
        let terms: Vec<f64> =
            test.support.iter().map(|(point, ln_weight)| self.sums.at(*point).above(base) + ln_weight).collect();
        log_sum_exp(&terms)
    }

    /// The confidence sequence at this moment: with chance `1 - alpha` the odds ratio is inside at every look, if it
    /// is the same in every stratum. Two one-sided sequences of `alpha / 2` each.
    ///
    /// A limit moves to a display point when the tests against it and against every point before it reject; the limit
    /// is wrong only if the test at the first point beyond the truth is, so its error is one test's.
    #[must_use]
    pub fn odds_ratio_sequence(&self, alpha: f64) -> OddsRange {
        let needed = threshold(alpha / 2.0);
        let count = self.grid.display().len();
        let rejects =
            |at: usize, above: bool| self.grid.display_test(at, above).is_some_and(|test| self.log_e(&test) >= needed);
        let low = (0..count).take_while(|at| rejects(*at, true)).last();
        let high = (0..count).rev().take_while(|at| rejects(*at, false)).last();
        OddsRange {
            low: low.map_or(0.0, |at| self.display_odds(at)),
            high: high.map_or(f64::INFINITY, |at| self.display_odds(at)),
        }
    }

    fn display_odds(&self, at: usize) -> f64 {
        libm::exp(self.display_point(at))
    }

    fn display_point(&self, at: usize) -> f64 {
        self.grid.display().get(at).and_then(|position| self.grid.points().get(*position)).copied().unwrap_or_default()
    }

    fn display_sum(&self, at: usize) -> Nats {
        self.grid.display().get(at).map_or(Nats::ZERO, |position| self.sums.at(*position))
    }

    /// The conditional maximum-likelihood odds ratio, by a parabola through the best display point and its
    /// neighbours; held to 1/20..20. Absent without evidence.
    #[must_use]
    pub fn odds_ratio(&self) -> Option<f64> {
        let count = self.grid.display().len();
        let best = (0..count).max_by_key(|at| self.display_sum(*at))?;
        if (0..count).all(|at| self.display_sum(at) == self.display_sum(best)) {
            return None;
        }
        if best == 0 || best + 1 >= count {
            return Some(self.display_odds(best));
        }
        let left = self.display_sum(best).above(self.display_sum(best - 1));
        let right = self.display_sum(best).above(self.display_sum(best + 1));
        let shift = if left + right > 0.0 { 0.5 * (left - right) / (left + right) } else { 0.0 };
        Some(libm::exp(self.display_point(best) + shift * super::grid::DISPLAY_STEP))
    }
}

/// How strongly one pooled table speaks for a regression, as a log e-value at tolerance 0 with the default prior.
///
/// For ranking slices in words only: pooling over weights and times of day is not a test.
#[must_use]
pub fn slice_score(table: &Stratum) -> f64 {
    let margins = table.margins();
    let terms = super::grid::ROLLBACK_PRIOR
        .map(|(point, weight)| margins.log_ratio(table.canary_bad(), point) + libm::log(weight));
    log_sum_exp(&terms)
}

/// The slice that speaks most strongly for a regression, if any does; the first of equals.
pub fn worst_slice<'a, K>(slices: impl IntoIterator<Item = (K, &'a Stratum)>) -> Option<K> {
    let mut worst: Option<(K, f64)> = None;
    for (key, table) in slices {
        let score = slice_score(table);
        if score > worst.as_ref().map_or(0.0, |(_, best)| *best) {
            worst = Some((key, score));
        }
    }
    worst.map(|(key, _)| key)
}
