//! Outcomes: what makes a session bad, and when nobody can say.
//!
//! An outcome that was not reported is missing, never good. The unit is a session's first H after its start.

use std::collections::BTreeMap;

use super::signal::{Finish, Kind, Turn, earliest};

const MINUTE: i64 = 60_000;
/// Evaluations of one session that are remembered by name; more names are not stored.
const MAX_EVALUATIONS: usize = 16;
/// Judgements of one evaluation that are remembered per session.
const MAX_JUDGEMENTS: usize = 8;
/// Response ids that are remembered per session, so that usage is counted once.
const MAX_RESPONSES: usize = 32;

/// What a gate looks at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A tool call failed.
    ToolError,
    /// An answer or a tool call broke its schema.
    SchemaViolation,
    /// An answer was empty.
    EmptyOutput,
    /// An answer ran into its limit.
    Truncated,
    /// The session began and nothing, or not what its judges owe it, came of it.
    Missing,
    /// An evaluation by name, such as `task_success`.
    Evaluation(String),
    /// A number that is reported and never acts.
    Number(Number),
    /// An outcome that this receiver cannot make from telemetry yet.
    Unknown,
}

/// A number per session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Number {
    /// The slowest turn, in milliseconds.
    Latency,
    /// Output tokens.
    TokensOut,
    /// Characters of all answers.
    OutputLength,
}

impl Number {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Latency, Self::TokensOut, Self::OutputLength];

    /// The name as a gate's outcome.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::TokensOut => "tokens_out",
            Self::OutputLength => "output_length",
        }
    }
}

impl Outcome {
    /// The outcome behind a gate's word. A word that is not built in is the name of an evaluation.
    #[must_use]
    pub fn named(word: &str) -> Self {
        match word {
            "tool_error" => Self::ToolError,
            "schema_violation" => Self::SchemaViolation,
            "empty_output" => Self::EmptyOutput,
            "truncated" => Self::Truncated,
            "missing" => Self::Missing,
            "latency" => Self::Number(Number::Latency),
            "tokens_out" => Self::Number(Number::TokensOut),
            "output_length" => Self::Number(Number::OutputLength),
            "refusal" | "ttft" | "cost" | "tool_mix" | "steps" => Self::Unknown,
            name => Self::Evaluation(name.to_owned()),
        }
    }

    /// Milliseconds after its start at which a session's outcome is final, where nobody said otherwise.
    #[must_use]
    pub fn default_maturity_millis(&self) -> i64 {
        match self {
            Self::Evaluation(_) => 30 * MINUTE,
            Self::Missing => 31 * MINUTE,
            Self::ToolError
            | Self::SchemaViolation
            | Self::EmptyOutput
            | Self::Truncated
            | Self::Number(_)
            | Self::Unknown => 10 * MINUTE,
        }
    }
}

/// When something was first seen, and when it was first seen to be bad.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Mark {
    seen: Option<i64>,
    bad: Option<i64>,
}

impl Mark {
    fn note(&mut self, at: i64, bad: bool) {
        earliest(&mut self.seen, at);
        if bad {
            earliest(&mut self.bad, at);
        }
    }

    /// Any failure until then; `None` when nothing was reported until then.
    fn until(self, limit: i64) -> Option<bool> {
        before(self.seen, limit).then_some(before(self.bad, limit))
    }
}

fn before(at: Option<i64>, limit: i64) -> bool {
    at.is_some_and(|at| at <= limit)
}

/// Everything that was heard of one session, small enough to keep a hundred thousand of them. The order in which signals
/// come does not matter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Heard {
    activity: Option<i64>,
    finish: Option<i64>,
    wants_tool: Option<i64>,
    tool: Mark,
    schema: Mark,
    empty: Mark,
    truncated: Mark,
    evaluations: BTreeMap<Box<str>, Vec<(i64, bool)>>,
    responses: Vec<u64>,
    latency: Option<i64>,
    tokens_out: Option<i64>,
    output_length: Option<i64>,
    /// When the harness said that the session is over.
    pub ended: Option<i64>,
}

impl Heard {
    /// Takes one signal in.
    pub fn hear(&mut self, at: i64, kind: &Kind) {
        match kind {
            Kind::Start(_) => {}
            Kind::Turn(turn) => self.hear_turn(at, turn),
            Kind::Tool { failed } => {
                earliest(&mut self.activity, at);
                self.tool.note(at, *failed);
            }
            Kind::Evaluation { name, failed } => self.hear_evaluation(at, name, *failed),
            Kind::End => earliest(&mut self.ended, at),
        }
    }

