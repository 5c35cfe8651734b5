//! Strata: cohorts of sessions by the time at which they *began*.
//!
//! Looks at starts and at time, never at an outcome and never at when something was completed: answers that fail fast and
//! answers that come slowly must stay in the cohort in which their sessions began.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::signal::Arm;
use crate::policy::StrataPolicy;

/// Members in the order in which they began; of two at the same moment the one with the smaller name is first.
pub type Members = BTreeMap<(i64, Arc<str>), Arm>;

/// A closed stratum.
#[derive(Clone, Debug, PartialEq)]
pub struct Stratum {
    /// Its number in the attempt, from 0.
    pub id: i64,
    /// Sessions that began at or after this moment ...
    pub from: i64,
    /// ... and before this one belong to it.
    pub until: i64,
    /// Step of the policy.
    pub step: usize,
    /// Percent of new sessions that the canary was meant to get.
    pub weight: i64,
    /// Who belongs to it.
    pub members: Members,
}

impl Stratum {
    /// When its last session began.
    #[must_use]
    pub fn last_start(&self) -> i64 {
        self.members.last_key_value().map_or(self.from, |((at, _), _)| *at)
    }

    /// How many of its sessions began on an arm.
    #[must_use]
    pub fn count(&self, arm: Arm) -> i64 {
        count(&self.members, arm)
    }
}

/// Where a start went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It waits for its stratum to close.
    Waits,
    /// It came late, into a stratum that is closed and not folded yet.
    Joined {
        /// Which one.
        stratum: i64,
    },
    /// Its stratum is folded, or it began before everything that is remembered.
    TooLate,
}

/// Cuts starts into strata.
#[derive(Clone, Debug)]
pub struct Cutter {
    policy: StrataPolicy,
    step: usize,
    weight: i64,
    /// Beginning of the open stratum's interval; intervals are contiguous.
    from: i64,
    open: Members,
    waiting: Members,
    /// Changes of weight that lie ahead of the watermark.
    changes: VecDeque<(i64, usize, i64)>,
    closed: VecDeque<Stratum>,
    next_id: i64,
}

impl Cutter {
    /// Starts to cut at `from`.
    #[must_use]
    pub fn new(policy: StrataPolicy, from: i64, step: usize, weight: i64, next_id: i64) -> Self {
        Self {
            policy,
            step,
            weight,
            from,
            open: Members::new(),
            waiting: Members::new(),
            changes: VecDeque::new(),
            closed: VecDeque::new(),
            next_id,
        }
    }

    /// The number that the next stratum will have.
    #[must_use]
    pub fn next_id(&self) -> i64 {
        self.next_id
    }

    /// Percent of new sessions that the canary is meant to get from now on.
    #[must_use]
    pub fn weight(&self) -> i64 {
        self.changes.back().map_or(self.weight, |(_, _, weight)| *weight)
    }

    fn step(&self) -> usize {
        self.changes.back().map_or(self.step, |(_, step, _)| *step)
    }

    /// Closed strata that nobody has forgotten yet, in order.
    pub fn closed(&self) -> impl Iterator<Item = &Stratum> {
        self.closed.iter()
    }

    /// Sessions that began and belong to no closed stratum yet.
    #[must_use]
    pub fn unplaced(&self) -> usize {
        self.open.len() + self.waiting.len()
    }

    /// From `at` on, new sessions are shared by another weight: no stratum spans the change.
    pub fn change_weight(&mut self, at: i64, step: usize, weight: i64) {
        if (self.step(), self.weight()) != (step, weight) {
            let at = self.changes.back().map_or(at, |(before, _, _)| at.max(*before)).max(self.from);
            self.changes.push_back((at, step, weight));
        }
    }

    /// Places a start. Strata below `folded` may not change any more.
    pub fn place(&mut self, at: i64, conversation: Arc<str>, arm: Arm, folded: i64) -> Placed {
        if at >= self.from {
            self.waiting.insert((at, conversation), arm);
            return Placed::Waits;
        }
        let home = self.closed.iter_mut().find(|stratum| stratum.from <= at && at < stratum.until);
        match home {
            Some(stratum) if stratum.id >= folded => {
                stratum.members.insert((at, conversation), arm);
                Placed::Joined { stratum: stratum.id }
            }
            Some(_) | None => Placed::TooLate,
        }
    }

