//! What one turn of the pinned model amounts to: recorded, or scripted for tests.
//! Knows no HTTP and no telemetry. Which numbers are recorded and which are made up is told in the README beside this crate.

use std::time::Duration;

use thiserror::Error;

use crate::{
    config::ModelId,
    draw::{draw, happens, pick},
    recorded::{Row, TableError, rows_of},
    script::{Script, ScriptError},
};

/// The turn in which a session's outcome is decided; later turns only carry on the talk.
pub const JUDGED_TURN: u32 = 1;

/// What the model did in one turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The slice that the session belongs to.
    pub dataset: String,
    /// Whether the answer was right; `None` where no evaluation is sent, on purpose or because the turn is not judged.
    pub task_success: Option<bool>,
    /// The answer broke the demanded form.
    pub schema_violation: bool,
    /// The tool that the turn calls failed.
    pub tool_error: bool,
    /// The answer was cut at the token limit.
    pub truncated: bool,
    /// Length of the answer in characters; 0 is an empty answer.
    pub chars: usize,
    /// Tokens in.
    pub input_tokens: u32,
    /// Tokens out.
    pub output_tokens: u32,
    /// How long the model call takes here, after division.
    pub latency: Duration,
}

/// A model that can be played.
#[derive(Debug)]
pub enum Player {
    /// Rows of one arm of the recorded table.
    Recorded {
        /// Sorted by question.
        rows: Vec<Row>,
        /// Recorded seconds are divided by this.
        latency_divisor: u32,
    },
    /// Rates written by a test.
    Scripted(Script),
}

