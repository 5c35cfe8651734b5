//! What the cluster must look like for a committed status. Derived again at every reconcile, so a crash loses nothing.
//!
//! Pure. It says what; how it is written is the controller's business.

use rollpin_crds::status::{Hold, ReleaseRef};
use serde::{Deserialize, Serialize};

/// What the cluster must look like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The route; absent while nothing serves.
    pub route: Option<RoutePlan>,
    /// Deployments that must exist with so many pods. Every other Deployment of the agent is scaled to 0.
    pub workloads: Vec<WorkloadPlan>,
    /// The release whose `<agent>` Service answers callers inside the cluster.
    pub stable: Option<ReleaseRef>,
    /// The ledger of the attempt under way.
    pub ledger: Option<LedgerPlan>,
    /// Holds that ledgers must carry.
    pub holds: Vec<Hold>,
}

/// The one `HTTPRoute` of an agent: pin rules first, then the weighted rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RoutePlan {
    /// New sessions: releases with a weight above 0; weights sum to 100.
    pub weights: Vec<(ReleaseRef, i64)>,
    /// Pinned sessions: those of the first release go to the second.
    pub pins: Vec<(ReleaseRef, ReleaseRef)>,
}

/// One Deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadPlan {
    /// The release.
    pub release: ReleaseRef,
    /// Pods; absent: leave the number as it is.
    pub replicas: Option<i32>,
}

/// The ledger of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LedgerPlan {
    /// Name of the object.
    pub name: String,
    /// The release on trial.
    pub trial: ReleaseRef,
    /// The release that it is compared with.
    pub baseline: ReleaseRef,
    /// Number of the attempt.
    pub attempt: i64,
    /// SHA-256 of the frozen policy.
    pub policy_hash: String,
}
