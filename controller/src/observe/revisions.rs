//! How the pods of each release are doing, from the copies of Deployments, pods and endpoints.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use rollpin_crds::status::ReleaseRef;
use rollpin_crds::{AgentRevision, RELEASE_LABEL, WELL_KNOWN_PATH};
use rollpin_engine::digest::{self, base32};
use rollpin_engine::observed::{PodProblem, RevisionSeen};
use rollpin_engine::plan::Plan;

use super::desired::belongs;
use crate::build::Agent;
use crate::context::{Context, Memory};

/// Longest message of a pod that is repeated.
const MESSAGE: usize = 300;

/// How each release looks.
pub async fn seen(
    ctx: &Context,
    agent: &Agent,
    releases: &[ReleaseRef],
    expected: &Plan,
    memory: &mut Memory,
) -> Vec<RevisionSeen> {
    let mut all = vec![];
    for release in releases {
        all.push(one(ctx, agent, release, expected, memory).await);
    }
    all
}

async fn one(ctx: &Context, agent: &Agent, release: &ReleaseRef, expected: &Plan, memory: &mut Memory) -> RevisionSeen {
    let within = |name: &str| ObjectRef::<Deployment>::new(name).within(&agent.namespace);
    let revision = ctx.stores.revisions.get(&ObjectRef::new(&release.revision).within(&agent.namespace));
    let deployment = ctx.stores.deployments.get(&within(&release.revision));
    let asked = expected
        .workloads
        .iter()
        .find(|workload| workload.release.digest == release.digest)
        .and_then(|workload| workload.replicas);
    let there = deployment.as_ref().and_then(|deployment| deployment.spec.as_ref()?.replicas).unwrap_or(0);
    let ready = deployment.as_ref().and_then(|deployment| deployment.status.as_ref()?.ready_replicas).unwrap_or(0);
    // The copy of a Deployment that was just scaled may be older than the plan: what is asked for counts.
    let wanted = asked.map_or(there, |asked| asked.max(there));
    let problem = if ready < wanted {
        problem(ctx, agent, release, deployment.as_deref(), revision.as_deref()).await
    } else {
        None
    };
    RevisionSeen {
        digest: release.digest.clone(),
        intact: revision.as_deref().is_some_and(|revision| intact(revision, release, memory)),
        baked: revision.as_deref().and_then(|revision| revision.status.as_ref()).is_some_and(|status| status.baked),
        wanted,
        ready,
        endpoints: endpoints(ctx, agent, release),
        problem,
    }
}

/// Whether the stored revision hashes to its digest; asked once per object, since its spec cannot change.
pub fn intact(revision: &AgentRevision, release: &ReleaseRef, memory: &mut Memory) -> bool {
    let uid = revision.metadata.uid.clone().unwrap_or_default();
    if revision.spec.digest != release.digest {
        return false;
    }
    if memory.verified.contains(&uid) {
        return true;
    }
    match digest::verify(&revision.spec) {
        Ok(()) => {
            memory.verified.insert(uid);
            true
        }
        Err(why) => {
            tracing::warn!(revision = %release.revision, %why, "a stored revision is damaged");
            false
        }
    }
}

fn endpoints(ctx: &Context, agent: &Agent, release: &ReleaseRef) -> i32 {
    let slices = ctx.stores.slices.state_filter(|slice: &EndpointSlice| {
        belongs(slice, agent) && slice.labels().get("kubernetes.io/service-name") == Some(&release.revision)
    });
    let ready = slices
        .iter()
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| endpoint.conditions.as_ref().is_some_and(|conditions| conditions.ready != Some(false)));
    i32::try_from(ready.count()).unwrap_or(i32::MAX)
}

/// Pods of a release.
pub fn pods(ctx: &Context, agent: &Agent, release: &ReleaseRef) -> Vec<std::sync::Arc<Pod>> {
    let b32 = base32(&release.digest);
    ctx.stores.pods.state_filter(|pod| belongs(pod, agent) && pod.labels().get(RELEASE_LABEL) == Some(&b32))
}

async fn problem(
    ctx: &Context,
    agent: &Agent,
    release: &ReleaseRef,
    deployment: Option<&Deployment>,
    revision: Option<&AgentRevision>,
) -> Option<PodProblem> {
    if let Some(problem) = deployment.and_then(quota) {
        return Some(problem);
    }
    let pods = pods(ctx, agent, release);
    if let Some(problem) = pods.iter().find_map(|pod| pod_problem(pod)) {
        return Some(problem);
    }
    let revision = revision.filter(|revision| revision.spec.contract_level >= 1)?;
    for pod in pods.iter().filter(|pod| is_running_unready(pod)).take(2) {
        if let Some(problem) = attest(ctx, pod, release, revision.spec.port).await {
            return Some(problem);
        }
    }
    None
}

