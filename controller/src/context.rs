//! What every reconcile needs: clients, the copies of the cluster, and the little that is remembered between two looks.
//!
//! Everything remembered here may be forgotten at any time: it saves calls, and no decision depends on it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use kube::runtime::events::Recorder;
use kube::{Api, Client};
use rollpin_crds::AgentRelease;
use tokio::sync::OwnedMutexGuard;

use crate::build::Agent;
use crate::evidence_link::EvidenceLink;
use crate::metrics::Metrics;
use crate::observe::desired::Prepared;
use crate::observe::probe::Probed;
use crate::watch::Stores;

/// What all scopes share.
pub struct Shared {
    /// The API server.
    pub client: Client,
    /// Probes; no redirects, no proxy, one second.
    pub http: reqwest::Client,
    /// Sessions and their outcomes.
    pub evidence: EvidenceLink,
    /// The operator's own metrics.
    pub metrics: Arc<Metrics>,
    /// Events for people.
    pub recorder: Recorder,
    /// Where harnesses send telemetry unless they know better.
    pub otlp_endpoint: Option<String>,
    /// What is remembered, by namespace and name.
    pub memories: Memories,
}

/// One scope: a namespace, or the whole cluster.
pub struct Context {
    /// What all scopes share.
    pub shared: Arc<Shared>,
    /// The copies of the cluster.
    pub stores: Stores,
}

impl Context {
    /// An API in the namespace of an agent.
    pub fn api<K>(&self, agent: &Agent) -> Api<K>
    where
        K: kube::Resource<Scope = kube::core::NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.shared.client.clone(), &agent.namespace)
    }
}

/// What is remembered of one release.
#[derive(Default)]
pub struct Memory {
    /// The object that is meant: a recreated release has another uid.
    pub uid: String,
    /// The resourceVersion of our last write; older copies are not looked at.
    pub written: Option<String>,
    /// Somebody else was faster: read from the API server next time.
    pub read_fresh: bool,
    /// When texts were written last.
    pub texts_at: Option<Instant>,
    /// What the spec asks for, worked out once per generation.
    pub prepared: Option<Arc<Prepared>>,
    /// The last `DecisionRecord` that is known to exist.
    pub recorded: Option<String>,
    /// Hash of the holds that were last written into ledgers.
    pub holds: Option<String>,
    /// The last probes through the gateway.
    pub probed: Option<Probed>,
    /// The attempt whose evidence is being gathered.
    pub attempt: Option<String>,
    /// When its evidence was stored last.
    pub stored_at: Option<Instant>,
    /// Hash of the evidence that was stored last.
    pub stored: Option<String>,
    /// Revisions whose hashes were checked, by uid.
    pub verified: HashSet<String>,
    /// Objects that are known to exist as they should, by name and content.
    pub ensured: HashSet<String>,
    /// Failures in a row.
    pub failures: u32,
}

/// By namespace and name.
type ByName = HashMap<(String, String), Arc<tokio::sync::Mutex<Memory>>>;

/// The memories of all releases.
#[derive(Default)]
pub struct Memories {
    by_name: Mutex<ByName>,
}

impl Memories {
    /// The memory of a release, for one reconcile at a time.
    pub async fn of(&self, agent: &Agent) -> OwnedMutexGuard<Memory> {
        let slot = self.slot(agent);
        let mut memory = slot.lock_owned().await;
        if memory.uid != agent.uid {
            *memory = Memory { uid: agent.uid.clone(), ..Memory::default() };
        }
        memory
    }

    /// Forgets a deleted release.
    pub fn forget(&self, release: &AgentRelease) {
        let agent = Agent::of(release);
        self.lock().remove(&(agent.namespace, agent.name));
    }

    /// Counts a failure and says how many there were in a row; a memory in use has none to count.
    pub fn failed(&self, agent: &Agent) -> u32 {
        let slot = self.slot(agent);
        let Ok(mut memory) = slot.try_lock() else {
            return 1;
        };
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    }

    fn slot(&self, agent: &Agent) -> Arc<tokio::sync::Mutex<Memory>> {
        let mut by_name = self.lock();
        Arc::clone(by_name.entry((agent.namespace.clone(), agent.name.clone())).or_default())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, ByName> {
        // A map of handles is whole even if a holder panicked.
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
