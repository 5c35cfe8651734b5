//! Everything that one release consists of, in the order in which it must exist: revision, files, Service, Deployment, number of pods.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use rollpin_crds::status::ReleaseRef;
use rollpin_crds::{AgentRelease, AgentRevision, MANAGER, RELEASE_LABEL};
use rollpin_engine::digest::{base32, overlay_operations};
use rollpin_engine::plan::{Plan, WorkloadPlan};
use serde_json::{Value, json};

use super::apply;
use crate::build::{APPLIED, children, workload};
use crate::context::{Context, Memory};
use crate::error::Error;
use crate::observe::Scene;
use crate::observe::desired::belongs;
use crate::observe::revisions::intact;

/// Makes a release exist with as many pods as the plan says.
pub async fn ensure(
    ctx: &Context,
    agent: &AgentRelease,
    scene: &Scene,
    plan: &Plan,
    wanted: &WorkloadPlan,
    memory: &mut Memory,
) -> Result<(), Error> {
    let release = &wanted.release;
    let deployment = ctx.stores.deployments.get(&ObjectRef::new(&release.revision).within(&scene.agent.namespace));
    let leaving =
        wanted.replicas.is_none() && plan.stable.as_ref().is_some_and(|stable| stable.digest != release.digest);
    if leaving {
        // It is on its way out: nothing of it is made again, and its number of pods stays.
        return Ok(());
    }
    let Some(revision) = revision(ctx, scene, release, memory).await? else {
        return Ok(());
    };
    if !intact(&revision, release, memory) {
        return Err(Error::Forged {
            revision: release.revision.clone(),
            why: "see the log for what differs".to_owned(),
        });
    }
    ensure_objects(ctx, agent, scene, release, &revision, deployment.as_deref(), memory).await?;
    ensure_replicas(ctx, scene, wanted, deployment.as_deref()).await
}

/// The stored revision; made now if the spec still asks for this release.
async fn revision(
    ctx: &Context,
    scene: &Scene,
    release: &ReleaseRef,
    memory: &mut Memory,
) -> Result<Option<std::sync::Arc<AgentRevision>>, Error> {
    let key = ObjectRef::new(&release.revision).within(&scene.agent.namespace);
    if let Some(known) = ctx.stores.revisions.get(&key) {
        return Ok(Some(known));
    }
    if let Some(prepared) = scene.prepared.as_ref().filter(|prepared| prepared.built.release.digest == release.digest) {
        apply::create_once(&ctx.shared.client, &scene.agent, &children::revision(&scene.agent, &prepared.built))
            .await?;
    }
    let api: Api<AgentRevision> = ctx.api(&scene.agent);
    let object = || format!("AgentRevision {}/{}", scene.agent.namespace, release.revision);
    let found = api.get_opt(&release.revision).await.map_err(|cause| Error::api("read", object(), cause))?;
    if found.is_none() {
        tracing::warn!(revision = %release.revision, "a release that is named in the status has no AgentRevision, and the spec asks for another one");
        memory.verified.clear();
    }
    Ok(found.map(std::sync::Arc::new))
}

async fn ensure_objects(
    ctx: &Context,
    agent: &AgentRelease,
    scene: &Scene,
    release: &ReleaseRef,
    revision: &AgentRevision,
    deployment: Option<&Deployment>,
    memory: &mut Memory,
) -> Result<(), Error> {
    let own = serde_json::from_str::<Value>(&revision.spec.template).map_err(|cause| Error::Malformed {
        object: format!("template of AgentRevision {}", release.revision),
        why: cause.to_string(),
    })?;
    let template = overlay_operations(&own, &Value::Object(agent.spec.template.clone()));
    let made = workload::Workload {
        release,
        template: &template,
        contract_level: revision.spec.contract_level,
        port: revision.spec.port,
        otlp_endpoint: ctx.shared.otlp_endpoint.as_deref(),
    };
    let hash = workload::made_from(&made);
    let applied = deployment.and_then(|deployment| deployment.annotations().get(APPLIED)) == Some(&hash);
    let key = format!("{}@{hash}", release.revision);
    let complete = applied && has_endpoint_slice(ctx, scene, &release.revision);
    if complete || (memory.ensured.contains(&key) && deployment.is_some()) {
        return Ok(());
    }
    let (client, owner) = (&ctx.shared.client, &scene.agent);
    apply::create_once(client, owner, &children::config_map(owner, release, revision)).await?;
    apply::apply(client, owner, &children::service(owner, &release.revision, release, revision.spec.port)).await?;
    let object = workload::deployment(owner, &made).map_err(|cause| Error::Malformed {
        object: format!("template of AgentRelease {}/{}", owner.namespace, owner.name),
        why: cause.to_string(),
    })?;
    apply::apply(client, owner, &object).await?;
    memory.ensured.insert(key);
    Ok(())
}

