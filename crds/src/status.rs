//! The status of an `AgentRelease`: where its rollout stands, in words for people and in state for the operator.
//!
//! `phase` and `columns` are for reading. `state` is the committed intent from which every action is derived again after
//! a crash; each variant holds only what has a meaning in it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::record::PendingRecord;

/// What rollpin reports about an agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentReleaseStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Pending`, `Progressing`, `Paused`, `RollingBack`, `RolledBack`, `Baking`, `Healthy` or `Failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// One sentence for people: what is, why, and what is needed next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub message: Option<String>,
    /// Texts of the printed columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Columns>,
    /// Percent of new sessions that begin on the desired release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub weight: Option<i64>,
    /// The release that answers new sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<Serving>,
    /// The release that the spec asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<Desired>,
    /// Behaviour digests that may not have traffic until a named person retries them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub hold: Vec<Hold>,
    /// `Ready`, `Available`, `Reconciling`, `Stalled`, `EvidenceFresh`, `SessionAffinity`, `Attested`, `Feasible`, `TemplateValid`, `PolicyPending`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// What the gates say, in the order of the policy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub gates: Vec<GateStatus>,
    /// The contract level that the harness was seen to keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_level: Option<i64>,
    /// Pods with weight above 0, for `/scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Label selector of the pods with weight above 0, for `/scale`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub selector: Option<String>,
    /// The committed intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Releases that no longer take new sessions and have not been scaled down yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 12))]
    pub retiring: Vec<Retiring>,
    /// The last command that changed the state; its result is repeated in the command's own status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_command: Option<LastCommand>,
    /// The chain of decision records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// A record that was committed and is not yet an object of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending_record: Option<PendingRecord>,
}

/// Where a rollout stands. One of `Pending`, `Progressing`, `Paused`, `RollingBack`, `RolledBack`, `Baking`, `Healthy`, `Failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nothing serves yet, or the desired release cannot be made yet.
    Pending,
    /// A canary is on its way.
    Progressing,
    /// A canary waits.
    Paused,
    /// A release is being taken back.
    RollingBack,
    /// The desired release was taken back; its predecessor serves.
    RolledBack,
    /// The desired release serves, its predecessor is warm.
    Baking,
    /// The desired release serves.
    Healthy,
    /// Nothing serves, and nothing will without a person.
    Failed,
}

/// Texts of the printed columns.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Columns {
    /// First characters of the serving release.
    #[schemars(length(max = 64))]
    pub serving: String,
    /// First characters of the desired release, with `(held)` where it is held.
    #[schemars(length(max = 64))]
    pub desired: String,
    /// The verdict, short.
    #[schemars(length(max = 256))]
    pub verdict: String,
    /// Step of the canary, such as `2/5`.
    #[schemars(length(max = 16))]
    pub step: String,
    /// Counted sessions, canary/stable.
    #[schemars(length(max = 64))]
    pub sessions: String,
    /// The gate that is nearest to a verdict against the release.
    #[schemars(length(max = 128))]
    pub tightest: String,
}

/// One release of an agent: its digests and the object that holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRef {
    /// The release digest, `sha256:` and 64 hexadecimal digits.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// The digest of the behaviour fields alone, in the same form.
    #[schemars(length(max = 71))]
    pub behavior_digest: String,
    /// Name of the `AgentRevision`, and of its Deployment, Service and `ConfigMap`.
    #[schemars(length(max = 63))]
    pub revision: String,
}

/// The release that answers new sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Serving {
    /// The release digest.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// Name of the `AgentRevision`.
    #[schemars(length(max = 63))]
    pub revision: String,
    /// Percent of new sessions.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i64,
}

/// The release that the spec asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Desired {
    /// The release digest; absent while the content is incomplete or invalid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub digest: Option<String>,
    /// Name of the `AgentRevision`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub revision: Option<String>,
    /// `Serving`, `OnTrial`, `Waiting`, `Quarantined`, `Inconclusive` or `Invalid`.
    #[schemars(length(max = 63))]
    pub state: String,
}

