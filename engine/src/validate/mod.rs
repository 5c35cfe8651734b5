//! From what users wrote to the strict domain: parse, don't check.
//!
//! Every problem names the field, what is wrong and what to write instead. Nothing here looks at a cluster.

mod gates;
mod policy;
mod steps;
mod unknown;

#[cfg(test)]
mod tests;

use std::fmt;

use rollpin_crds::schema::Duration;

pub use policy::policy;
pub use unknown::unknown_fields;

/// One thing that is wrong with a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Stable code of a pre-flight check, such as `C01`; empty otherwise.
    pub code: &'static str,
    /// The field, such as `spec.bundle.tools.items[2].inputSchema`.
    pub field: String,
    /// What is wrong, and what to write instead; one sentence.
    pub message: String,
}

impl Problem {
    /// A problem without the code of a pre-flight check.
    #[must_use]
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: "", field: field.into(), message: message.into() }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.code.is_empty() {
            write!(out, "{} ", self.code)?;
        }
        write!(out, "{}: {}", self.field, self.message)
    }
}

/// Longest name of an agent: names of its pods and Services begin with it.
const MAX_NAME: usize = 50;

/// Longest duration that can be hashed as an integer of milliseconds.
const MAX_MILLIS: i64 = crate::digest::MAX_SAFE_INTEGER;

/// What is wrong with the name of an agent, if anything.
#[must_use]
pub fn agent_name(name: &str) -> Option<Problem> {
    let ok = (1..=MAX_NAME).contains(&name.len()) && !name.contains('.');
    (!ok).then(|| {
        Problem::new(
            "metadata.name",
            format!("{name:?} is not a name of 1 to {MAX_NAME} characters without dots; names of its pods and Services begin with it"),
        )
    })
}

/// A duration in milliseconds.
pub fn duration_millis(field: &str, duration: &Duration) -> Result<i64, Problem> {
    parse_millis(&duration.0).ok_or_else(|| {
        Problem::new(
            field,
            format!(
                "{:?} is not a duration; write numbers with the units ms, s, m or h, such as 90s, 10m or 72h",
                duration.0
            ),
        )
    })
}

fn parse_millis(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0_i64;
    while !rest.is_empty() || text.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_lowercase).count();
        let (unit, tail) = tail.split_at_checked(letters)?;
        let part = number.parse::<i64>().ok()?.checked_mul(unit_millis(unit)?)?;
        total = total.checked_add(part).filter(|total| *total <= MAX_MILLIS)?;
        rest = tail;
    }
    Some(total)
}

fn unit_millis(unit: &str) -> Option<i64> {
    match unit {
        "ms" => Some(1),
        "s" => Some(1_000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    }
}
