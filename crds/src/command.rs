//! `ReleaseCommand`: what a person or an alert wants, as an object of its own.
//!
//! Nobody but the operator writes the status of a release: a stale copy would lose the intent.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An intent, carried out once.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "rollpin.dev",
    version = "v1alpha1",
    kind = "ReleaseCommand",
    namespaced,
    status = "ReleaseCommandStatus",
    shortname = "rcmd",
    category = "rollpin",
    doc = "What a person or an alert wants of a release: an intent that names the digest it means, and is carried out once.",
    printcolumn = r#"{"name":"Release","type":"string","jsonPath":".spec.release"}"#,
    printcolumn = r#"{"name":"Verb","type":"string","jsonPath":".spec.verb"}"#,
    printcolumn = r#"{"name":"By","type":"string","jsonPath":".spec.requestedBy"}"#,
    printcolumn = r#"{"name":"Result","type":"string","jsonPath":".status.result"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self == oldSelf", "message": "a command never changes: create another one"},
    {"rule": "self.verb != 'Rollback' || !has(self.full)", "message": "full belongs to Promote"},
    {"rule": "!(self.verb in ['Retry', 'Override']) || self.reason.size() > 0", "message": "Retry and Override need a reason"}
]))]
pub struct ReleaseCommandSpec {
    /// Name of the `AgentRelease`.
    #[schemars(length(min = 1, max = 50))]
    pub release: String,
    /// `Promote`, `Abort`, `Rollback`, `Pause`, `Resume`, `Retry`, `Stop`, `Veto` or `Override`.
    pub verb: Verb,
    /// The release digest that is meant: the command is refused when another one is concerned by then.
    #[schemars(length(max = 71), regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub digest: String,
    /// Why.
    #[serde(default)]
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// Who asks.
    #[schemars(length(min = 1, max = 256))]
    pub requested_by: String,
    /// Whom the operator acts for, such as the sender of an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub on_behalf_of: Option<String>,
    /// `Promote`: all the remaining steps, without evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full: Option<bool>,
    /// `Promote`: never take it back by itself during its bake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_bake_rollback: Option<bool>,
    /// `Rollback`: the revision to return to. Absent: the predecessor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub to_revision: Option<String>,
    /// The command is void after this time. Absent: an hour after its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// One of `Promote`, `Abort`, `Rollback`, `Pause`, `Resume`, `Retry`, `Stop`, `Veto`, `Override`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verb {
    /// Take the next step, or all of them, without waiting for evidence.
    Promote,
    /// Take the canary back.
    Abort,
    /// Return to an earlier revision.
    Rollback,
    /// Stay at the weight.
    Pause,
    /// Go on.
    Resume,
    /// Try a held or ended release again.
    Retry,
    /// Stop serving the agent.
    Stop,
    /// Never promote this attempt.
    Veto,
    /// Give a held release traffic.
    Override,
}

/// What became of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseCommandStatus {
    /// `Done`, `Refused` or `Expired`. Absent: not looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<CommandResult>,
    /// The result in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// One of `Done`, `Refused`, `Expired`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum CommandResult {
    /// Carried out.
    Done,
    /// Not carried out; the message says why.
    Refused,
    /// Not looked at in time.
    Expired,
}
