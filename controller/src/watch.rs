//! The watches: what is kept of the cluster in memory, and which release a change concerns.
//!
//! Copies are cut down to the fields that are looked at, since a cluster has many pods. Nothing is decided here.
//! `DecisionRecord`s, `EvidenceLedger`s and `ConfigMap`s are never kept: they are many or large, and rarely asked for.

use std::fmt::Debug;
use std::hash::Hash;

use futures::channel::mpsc::{UnboundedSender, unbounded};
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use rollpin_crds::{AgentRelease, AgentRevision, MetricSource, NAME_LABEL, RELEASE_LABEL, ReleaseCommand};
use serde::de::DeserializeOwned;

use crate::build::APPLIED;

/// Seconds after which a watch is opened anew: a connection that died without a word is noticed no later.
const WATCH_SECONDS: u32 = 50;

/// The part of the cluster that is kept in memory.
#[derive(Clone)]
pub struct Stores {
    /// Releases.
    pub releases: Store<AgentRelease>,
    /// Revisions.
    pub revisions: Store<AgentRevision>,
    /// Commands.
    pub commands: Store<ReleaseCommand>,
    /// Deployments, without their pod templates.
    pub deployments: Store<Deployment>,
    /// Pods, without their specs.
    pub pods: Store<Pod>,
    /// Endpoints of our Services.
    pub slices: Store<EndpointSlice>,
    /// Routes of ours.
    pub routes: Store<DynamicObject>,
}

/// Releases that something happened to.
pub type Touched = UnboundedSender<ObjectRef<AgentRelease>>;

/// The API resource of routes.
pub fn http_route() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute"),
        "httproutes",
    )
}

/// An API in one namespace or in all of them.
pub fn scoped<K>(client: &Client, scope: Option<&str>) -> Api<K>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match scope {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// Opens all watches of a scope. `releases` and `pods` are told what happens to those.
pub fn open(
    client: &Client,
    scope: Option<&str>,
    touched: &Touched,
    releases: impl Fn(&Event<AgentRelease>, &Store<AgentRelease>) + Send + 'static,
    pods: impl Fn(&Event<Pod>, &Store<Pod>) + Send + 'static,
) -> Stores {
    let all = config();
    let ours = all.clone().labels(NAME_LABEL);
    let routes = match scope {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &http_route()),
        None => Api::all_with(client.clone(), &http_route()),
    };
    Stores {
        releases: keep(
            scoped(client, scope),
            all.clone(),
            touched,
            |_| {},
            |release: &AgentRelease| Some(ObjectRef::from_obj(release)),
            releases,
        ),
        revisions: keep(
            scoped(client, scope),
            all.clone(),
            touched,
            |_| {},
            |revision: &AgentRevision| named(revision, &revision.spec.agent),
            |_, _| {},
        ),
        commands: keep(
            scoped(client, scope),
            all.clone(),
            touched,
            |_| {},
            |command: &ReleaseCommand| named(command, &command.spec.release),
            |_, _| {},
        ),
        deployments: keep(scoped(client, scope), ours.clone(), touched, cut_deployment, labelled, |_, _| {}),
        pods: keep(scoped(client, scope), all.labels(RELEASE_LABEL), touched, cut_pod, labelled, pods),
        slices: keep(scoped(client, scope), ours.clone(), touched, |_| {}, labelled, |_, _| {}),
        routes: keep_with(routes, http_route(), ours, touched, |_| {}, labelled, |_, _| {}),
    }
}

/// Watches the sources of evidence, which belong to no namespace and to no release; `told` is told of every change.
pub fn sources(
    client: &Client,
    told: impl Fn(&Event<MetricSource>, &Store<MetricSource>) + Send + 'static,
) -> Store<MetricSource> {
    let (nobody, _) = unbounded();
    keep(Api::all(client.clone()), config(), &nobody, |_| {}, |_| None, told)
}

fn config() -> watcher::Config {
    watcher::Config::default().streaming_lists().timeout(WATCH_SECONDS)
}

fn keep<K>(
    api: Api<K>,
    config: watcher::Config,
    touched: &Touched,
    cut: impl FnMut(&mut K) + Send + 'static,
    owner: impl Fn(&K) -> Option<ObjectRef<AgentRelease>> + Send + 'static,
    told: impl Fn(&Event<K>, &Store<K>) + Send + 'static,
) -> Store<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Default + Eq + Hash + Clone + Send + Sync,
{
    keep_with(api, K::DynamicType::default(), config, touched, cut, owner, told)
}

/// Watches one kind on a task of its own, so that no kind waits for another.
fn keep_with<K>(
    api: Api<K>,
    kind: K::DynamicType,
    config: watcher::Config,
    touched: &Touched,
    mut cut: impl FnMut(&mut K) + Send + 'static,
    owner: impl Fn(&K) -> Option<ObjectRef<AgentRelease>> + Send + 'static,
    told: impl Fn(&Event<K>, &Store<K>) + Send + 'static,
) -> Store<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone + Send + Sync,
{
    let plural = K::plural(&kind).into_owned();
    let writer = Writer::new(kind);
    let store = writer.as_reader();
    let touched = touched.clone();
    let events = watcher(api, config).default_backoff().map_ok(move |event| {
        event.modify(|object| {
            object.managed_fields_mut().clear();
            cut(object);
        })
    });
    let shown = store.clone();
    tokio::spawn(async move {
        let mut events = std::pin::pin!(events.reflect(writer));
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(cause) => {
                    tracing::warn!(kind = %plural, cause = %crate::error::chain(&cause), "a watch failed and is opened again");
                    continue;
                }
            };
            told(&event, &shown);
            let (Event::Apply(object) | Event::InitApply(object) | Event::Delete(object)) = event else {
                continue;
            };
            if let Some(release) = owner(&object) {
                // Only fails when the operator is about to end.
                let _ = touched.unbounded_send(release);
            }
        }
    });
    store
}

fn named<K: ResourceExt>(object: &K, release: &str) -> Option<ObjectRef<AgentRelease>> {
    Some(ObjectRef::new(release).within(&object.namespace()?))
}

fn labelled<K: ResourceExt>(object: &K) -> Option<ObjectRef<AgentRelease>> {
    let name = object.labels().get(NAME_LABEL)?.clone();
    named(object, &name)
}

fn cut_deployment(deployment: &mut Deployment) {
    deployment.annotations_mut().retain(|name, _| name == APPLIED);
    if let Some(spec) = deployment.spec.as_mut() {
        spec.template = k8s_openapi::api::core::v1::PodTemplateSpec::default();
    }
}

fn cut_pod(pod: &mut Pod) {
    pod.annotations_mut().clear();
    // A pod on the host's network shares its address with others: nobody can be told by it.
    let host_network = pod.spec.as_ref().and_then(|spec| spec.host_network);
    pod.spec = Some(PodSpec { host_network, ..PodSpec::default() });
}
