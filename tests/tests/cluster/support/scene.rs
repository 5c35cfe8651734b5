//! One namespace with one agent in it: apply, look, wait. A wait that fails says what the release and the operator said last.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event, Namespace, Pod};
use kube::api::{ListParams, PostParams};
use kube::{Api, Client, ResourceExt};
use rollpin_crds::status::{AgentReleaseStatus, Phase, ReleaseRef, State};
use rollpin_crds::{AgentRelease, DecisionRecord, DecisionRecordSpec, RELEASE_LABEL};
use rollpin_engine::digest::base32;
use rollpin_engine::phase;
use serde_json::{Value, json};

use super::{Output, Watched, kubectl, kubectl_with, operator_namespace};

/// A namespace with one agent.
pub struct Scene {
    /// The API server, as the administrator.
    pub client: Client,
    /// The namespace, of this test alone.
    pub namespace: String,
    /// The name of the agent.
    pub name: String,
    /// The host name at the gateway.
    pub host: String,
    /// Every version of its objects.
    pub watched: Watched,
}

impl Scene {
    /// A new namespace. It goes when the test passes, and stays for a look when it fails.
    pub async fn new(what: &str) -> Self {
        let client = Client::try_default().await.unwrap();
        let namespace = format!("{what}-{:x}", jiff::Timestamp::now().as_millisecond() & 0xff_ffff);
        let made: Namespace = serde_json::from_value(json!({"metadata": {"name": namespace}})).unwrap();
        Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &made).await.unwrap();
        let watched = Watched::begin(&client, &namespace);
        let host = format!("{namespace}.example");
        Self { client, namespace, name: "support".to_owned(), host, watched }
    }

    /// Objects of a kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// `kubectl apply`, which must succeed.
    #[track_caller]
    pub fn apply(&self, manifest: &Value) {
        self.try_apply(manifest).ok();
    }

    /// `kubectl apply`.
    pub fn try_apply(&self, manifest: &Value) -> Output {
        kubectl_with(&["--namespace", &self.namespace, "apply", "-f", "-"], &manifest.to_string())
    }

    /// The release as it is.
    pub async fn release(&self) -> AgentRelease {
        self.api::<AgentRelease>().get(&self.name).await.unwrap()
    }

    /// Its status as it is; empty before the operator saw it.
    pub async fn status(&self) -> AgentReleaseStatus {
        self.release().await.status.unwrap_or_default()
    }

    /// Waits until something is true of the status of the newest generation.
    pub async fn wait(&self, what: &str, seconds: u64, is: impl Fn(&AgentReleaseStatus) -> bool) -> AgentReleaseStatus {
        self.wait_unless(what, seconds, is, |_| false).await
    }

    /// Waits for a phase; another phase in which nothing more happens ends the wait at once.
    pub async fn reach(&self, wanted: Phase, seconds: u64) -> AgentReleaseStatus {
        let over = |status: &AgentReleaseStatus| {
            matches!(status.phase, Some(Phase::RolledBack | Phase::Failed)) && status.phase != Some(wanted)
        };
        self.wait_unless(&format!("phase {wanted:?}"), seconds, |status| status.phase == Some(wanted), over).await
    }

    /// Waits for a phase where the release begins from `Failed` or `RolledBack`.
    pub async fn come_back_to(&self, wanted: Phase, seconds: u64) -> AgentReleaseStatus {
        self.wait(&format!("phase {wanted:?}"), seconds, |status| status.phase == Some(wanted)).await
    }

    async fn wait_unless(
        &self,
        what: &str,
        seconds: u64,
        is: impl Fn(&AgentReleaseStatus) -> bool,
        over: impl Fn(&AgentReleaseStatus) -> bool,
    ) -> AgentReleaseStatus {
        let limit = Instant::now() + Duration::from_secs(seconds);
        loop {
            let release = self.release().await;
            let current =
                release.metadata.generation == release.status.as_ref().and_then(|status| status.observed_generation);
            let status = release.status.unwrap_or_default();
            if current && is(&status) {
                return status;
            }
            let hopeless = current && over(&status);
            if hopeless || Instant::now() > limit {
                let why = if hopeless { "it ended otherwise".to_owned() } else { format!("not within {seconds} s") };
                panic!("{}: {what}: {why}\n{}", self.namespace, self.account(&status));
            }
            super::pause(0.1).await;
        }
    }

    /// Watches for some seconds that something stays true.
    pub async fn stays(&self, what: &str, seconds: f64, is: impl Fn(&AgentReleaseStatus) -> bool) {
        let limit = Instant::now() + Duration::from_secs_f64(seconds);
        while Instant::now() < limit {
            let status = self.status().await;
            assert!(is(&status), "{}: {what}: no longer true\n{}", self.namespace, self.account(&status));
            super::pause(0.2).await;
        }
    }

    /// What a person would look at first.
    pub fn account(&self, status: &AgentReleaseStatus) -> String {
        let mut shown = serde_json::to_value(status).unwrap();
        for long in ["/state/canary/policy", "/pendingRecord"] {
            if let Some(value) = shown.pointer_mut(long) {
                *value = json!("(left out)");
            }
        }
        let logs = operator_logs(40, &self.namespace);
        let pods = self.kubectl(&["get", "pods,deployments", "-o", "wide"]).all();
        format!("status: {shown:#}\n{pods}\noperator:\n{logs}")
    }

    /// Brings up the first release and waits until its bake is over and nothing is left to do.
    pub async fn serve(&self, manifest: &Value) -> ReleaseRef {
        self.apply(manifest);
        let status = self.reach(Phase::Healthy, 60).await;
        phase::live(status.state.as_ref().unwrap()).unwrap().clone()
    }

    /// Waits until the desired release is on trial, and gives it.
    pub async fn on_trial(&self, live: &ReleaseRef, seconds: u64) -> ReleaseRef {
        let status = self
            .wait("a canary", seconds, |status| trial(status).is_some_and(|trial| trial.digest != live.digest))
            .await;
        trial(&status).unwrap().clone()
    }

    /// Pods of a release that are not on their way out: uids.
    pub async fn pods(&self, release: &ReleaseRef) -> Vec<String> {
        let label = format!("{RELEASE_LABEL}={}", base32(&release.digest));
        let pods = self.api::<Pod>().list(&ListParams::default().labels(&label)).await.unwrap();
        let mut uids: Vec<String> = pods
            .items
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter_map(ResourceExt::uid)
            .collect();
        uids.sort();
        uids
    }

    /// Ready pods of the Deployment of a release.
    pub async fn ready_pods(&self, release: &ReleaseRef) -> i32 {
        let deployments: Api<k8s_openapi::api::apps::v1::Deployment> = self.api();
        let found = deployments.get_opt(&release.revision).await.unwrap();
        found.and_then(|deployment| deployment.status?.ready_replicas).unwrap_or(0)
    }

    /// Decision records of the agent, in the order of their numbers.
    pub async fn records(&self) -> Vec<DecisionRecordSpec> {
        let records = self.api::<DecisionRecord>().list(&ListParams::default()).await.unwrap();
        let mut specs: Vec<DecisionRecordSpec> =
            records.items.into_iter().map(|record| record.spec).filter(|spec| spec.release == self.name).collect();
        specs.sort_by_key(|spec| spec.sequence);
        specs
    }

    /// Events about the agent: type, reason, message.
    pub async fn events(&self) -> Vec<(String, String, String)> {
        let events = self.api::<Event>().list(&ListParams::default()).await.unwrap();
        let about =
            events.items.into_iter().filter(|event| event.involved_object.kind.as_deref() == Some("AgentRelease"));
        about
            .map(|event| {
                (event.type_.unwrap_or_default(), event.reason.unwrap_or_default(), event.message.unwrap_or_default())
            })
            .collect()
    }

    /// Waits until a backend has had exactly these weights, in this order: the route follows its commit within moments.
    pub async fn weights_reach(&self, release: &ReleaseRef, wanted: &[i64]) {
        let mut seen = vec![];
        for _ in 0..50 {
            seen = self.watched.weights_of(&release.revision).iter().map(|(_, weight)| *weight).collect();
            if seen == wanted {
                return;
            }
            super::pause(0.1).await;
        }
        panic!("{}: weights of {} were {seen:?}, wanted {wanted:?}", self.namespace, release.revision);
    }

    /// The route as it is.
    pub fn route(&self) -> Value {
        serde_json::from_str(&self.kubectl(&["get", "httproute", &self.name, "-o", "json"]).ok()).unwrap()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            kubectl(&["delete", "namespace", &self.namespace, "--wait=false"]);
        }
    }
}

/// The release on trial.
pub fn trial(status: &AgentReleaseStatus) -> Option<&ReleaseRef> {
    match status.state.as_ref()? {
        State::Canary(canary) => Some(&canary.trial),
        State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_) => None,
    }
}

/// Status and reason of a condition.
pub fn condition(status: &AgentReleaseStatus, kind: &str) -> (String, String, String) {
    let found = status.conditions.iter().find(|condition| condition.type_ == kind);
    found.map_or_else(
        || (String::new(), String::new(), String::new()),
        |it| (it.status.clone(), it.reason.clone(), it.message.clone()),
    )
}

/// The last lines of the operator that name something.
pub fn operator_logs(lines: usize, about: &str) -> String {
    let namespace = operator_namespace();
    let pods = kubectl(&["--namespace", &namespace, "get", "pods", "-o", "name"]).out;
    let mut found = vec![];
    for pod in pods.lines() {
        let text = kubectl(&["--namespace", &namespace, "logs", "--tail=4000", pod]).all();
        found.extend(text.lines().filter(|line| line.contains(about)).map(str::to_owned));
    }
    let skip = found.len().saturating_sub(lines);
    found.split_off(skip).join("\n")
}
