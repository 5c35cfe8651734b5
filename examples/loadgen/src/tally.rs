//! Counts what happened and makes the report. Knows no network and reads no clock: every moment comes in.

use std::collections::BTreeMap;

use serde::Serialize;

/// Microseconds since the epoch.
pub type Micros = u64;

/// Moves that are listed one by one; all of them are counted.
const LISTED_MOVES: usize = 10_000;

/// One answered turn.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Which release answered; `none` where the agent does not say.
    pub release: String,
    /// The model that the agent names.
    pub model: String,
    /// Whether the request carried a pin.
    pub pinned: bool,
    /// The session's first turn.
    pub first: bool,
    /// When the request left.
    pub sent: Micros,
    /// When the whole answer was here.
    pub arrived: Micros,
}

/// A session that was answered by another release than before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Move {
    /// The conversation.
    pub conversation: String,
    /// The release of the answer before.
    pub from: String,
    /// The release of this answer.
    pub to: String,
    /// When the last answer of `from` was here.
    pub last_from_us: Micros,
    /// When the first answer of `to` was here.
    pub first_to_us: Micros,
}

/// The last answers of a release, by kind of request. Absent: there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Last {
    /// The last answer to a request without a pin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<Micros>,
    /// The last answer to a request with a pin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Micros>,
}

/// What one release answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReleaseTally {
    /// The model that it names.
    pub model: String,
    /// Sessions that began here.
    pub new_sessions: u64,
    /// Answers.
    pub turns: u64,
    /// When its first answer was here.
    pub first_answer_us: Micros,
    /// When its last answers were here.
    pub last_answer_us: Last,
    /// When the requests of those answers had left.
    pub last_sent_us: Last,
}

/// Everything counted so far; the report, once it is finished.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Sessions begun.
    pub sessions: u64,
    /// Sessions that had all their turns.
    pub finished: u64,
    /// Sessions that the end of the run cut short.
    pub cut_short: u64,
    /// Sessions given up after an error.
    pub failed: u64,
    /// Arrivals dropped because too many sessions were open.
    pub dropped: u64,
    /// Sessions held open at the end.
    pub held: u64,
    /// Answers.
    pub turns: u64,
    /// Answers to turns after the first.
    pub followups: u64,
    /// Those that came from the release that the session began on.
    pub sticky_followups: u64,
    /// Sessions that another release answered later.
    pub moved: u64,
    /// Errors by kind.
    pub errors: BTreeMap<String, u64>,
    /// Sessions by the assignment that the agent reports of their first turn.
    pub assignments: BTreeMap<String, u64>,
    /// By release, in base32.
    pub releases: BTreeMap<String, ReleaseTally>,
    /// Quantiles of the time to the whole answer, in milliseconds.
    pub latency_ms: BTreeMap<&'static str, f64>,
    /// The moves, one by one.
    pub moves: Vec<Move>,
    #[serde(skip)]
    latencies: Vec<Micros>,
}

impl Tally {
    /// Counts an answer.
    pub fn answered(&mut self, answer: &Answered) {
        self.turns += 1;
        self.latencies.push(answer.arrived.saturating_sub(answer.sent));
        let release = self.releases.entry(answer.release.clone()).or_default();
        if release.turns == 0 {
            release.first_answer_us = answer.arrived;
        }
        release.model.clone_from(&answer.model);
        release.turns += 1;
        release.new_sessions += u64::from(answer.first);
        let slots = if answer.pinned {
            (&mut release.last_answer_us.pinned, &mut release.last_sent_us.pinned)
        } else {
            (&mut release.last_answer_us.new, &mut release.last_sent_us.new)
        };
        if slots.0.is_none_or(|last| last < answer.arrived) {
            *slots.0 = Some(answer.arrived);
            *slots.1 = Some(answer.sent);
        }
    }

    /// Counts a follow-up, and whether the session is still where it began.
    pub fn followed_up(&mut self, sticky: bool) {
        self.followups += 1;
        self.sticky_followups += u64::from(sticky);
    }

    /// Counts a move; `first_of_session` if this session had not moved before.
    pub fn moved(&mut self, change: Move, first_of_session: bool) {
        self.moved += u64::from(first_of_session);
        if self.moves.len() < LISTED_MOVES {
            self.moves.push(change);
        }
    }

    /// Counts an error.
    pub fn error(&mut self, kind: &str) {
        *self.errors.entry(kind.to_owned()).or_default() += 1;
    }

    /// Works out the quantiles.
    pub fn finish(&mut self) {
        self.latencies.sort_unstable();
        for (name, share) in [("p50", 50), ("p95", 95), ("p99", 99), ("max", 100)] {
            if let Some(micros) = quantile(&self.latencies, share) {
                self.latency_ms.insert(name, micros as f64 / 1_000.0);
            }
        }
    }

    /// One line for people.
    pub fn line(&self, elapsed: u64, open: usize) -> String {
        let shares: Vec<String> = self
            .releases
            .iter()
            .map(|(name, tally)| {
                let short: String = name.chars().take(12).collect();
                format!("{short} {} new {} turns", tally.new_sessions, tally.turns)
            })
            .collect();
        let errors: u64 = self.errors.values().sum();
        format!(
            "{elapsed:>4} s  {} sessions ({open} open), {} turns, {errors} errors, {} moved | {}",
            self.sessions,
            self.turns,
            self.moved,
            shares.join(", ")
        )
    }
}

/// The smallest value that at least `percent` of the sorted values do not exceed.
fn quantile(sorted: &[Micros], percent: usize) -> Option<Micros> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(release: &str, pinned: bool, answered: Micros) -> Answered {
        Answered {
            release: release.to_owned(),
            model: "m".to_owned(),
            pinned,
            first: !pinned,
            sent: answered - 5,
            arrived: answered,
        }
    }

    #[test]
    fn the_last_answers_of_new_and_pinned_requests_are_kept_apart() {
        let mut tally = Tally::default();
        for seen in [answer("a", false, 100), answer("a", true, 300), answer("a", true, 200), answer("b", false, 400)] {
            tally.answered(&seen);
        }
        assert_eq!(tally.releases["a"].last_answer_us, Last { new: Some(100), pinned: Some(300) });
        assert_eq!(tally.releases["a"].last_sent_us.pinned, Some(295));
        assert_eq!(tally.releases["b"].last_answer_us.pinned, None);
        assert_eq!((tally.releases["a"].new_sessions, tally.releases["a"].turns), (1, 3));
    }

    #[test]
    fn quantiles_are_values_that_occurred() {
        let hundred: Vec<Micros> = (1..=100).collect();
        assert_eq!(quantile(&hundred, 50), Some(50));
        assert_eq!(quantile(&hundred, 99), Some(99));
        assert_eq!(quantile(&hundred, 100), Some(100));
        assert_eq!(quantile(&[7], 50), Some(7));
        assert_eq!(quantile(&[], 50), None);
    }
}