/// Why a rollout ended. One of `Regressed`, `Alert`, `Person`, `NotEnoughEvidence`, `Infrastructure`, `Superseded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Cause {
    /// A gate showed a regression.
    Regressed,
    /// An alert named the release.
    Alert,
    /// A person took it back.
    Person,
    /// The deadline came before a verdict.
    NotEnoughEvidence,
    /// Pods, image, quota or the route did not come up.
    Infrastructure,
    /// A newer bundle replaced it.
    Superseded,
}

/// A behaviour digest that may not have traffic until a named person retries it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// The behaviour digest.
    #[schemars(length(max = 71))]
    pub behavior_digest: String,
    /// The release digest that was taken back.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// `Regressed`, `Alert` or `Person`.
    pub cause: Cause,
    /// The gate that failed, for `Regressed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub gate: Option<String>,
    /// The slice that was hit worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub slice: Option<String>,
    /// Name of the `DecisionRecord`.
    #[schemars(length(max = 253))]
    pub record: String,
    /// Sessions that had begun on the release.
    pub exposed_sessions: i64,
    /// Since when.
    pub since: Time,
    /// Number of the attempt that failed.
    pub attempt: i64,
}

/// What a gate says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateStatus {
    /// Name of the gate.
    #[schemars(length(max = 63))]
    pub name: String,
    /// `Guardrail`, `Success`, `Observed` or `Veto`.
    #[schemars(length(max = 16))]
    pub role: String,
    /// `Pass`, `Fail`, `Insufficient` or `Blind`.
    #[schemars(length(max = 16))]
    pub verdict: String,
    /// Why, and what is missing.
    #[schemars(length(max = 512))]
    pub message: String,
    /// Matured canary sessions.
    pub canary_sessions: i64,
    /// Of which bad.
    pub canary_bad: i64,
    /// Matured stable sessions.
    pub stable_sessions: i64,
    /// Of which bad.
    pub stable_bad: i64,
    /// Evidence for a regression: the largest e-value so far, rounded; 20 takes the release back at a budget of 5 %.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub regression: Option<String>,
    /// Evidence that the release is no worse than the margin, as an e-value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub non_inferiority: Option<String>,
    /// Odds ratio of a bad outcome with its 95 % confidence sequence, such as `5.3 (2.6..9.8)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub odds_ratio: Option<String>,
    /// The slice that was hit worst.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub worst_slice: Option<String>,
}

/// The committed intent: what each object of the agent must become.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// No release serves.
    Pending(Pending),
    /// One release serves, and none is on trial.
    Steady(Steady),
    /// One release serves, another is on trial.
    Canary(Box<Canary>),
    /// A release is being taken back.
    Reverting(Reverting),
    /// A release was promoted, and its predecessor is warm.
    Baking(Baking),
}

/// No release serves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The first release, once its content is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<ReleaseRef>,
    /// Since when.
    pub since: Time,
    /// Set once nothing more will happen without a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub failed: Option<String>,
}

/// One release serves, and none is on trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Steady {
    /// The release that serves.
    pub live: ReleaseRef,
    /// Since when.
    pub since: Time,
    /// How the last attempt ended, if it was not a promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// How an attempt ended that was not promoted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ended {
    /// The release that was on trial.
    pub trial: ReleaseRef,
    /// Why.
    pub cause: Cause,
    /// The same in words.
    #[schemars(length(max = 2048))]
    pub message: String,
    /// Number of the attempt.
    pub attempt: i64,
    /// SHA-256 of the policy at that time: an end without a verdict waits for another release, another policy or a person.
    #[schemars(length(max = 71))]
    pub policy_hash: String,
    /// Whether the proof that nobody reaches the release any more was complete.
    #[schemars(length(max = 64))]
    pub proof: String,
}

