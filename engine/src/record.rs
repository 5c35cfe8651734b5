//! The chain of decision records: each carries what was seen, the hash of what was decided, and the hash of the one before.
//!
//! A record is made from the status that is being committed, so that there is no phase edge without one.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rollpin_crds::DecisionRecordSpec;
use rollpin_crds::record::PendingRecord;
use rollpin_crds::status::{AgentReleaseStatus, History, Phase, State};

use crate::decide::decide;
use crate::hash;
use crate::observed::Observed;

/// Version of the decision rules; a record says under which it was decided.
pub const ENGINE: &str = env!("CARGO_PKG_VERSION");

/// The record of one edge, and the history that it leads to.
#[must_use]
pub fn make(seen: &Observed, to: Phase, state: &State, message: &str) -> (PendingRecord, History) {
    let before = seen.status.history.clone().unwrap_or_default();
    let sequence = before.sequence + 1;
    let mut spec = DecisionRecordSpec {
        release: seen.release.name.clone(),
        release_uid: seen.release.uid.clone(),
        sequence,
        previous: before.head.clone(),
        hash: String::new(),
        at: Time(seen.now),
        from: seen.status.phase,
        to,
        message: message.to_owned(),
        engine: ENGINE.to_owned(),
        observed: hash::canonical(&essence(seen)),
        decided: hash::of_value(state),
    };
    spec.hash = hash_of(&spec);
    let history = History { sequence, head: spec.hash.clone(), anchor: before.anchor };
    (
        PendingRecord { name: name(&seen.release.name, &seen.release.uid, sequence), spec: hash::canonical(&spec) },
        history,
    )
}

/// Name of a record object: the release, the beginning of its uid, the number.
#[must_use]
pub fn name(release: &str, uid: &str, sequence: i64) -> String {
    let uid: String = uid.chars().take(8).collect();
    format!("{release}-{uid}-{sequence:06}")
}

/// The hash of a record: of its canonical JSON with an empty `hash`.
#[must_use]
pub fn hash_of(spec: &DecisionRecordSpec) -> String {
    hash::of_value(&DecisionRecordSpec { hash: String::new(), ..spec.clone() })
}

/// What was seen, without the texts that do not matter to a decision.
fn essence(seen: &Observed) -> Observed {
    let status = AgentReleaseStatus {
        columns: None,
        conditions: vec![],
        gates: vec![],
        message: None,
        pending_record: None,
        ..seen.status.clone()
    };
    Observed { status, ..seen.clone() }
}

/// What a replay found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The same state, and the same words.
    Same {
        /// The words.
        message: String,
    },
    /// The record was changed after it was written.
    Tampered,
    /// What was seen cannot be read by this version.
    Unreadable {
        /// Why.
        why: String,
    },
    /// This version decides something else.
    Different {
        /// What the record says.
        recorded: String,
        /// What this version says.
        replayed: String,
    },
}

/// Decides again from what a record says was seen.
#[must_use]
pub fn replay(spec: &DecisionRecordSpec) -> Replay {
    if hash_of(spec) != spec.hash {
        return Replay::Tampered;
    }
    let seen: Observed = match serde_json::from_str(&spec.observed) {
        Ok(seen) => seen,
        Err(cause) => return Replay::Unreadable { why: cause.to_string() },
    };
    let decision = decide(&seen);
    let same_state = decision.status.state.as_ref().map(hash::of_value).as_deref() == Some(spec.decided.as_str());
    if same_state && decision.because == spec.message {
        return Replay::Same { message: decision.because };
    }
    Replay::Different { recorded: spec.message.clone(), replayed: decision.because }
}

/// Where a chain is broken, if it is: records in the order of their numbers, the first one after `anchor`.
///
/// # Errors
/// The first record that does not fit, in words.
pub fn verify_chain(records: &[DecisionRecordSpec], anchor: Option<&str>) -> Result<(), String> {
    let mut before = anchor.unwrap_or_default().to_owned();
    let first = records.first().map_or(1, |first| first.sequence);
    for (number, record) in (first..).zip(records) {
        if record.sequence != number {
            return Err(format!("record {number} is missing: the next one is {}", record.sequence));
        }
        if record.previous != before {
            return Err(format!("record {number} does not follow the one before: it names {:?}", record.previous));
        }
        if hash_of(record) != record.hash {
            return Err(format!("record {number} was changed after it was written"));
        }
        before.clone_from(&record.hash);
    }
    Ok(())
}