    /// Cuts everything that began before `watermark`: no earlier start is expected any more. Returns how many strata closed.
    pub fn advance(&mut self, watermark: i64) -> usize {
        let before = self.next_id;
        loop {
            let start = self.waiting.first_key_value().map(|((at, _), _)| *at).filter(|at| *at < watermark);
            let horizon = start.unwrap_or(watermark);
            if let Some((at, step, weight)) = self.changes.front().copied().filter(|(at, _, _)| *at <= horizon) {
                if self.timeout().is_some_and(|timeout| timeout <= at) {
                    self.close_on_timeout();
                } else {
                    self.changes.pop_front();
                    self.close(at);
                    (self.step, self.weight) = (step, weight);
                }
            } else if self.timeout().is_some_and(|timeout| timeout <= horizon) {
                self.close_on_timeout();
            } else if start.is_some() {
                self.take_one();
            } else {
                return usize::try_from(self.next_id - before).unwrap_or(0);
            }
        }
    }

    /// When the open stratum ends though it is too small.
    fn timeout(&self) -> Option<i64> {
        self.open.first_key_value().map(|((at, _), _)| at + self.policy.max_millis.max(1))
    }

    fn close_on_timeout(&mut self) {
        if let Some(at) = self.timeout() {
            self.close(at);
        }
    }

    fn take_one(&mut self) {
        let Some(((at, conversation), arm)) = self.waiting.pop_first() else {
            return;
        };
        self.open.insert((at, conversation), arm);
        // Sessions of one moment stay together, so that the interval of a stratum says who belongs to it.
        let next = self.waiting.first_key_value().map(|((next, _), _)| *next);
        if next != Some(at) && self.is_large_enough() {
            self.close(at + 1);
        }
    }

    fn is_large_enough(&self) -> bool {
        let least = self.policy.min_sessions.max(100_i64.div_euclid(self.weight.max(1)));
        let sessions = i64::try_from(self.open.len()).unwrap_or(i64::MAX);
        sessions >= least && count(&self.open, Arm::Canary) >= 1
    }

    fn close(&mut self, until: i64) {
        let members = std::mem::take(&mut self.open);
        let from = std::mem::replace(&mut self.from, until);
        if members.is_empty() {
            return;
        }
        let (step, weight, id) = (self.step, self.weight, self.next_id);
        self.closed.push_back(Stratum { id, from, until, step, weight, members });
        self.next_id += 1;
    }

    /// Forgets strata below `id`, and hands them out.
    pub fn forget_below(&mut self, id: i64) -> Vec<Stratum> {
        let keep = self.closed.partition_point(|stratum| stratum.id < id);
        self.closed.drain(..keep).collect()
    }
}

