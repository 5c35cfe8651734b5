//! What the leader does, and nobody else: it receives telemetry, watches, and reconciles.

use std::sync::Arc;

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, unbounded};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{Patch, PatchParams};
use kube::runtime::controller::{self, applier};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::{Api, Client};
use rollpin_crds::{AgentRelease, MANAGER, MetricSource};
use rollpin_engine::evidence::Limits;
use serde_json::json;

use crate::args::Args;
use crate::build::Agent;
use crate::context::{Context, Memories, Shared};
use crate::directory::Pods;
use crate::evidence::{Addresses, Counters, Directory, EvidenceHub, Receiver, Running, now_millis, serve};
use crate::evidence_link::EvidenceLink;
use crate::metrics::Metrics;
use crate::reconcile::{on_error, reconcile};
use crate::sources::{self, Lists};
use crate::watch;

/// Label of the leader's pod; the OTLP Service selects it.
const LEADER_LABEL: &str = "rollpin.dev/leader";
/// How many releases are looked at at the same time.
const CONCURRENCY: u16 = 64;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Leads until something ends that must not.
pub async fn lead(args: &Args, client: Client, metrics: Arc<Metrics>) -> Result<(), Failure> {
    metrics.lead(true);
    tracing::info!(identity = args.pod_name.as_deref().unwrap_or_default(), "leading");
    let hub = Arc::new(EvidenceHub::new(Limits::default(), now_millis()));
    let pods = Pods::default();
    let shared = Arc::new(Shared {
        client: client.clone(),
        http: probe_client()?,
        evidence: EvidenceLink::new(Arc::clone(&hub)),
        metrics: Arc::clone(&metrics),
        recorder: Recorder::new(
            client.clone(),
            Reporter { controller: MANAGER.to_owned(), instance: args.pod_name.clone() },
        ),
        otlp_endpoint: args.otlp_endpoint.clone(),
        memories: Memories::default(),
    });
    let scopes: Vec<Scope> = args.scopes().iter().map(|scope| open(&shared, scope.as_deref(), &pods)).collect();
    let (told, listed) = tokio::sync::watch::channel(vec![]);
    let sources = follow_sources(&client, Arc::clone(&hub), told);
    for scope in &scopes {
        wait_until_read(&scope.ctx.stores).await?;
    }
    // No gate may pass before it is known whether its source is sampled.
    sources.wait_until_ready().await?;
    let _receiver = receive(args, &client, &metrics, Arc::clone(&hub), pods, listed)?;
    label(args, &client, true).await;
    metrics.ready(true);
    tracing::info!(
        scopes = scopes.len(),
        releases = scopes.iter().map(|scope| scope.ctx.stores.releases.len()).sum::<usize>(),
        "ready"
    );
    let wakers: Vec<(Option<String>, watch::Touched)> =
        scopes.iter().map(|scope| (scope.name.clone(), scope.touched.clone())).collect();
    let looks = futures::future::join_all(scopes.into_iter().map(run));
    tokio::select! {
        _ = looks => Err("the watches ended".into()),
        () = wake(&hub, &wakers) => Err("the evidence ended".into()),
    }
}

/// A namespace or the whole cluster, with its queue of releases to look at.
struct Scope {
    name: Option<String>,
    ctx: Arc<Context>,
    touched: watch::Touched,
    queue: UnboundedReceiver<ObjectRef<AgentRelease>>,
}

fn open(shared: &Arc<Shared>, scope: Option<&str>, pods: &Pods) -> Scope {
    let (touched, queue) = unbounded();
    let told = Arc::clone(shared);
    let releases = move |event: &Event<AgentRelease>, _: &Store<AgentRelease>| {
        if let Event::Delete(release) = event {
            let agent = Agent::of(release);
            told.memories.forget(release);
            told.metrics.forget(&agent.namespace, &agent.name);
            told.evidence.forget(&agent);
        }
    };
    let pods = pods.clone();
    let stores = watch::open(&shared.client, scope, &touched, releases, move |event, store| pods.follow(event, store));
    Scope {
        name: scope.map(str::to_owned),
        ctx: Arc::new(Context { shared: Arc::clone(shared), stores }),
        touched,
        queue,
    }
}