    fn hear_turn(&mut self, at: i64, turn: &Turn) {
        earliest(&mut self.activity, at);
        if let Some(violation) = turn.schema_violation {
            self.schema.note(at, violation);
        }
        if let Some(empty) = turn.empty {
            self.empty.note(at, empty);
        }
        if let Some(finish) = turn.finish {
            self.truncated.note(at, finish == Finish::Truncated);
            earliest(if finish == Finish::ToolCall { &mut self.wants_tool } else { &mut self.finish }, at);
        }
        if self.is_new_response(turn.response) {
            largest(&mut self.latency, turn.latency_millis);
            add(&mut self.tokens_out, turn.tokens_out);
            add(&mut self.output_length, turn.output_length);
        }
    }

    fn is_new_response(&mut self, response: Option<u64>) -> bool {
        let Some(id) = response else { return true };
        if self.responses.contains(&id) || self.responses.len() >= MAX_RESPONSES {
            return false;
        }
        self.responses.push(id);
        true
    }

    fn hear_evaluation(&mut self, at: i64, name: &str, failed: bool) {
        earliest(&mut self.activity, at);
        if !self.evaluations.contains_key(name) && self.evaluations.len() >= MAX_EVALUATIONS {
            return;
        }
        let judgements = self.evaluations.entry(name.into()).or_default();
        let place = judgements.partition_point(|known| *known <= (at, failed));
        judgements.insert(place, (at, failed));
        if judgements.len() > MAX_JUDGEMENTS {
            // The oldest of many was replaced by those after it.
            judgements.remove(0);
        }
    }

    /// Names of the evaluations that were heard.
    pub fn evaluations(&self) -> impl Iterator<Item = &str> {
        self.evaluations.keys().map(AsRef::as_ref)
    }

    /// Whether anything at all happened until `limit`.
    #[must_use]
    pub fn is_active(&self, limit: i64) -> bool {
        before(self.activity, limit)
    }

    /// Whether the session was bad in this outcome by what began until `limit`; `None` when nobody said.
    ///
    /// `owed` are the evaluations that a session must have in order not to count as missing.
    #[must_use]
    pub fn outcome(&self, outcome: &Outcome, limit: i64, owed: &[String]) -> Option<bool> {
        match outcome {
            Outcome::ToolError => self.tool_error(limit),
            Outcome::SchemaViolation => self.schema.until(limit),
            Outcome::EmptyOutput => self.empty.until(limit),
            Outcome::Truncated => self.truncated.until(limit),
            Outcome::Missing => {
                Some(!self.is_active(limit) || owed.iter().any(|name| self.evaluation(name, limit).is_none()))
            }
            Outcome::Evaluation(name) => self.evaluation(name, limit),
            Outcome::Number(_) | Outcome::Unknown => None,
        }
    }

    /// A session whose model never asked for a tool cannot have had a tool error. One whose model asked, and of which no
    /// call was seen, tells nothing: several frameworks show a refused call as an absence.
    fn tool_error(&self, limit: i64) -> Option<bool> {
        let no_call = before(self.finish, limit) && !before(self.wants_tool, limit);
        self.tool.until(limit).or(no_call.then_some(false))
    }

    /// The last word of a judge until `limit`; of two at the same moment the worse one.
    fn evaluation(&self, name: &str, limit: i64) -> Option<bool> {
        let judgements = self.evaluations.get(name)?;
        judgements.iter().rev().find(|(at, _)| *at <= limit).map(|(_, failed)| *failed)
    }

    /// A number of the session, if it was reported.
    #[must_use]
    pub fn number(&self, number: Number) -> Option<i64> {
        match number {
            Number::Latency => self.latency,
            Number::TokensOut => self.tokens_out,
            Number::OutputLength => self.output_length,
        }
    }
}

fn largest(known: &mut Option<i64>, value: Option<i64>) {
    *known = (*known).max(value);
}

