//! `Observed`: every fact of one reconcile, as data that can be stored and read again.
//!
//! A failed fetch is a fact here, never an early return. Times are stamped by the caller; nothing is looked up.

use jiff::Timestamp;
use rollpin_crds::command::Verb;
use rollpin_crds::status::{AgentReleaseStatus, Hold, ReleaseRef};
use serde::{Deserialize, Serialize};

use crate::evidence::Evidence;
use crate::policy::{Baseline, Policy, Settings};

/// All facts of one reconcile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observed {
    /// When the facts were read.
    pub now: Timestamp,
    /// Which release this is.
    pub release: Identity,
    /// What the spec asks for, or what is wrong with it.
    pub desired: Wanted,
    /// What was committed before. Absent conditions and texts do not matter to a decision; `state` and `history` do.
    pub status: AgentReleaseStatus,
    /// What the revisions named by the state look like in the cluster.
    pub revisions: Vec<RevisionSeen>,
    /// The route.
    pub route: RouteSeen,
    /// The evidence of the attempt under way; absent when there is none.
    pub evidence: Option<Evidence>,
    /// What stable was seen to do before an attempt.
    pub baseline: BaselineSeen,
    /// Commands without a result, oldest first.
    pub commands: Vec<CommandSeen>,
    /// What earlier attempts left in ledgers; read when a release becomes desired that was not before.
    pub past: Vec<PastAttempt>,
}

/// Which release this is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// Uid.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
}

/// What the spec asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::large_enum_variant)] // one per reconcile; a box would only hide the fields
pub enum Wanted {
    /// A complete release.
    Release {
        /// Its digests and the name of its revision.
        release: ReleaseRef,
        /// The policy that a new attempt would freeze; baselines are not filled in yet.
        policy: Policy,
        /// What acts at once.
        settings: Settings,
        /// Components that differ from the live release, by name: `model`, `prompt`, `tools` ...
        changed: Vec<String>,
        /// Warnings of the pre-flight checks, in words.
        warnings: Vec<String>,
    },
    /// Content that is not there yet: wait.
    WaitingForContent {
        /// What is missing or different, in words.
        why: String,
        /// What acts at once.
        settings: Settings,
    },
    /// A spec that cannot be carried out.
    Invalid {
        /// The field, what is wrong, what to write instead; one sentence per problem.
        problems: Vec<String>,
        /// What acts at once, where that much could be read.
        settings: Option<Settings>,
    },
}

/// What a revision looks like in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionSeen {
    /// The release digest.
    pub digest: String,
    /// The `AgentRevision` object is there and hashes to its digest.
    pub intact: bool,
    /// It passed a bake once.
    pub baked: bool,
    /// Pods that its Deployment asks for.
    pub wanted: i32,
    /// Pods that are ready; at contract level 1 and above, ready means attested by the kubelet's own probe.
    pub ready: i32,
    /// Endpoints of its Service that are ready.
    pub endpoints: i32,
    /// Why pods do not come up, if they do not.
    pub problem: Option<PodProblem>,
}

/// Why pods do not come up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodProblem {
    /// A word for conditions: `ImagePull`, `CrashLoop`, `Quota`, `Unschedulable`, `DigestMismatch`, `NotReady` or `TemplateInvalid`.
    pub reason: String,
    /// In words.
    pub message: String,
}

/// The route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteSeen {
    /// Its content is what the committed state asks for.
    pub current: bool,
    /// Every parent has accepted this generation.
    pub accepted: bool,
    /// Why not, if not.
    pub problem: Option<String>,
    /// rollpin's own probes by every carrier reach the canary with its pin; absent: not probed.
    pub pin_holds: Option<bool>,
    /// rollpin's own probes still reach a withdrawn release; absent: not probed.
    pub withdrawn_reached: Option<bool>,
    /// Carriers that the gateway does not match, in words.
    pub carriers_missing: Vec<String>,
    /// Milliseconds since 1970 of the last session signal from a withdrawn release; absent: none was heard.
    pub withdrawn_heard_millis: Option<i64>,
}

/// What stable was seen to do before an attempt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BaselineSeen {
    /// Sessions per second; absent while unknown.
    pub rate: Option<f64>,
    /// Per outcome that stable reports.
    pub outcomes: std::collections::BTreeMap<String, Baseline>,
}

/// A command without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommandSeen {
    /// Its uid.
    pub uid: String,
    /// Its name.
    pub name: String,
    /// What is asked.
    pub verb: Verb,
    /// The release digest that is meant.
    pub digest: String,
    /// Who asks; with whom it is asked for, where that differs.
    pub by: String,
    /// Why.
    pub reason: String,
    /// All the remaining steps.
    pub full: bool,
    /// Never take it back by itself during its bake.
    pub no_bake_rollback: bool,
    /// The revision to return to, already looked up; absent: the predecessor.
    pub to: Option<ReleaseRef>,
    /// A revision was named and does not exist.
    pub to_missing: Option<String>,
    /// It came too late.
    pub expired: bool,
}

/// What an earlier attempt left in its ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PastAttempt {
    /// The behaviour digest.
    pub behavior_digest: String,
    /// Number of the attempt.
    pub attempt: i64,
    /// Its hold, if it still stands.
    pub hold: Option<Hold>,
}
