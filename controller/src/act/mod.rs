//! Makes the cluster match the committed status. Idempotent: cut short anywhere, the next reconcile finishes it.
//!
//! The order is the point: a release is made and ready before it gets weight, and loses its weight before its pods.

pub mod apply;
mod ledgers;
mod release;
mod results;
mod retire;
mod route;

use rollpin_crds::AgentRelease;
use rollpin_crds::status::{AgentReleaseStatus, State};

use crate::commit::write_record;
use crate::context::{Context, Memory};
use crate::error::Error;
use crate::observe::{Scene, plan_of};

/// Makes the cluster match the committed status.
pub async fn act(
    ctx: &Context,
    agent: &AgentRelease,
    scene: &Scene,
    status: &AgentReleaseStatus,
    memory: &mut Memory,
) -> Result<(), Error> {
    let plan = plan_of(status, scene);
    let taking_back = matches!(status.state, Some(State::Reverting(_)));
    if taking_back {
        // Containment waits for nothing.
        route::ensure(ctx, agent, scene, &plan).await?;
    }
    if let Some(record) = &status.pending_record {
        write_record(ctx, &scene.agent, record, memory).await?;
    }
    for workload in &plan.workloads {
        release::ensure(ctx, agent, scene, &plan, workload, memory).await?;
    }
    release::ensure_stable_service(ctx, scene, &plan, memory).await?;
    ledgers::ensure(ctx, scene, status, &plan, memory).await?;
    let in_force = taking_back || route::ensure(ctx, agent, scene, &plan).await?;
    ledgers::hold(ctx, scene, status, &plan, memory).await?;
    results::write(ctx, scene, status).await?;
    retire::mark(ctx, scene, status, &plan).await?;
    if in_force {
        retire::scale_down(ctx, scene, status, &plan).await?;
        retire::forget_old(ctx, scene, status, memory).await?;
    }
    Ok(())
}
