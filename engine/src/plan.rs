//! What the cluster must look like for a committed status. Derived again at every reconcile, so a crash loses nothing.
//!
//! Pure. It says what; how it is written is the controller's business.

use rollpin_crds::status::{AgentReleaseStatus, Canary, Hold, ReleaseRef, Retiring, Reverting, State};
use serde::{Deserialize, Serialize};

use crate::policy::{OnRollback, Settings};

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
    /// Holds that ledgers must carry; every other ledger of the agent carries none.
    pub holds: Vec<Hold>,
    /// A release that has passed its bake: its revision says so from now on.
    pub baked: Option<ReleaseRef>,
}

/// The one `HTTPRoute` of an agent: shares of new sessions, and where pinned ones go.
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

/// What the cluster must look like for this status.
#[must_use]
pub fn plan(status: &AgentReleaseStatus, settings: &Settings) -> Plan {
    let mut plan = match &status.state {
        None => Plan::default(),
        Some(State::Pending(pending)) => match &pending.first {
            Some(first) => Plan { workloads: vec![serving(first, settings)], ..Plan::default() },
            None => Plan::default(),
        },
        Some(State::Steady(steady)) => {
            Plan { baked: Some(steady.live.clone()), ..serving_alone(&steady.live, settings) }
        }
        Some(State::Canary(canary)) => on_trial(canary, settings, settings.replicas.or(status.replicas).unwrap_or(1)),
        Some(State::Reverting(reverting)) => taking_back(reverting, settings),
        Some(State::Baking(baking)) => {
            let mut plan = serving_alone(&baking.live, settings);
            if let Some(predecessor) = &baking.predecessor {
                pin(&mut plan, predecessor, predecessor);
                plan.workloads.push(WorkloadPlan { release: predecessor.clone(), replicas: None });
            }
            plan
        }
    };
    for retiring in &status.retiring {
        retire(&mut plan, retiring);
    }
    plan.holds.clone_from(&status.hold);
    plan
}

fn serving(release: &ReleaseRef, settings: &Settings) -> WorkloadPlan {
    WorkloadPlan { release: release.clone(), replicas: settings.replicas }
}

fn serving_alone(live: &ReleaseRef, settings: &Settings) -> Plan {
    Plan {
        route: Some(RoutePlan { weights: vec![(live.clone(), 100)], pins: vec![(live.clone(), live.clone())] }),
        workloads: vec![serving(live, settings)],
        stable: Some(live.clone()),
        ..Plan::default()
    }
}

fn on_trial(canary: &Canary, settings: &Settings, stable_pods: i32) -> Plan {
    let mut plan = serving_alone(&canary.live, settings);
    pin(&mut plan, &canary.trial, &canary.trial);
    if let (Some(route), 1..) = (&mut plan.route, canary.weight) {
        let mut weights = vec![(canary.live.clone(), 100 - canary.weight), (canary.trial.clone(), canary.weight)];
        weights.retain(|(_, weight)| *weight > 0);
        route.weights = weights;
    }
    plan.workloads.push(WorkloadPlan {
        release: canary.trial.clone(),
        replicas: Some(canary_replicas(stable_pods, canary.target)),
    });
    plan.ledger = Some(LedgerPlan {
        name: canary.ledger.clone(),
        trial: canary.trial.clone(),
        baseline: canary.live.clone(),
        attempt: canary.attempt,
        policy_hash: canary.policy_hash.clone(),
    });
    plan
}

/// Pods of a canary: its share of stable's, rounded up, at least one.
#[must_use]
pub fn canary_replicas(stable: i32, weight: i64) -> i32 {
    let share = (i64::from(stable) * weight + 99) / 100;
    i32::try_from(share.max(1)).unwrap_or(i32::MAX)
}

fn taking_back(reverting: &Reverting, settings: &Settings) -> Plan {
    let mut plan = serving_alone(&reverting.live, settings);
    let target = match settings.on_rollback {
        OnRollback::Migrate => &reverting.live,
        // Ending conversations with 410 needs something that answers so; without it they may finish.
        OnRollback::Drain | OnRollback::Terminate => &reverting.rejected,
    };
    pin(&mut plan, &reverting.rejected, target);
    plan.workloads.push(WorkloadPlan { release: reverting.rejected.clone(), replicas: None });
    plan
}

fn retire(plan: &mut Plan, retiring: &Retiring) {
    let named = |release: &ReleaseRef| release.digest == retiring.release.digest;
    if plan.workloads.iter().any(|workload| named(&workload.release)) {
        return;
    }
    let Some(stable) = plan.stable.clone() else { return };
    let target = if retiring.pinned { &retiring.release } else { &stable };
    pin(plan, &retiring.release, target);
    plan.workloads.push(WorkloadPlan { release: retiring.release.clone(), replicas: None });
}

fn pin(plan: &mut Plan, from: &ReleaseRef, to: &ReleaseRef) {
    let Some(route) = &mut plan.route else { return };
    if !route.pins.iter().any(|(pinned, _)| pinned.digest == from.digest) {
        route.pins.push((from.clone(), to.clone()));
    }
}