/// The pinned model cannot be played.
#[derive(Debug, Error)]
pub enum PlayerError {
    /// The script in `model.version` cannot be read.
    #[error("bundle.model.version of the scripted model is no script")]
    Script(#[from] ScriptError),
    /// The table has no such arm, or is damaged.
    #[error("bundle.model cannot be replayed")]
    Table(#[from] TableError),
}

impl Player {
    /// Name `scripted` plays the script that its version holds; any other model must be in the recorded table.
    pub fn of(model: &ModelId, latency_divisor: u32) -> Result<Self, PlayerError> {
        if model.name == "scripted" {
            return Ok(Self::Scripted(model.version.parse()?));
        }
        Ok(Self::Recorded { rows: rows_of(model)?, latency_divisor })
    }

    /// The outcome of turn `turn` (from 1) of a conversation: the same for the same seed, wherever it is played.
    pub fn outcome(&self, seed: u64, conversation: &str, turn: u32) -> Outcome {
        match self {
            Self::Recorded { rows, latency_divisor } => recorded(rows, *latency_divisor, seed, conversation, turn),
            Self::Scripted(script) => scripted(script, seed, conversation, turn),
        }
    }
}

/// The judged turn replays the session's question whole. Later turns take text length, tokens and latency from
/// other questions of the same dataset and nothing else, so that a session stays one recorded question.
fn recorded(rows: &[Row], divisor: u32, seed: u64, conversation: &str, turn: u32) -> Outcome {
    let judged = turn == JUDGED_TURN;
    let question = chosen(rows, draw(seed, conversation, JUDGED_TURN, "question"));
    let row = if judged {
        question
    } else {
        let kin: Vec<Row> = rows.iter().filter(|row| row.dataset == question.dataset).copied().collect();
        chosen(&kin, draw(seed, conversation, turn, "question"))
    };
    Outcome {
        dataset: row.dataset.to_owned(),
        task_success: judged.then_some(row.ok),
        schema_violation: judged && !row.format_ok,
        tool_error: false,
        truncated: judged && row.cut(),
        chars: row.chars,
        input_tokens: row.input_tokens(),
        output_tokens: row.output_tokens,
        latency: row.latency / divisor,
    }
}

/// The table is never empty: `rows_of` refuses an arm without rows.
fn chosen(rows: &[Row], number: u64) -> Row {
    pick(number, rows.len()).and_then(|position| rows.get(position)).copied().unwrap_or_default()
}

fn scripted(script: &Script, seed: u64, conversation: &str, turn: u32) -> Outcome {
    let judged = turn == JUDGED_TURN;
    let event = |purpose: &str, rate: f64| judged && happens(draw(seed, conversation, turn, purpose), rate);
    let half = draw(seed, conversation, JUDGED_TURN, "dataset") % 2;
    let empty = event("empty_output", script.empty_output);
    let sent = judged && !event("missing", script.missing);
    Outcome {
        dataset: if half == 0 { "even" } else { "odd" }.to_owned(),
        task_success: sent.then(|| event("task_success", script.task_success)),
        schema_violation: event("schema_violation", script.schema_violation),
        tool_error: event("tool_error", script.tool_error),
        truncated: event("truncated", script.truncated),
        chars: if empty { 0 } else { script.chars },
        input_tokens: 30,
        output_tokens: if empty { 0 } else { script.output_tokens },
        latency: script.latency,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn player(name: &str, version: &str) -> Player {
        let model = ModelId { name: name.to_owned(), version: version.to_owned() };
        Player::of(&model, 20).unwrap()
    }

    fn success_rate(player: &Player, dataset: &str) -> f64 {
        let outcomes: Vec<bool> = (0..6_000)
            .map(|n| player.outcome(3, &format!("c{n}"), 1))
            .filter(|outcome| outcome.dataset == dataset)
            .filter_map(|outcome| outcome.task_success)
            .collect();
        outcomes.iter().filter(|ok| **ok).count() as f64 / outcomes.len() as f64
    }

    #[test]
    fn replayed_sessions_meet_the_recorded_rates_of_both_snapshots() {
        for (version, dataset, recorded) in [
            ("0314", "prime", 0.976),
            ("0314", "composite", 0.704),
            ("0613", "prime", 0.024),
            ("0613", "composite", 0.98),
        ] {
            let rate = success_rate(&player("gpt-4", version), dataset);
            assert!((rate - recorded).abs() < 0.03, "{version} {dataset}: {rate} instead of {recorded}");
        }
    }

    #[test]
    fn a_later_turn_stays_in_the_session_s_dataset_and_is_not_judged() {
        let player = player("gpt-4", "0314");
        for n in 0..200 {
            let conversation = format!("c{n}");
            let first = player.outcome(0, &conversation, 1);
            let later = player.outcome(0, &conversation, 2);
            assert_eq!(first.dataset, later.dataset);
            assert!(first.task_success.is_some() && later.task_success.is_none());
            assert!(!later.schema_violation && !later.truncated);
        }
    }

    #[test]
    fn both_snapshots_answer_the_same_question_in_the_same_conversation() {
        let (older, newer) = (player("gpt-4", "0314"), player("gpt-4", "0613"));
        for n in 0..200 {
            let conversation = format!("c{n}");
            assert_eq!(older.outcome(9, &conversation, 1).dataset, newer.outcome(9, &conversation, 1).dataset);
        }
    }

    #[test]
    fn a_script_s_rates_are_met() {
        let player = player("scripted", "task_success=0.7,tool_error=0.2,empty_output=0.1,missing=0.5");
        let all: Vec<Outcome> = (0..10_000).map(|n| player.outcome(1, &format!("c{n}"), 1)).collect();
        let share =
            |test: fn(&Outcome) -> bool| all.iter().filter(|outcome| test(outcome)).count() as f64 / all.len() as f64;
        assert!((share(|o| o.tool_error) - 0.2).abs() < 0.02);
        assert!((share(|o| o.chars == 0) - 0.1).abs() < 0.02);
        assert!((share(|o| o.task_success.is_none()) - 0.5).abs() < 0.02);
        assert!((share(|o| o.task_success == Some(true)) - 0.35).abs() < 0.02);
    }

    #[test]
    fn a_model_without_records_is_refused_with_the_models_that_have_some() {
        let model: ModelId = "gpt-5:0101".parse().unwrap();
        let error = Player::of(&model, 20).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("gpt-5-0101") && cause.contains("gpt-4-0613"), "{cause}");
    }
}
