//! The recorded table: one row per question and snapshot, read from the copy in `data/`.
//! Adds nothing to what was recorded, apart from the two figures that follow from it (input tokens, the cut).

use std::{str::FromStr, time::Duration};

use thiserror::Error;

use crate::config::ModelId;

/// The table as published with `LLMDrift`; source and licence are in `data/README.md`.
pub const TABLE: &str = include_str!("../data/llmdrift_gpt4_prime.csv");

const HEADER: &str = "dataset,arm,id,ok,format_ok,out_tok,chars,latency_s,cost_usd";
/// The limit on output tokens in the recorded runs; an answer of that length was cut.
const TOKEN_LIMIT: u32 = 1_000;
/// Prices of the recorded model in dollars per token, from which the input tokens follow.
const DOLLARS_PER_INPUT_TOKEN: f64 = 30e-6;
const DOLLARS_PER_OUTPUT_TOKEN: f64 = 60e-6;

/// One recorded answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row {
    /// `prime` or `composite`: what the number in the question is.
    pub dataset: &'static str,
    /// The question.
    pub id: u32,
    /// The answer was right.
    pub ok: bool,
    /// The answer had the demanded form.
    pub format_ok: bool,
    /// Tokens of the answer.
    pub output_tokens: u32,
    /// Characters of the answer.
    pub chars: usize,
    /// Recorded time to the whole answer.
    pub latency: Duration,
    /// Recorded price of the call in dollars.
    pub cost_usd: f64,
}

impl Row {
    /// The answer ended at the token limit.
    pub fn cut(&self) -> bool {
        self.output_tokens >= TOKEN_LIMIT
    }

    /// Tokens of the question: what is left of the price after the output tokens.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // Rounded, at least 0, at most a few dozen.
    pub fn input_tokens(&self) -> u32 {
        let output = f64::from(self.output_tokens) * DOLLARS_PER_OUTPUT_TOKEN;
        ((self.cost_usd - output) / DOLLARS_PER_INPUT_TOKEN).round().max(0.0) as u32
    }
}

/// The table cannot serve this model.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TableError {
    /// No row has this arm.
    #[error("no recorded answers of {model}; there are some of gpt-4-0314 and gpt-4-0613, or use name: scripted")]
    UnknownModel {
        /// `name-version`.
        model: String,
    },
    /// A line of the embedded table cannot be read.
    #[error("line {line} of the recorded table is damaged: {text:?}")]
    Damaged {
        /// Counted from 1.
        line: usize,
        /// The line.
        text: String,
    },
}

/// The rows of one model, in the order of their questions.
pub fn rows_of(model: &ModelId) -> Result<Vec<Row>, TableError> {
    let arm = model.to_string();
    let mut rows = Vec::new();
    for (number, line) in TABLE.lines().enumerate() {
        if number == 0 && line == HEADER {
            continue;
        }
        let damaged = || TableError::Damaged { line: number + 1, text: line.to_owned() };
        let (row_arm, row) = parse(line).ok_or_else(damaged)?;
        if row_arm == arm {
            rows.push(row);
        }
    }
    if rows.is_empty() {
        return Err(TableError::UnknownModel { model: arm });
    }
    rows.sort_by_key(|row| (row.dataset, row.id));
    Ok(rows)
}

fn parse(line: &'static str) -> Option<(&'static str, Row)> {
    let mut fields = line.split(',');
    let dataset = fields.next().filter(|name| !name.is_empty())?;
    let arm = fields.next()?;
    let row = Row {
        dataset,
        id: next(&mut fields)?,
        ok: flag(fields.next()?)?,
        format_ok: flag(fields.next()?)?,
        output_tokens: next(&mut fields)?,
        chars: next(&mut fields)?,
        latency: Duration::try_from_secs_f64(next(&mut fields)?).ok()?,
        cost_usd: next(&mut fields)?,
    };
    fields.next().is_none().then_some((arm, row))
}

fn next<T: FromStr>(fields: &mut std::str::Split<'_, char>) -> Option<T> {
    fields.next()?.parse().ok()
}

fn flag(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(version: &str) -> Vec<Row> {
        rows_of(&format!("gpt-4:{version}").parse().unwrap()).unwrap()
    }

    #[test]
    fn both_snapshots_hold_the_same_thousand_questions_in_the_same_order() {
        let keys = |version| -> Vec<_> { rows(version).iter().map(|row| (row.dataset, row.id)).collect() };
        assert_eq!(keys("0314").len(), 1_000);
        assert_eq!(keys("0314"), keys("0613"));
    }

    #[test]
    fn the_price_leaves_thirty_input_tokens_nearly_everywhere() {
        for version in ["0314", "0613"] {
            let tokens: Vec<u32> = rows(version).iter().map(Row::input_tokens).collect();
            assert!(tokens.iter().filter(|count| **count == 30).count() >= 990, "{version}");
            assert!(tokens.iter().all(|count| (30..=80).contains(count)), "{version}");
        }
    }

    #[test]
    fn only_answers_at_the_token_limit_count_as_cut() {
        assert!(rows("0314").iter().any(Row::cut));
        assert!(!rows("0613").iter().any(Row::cut));
    }

    #[test]
    fn a_damaged_line_is_no_row() {
        for line in
            ["", "prime,gpt-4-0314,1,2,1,3,4,1.0,0.1", "prime,gpt-4-0314,1,1,1,3,4,1.0", "prime,a,1,1,1,3,4,-1,0.1"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
