//! `AgentRevision`: one immutable, content-addressed version of an agent.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One immutable version of an agent.
///
/// Components are canonical JSON *strings*: the API server's `self == oldSelf` holds over strings, but over objects that
/// preserve unknown fields it accepts a renamed key.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "rollpin.dev",
    version = "v1alpha1",
    kind = "AgentRevision",
    namespaced,
    status = "AgentRevisionStatus",
    shortname = "arev",
    category = "rollpin",
    doc = "One immutable, content-addressed version of an agent. Written by rollpin, never by people.",
    printcolumn = r#"{"name":"Release","type":"string","jsonPath":".spec.agent"}"#,
    printcolumn = r#"{"name":"Digest","type":"string","jsonPath":".spec.digest"}"#,
    printcolumn = r#"{"name":"Verdict","type":"string","jsonPath":".status.verdict"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [{"rule": "self == oldSelf", "message": "a revision never changes: its digest names its content"}]))]
pub struct AgentRevisionSpec {
    /// Name of the `AgentRelease`.
    #[schemars(length(min = 1, max = 50))]
    pub agent: String,
    /// The release digest.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// The digest of the behaviour fields alone.
    #[schemars(length(max = 71))]
    pub behavior_digest: String,
    /// Version of the recipe that made the digests.
    pub digest_version: i64,
    /// The OCI manifest, canonical JSON; its SHA-256 is the digest.
    #[schemars(length(max = 8192))]
    pub manifest: String,
    /// The components, in the order of the manifest's layers.
    #[schemars(length(max = 7))]
    pub components: Vec<Component>,
    /// The pod template that runs it, canonical JSON, without the operations fields.
    #[schemars(length(max = 131_072))]
    pub template: String,
    /// Contract level of the harness.
    pub contract_level: i64,
    /// Port of the harness.
    pub port: i32,
}

/// One component of a release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Component {
    /// `model`, `prompt`, `tools`, `context`, `harness`, `runtime` or `state`.
    #[schemars(length(max = 16))]
    pub name: String,
    /// `sha256:` and the digest of `content`.
    #[schemars(length(max = 71))]
    pub digest: String,
    /// The digest of the behaviour fields alone.
    #[schemars(length(max = 71))]
    pub behavior_digest: String,
    /// Canonical JSON, exactly the bytes of the mounted file.
    #[schemars(length(max = 262_144))]
    pub content: String,
}

/// What became of a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AgentRevisionStatus {
    /// The verdict of its last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub verdict: Option<String>,
    /// Whether it once passed its bake, so that a return to it is quick.
    #[serde(default)]
    pub baked: bool,
}
