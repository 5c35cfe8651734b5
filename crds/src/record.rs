//! `DecisionRecord`: what was seen and what was decided at one phase edge, enough to replay it offline.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::Phase;

/// One phase edge: what was seen, what was decided, and why; hash-chained to the one before.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "rollpin.dev",
    version = "v1alpha1",
    kind = "DecisionRecord",
    namespaced,
    shortname = "drec",
    category = "rollpin",
    doc = "One phase edge of a release: what was seen, what was decided, and why. Immutable and hash-chained; `rollpin replay` reaches the same verdict from it offline.",
    printcolumn = r#"{"name":"Release","type":"string","jsonPath":".spec.release"}"#,
    printcolumn = r#"{"name":"Seq","type":"integer","jsonPath":".spec.sequence"}"#,
    printcolumn = r#"{"name":"From","type":"string","jsonPath":".spec.from"}"#,
    printcolumn = r#"{"name":"To","type":"string","jsonPath":".spec.to"}"#,
    printcolumn = r#"{"name":"Why","type":"string","jsonPath":".spec.message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "a decision record never changes"}]))]
pub struct DecisionRecordSpec {
    /// Name of the `AgentRelease`.
    #[schemars(length(min = 1, max = 50))]
    pub release: String,
    /// Uid of the `AgentRelease`.
    #[schemars(length(max = 64))]
    pub release_uid: String,
    /// Number in the chain, from 1.
    pub sequence: i64,
    /// Hash of the record before; empty for the first one.
    #[schemars(length(max = 71))]
    pub previous: String,
    /// `sha256:` and the digest of this record's canonical JSON without this field.
    #[schemars(length(max = 71))]
    pub hash: String,
    /// When it was decided.
    pub at: Time,
    /// The phase before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Phase>,
    /// The phase after.
    pub to: Phase,
    /// Why, in the words of the status.
    #[schemars(length(max = 4096))]
    pub message: String,
    /// Version of the decision engine.
    #[schemars(length(max = 63))]
    pub engine: String,
    /// Everything that was seen, as canonical JSON.
    #[schemars(length(max = 262_144))]
    pub observed: String,
    /// `sha256:` and the digest of the state that was decided, as canonical JSON.
    #[schemars(length(max = 71))]
    pub decided: String,
}

/// A record that was committed with the status and is not yet an object of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PendingRecord {
    /// Name of the object to be.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its spec, as JSON.
    #[schemars(length(max = 524_288))]
    pub spec: String,
}