fn add(known: &mut Option<i64>, value: Option<i64>) {
    if let Some(value) = value {
        *known = Some(known.unwrap_or(0).saturating_add(value.max(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, failed: bool) -> Kind {
        Kind::Evaluation { name: name.into(), failed }
    }

    fn finished(finish: Finish) -> Kind {
        Kind::Turn(Turn { finish: Some(finish), ..Turn::default() })
    }

    #[test]
    fn an_outcome_that_nobody_reported_is_unknown_and_not_good() {
        let mut heard = Heard::default();
        heard.hear(10, &Kind::Turn(Turn::default()));
        for outcome in ["tool_error", "schema_violation", "empty_output", "truncated", "task_success"] {
            assert_eq!(heard.outcome(&Outcome::named(outcome), 100, &[]), None, "{outcome}");
        }
        assert_eq!(heard.outcome(&Outcome::Missing, 100, &[]), Some(false));
        assert_eq!(heard.outcome(&Outcome::Missing, 5, &[]), Some(true));
    }

    #[test]
    fn one_bad_turn_makes_a_session_bad_but_only_within_its_first_h() {
        let mut heard = Heard::default();
        heard.hear(50, &finished(Finish::Truncated));
        heard.hear(10, &finished(Finish::Done));
        assert_eq!(heard.outcome(&Outcome::Truncated, 49, &[]), Some(false));
        assert_eq!(heard.outcome(&Outcome::Truncated, 50, &[]), Some(true));
    }

    #[test]
    fn the_last_word_of_a_judge_counts_whatever_order_the_words_come_in() {
        let words = [(10, true), (20, false), (30, true)];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let mut heard = Heard::default();
            for index in order {
                let (at, failed): (i64, bool) = words[index];
                heard.hear(at, &judged("task_success", failed));
            }
            let success = Outcome::named("task_success");
            assert_eq!(heard.outcome(&success, 25, &[]), Some(false), "{order:?}");
            assert_eq!(heard.outcome(&success, 30, &[]), Some(true), "{order:?}");
            assert_eq!(heard.outcome(&success, 9, &[]), None, "{order:?}");
        }
    }

    #[test]
    fn a_tool_call_that_never_shows_is_unknown_and_a_session_that_asks_for_none_is_good() {
        let mut asks = Heard::default();
        asks.hear(1, &finished(Finish::ToolCall));
        asks.hear(2, &finished(Finish::Done));
        assert_eq!(asks.outcome(&Outcome::ToolError, 10, &[]), None);
        asks.hear(3, &Kind::Tool { failed: true });
        assert_eq!(asks.outcome(&Outcome::ToolError, 10, &[]), Some(true));
        let mut plain = Heard::default();
        plain.hear(2, &finished(Finish::Done));
        assert_eq!(plain.outcome(&Outcome::ToolError, 10, &[]), Some(false));
    }

    #[test]
    fn a_session_without_the_judgement_that_it_is_owed_is_missing() {
        let mut heard = Heard::default();
        heard.hear(1, &finished(Finish::Done));
        let owed = ["task_success".to_owned()];
        assert_eq!(heard.outcome(&Outcome::Missing, 100, &owed), Some(true));
        heard.hear(50, &judged("task_success", true));
        assert_eq!(heard.outcome(&Outcome::Missing, 100, &owed), Some(false));
        assert_eq!(heard.outcome(&Outcome::Missing, 40, &owed), Some(true));
    }

    #[test]
    fn usage_that_two_instrumentations_report_is_counted_once() {
        let mut heard = Heard::default();
        let turn = Turn { tokens_out: Some(7), response: Some(42), ..Turn::default() };
        heard.hear(1, &Kind::Turn(turn));
        heard.hear(1, &Kind::Turn(turn));
        heard.hear(2, &Kind::Turn(Turn { response: Some(43), ..turn }));
        assert_eq!(heard.number(Number::TokensOut), Some(14));
    }

    #[test]
    fn what_one_session_keeps_is_bounded() {
        let mut heard = Heard::default();
        for index in 0..1_000 {
            heard.hear(index, &judged(&format!("judge-{index}"), false));
            heard.hear(index, &judged("judge-1", false));
            heard.hear(index, &Kind::Turn(Turn { response: Some(index.unsigned_abs()), ..Turn::default() }));
        }
        assert_eq!(heard.evaluations.len(), MAX_EVALUATIONS);
        assert!(heard.evaluations.values().all(|known| known.len() <= MAX_JUDGEMENTS));
        assert_eq!(heard.responses.len(), MAX_RESPONSES);
    }
}
