//! How a new release is rolled out: steps, deadlines, the bake and the error budget.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::Duration;

/// How a new release is rolled out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollout {
    /// The steps of a canary. Absent: weights 1, 5, 25, 50 and 100, each with analysis.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub steps: Vec<Step>,
    /// How long new pods may take to become ready. Absent: 600.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86_400))]
    pub progress_deadline_seconds: Option<i64>,
    /// How long an attempt may look for a verdict. Absent: 168 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// What happens when the deadline comes first: `RollBack`, `Hold` or `PromoteIfNoRegression`. Absent: `RollBack`, without blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_inconclusive: Option<OnInconclusive>,
    /// How long the predecessor stays warm after a promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bake: Option<Bake>,
    /// When the release counts as `Ready` for tools that wait: `Promoted` or `Accepted`. Absent: `Promoted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_when: Option<ReadyWhen>,
    /// How long withdrawn pods are kept after the proof that nobody reaches them. Absent: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 86_400))]
    pub abort_scale_down_delay_seconds: Option<i64>,
    /// How many revisions that no longer serve are kept. Absent: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub revision_history_limit: Option<i64>,
    /// No new rollout starts and a running one stays at its weight while this is true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
    /// How long evidence may be unreadable before the canary is parked at weight 0. Absent: 10 m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_blind: Option<Duration>,
    /// How session starts are cut into strata.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strata: Option<Strata>,
}

/// One step of a canary. Exactly one of `setWeight`, `pause` and `mirror`; `analysis` goes with `setWeight`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.setWeight) ? 1 : 0) + (has(self.pause) ? 1 : 0) + (has(self.mirror) ? 1 : 0) == 1",
    "message": "a step is exactly one of setWeight, pause and mirror"
}, {
    "rule": "!has(self.analysis) || has(self.setWeight)",
    "message": "analysis belongs to a step with setWeight"
}]))]
pub struct Step {
    /// Share of new sessions that begin on the canary, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub set_weight: Option<i64>,
    /// Wait: for `duration`, or without it until a person promotes or resumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pause: Option<Pause>,
    /// What must be seen at this weight before the next step. Absent: the default number of sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub analysis: Option<Analysis>,
    /// Share of requests that are copied to the canary, their answers thrown away, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub mirror: Option<i64>,
}

/// A pause.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pause {
    /// How long. Absent: until a person promotes or resumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
}

/// What must be seen at a weight before the next step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Analysis {
    /// Matured canary sessions at this weight. Absent: 47, enough to catch a failure rate that goes from 5 % to 30 % in 95 of 100 rollouts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub sessions: Option<i64>,
    /// Least time at this weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_duration: Option<Duration>,
}

/// One of `RollBack`, `Hold`, `PromoteIfNoRegression`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnInconclusive {
    /// Return the traffic, without blame.
    #[default]
    RollBack,
    /// Stay at the weight until a person decides.
    Hold,
    /// Promote if no regression was found; recorded as `NoRegressionDetected`, which is weaker than `NonInferior`.
    PromoteIfNoRegression,
}

/// The time after a promotion in which the predecessor stays warm.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bake {
    /// How long. Absent: 72 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Duration>,
    /// Share of new sessions that still begin on the predecessor, in percent. Absent: 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub holdback_weight: Option<i64>,
}

/// One of `Promoted`, `Accepted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReadyWhen {
    /// The desired release serves.
    #[default]
    Promoted,
    /// The manifest is valid and its rollout is under way.
    Accepted,
}

/// How session starts are cut into strata, which are compared within themselves only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Strata {
    /// Least number of sessions. Absent: 20, and at least 1/weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 10_000))]
    pub min_sessions: Option<i64>,
    /// Longest time. Absent: 10 m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
}

/// How often rollpin may be wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErrorBudget {
    /// Share of attempts in which a release that is no worse is taken back as regressed. Absent: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0001, max = 0.5))]
    pub false_rollback: Option<f64>,
    /// Chance, per gate, that a release at its margin is promoted. Absent: 0.05.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0001, max = 0.5))]
    pub false_promotion: Option<f64>,
}

/// What an alert that carries these labels does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AlertRule {
    /// Labels that the alert must carry.
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: std::collections::BTreeMap<String, String>,
    /// `RollBack`, `Pause` or `Veto`.
    pub action: AlertAction,
}

/// One of `RollBack`, `Pause`, `Veto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AlertAction {
    /// Take the release back.
    RollBack,
    /// Stay at the weight.
    Pause,
    /// Never promote this attempt.
    Veto,
}

/// A change that is intended, and so taken out of the drift verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedChange {
    /// The outcome that changes.
    #[schemars(length(min = 1, max = 63))]
    pub outcome: String,
    /// `Up`, `Down` or `Any`.
    pub direction: Direction,
}

/// One of `Up`, `Down`, `Any`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// It grows.
    Up,
    /// It shrinks.
    Down,
    /// It moves.
    Any,
}