fn quota(deployment: &Deployment) -> Option<PodProblem> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let failure =
        conditions.iter().find(|condition| condition.type_ == "ReplicaFailure" && condition.status == "True")?;
    let message = failure.message.clone().unwrap_or_default();
    let reason = if message.contains("exceeded quota") { "Quota" } else { "NotReady" };
    Some(named(reason, &message))
}

/// Why a pod does not come up, from its own status.
fn pod_problem(pod: &Pod) -> Option<PodProblem> {
    let status = pod.status.as_ref()?;
    let unschedulable = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unschedulable {
        return Some(named("Unschedulable", condition.message.as_deref().unwrap_or("no node has room")));
    }
    let mut containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.find_map(container_problem)
}

fn container_problem(container: &ContainerStatus) -> Option<PodProblem> {
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let message = waiting.message.as_deref().unwrap_or_default();
    match waiting.reason.as_deref()? {
        "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => Some(named(
            "ImagePull",
            &format!("container {} cannot get image {}: {message}", container.name, container.image),
        )),
        "CrashLoopBackOff" => Some(named(
            "CrashLoop",
            &format!("container {} ended {} times{}", container.name, container.restart_count, last_words(container)),
        )),
        reason @ ("CreateContainerConfigError" | "CreateContainerError" | "RunContainerError") => {
            Some(named("NotReady", &format!("container {} does not start: {reason}: {message}", container.name)))
        }
        _ => None,
    }
}

fn last_words(container: &ContainerStatus) -> String {
    let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    ended.map_or_else(String::new, |ended| match &ended.message {
        Some(message) => format!(", last with code {}: {message}", ended.exit_code),
        None => format!(", last with code {}", ended.exit_code),
    })
}

fn named(reason: &str, message: &str) -> PodProblem {
    PodProblem { reason: reason.to_owned(), message: message.chars().take(MESSAGE).collect() }
}

fn is_running_unready(pod: &Pod) -> bool {
    let Some(status) = &pod.status else {
        return false;
    };
    let ready =
        status.conditions.iter().flatten().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    status.phase.as_deref() == Some("Running") && !ready && pod.metadata.deletion_timestamp.is_none()
}

/// Asks an unready harness which bytes it loaded. For the words only: readiness is the kubelet's to say.
async fn attest(ctx: &Context, pod: &Pod, release: &ReleaseRef, port: i32) -> Option<PodProblem> {
    let address: std::net::IpAddr = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    let socket = std::net::SocketAddr::new(address, u16::try_from(port).ok()?);
    let url = format!("http://{socket}{WELL_KNOWN_PATH}/{}", base32(&release.digest));
    let answer = ctx.shared.http.get(url).timeout(Duration::from_secs(1)).send().await.ok()?;
    if answer.status() != reqwest::StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let body = answer.text().await.ok()?;
    let loaded = loaded_digest(&body)?;
    (loaded != release.digest)
        .then(|| named("DigestMismatch", &format!("the harness loaded {loaded}, not {}", release.digest)))
}

/// The first digest in an answer, whatever is around it.
fn loaded_digest(body: &str) -> Option<String> {
    let (_, rest) = body.get(..body.len().min(4096))?.split_once("sha256:")?;
    let hex: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
    (hex.len() == 64).then(|| format!("sha256:{hex}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_named() {
        let pod = pod(
            &json!({"containerStatuses": [{"name": "agent", "image": "x@sha256:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]}),
        );
        let problem = pod_problem(&pod).unwrap();
        assert_eq!(problem.reason, "ImagePull");
        assert!(problem.message.contains("x@sha256:1"));
    }

    #[test]
    fn a_crash_loop_says_how_it_ended() {
        let pod = pod(
            &json!({"containerStatuses": [{"name": "agent", "image": "x", "imageID": "", "ready": false, "restartCount": 4,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 7}}}]}),
        );
        let problem = pod_problem(&pod).unwrap();
        assert_eq!(
            (problem.reason.as_str(), problem.message.as_str()),
            ("CrashLoop", "container agent ended 4 times, last with code 7")
        );
    }

    #[test]
    fn a_pod_that_is_starting_has_no_problem() {
        let pod = pod(
            &json!({"phase": "Pending", "containerStatuses": [{"name": "agent", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ContainerCreating"}}}]}),
        );
        assert_eq!(pod_problem(&pod), None);
    }

    #[test]
    fn the_digest_is_found_in_any_answer() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(loaded_digest(&format!("{{\"loaded\":\"{digest}\"}}")), Some(digest.clone()));
        assert_eq!(loaded_digest("sha256:abc"), None);
        assert_eq!(loaded_digest("no"), None);
    }
}
