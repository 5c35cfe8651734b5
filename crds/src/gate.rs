//! Gates: what is measured, how much worse it may become, and what follows.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::Duration;

/// A gate: one outcome of a session, how much worse it may become, and what follows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.templateRef) != has(self.outcome)",
    "message": "a gate names either its own outcome or a templateRef, not both"
}, {
    "rule": "!has(self.tolerance) || !has(self.margin) || self.tolerance <= self.margin",
    "message": "tolerance must not be larger than margin: what is tolerated cannot be worse than what is refused"
}, {
    "rule": "!has(self.role) || !(self.role in ['Guardrail', 'Success']) || !has(self.outcome) || has(self.margin) || self.outcome in ['task_success','tool_error','schema_violation','empty_output','truncated','missing']",
    "message": "a Guardrail or Success gate needs a margin: how many sessions more may fail, as a fraction such as 0.02"
}]))]
pub struct Gate {
    /// Its name, once per release.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9_-]*[a-z0-9])?$"))]
    pub name: String,
    /// `Guardrail` (must not regress), `Success` (must be shown no worse to promote), `Observed` (reported only) or `Veto`. Absent: the outcome's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// A built-in outcome such as `task_success`, `tool_error`, `schema_violation`, `empty_output`, `truncated`, `missing`, `latency`, or the name of an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9_.-]*[a-z0-9])?$"))]
    pub outcome: Option<String>,
    /// `Binary`, `Score`, `Positive` or `Category`. Absent: the outcome's own kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<OutcomeKind>,
    /// Which direction is good: `Higher` or `Lower`. Absent: the outcome's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<Good>,
    /// How much worse the release may be and still be promoted, as an absolute fraction of sessions: 0.02 is 2 percentage points.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0001, max = 0.9))]
    pub margin: Option<f64>,
    /// How much worse the release may be without being taken back, as an absolute fraction of sessions. Absent: half the margin, or 0 where any increase is bad.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub tolerance: Option<f64>,
    /// How long after its start a session's outcome is final. Absent: the outcome's own, such as 10 m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maturity: Option<Duration>,
    /// Labels (`rollpin.slice.<name>`) by which the outcome is looked at apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub slices: Vec<String>,
    /// Its share of the false-rollback budget, relative to the other gates. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.001, max = 1000.0))]
    pub weight: Option<f64>,
    /// Name of the `MetricSource`. Absent: the built-in OTLP receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub source_ref: Option<String>,
    /// Name of a `GateTemplate` in this namespace that says all of the above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub template_ref: Option<String>,
}

/// One of `Guardrail`, `Success`, `Observed`, `Veto`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Role {
    /// Must not regress, and must be shown no worse than its margin before a promotion.
    Guardrail,
    /// Must be shown no worse than its margin before a promotion; its regression takes the release back.
    Success,
    /// Reported, never acts.
    Observed,
    /// May take back, never promotes.
    Veto,
}

/// One of `Binary`, `Score`, `Positive`, `Category`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OutcomeKind {
    /// Good or bad.
    Binary,
    /// Between 0 and 1.
    Score,
    /// A positive number, such as a latency.
    Positive,
    /// One of several words.
    Category,
}

/// One of `Higher`, `Lower`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Good {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// A gate that a platform team offers by name.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "rollpin.dev",
    version = "v1alpha1",
    kind = "GateTemplate",
    namespaced,
    shortname = "gt",
    category = "rollpin",
    doc = "A gate that a platform team offers by name.",
    printcolumn = r#"{"name":"Outcome","type":"string","jsonPath":".spec.outcome"}"#,
    printcolumn = r#"{"name":"Margin","type":"number","jsonPath":".spec.margin"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
pub struct GateTemplateSpec {
    /// What the gate does: `Guardrail`, `Success`, `Observed` or `Veto`.
    pub role: Role,
    /// The outcome that it looks at.
    #[schemars(length(min = 1, max = 63))]
    pub outcome: String,
    /// How much worse a release may be and still be promoted, as an absolute fraction of sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0001, max = 0.9))]
    pub margin: Option<f64>,
    /// How much worse a release may be without being taken back, as an absolute fraction of sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 0.9))]
    pub tolerance: Option<f64>,
    /// How long after its start a session's outcome is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maturity: Option<Duration>,
    /// Every release of the namespace must carry this gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mandatory: Option<bool>,
}
