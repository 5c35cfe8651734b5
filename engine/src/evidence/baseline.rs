//! What the serving release does while nothing is on trial: shares of bad sessions, and sessions per second.
//!
//! It chooses the form of a promotion test and says how long an attempt will take, before the attempt. No verdict rests on
//! it, so a session that its harness called over is counted at once.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::outcome::{Heard, Outcome};
use super::rate::Arrivals;
use super::session::Limits;
use super::signal::{Assignment, Kind, Signal};
use crate::observed::BaselineSeen;
use crate::policy::{Baseline, Policy};

/// Sessions that are remembered.
const REMEMBERED: usize = 2_000;
/// For how long.
const REMEMBERED_MILLIS: i64 = 24 * 3_600_000;
/// Open sessions of one agent, whatever the receiver's own bound.
const MAX_OPEN: usize = 10_000;
/// The outcomes that are looked at whether or not a gate names them.
const BUILT_IN: [&str; 6] = ["task_success", "tool_error", "schema_violation", "empty_output", "truncated", "missing"];

#[derive(Clone, Debug)]
struct Open {
    began: Option<i64>,
    randomised: bool,
    heard: Heard,
}

#[derive(Clone, Debug)]
struct Finished {
    at: i64,
    bad: Vec<Option<bool>>,
}

/// Folds the sessions of one serving release.
#[derive(Clone, Debug)]
pub struct BaselineFold {
    release: String,
    limits: Limits,
    outcomes: Vec<(String, Outcome, i64)>,
    reported: BTreeSet<String>,
    open: BTreeMap<Arc<str>, Open>,
    due: BTreeSet<(i64, Arc<str>)>,
    finished: VecDeque<Finished>,
    arrivals: Arrivals,
}

impl BaselineFold {
    /// Watches a release. The policy of the next attempt, where there is one, says what its gates look at and when that is
    /// final.
    #[must_use]
    pub fn new(release: &str, policy: Option<&Policy>, limits: Limits) -> Self {
        Self {
            release: release.to_owned(),
            limits,
            outcomes: outcomes_of(policy),
            reported: BTreeSet::new(),
            open: BTreeMap::new(),
            due: BTreeSet::new(),
            finished: VecDeque::new(),
            arrivals: Arrivals::default(),
        }
    }

    /// The release that is watched.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// Another policy: what was counted for other outcomes or at other times is forgotten.
    pub fn set_policy(&mut self, policy: Option<&Policy>) {
        let outcomes = outcomes_of(policy);
        if self.outcomes != outcomes {
            self.outcomes = outcomes;
            self.finished.clear();
        }
    }

    /// How many sessions are open.
    #[must_use]
    pub fn open_sessions(&self) -> usize {
        self.open.len()
    }

    /// Forgets the sessions that are open, and keeps what was counted: an attempt takes over.
    pub fn pause(&mut self) {
        self.open.clear();
        self.due.clear();
    }

    /// Takes a signal in. One of another release changes nothing.
    pub fn take(&mut self, signal: &Signal) {
        if signal.release != self.release {
            return;
        }
        let Some(key) = self.admit(signal) else {
            return;
        };
        let Some(session) = self.open.get_mut(&key) else {
            return;
        };
        session.heard.hear(signal.at_millis, &signal.kind);
        self.reported.extend(session.heard.evaluations().map(str::to_owned));
        match &signal.kind {
            Kind::Start(start) if session.began.is_none() => {
                session.began = Some(signal.at_millis);
                session.randomised = start.assignment == Assignment::Weighted;
                if session.randomised {
                    self.arrivals.count(signal.received_millis);
                }
            }
            Kind::End => {
                self.due.insert((signal.received_millis + 2 * self.limits.grace_millis, key));
            }
            Kind::Start(_) | Kind::Turn(_) | Kind::Tool { .. } | Kind::Evaluation { .. } => {}
        }
    }

    fn admit(&mut self, signal: &Signal) -> Option<Arc<str>> {
        if let Some((key, _)) = self.open.get_key_value(signal.conversation.as_str()) {
            return Some(Arc::clone(key));
        }
        if self.open.len() >= MAX_OPEN.min(self.limits.open_sessions) {
            return None;
        }
        let key: Arc<str> = Arc::from(signal.conversation.as_str());
        let slowest = self.outcomes.iter().map(|(_, _, maturity)| *maturity).max().unwrap_or(0);
        self.due.insert((signal.received_millis + slowest + self.limits.grace_millis, Arc::clone(&key)));
        self.open.insert(Arc::clone(&key), Open { began: None, randomised: false, heard: Heard::default() });
        Some(key)
    }

