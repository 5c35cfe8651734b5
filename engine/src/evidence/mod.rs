//! Evidence: what sessions did, folded per gate and stratum.
//!
//! Pure: sessions, times and signals come in; counters and vectors come out. No I/O, no clock, no verdict.

pub mod attempt;
pub mod baseline;
pub mod cohort;
pub mod distribution;
pub mod fold;
pub mod outcome;
pub mod process;
pub mod rate;
pub mod sample_ratio;
pub mod session;
pub mod signal;

pub use attempt::Attempt;
pub use baseline::BaselineFold;
pub use distribution::Distribution;
pub use outcome::Outcome;
pub use process::GateProcess;
pub use session::Limits;
pub use signal::{Arm, Assignment, Finish, Kind, Signal, Start, Turn};

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

/// The evidence of one attempt at one moment; part of every decision record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// Whether it can be read.
    pub sight: Sight,
    /// Sessions that began, per arm.
    pub sessions: Sessions,
    /// Sessions per second over both arms in the last minutes; absent while unknown.
    pub rate: Option<f64>,
    /// Per gate, in the order of the policy.
    pub gates: Vec<GateEvidence>,
    /// Numbers per session, by name; they are reported and never act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<NumberEvidence>,
    /// Counted sessions that some gate has not folded yet: what a restart of the receiver loses, in both arms.
    #[serde(default)]
    pub open: i64,
    /// The number of the next stratum; numbers are never used twice, also after a restart.
    #[serde(default)]
    pub next_stratum: i64,
}

/// Whether the evidence can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Sight {
    /// Telemetry of both arms arrives.
    #[default]
    Fresh,
    /// Nothing was heard of an arm that has traffic: too little is known, but nothing is broken.
    Quiet {
        /// What is missing, in words.
        why: String,
    },
    /// A sampler stands before the source: every rate is biased, so no gate can say anything for or against the release.
    Sampled {
        /// Who says so, in words.
        why: String,
    },
    /// The source is broken or lies: exposure freezes.
    Blind {
        /// What is broken, in words.
        why: String,
        /// Milliseconds since 1970 at which it broke.
        since_millis: i64,
    },
}

/// Sessions by how they began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sessions {
    /// Assigned to the canary by the gateway.
    pub canary: i64,
    /// Assigned to stable by the gateway.
    pub stable: i64,
    /// Arrived with a pin: not randomised, not counted.
    pub preassigned: i64,
    /// Assignment unknown: not counted.
    pub unassigned: i64,
    /// Seen on both releases.
    pub moved: i64,
    /// Left out in both arms: clock skew, restart of the receiver, or no room.
    pub dropped: i64,
    /// Outcomes that came after their stratum had matured: counted here, otherwise inert.
    pub late: i64,
    /// Natural logarithm of the sample-ratio e-process, in units of 2^-40.
    pub sample_ratio: i64,
}

/// What one gate has accumulated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GateEvidence {
    /// Name of the gate.
    pub gate: String,
    /// Matured strata; also the id of the next one to fold: strata are folded in order, each exactly once.
    pub strata: i64,
    /// Canary sessions.
    pub canary: Counts,
    /// Stable sessions.
    pub stable: Counts,
    /// Matured canary sessions by step of the policy.
    pub by_step: Vec<i64>,
    /// The test's vectors.
    pub process: Option<GateProcess>,
    /// Per slice `name=value`, at most 16 and `other`.
    pub slices: Vec<SliceEvidence>,
}

/// Matured sessions of one arm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Sessions with an outcome.
    pub sessions: i64,
    /// Of which bad.
    pub bad: i64,
    /// Sessions that began and have no outcome.
    pub missing: i64,
}

/// A number per session, in both arms.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberEvidence {
    /// `latency` (milliseconds, the slowest turn), `tokens_out` or `output_length` (characters).
    pub name: String,
    /// Canary sessions.
    pub canary: Distribution,
    /// Stable sessions.
    pub stable: Distribution,
}

/// One gate in one slice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SliceEvidence {
    /// `name=value`.
    pub slice: String,
    /// Canary sessions.
    pub canary: Counts,
    /// Stable sessions.
    pub stable: Counts,
}