fn has_endpoint_slice(ctx: &Context, scene: &Scene, service: &str) -> bool {
    slices_of(ctx, scene, service).next().is_some()
}

fn slices_of(ctx: &Context, scene: &Scene, service: &str) -> impl Iterator<Item = std::sync::Arc<EndpointSlice>> {
    let slices = ctx.stores.slices.state_filter(|slice| {
        belongs(slice, &scene.agent)
            && slice.labels().get("kubernetes.io/service-name").map(String::as_str) == Some(service)
    });
    slices.into_iter()
}

/// The number of pods is written apart from the rest, since an autoscaler may own it.
async fn ensure_replicas(
    ctx: &Context,
    scene: &Scene,
    wanted: &WorkloadPlan,
    deployment: Option<&Deployment>,
) -> Result<(), Error> {
    let Some(replicas) = wanted.replicas else {
        return Ok(());
    };
    // A new Deployment has one pod before it is told.
    let there = deployment.map_or(1, |deployment| deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1));
    if there == replicas {
        return Ok(());
    }
    scale(ctx, scene, &wanted.release.revision, replicas).await
}

/// Sets the number of pods of a Deployment.
pub async fn scale(ctx: &Context, scene: &Scene, name: &str, replicas: i32) -> Result<(), Error> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let done = ctx
        .api::<Deployment>(&scene.agent)
        .patch(name, &PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }, &patch)
        .await;
    done.map(|_| ()).map_err(|cause| Error::api("scale", format!("Deployment {}/{name}", scene.agent.namespace), cause))
}

/// The `<agent>` Service, for callers inside the cluster: the release that serves, alone.
pub async fn ensure_stable_service(
    ctx: &Context,
    scene: &Scene,
    plan: &Plan,
    memory: &mut Memory,
) -> Result<(), Error> {
    let Some(stable) = &plan.stable else {
        return Ok(());
    };
    let b32 = base32(&stable.digest);
    let mut slices = slices_of(ctx, scene, &scene.agent.name);
    let follows = slices.any(|slice| slice.labels().get(RELEASE_LABEL) == Some(&b32));
    let key = format!("{}@{}", scene.agent.name, stable.digest);
    if follows || memory.ensured.contains(&key) {
        return Ok(());
    }
    let Some(revision) = ctx.stores.revisions.get(&ObjectRef::new(&stable.revision).within(&scene.agent.namespace))
    else {
        return Ok(());
    };
    refuse_foreign_service(ctx, scene).await?;
    let service = children::service(&scene.agent, &scene.agent.name, stable, revision.spec.port);
    apply::apply(&ctx.shared.client, &scene.agent, &service).await?;
    let prefix = format!("{}@", scene.agent.name);
    memory.ensured.retain(|known| !known.starts_with(&prefix));
    memory.ensured.insert(key);
    Ok(())
}

/// A Service of that name that somebody made by hand is not taken over.
async fn refuse_foreign_service(ctx: &Context, scene: &Scene) -> Result<(), Error> {
    let object = format!("Service {}/{}", scene.agent.namespace, scene.agent.name);
    let found = ctx
        .api::<Service>(&scene.agent)
        .get_opt(&scene.agent.name)
        .await
        .map_err(|cause| Error::api("read", object.clone(), cause))?;
    match found {
        Some(service) if !service.owner_references().iter().any(|owner| owner.uid == scene.agent.uid) => {
            Err(Error::Taken { object })
        }
        Some(_) | None => Ok(()),
    }
}