    /// Counts the sessions whose time has come.
    pub fn advance(&mut self, now: i64) {
        while self.due.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, key)) = self.due.pop_first() else {
                return;
            };
            if let Some(session) = self.open.remove(&key) {
                self.finish(at, &session);
            }
        }
        while self.finished.front().is_some_and(|oldest| oldest.at < now - REMEMBERED_MILLIS) {
            self.finished.pop_front();
        }
    }

    fn finish(&mut self, at: i64, session: &Open) {
        let (Some(began), true) = (session.began, session.randomised) else {
            return;
        };
        let owed = self.owed();
        let bad =
            self.outcomes.iter().map(|(_, outcome, maturity)| session.heard.outcome(outcome, began + maturity, &owed));
        let bad = bad.collect();
        self.finished.push_back(Finished { at, bad });
        if self.finished.len() > REMEMBERED {
            self.finished.pop_front();
        }
    }

    fn owed(&self) -> Vec<String> {
        let named = |name: &String| self.outcomes.iter().any(|(known, _, _)| known == name);
        self.reported.iter().filter(|name| named(name)).cloned().collect()
    }

    /// What was seen of the outcomes that the release reports.
    #[must_use]
    pub fn seen(&self, now: i64) -> BaselineSeen {
        let counted = self.outcomes.iter().enumerate().map(|(index, (name, _, _))| (name.clone(), self.count(index)));
        let outcomes: BTreeMap<String, Baseline> = counted.filter(|(_, baseline)| baseline.sessions > 0).collect();
        BaselineSeen { rate: self.arrivals.per_second(now), outcomes }
    }

    fn count(&self, index: usize) -> Baseline {
        let known = self.finished.iter().filter_map(|session| session.bad.get(index).copied().flatten());
        known.fold(Baseline::default(), |sum, bad| Baseline {
            bad: sum.bad + i64::from(bad),
            sessions: sum.sessions + 1,
        })
    }
}

/// The built-in outcomes and those of the policy, each once, with the time at which it is final.
fn outcomes_of(policy: Option<&Policy>) -> Vec<(String, Outcome, i64)> {
    let gates = policy.map_or(&[][..], |policy| &policy.gates);
    let declared = gates.iter().map(|gate| (gate.outcome.clone(), Outcome::named(&gate.outcome), gate.maturity_millis));
    let built_in = BUILT_IN.iter().map(|name| {
        let outcome = Outcome::named(name);
        let maturity = outcome.default_maturity_millis();
        ((*name).to_owned(), outcome, maturity)
    });
    let mut all: Vec<(String, Outcome, i64)> = Vec::new();
    for one in declared.chain(built_in) {
        if all.iter().all(|(name, _, _)| *name != one.0) {
            all.push(one);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::signal::{Start, Turn};

    fn signal(conversation: &str, at: i64, kind: Kind) -> Signal {
        Signal { release: "r1".into(), conversation: conversation.into(), at_millis: at, received_millis: at, kind }
    }

    fn start(conversation: &str, at: i64, assignment: Assignment) -> Signal {
        signal(conversation, at, Kind::Start(Start { assignment, slices: vec![] }))
    }

    fn fold() -> BaselineFold {
        BaselineFold::new("r1", None, Limits::default())
    }

    #[test]
    fn an_ended_session_is_counted_soon_and_only_for_what_it_reports() {
        let mut fold = fold();
        fold.take(&start("a", 0, Assignment::Weighted));
        fold.take(&signal("a", 5, Kind::Turn(Turn { empty: Some(false), ..Turn::default() })));
        fold.take(&signal("a", 9, Kind::Evaluation { name: "task_success".into(), failed: true }));
        fold.take(&signal("a", 10, Kind::End));
        fold.advance(9_000);
        assert!(fold.seen(9_000).outcomes.is_empty());
        fold.advance(10_010);
        let seen = fold.seen(10_010).outcomes;
        assert_eq!(seen.keys().map(String::as_str).collect::<Vec<_>>(), ["empty_output", "missing", "task_success"]);
        assert_eq!(seen["task_success"], Baseline { bad: 1, sessions: 1 });
        assert_eq!(seen["missing"], Baseline { bad: 0, sessions: 1 });
    }

    #[test]
    fn pinned_sessions_and_other_releases_are_no_baseline() {
        let mut fold = fold();
        fold.take(&start("a", 0, Assignment::Pinned));
        fold.take(&signal("a", 1, Kind::End));
        let mut other = start("b", 0, Assignment::Weighted);
        other.release = "r2".into();
        fold.take(&other);
        fold.advance(i64::from(i32::MAX));
        assert!(fold.seen(0).outcomes.is_empty());
    }

    #[test]
    fn what_is_remembered_is_bounded_in_number_and_in_time() {
        let mut fold = fold();
        for index in 0..3_000 {
            let name = format!("s{index}");
            fold.take(&start(&name, index, Assignment::Weighted));
            fold.take(&signal(&name, index, Kind::End));
        }
        fold.advance(100_000);
        assert_eq!(fold.seen(100_000).outcomes["missing"].sessions, 2_000);
        fold.advance(100_000 + REMEMBERED_MILLIS);
        assert!(fold.seen(0).outcomes.is_empty());
    }

    #[test]
    fn open_sessions_are_bounded() {
        let mut fold = fold();
        (0..20_000).for_each(|index| fold.take(&start(&format!("s{index}"), index, Assignment::Weighted)));
        assert_eq!(fold.open_sessions(), MAX_OPEN);
        fold.pause();
        assert_eq!(fold.open_sessions(), 0);
    }
}