fn count(members: &Members, arm: Arm) -> i64 {
    i64::try_from(members.values().filter(|member| **member == arm).count()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: StrataPolicy = StrataPolicy { min_sessions: 4, max_millis: 1_000 };

    fn cutter(weight: i64) -> Cutter {
        Cutter::new(POLICY, 0, 0, weight, 0)
    }

    fn starts(cutter: &mut Cutter, starts: &[(i64, Arm)]) {
        for (index, (at, arm)) in starts.iter().enumerate() {
            cutter.place(*at, format!("{at}-{index}").into(), *arm, 0);
        }
    }

    fn cut(cutter: &Cutter) -> Vec<(i64, i64, usize, i64)> {
        cutter.closed().map(|one| (one.from, one.until, one.members.len(), one.weight)).collect()
    }

    #[test]
    fn a_stratum_closes_with_enough_sessions_and_at_least_one_on_the_canary() {
        let mut cutter = cutter(50);
        starts(
            &mut cutter,
            &[(1, Arm::Stable), (2, Arm::Stable), (3, Arm::Stable), (4, Arm::Stable), (5, Arm::Stable)],
        );
        assert_eq!(cutter.advance(100), 0);
        starts(&mut cutter, &[(101, Arm::Canary), (102, Arm::Stable)]);
        assert_eq!(cutter.advance(200), 1);
        assert_eq!(cut(&cutter), [(0, 102, 6, 50)]);
    }

    #[test]
    fn a_small_weight_asks_for_a_larger_stratum() {
        let mut cutter = cutter(5);
        let many: Vec<_> = (1..=30).map(|at| (at, if at == 1 { Arm::Canary } else { Arm::Stable })).collect();
        starts(&mut cutter, &many);
        assert_eq!(cutter.advance(100), 1);
        assert_eq!(cut(&cutter), [(0, 21, 20, 5)]);
    }

    #[test]
    fn time_closes_a_stratum_that_stays_small() {
        let mut cutter = cutter(50);
        starts(&mut cutter, &[(10, Arm::Stable), (2_000, Arm::Canary)]);
        assert_eq!(cutter.advance(5_000), 2);
        assert_eq!(cut(&cutter), [(0, 1_010, 1, 50), (1_010, 3_000, 1, 50)]);
    }

    #[test]
    fn a_change_of_weight_closes_the_stratum_at_once() {
        let mut cutter = cutter(50);
        starts(&mut cutter, &[(10, Arm::Stable), (20, Arm::Canary), (30, Arm::Canary)]);
        cutter.change_weight(25, 1, 75);
        cutter.advance(50);
        assert_eq!(cut(&cutter), [(0, 25, 2, 50)]);
        starts(&mut cutter, &[(51, Arm::Stable), (52, Arm::Stable), (53, Arm::Stable)]);
        cutter.advance(100);
        assert_eq!(cut(&cutter), [(0, 25, 2, 50), (25, 54, 4, 75)]);
    }

    #[test]
    fn the_same_weight_again_changes_nothing() {
        let mut cutter = cutter(50);
        starts(&mut cutter, &[(10, Arm::Stable)]);
        cutter.change_weight(20, 0, 50);
        assert_eq!(cutter.advance(100), 0);
    }

    #[test]
    fn the_order_of_arrival_does_not_change_the_strata() {
        let all: Vec<(i64, Arm)> =
            (0..200).map(|at| (at * 7 % 1_500, if at % 5 == 0 { Arm::Canary } else { Arm::Stable })).collect();
        let mut forwards = cutter(20);
        let mut backwards = cutter(20);
        for (at, arm) in &all {
            forwards.place(*at, format!("c{at}").into(), *arm, 0);
        }
        for (at, arm) in all.iter().rev() {
            backwards.place(*at, format!("c{at}").into(), *arm, 0);
        }
        for cutter in [&mut forwards, &mut backwards] {
            cutter.change_weight(700, 1, 40);
        }
        forwards.advance(10_000);
        for watermark in (0..=10_000).step_by(13) {
            backwards.advance(watermark);
        }
        backwards.advance(10_000);
        assert_eq!(forwards.closed, backwards.closed);
        assert!(forwards.closed.len() > 20);
    }

    #[test]
    fn a_late_start_joins_its_own_stratum_until_that_is_folded() {
        let mut cutter = cutter(50);
        starts(&mut cutter, &[(1, Arm::Stable), (2, Arm::Stable), (3, Arm::Stable), (4, Arm::Canary)]);
        cutter.advance(100);
        assert_eq!(cutter.place(2, "late".into(), Arm::Canary, 0), Placed::Joined { stratum: 0 });
        assert_eq!(cutter.place(2, "too late".into(), Arm::Canary, 1), Placed::TooLate);
        assert_eq!(cut(&cutter), [(0, 5, 5, 50)]);
    }

    #[test]
    fn numbers_go_on_after_what_was_forgotten() {
        let mut cutter = Cutter::new(POLICY, 0, 0, 50, 7);
        starts(&mut cutter, &[(1, Arm::Stable), (1_500, Arm::Canary)]);
        cutter.advance(10_000);
        assert_eq!(cutter.closed().map(|one| one.id).collect::<Vec<_>>(), [7, 8]);
        assert_eq!(cutter.forget_below(8).len(), 1);
        assert_eq!(cutter.next_id(), 9);
    }
}
