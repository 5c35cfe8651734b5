//! The decision: one pure, total function from everything that was seen to what must be.
//!
//! No I/O, no clock, no randomness, no `Result`: what went wrong is a fact in `Observed` or a reason in the answer.

use rollpin_crds::status::AgentReleaseStatus;

use crate::observed::Observed;

/// What follows from one look at the world.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The status to commit, complete: state, texts, conditions and, on a phase edge, the pending record.
    pub status: AgentReleaseStatus,
    /// The state changed: commit at once. Otherwise only texts may differ, and the caller may wait a few seconds.
    pub edge: bool,
    /// The decision rests on the evidence: the ledger must be durable before the status is committed.
    pub cites_evidence: bool,
    /// Events for people; rendered from the same words as the status.
    pub events: Vec<Notice>,
    /// Why, in one sentence; the log line.
    pub because: String,
    /// Look again after so many milliseconds; absent: only when something changes.
    pub wake_millis: Option<i64>,
}

/// An event for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Somebody may have to act.
    pub warning: bool,
    /// A `CamelCase` word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// Decides.
#[must_use]
pub fn decide(_seen: &Observed) -> Decision {
    Decision {
        status: AgentReleaseStatus::default(),
        edge: false,
        cites_evidence: false,
        events: vec![],
        because: String::new(),
        wake_millis: None,
    }
}
