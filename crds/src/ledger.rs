//! `EvidenceLedger`: the evidence of one attempt, durable before any decision that cites it.
//!
//! It has no owner reference: it outlives its `AgentRelease`, so that deleting and recreating one buys nothing.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::status::Hold;

/// The evidence and the hold of one attempt.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "rollpin.dev",
    version = "v1alpha1",
    kind = "EvidenceLedger",
    namespaced,
    status = "EvidenceLedgerStatus",
    shortname = "eled",
    category = "rollpin",
    doc = "The evidence and the hold of one attempt. Survives the deletion of its AgentRelease.",
    printcolumn = r#"{"name":"Release","type":"string","jsonPath":".spec.release"}"#,
    printcolumn = r#"{"name":"Attempt","type":"integer","jsonPath":".spec.attempt"}"#,
    printcolumn = r#"{"name":"Held","type":"string","jsonPath":".status.hold.cause"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "the subject of a ledger never changes"}]))]
pub struct EvidenceLedgerSpec {
    /// Name of the `AgentRelease`.
    #[schemars(length(min = 1, max = 50))]
    pub release: String,
    /// The release digest on trial.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// Its behaviour digest: the key of holds.
    #[schemars(length(max = 71))]
    pub behavior_digest: String,
    /// The release digest that it is compared with.
    #[schemars(length(max = 71))]
    pub baseline_digest: String,
    /// Number of the attempt, from 1.
    pub attempt: i64,
    /// SHA-256 of the frozen policy.
    #[schemars(length(max = 71))]
    pub policy_hash: String,
}

/// What has been seen so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EvidenceLedgerStatus {
    /// The evidence, as JSON: counters and base64 vectors per gate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 393_216))]
    pub evidence: Option<String>,
    /// SHA-256 of `evidence`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71))]
    pub evidence_hash: Option<String>,
    /// When it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The hold, if the attempt ended with one. Released by a named person's retry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
}
