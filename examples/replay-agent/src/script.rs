//! The scripted model: outcome rates written into `bundle.model.version`, so that a test can make any canary it needs.
//! Part of the release digest like every other model version. Parsed strictly; a typing error stops the start.

use std::{str::FromStr, time::Duration};

use thiserror::Error;

/// Rates per session (0..=1), decided in its first turn, and the size of every answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    /// Share of sessions evaluated as right, among those evaluated. Default 1.
    pub task_success: f64,
    /// Share of sessions whose tool call fails. Default 0.
    pub tool_error: f64,
    /// Share of sessions whose answer breaks the demanded form. Default 0.
    pub schema_violation: f64,
    /// Share of sessions with an empty answer. Default 0.
    pub empty_output: f64,
    /// Share of sessions whose answer is cut at the token limit. Default 0.
    pub truncated: f64,
    /// Share of sessions that never get an evaluation. Default 0.
    pub missing: f64,
    /// Time to the whole answer; not divided. Default 5 ms.
    pub latency: Duration,
    /// Characters of an answer. Default 200.
    pub chars: usize,
    /// Tokens of an answer. Default 50.
    pub output_tokens: u32,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            task_success: 1.0,
            tool_error: 0.0,
            schema_violation: 0.0,
            empty_output: 0.0,
            truncated: 0.0,
            missing: 0.0,
            latency: Duration::from_millis(5),
            chars: 200,
            output_tokens: 50,
        }
    }
}

/// What is wrong with a script.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ScriptError {
    /// A part without `=`.
    #[error("{part:?} is not key=value, such as task_success=0.95")]
    NotAPair {
        /// The part.
        part: String,
    },
    /// A key that means nothing.
    #[error(
        "unknown key {key:?}: use task_success, tool_error, schema_violation, empty_output, truncated, missing, latency_ms, chars or out_tok"
    )]
    UnknownKey {
        /// The key.
        key: String,
    },
    /// A key that stands twice.
    #[error("{key} is given twice")]
    Twice {
        /// The key.
        key: String,
    },
    /// A value out of its range.
    #[error("{key}={value:?}: expected {expected}")]
    BadValue {
        /// The key.
        key: String,
        /// The value as written.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(',').map(str::trim) {
            let (key, value) = part.split_once('=').ok_or_else(|| ScriptError::NotAPair { part: part.to_owned() })?;
            if seen.contains(&key) {
                return Err(ScriptError::Twice { key: key.to_owned() });
            }
            seen.push(key);
            script.set(key, value)?;
        }
        Ok(script)
    }
}

impl Script {
    fn set(&mut self, key: &str, value: &str) -> Result<(), ScriptError> {
        match key {
            "task_success" => self.task_success = rate(key, value)?,
            "tool_error" => self.tool_error = rate(key, value)?,
            "schema_violation" => self.schema_violation = rate(key, value)?,
            "empty_output" => self.empty_output = rate(key, value)?,
            "truncated" => self.truncated = rate(key, value)?,
            "missing" => self.missing = rate(key, value)?,
            "latency_ms" => {
                self.latency = Duration::from_millis(u64::from(count(key, value, 60_000)?));
            }
            "chars" => self.chars = count(key, value, 100_000)? as usize,
            "out_tok" => self.output_tokens = count(key, value, 100_000)?,
            _ => {
                return Err(ScriptError::UnknownKey { key: key.to_owned() });
            }
        }
        Ok(())
    }
}

fn rate(key: &str, value: &str) -> Result<f64, ScriptError> {
    value.parse().ok().filter(|rate| (0.0..=1.0).contains(rate)).ok_or_else(|| bad(key, value, "a rate from 0 to 1"))
}

fn count(key: &str, value: &str, most: u32) -> Result<u32, ScriptError> {
    value
        .parse()
        .ok()
        .filter(|count| *count <= most)
        .ok_or_else(|| bad(key, value, "a whole number, at most 60000 ms or 100000"))
}

fn bad(key: &str, value: &str, expected: &'static str) -> ScriptError {
    ScriptError::BadValue { key: key.to_owned(), value: value.to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_sets_what_it_names_and_nothing_else() {
        let script: Script =
            "task_success=0.95,tool_error=0.0,schema_violation=0,empty_output=0,truncated=0,latency_ms=7"
                .parse()
                .unwrap();
        let expected = Script { task_success: 0.95, latency: Duration::from_millis(7), ..Script::default() };
        assert_eq!(script, expected);
    }

    #[test]
    fn a_mistyped_script_says_which_part_is_wrong() {
        for (text, part) in [
            ("", "\"\""),
            ("task_succes=1", "task_succes"),
            ("task_success=1.2", "1.2"),
            ("task_success=NaN", "NaN"),
            ("tool_error=0,tool_error=0", "tool_error is given twice"),
            ("latency_ms=-1", "-1"),
            ("latency_ms=60001", "60001"),
            ("0.9", "0.9"),
        ] {
            let message = text.parse::<Script>().unwrap_err().to_string();
            assert!(message.contains(part), "{text:?}: {message}");
        }
    }
}
