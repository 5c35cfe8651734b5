//! `AgentRelease`: the desired agent, the one kind that users write every day.

use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::bundle::{Bundle, JsonObject};
use crate::gate::Gate;
use crate::rollout::{AlertRule, ErrorBudget, ExpectedChange, Rollout};
use crate::schema::Duration;
use crate::status::AgentReleaseStatus;
use crate::traffic::Traffic;

/// The desired agent: its bundle, the pod that runs it, and how a change of either is rolled out.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "rollpin.dev",
    version = "v1alpha1",
    kind = "AgentRelease",
    namespaced,
    status = "AgentReleaseStatus",
    derive = "PartialEq",
    shortname = "arel",
    shortname = "agentrel",
    category = "all",
    category = "rollpin",
    doc = "An LLM agent as one content-hashed release: model, prompt, tool schemas and context layout with the pod that runs them. A change is rolled out as a canary behind statistical gates, and taken back by itself when behaviour drifts.",
    scale = r#"{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas","labelSelectorPath":".status.selector"}"#,
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase","description":"Where the rollout stands"}"#,
    printcolumn = r#"{"name":"Serving","type":"string","jsonPath":".status.columns.serving","description":"The release that answers new sessions"}"#,
    printcolumn = r#"{"name":"Desired","type":"string","jsonPath":".status.columns.desired","description":"The release that the spec asks for"}"#,
    printcolumn = r#"{"name":"Weight","type":"integer","jsonPath":".status.weight","description":"Percent of new sessions that begin on the desired release"}"#,
    printcolumn = r#"{"name":"Verdict","type":"string","jsonPath":".status.columns.verdict","description":"What the evidence says, and what it still needs"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"Step","type":"string","jsonPath":".status.columns.step","priority":1,"description":"Step of the canary"}"#,
    printcolumn = r#"{"name":"Sessions","type":"string","jsonPath":".status.columns.sessions","priority":1,"description":"Counted sessions, canary/stable"}"#,
    printcolumn = r#"{"name":"Tightest","type":"string","jsonPath":".status.columns.tightest","priority":1,"description":"The gate that is nearest to a verdict against the release"}"#
)]
pub struct AgentReleaseSpec {
    /// What the agent is made of. Every change here makes a new release.
    pub bundle: Bundle,
    /// What the harness container promises. Absent: level 0, any container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Number of pods of the stable release. Leave it out when a `HorizontalPodAutoscaler` owns it. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub replicas: Option<i32>,
    /// The pod template of the harness. Resources, node selection and the like are operations and change pods in place; all else is behaviour and makes a new release.
    #[schemars(schema_with = "pod_template")]
    pub template: JsonObject,
    /// The gateway in front of the agent, and how conversations stay with their release.
    pub traffic: Traffic,
    /// How a new release is rolled out. Absent: steps 1, 5, 25, 50, 100 and a bake of 72 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// The gates. Absent: guardrails on `tool_error`, `schema_violation`, `truncated`, `empty_output` and `missing`, and `task_success` when stable reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub gates: Option<Vec<Gate>>,
    /// How often rollpin may be wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_budget: Option<ErrorBudget>,
    /// What alerts do. Absent: an alert with the release's digest rolls back, one that names only the release pauses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub alerts: Vec<AlertRule>,
    /// Changes that are intended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub expect: Vec<ExpectedChange>,
    /// The watch for drift after a promotion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
}

/// What the harness container promises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// 0: any container. 1: answers the well-known path, hands out the release as a pin, sends OpenTelemetry. 2: also ends sessions explicitly.
    #[serde(default)]
    #[schemars(range(min = 0, max = 2))]
    pub level: i64,
    /// Port of the harness. Absent: the first container's first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65_535))]
    pub port: Option<i32>,
}

/// The watch for drift after a promotion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Drift {
    /// Outcomes that are watched. Absent: those of the guardrails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)))]
    pub outcomes: Vec<String>,
    /// Mean time between false alarms of all detectors together. Absent: 720 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub false_alarm_every: Option<Duration>,
}

/// A pod template with the container images declared, so that rules can see them, and everything else preserved.
/// A fully typed template would make the CRD too large for a client-side apply; a server-side dry run checks the rest.
fn pod_template(_: &mut SchemaGenerator) -> Schema {
    let container = serde_json::json!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "description": "A container of the harness pod.",
        "required": ["name", "image"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 63, "description": "Its name."},
            "image": {"type": "string", "minLength": 1, "maxLength": 512, "description": "Its image. Pin it by digest: only then does the release digest cover it."},
        },
    });
    let metadata = serde_json::json!({
        "type": "object",
        "description": "Labels and annotations of the pods; provenance.",
        "properties": {
            "labels": {"type": "object", "maxProperties": 64, "additionalProperties": {"type": "string", "maxLength": 63}, "description": "Labels of the pods."},
            "annotations": {"type": "object", "maxProperties": 64, "additionalProperties": {"type": "string", "maxLength": 16384}, "description": "Annotations of the pods."},
        },
    });
    json_schema!({
        "type": "object",
        "required": ["spec"],
        "properties": {
            "metadata": metadata,
            "spec": {
                "type": "object",
                "x-kubernetes-preserve-unknown-fields": true,
                "description": "The pod spec, as in a Deployment.",
                "required": ["containers"],
                "properties": {
                    "containers": {"type": "array", "minItems": 1, "maxItems": 16, "items": container, "description": "The containers. The first one is the harness.",
                        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
                },
            },
        },
    })
}
