//! What leaves: pods of releases that the plan no longer names, and revisions beyond the history limit. Never before its traffic.

use kube::ResourceExt;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use rollpin_crds::AgentRevision;
use rollpin_crds::revision::AgentRevisionStatus;
use rollpin_crds::status::{AgentReleaseStatus, ReleaseRef, State};
use rollpin_engine::phase;
use rollpin_engine::plan::Plan;
use serde_json::json;

use super::{apply, release};
use crate::context::{Context, Memory};
use crate::error::Error;
use crate::observe::Scene;
use crate::observe::desired::belongs;

/// Scales every Deployment of the agent to nothing that the plan does not name.
pub async fn scale_down(ctx: &Context, scene: &Scene, status: &AgentReleaseStatus, plan: &Plan) -> Result<(), Error> {
    if status.state.is_none() {
        return Ok(());
    }
    for deployment in ctx.stores.deployments.state_filter(|deployment| belongs(deployment, &scene.agent)) {
        let name = deployment.name_any();
        let named = plan.workloads.iter().any(|workload| workload.release.revision == name);
        let ours = deployment.owner_references().iter().any(|owner| owner.uid == scene.agent.uid);
        let running = deployment.spec.as_ref().and_then(|spec| spec.replicas) != Some(0);
        if !named && ours && running {
            release::scale(ctx, scene, &name, 0).await?;
        }
    }
    Ok(())
}

/// Says on the revisions themselves what became of them.
pub async fn mark(ctx: &Context, scene: &Scene, status: &AgentReleaseStatus, plan: &Plan) -> Result<(), Error> {
    if let Some(baked) = &plan.baked {
        mark_one(ctx, scene, baked, |before| AgentRevisionStatus { baked: true, ..before }).await?;
    }
    if let Some((release, verdict)) = status.state.as_ref().and_then(verdict) {
        mark_one(ctx, scene, release, |before| AgentRevisionStatus { verdict: Some(verdict.clone()), ..before })
            .await?;
    }
    Ok(())
}

fn verdict(state: &State) -> Option<(&ReleaseRef, String)> {
    match state {
        State::Baking(baking) => Some((&baking.live, baking.basis.clone())),
        State::Reverting(reverting) => Some((&reverting.rejected, format!("{:?}", reverting.cause))),
        State::Pending(_) | State::Steady(_) | State::Canary(_) => None,
    }
}

async fn mark_one(
    ctx: &Context,
    scene: &Scene,
    release: &ReleaseRef,
    change: impl Fn(AgentRevisionStatus) -> AgentRevisionStatus,
) -> Result<(), Error> {
    let Some(revision) = ctx.stores.revisions.get(&ObjectRef::new(&release.revision).within(&scene.agent.namespace))
    else {
        return Ok(());
    };
    let before = revision.status.clone().unwrap_or_default();
    let after = change(before.clone());
    if after == before {
        return Ok(());
    }
    let api = ctx.api::<AgentRevision>(&scene.agent);
    let done =
        api.patch_status(&release.revision, &PatchParams::default(), &Patch::Merge(json!({"status": after}))).await;
    done.map(|_| ()).map_err(|cause| {
        Error::api("mark", format!("AgentRevision {}/{}", scene.agent.namespace, release.revision), cause)
    })
}

/// Deletes the oldest revisions beyond the limit, with everything that was made from them.
pub async fn forget_old(
    ctx: &Context,
    scene: &Scene,
    status: &AgentReleaseStatus,
    memory: &mut Memory,
) -> Result<(), Error> {
    let limit = usize::try_from(scene.settings.revision_history_limit).unwrap_or_default();
    let in_use = in_use(scene, status);
    let mut idle = ctx.stores.revisions.state_filter(|revision| {
        revision.spec.agent == scene.agent.name
            && revision.namespace().as_deref() == Some(&scene.agent.namespace)
            && !in_use.contains(&revision.spec.digest)
    });
    if idle.len() <= limit {
        return Ok(());
    }
    idle.sort_by_key(|revision| (revision.creation_timestamp().map(|time| time.0), revision.name_any()));
    for revision in idle.iter().take(idle.len() - limit) {
        let name = revision.name_any();
        for (group_version, kind) in [
            ("apps/v1", "Deployment"),
            ("v1", "Service"),
            ("v1", "ConfigMap"),
            ("rollpin.dev/v1alpha1", "AgentRevision"),
        ] {
            apply::delete(&ctx.shared.client, &scene.agent, group_version, kind, &name).await?;
        }
        let prefix = format!("{name}@");
        memory.ensured.retain(|known| !known.starts_with(&prefix));
    }
    Ok(())
}

fn in_use(scene: &Scene, status: &AgentReleaseStatus) -> Vec<String> {
    let mut digests: Vec<String> = status.retiring.iter().map(|retiring| retiring.release.digest.clone()).collect();
    if let Some(state) = &status.state {
        let named = [phase::live(state), phase::trial(state), phase::predecessor(state)];
        digests.extend(named.into_iter().flatten().map(|release| release.digest.clone()));
    }
    digests.extend(scene.prepared.iter().map(|prepared| prepared.built.release.digest.clone()));
    digests
}