/// A release on trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The release that serves.
    pub live: ReleaseRef,
    /// The release on trial.
    pub trial: ReleaseRef,
    /// Number of the attempt at this behaviour, from 1.
    pub attempt: i64,
    /// Index of the step, from 0.
    pub step: i64,
    /// Percent of new sessions that begin on the trial.
    #[schemars(range(min = 0, max = 100))]
    pub weight: i64,
    /// Percent that the trial's pods are sized for: pods first, then weight.
    #[schemars(range(min = 0, max = 100))]
    pub target: i64,
    /// When the attempt began.
    pub since: Time,
    /// When the step began, that is, when its weight was first accepted by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step_since: Option<Time>,
    /// Why it waits, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// Set when a person approved the current step, or the whole rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    /// Set when no evidence is needed: `SameBehavior` (only provenance differs) or `PassedBakeBefore` (a return to a release that proved itself).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fast_track: Option<FastTrack>,
    /// Set when a person or an alert forbade the promotion of this attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub veto: Option<String>,
    /// SHA-256 of the frozen policy.
    #[schemars(length(max = 71))]
    pub policy_hash: String,
    /// The policy of this attempt, frozen at its start, as JSON.
    #[schemars(length(max = 24_576))]
    pub policy: String,
    /// Name of the `EvidenceLedger`.
    #[schemars(length(max = 253))]
    pub ledger: String,
    /// What the sessions of stable say about how long this will take, from before the first step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub plan: Option<String>,
}

/// One of `SameBehavior`, `PassedBakeBefore`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FastTrack {
    /// Only provenance differs from the release that serves.
    SameBehavior,
    /// It served before and passed its bake.
    PassedBakeBefore,
}

/// Why a canary waits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Paused {
    /// `Step`, `Person`, `Suspended`, `Infrastructure`, `Blind`, `SampleRatio` or `Inconclusive`.
    pub reason: PauseReason,
    /// The same in words.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// Since when.
    pub since: Time,
}

/// One of `Step`, `Person`, `Suspended`, `Infrastructure`, `Blind`, `SampleRatio`, `Inconclusive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PauseReason {
    /// A `pause` step.
    Step,
    /// A person paused it.
    Person,
    /// `spec.rollout.suspend`.
    Suspended,
    /// Parked at weight 0: pods, image, quota or the route.
    Infrastructure,
    /// Parked at weight 0: the evidence cannot be read.
    Blind,
    /// The realised share of sessions is not the weight.
    SampleRatio,
    /// The deadline came first, and `onInconclusive` is `Hold`.
    Inconclusive,
}

/// A person's approval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Who.
    #[schemars(length(max = 256))]
    pub by: String,
    /// Why.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// The step that is approved; absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<i64>,
    /// Whether the release may be taken back by itself during its bake.
    #[serde(default)]
    pub no_bake_rollback: bool,
}

/// A release that is being taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reverting {
    /// The release that serves from now on.
    pub live: ReleaseRef,
    /// The release that is taken back.
    pub rejected: ReleaseRef,
    /// Why.
    pub cause: Cause,
    /// The same in words.
    #[schemars(length(max = 2048))]
    pub message: String,
    /// Number of the attempt.
    pub attempt: i64,
    /// SHA-256 of the policy when it was decided.
    #[schemars(length(max = 71))]
    pub policy_hash: String,
    /// Since when.
    pub since: Time,
}

/// A promoted release whose predecessor is warm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Baking {
    /// The release that serves.
    pub live: ReleaseRef,
    /// The release before it, warm until the bake ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<ReleaseRef>,
    /// Since when.
    pub since: Time,
    /// Until when.
    pub until: Time,
    /// Number of the attempt.
    pub attempt: i64,
    /// On what it was promoted: `First`, `NonInferior`, `WithinMarginRegression`, `NoRegressionDetected`, `SameBehavior` or `Approved`.
    #[schemars(length(max = 64))]
    pub basis: String,
    /// SHA-256 of the policy of the attempt.
    #[schemars(length(max = 71))]
    pub policy_hash: String,
    /// A person forbade that it is taken back by itself.
    #[serde(default)]
    pub no_bake_rollback: bool,
}

/// A release that no longer takes new sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retiring {
    /// The release.
    pub release: ReleaseRef,
    /// Whether conversations that began on it still go to it; otherwise they go to the release that serves.
    pub pinned: bool,
    /// When its pods may be scaled down.
    pub until: Time,
}

/// The last command that changed the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastCommand {
    /// Its uid.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// Its name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Whether it was carried out; otherwise it was refused.
    pub done: bool,
    /// The result in words.
    #[schemars(length(max = 1024))]
    pub message: String,
}

/// The chain of decision records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct History {
    /// Number of the newest record.
    pub sequence: i64,
    /// Hash of the newest record.
    #[schemars(length(max = 71))]
    pub head: String,
    /// Hash of the record before the oldest one that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub anchor: Option<String>,
}