/// Routes are not waited for: without Gateway API there are none, and releases say so.
async fn wait_until_read(stores: &watch::Stores) -> Result<(), Failure> {
    stores.releases.wait_until_ready().await?;
    stores.revisions.wait_until_ready().await?;
    stores.commands.wait_until_ready().await?;
    stores.deployments.wait_until_ready().await?;
    stores.pods.wait_until_ready().await?;
    stores.slices.wait_until_ready().await?;
    Ok(())
}

/// Follows the sources of evidence: the hub learns which are sampled, and the reader of tokens what they list.
fn follow_sources(
    client: &Client,
    hub: Arc<EvidenceHub>,
    told: tokio::sync::watch::Sender<Vec<Lists>>,
) -> Store<MetricSource> {
    watch::sources(client, move |event, store| {
        // While a list is being read, the copy is the one from before.
        if matches!(event, Event::Init | Event::InitApply(_)) {
            return;
        }
        let all = store.state();
        hub.set_sampled(sources::samplers(all.iter().map(AsRef::as_ref)));
        let lists = sources::lists(all.iter().map(AsRef::as_ref));
        told.send_if_modified(|known| {
            let changed = *known != lists;
            *known = lists;
            changed
        });
    })
}

/// Opens the ports for telemetry; they close when the answer is dropped.
fn receive(
    args: &Args,
    client: &Client,
    metrics: &Metrics,
    hub: Arc<EvidenceHub>,
    pods: Pods,
    listed: tokio::sync::watch::Receiver<Vec<Lists>>,
) -> Result<Running, Failure> {
    let directory = Arc::new(Directory::new(move |address| pods.release_of(address)));
    let counters = Arc::new(Counters::default());
    metrics.show(Arc::clone(&counters));
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &args.namespace);
    let read = move |name| sources::read_token(secrets.clone(), name);
    tokio::spawn(sources::keep_tokens(listed, read, Arc::clone(&directory)));
    let receiver = Arc::new(Receiver::new(hub, directory, counters));
    Ok(serve(receiver, Addresses { grpc: args.otlp_grpc, http: args.otlp_http })?)
}

/// New evidence is a reason to look.
async fn wake(hub: &EvidenceHub, scopes: &[(Option<String>, watch::Touched)]) {
    loop {
        for key in hub.matured().await {
            let Some((namespace, name)) = key.split_once('/') else {
                continue;
            };
            for (_, touched) in
                scopes.iter().filter(|(scope, _)| scope.as_deref().is_none_or(|scope| scope == namespace))
            {
                // Only fails when the operator is about to end.
                let _ = touched.unbounded_send(ObjectRef::new(name).within(namespace));
            }
        }
    }
}

async fn run(Scope { name: _, ctx, touched: _, queue }: Scope) {
    let queue = queue.map(Ok::<_, std::convert::Infallible>);
    let config = controller::Config::default().concurrency(CONCURRENCY);
    let store = ctx.stores.releases.clone();
    let looks = applier(|release, ctx| Box::pin(reconcile(release, ctx)), on_error, ctx, store, queue, config);
    // Errors were logged where they were met; a release that is gone is none.
    looks.for_each(|_| futures::future::ready(())).await;
}

/// Probes follow no redirects and use no proxy: they ask one address one thing, in plain HTTP. Without an empty list of
/// roots the client would look for those of the machine, of which an image made from nothing has none.
fn probe_client() -> Result<reqwest::Client, reqwest::Error> {
    reqwest::Client::builder()
        .tls_certs_only([])
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .pool_max_idle_per_host(2)
        .build()
}

/// Puts the leader's label on our own pod, or takes it off.
async fn label(args: &Args, client: &Client, leads: bool) {
    let Some(pod) = &args.pod_name else { return };
    let value = if leads { json!("true") } else { serde_json::Value::Null };
    let patch = Patch::Merge(json!({"metadata": {"labels": {LEADER_LABEL: value}}}));
    let api: Api<Pod> = Api::namespaced(client.clone(), &args.namespace);
    if let Err(cause) = api.patch(pod, &PatchParams::default(), &patch).await {
        tracing::warn!(%pod, cause = %crate::error::chain(&cause), "cannot label our own pod: telemetry may not find the leader");
    }
}

/// Takes the leader's label off, so that telemetry goes to the next one.
pub async fn unlabel(args: &Args, client: &Client) {
    let _ = tokio::time::timeout(std::time::Duration::from_secs(1), label(args, client, false)).await;
}
