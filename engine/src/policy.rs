//! The policy of an attempt: gates, steps and budgets with every default filled in, frozen when the attempt begins.
//!
//! It is data. `validate` makes it from what users wrote, `decide` obeys it, and its hash says whether it was changed.

use serde::{Deserialize, Serialize};

pub use rollpin_crds::gate::Role;
pub use rollpin_crds::rollout::{OnInconclusive, ReadyWhen};
pub use rollpin_crds::traffic::{Carrier, OnRollback};

/// Everything about an attempt that must not change while it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Policy {
    /// The steps, at least one, the last one a weight of 100.
    pub steps: Vec<Step>,
    /// The gates, with shares that sum to 1 over those that can take a release back.
    pub gates: Vec<GatePolicy>,
    /// Share of attempts in which a release that is no worse may be taken back as regressed; in (0, 0.5].
    pub false_rollback: f64,
    /// Chance per gate that a release at its margin is promoted; in (0, 0.5].
    pub false_promotion: f64,
    /// Seconds that new pods may take to become ready.
    pub progress_deadline_seconds: i64,
    /// Seconds that the attempt may look for a verdict.
    pub deadline_seconds: i64,
    /// What happens when the deadline comes first.
    pub on_inconclusive: OnInconclusive,
    /// Seconds that the predecessor stays warm after the promotion.
    pub bake_seconds: i64,
    /// Seconds that evidence may be unreadable before the canary is parked.
    pub max_blind_seconds: i64,
    /// How session starts are cut into strata.
    pub strata: StrataPolicy,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Step {
    /// A share of new sessions, and what must be seen at it.
    Weight {
        /// Percent, 1..=100.
        percent: i64,
        /// Matured canary sessions that this step needs.
        sessions: i64,
        /// Least seconds at this weight.
        min_seconds: i64,
    },
    /// A wait; without seconds until a person promotes or resumes.
    Pause {
        /// How long.
        seconds: Option<i64>,
    },
}

/// How session starts are cut into strata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StrataPolicy {
    /// Least number of sessions (and at least 100/percent).
    pub min_sessions: i64,
    /// Longest time in milliseconds.
    pub max_millis: i64,
}

/// One gate, with every default filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GatePolicy {
    /// Its name.
    pub name: String,
    /// What it does.
    pub role: Role,
    /// The outcome that it looks at, such as `task_success`; the stored counts are of *bad* sessions.
    pub outcome: String,
    /// How many more sessions may be bad, as a fraction; absent only for `Observed`.
    pub margin: Option<f64>,
    /// How many more sessions may be bad before the release is taken back, as a fraction.
    pub tolerance: f64,
    /// Milliseconds after its start at which a session's outcome is final.
    pub maturity_millis: i64,
    /// Share of the false-rollback budget, 0..=1; 0 for gates that never take back.
    pub share: f64,
    /// Slice labels by which the outcome is looked at apart.
    pub slices: Vec<String>,
    /// Whether the user asked for this gate; a default `task_success` gate acts only when stable reports it.
    pub declared: bool,
    /// Bad and counted sessions of stable when the attempt began, frozen; absent: stable was not seen.
    pub baseline: Option<Baseline>,
}

/// Sessions of stable, counted before an attempt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// Sessions with a bad outcome.
    pub bad: i64,
    /// Sessions with an outcome.
    pub sessions: i64,
}

/// What acts at once, outside of any attempt: a change here starts nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Pods of stable; absent when an autoscaler owns the number.
    pub replicas: Option<i32>,
    /// No new rollout starts, and a running one stays at its weight.
    pub suspend: bool,
    /// What happens to pinned conversations of a withdrawn release.
    pub on_rollback: OnRollback,
    /// Seconds that a withdrawn or replaced release may finish its conversations.
    pub drain_seconds: i64,
    /// Seconds that withdrawn pods are kept after the proof.
    pub scale_down_delay_seconds: i64,
    /// How many revisions that no longer serve are kept.
    pub revision_history_limit: i64,
    /// When the release counts as `Ready`.
    pub ready_when: ReadyWhen,
    /// Carriers of the pin, in the order of the route's matches.
    pub carriers: Vec<Carrier>,
    /// Contract level of the harness, 0..=2.
    pub contract_level: i64,
}
