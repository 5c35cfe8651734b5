//! From a decoded request to signals in the hub: who speaks, for which agent, about which session.
//!
//! Knows nothing of HTTP or gRPC.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use rollpin_engine::evidence::Signal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::counters::Counters;
use super::hub::{EvidenceHub, Key};
use super::identity::{Authority, Directory, Refused, canonical};
use super::join::Join;
use super::otlp::{self, Group};

/// Requests that are worked on at once: with bodies of at most 4 MiB this bounds the memory of a flood.
const AT_ONCE: usize = 32;

/// What all connections share.
#[derive(Debug)]
pub struct Receiver {
    hub: Arc<EvidenceHub>,
    directory: Arc<Directory>,
    counters: Arc<Counters>,
    join: Mutex<Join>,
    slots: Arc<Semaphore>,
}

impl Receiver {
    /// A receiver that feeds a hub.
    #[must_use]
    pub fn new(hub: Arc<EvidenceHub>, directory: Arc<Directory>, counters: Arc<Counters>) -> Self {
        Self { hub, directory, counters, join: Mutex::default(), slots: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> &EvidenceHub {
        &self.hub
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// A place among the requests that are worked on; absent: come back later.
    #[must_use]
    pub fn admit(&self) -> Option<OwnedSemaphorePermit> {
        let permit = Arc::clone(&self.slots).try_acquire_owned().ok();
        if permit.is_none() {
            self.counters.overloaded.up();
        }
        permit
    }

    /// What a peer may speak for. Asked before any body is read.
    pub fn authorise(&self, peer: IpAddr, authorization: Option<&str>) -> Result<Authority, Refused> {
        self.directory.authorise(peer, authorization).inspect_err(|refused| match refused {
            Refused::Stranger => self.counters.strangers.up(),
            Refused::WrongToken => self.counters.wrong_tokens.up(),
        })
    }

    /// Takes spans in.
    pub fn take_traces(&self, authority: &Authority, request: &ExportTraceServiceRequest, received: i64) {
        self.take(authority, otlp::from_traces(request), received);
    }

    /// Takes log records in.
    pub fn take_logs(&self, authority: &Authority, request: &ExportLogsServiceRequest, received: i64) {
        self.take(authority, otlp::from_logs(request, received), received);
    }

    fn take(&self, authority: &Authority, groups: Vec<Group>, received: i64) {
        self.counters.requests.up();
        for group in groups {
            let Some((agents, release)) = self.subject(authority, &group) else {
                continue;
            };
            for agent in agents {
                self.deliver(&agent, &release, group.clone(), received);
            }
        }
    }

    /// The agents and the release that a resource speaks of.
    fn subject(&self, authority: &Authority, group: &Group) -> Option<(Vec<Key>, String)> {
        let said = group.version.as_deref().map(canonical);
        match authority {
            Authority::Pod(speaker) => {
                if said.is_some_and(|said| said != speaker.digest) {
                    self.counters.conflicts.up();
                }
                Some((vec![format!("{}/{}", speaker.namespace, speaker.name)], speaker.digest.clone()))
            }
            Authority::Collector { namespaces } => {
                let found = said.map(|said| (self.hub.agents_of(&said, namespaces, group.namespace.as_deref()), said));
                let found = found.filter(|(agents, _)| !agents.is_empty());
                if found.is_none() {
                    self.counters.unknown_releases.up();
                }
                found
            }
        }
    }

    fn deliver(&self, agent: &str, release: &str, group: Group, received: i64) {
        let before = group.facts.len();
        let owner = format!("{agent}@{release}");
        let resolved = self.join.lock().unwrap_or_else(PoisonError::into_inner).resolve(&owner, group.facts);
        self.counters.without_session.add(u64::try_from(before.saturating_sub(resolved.len())).unwrap_or(0));
        let signals: Vec<Signal> = resolved
            .into_iter()
            .filter_map(|(session, fact)| {
                let (release, conversation) = (release.to_owned(), session.to_string());
                Some(Signal {
                    release,
                    conversation,
                    at_millis: fact.at_millis,
                    received_millis: received,
                    kind: fact.kind?,
                })
            })
            .collect();
        self.counters.signals.add(u64::try_from(signals.len()).unwrap_or(0));
        if !signals.is_empty() {
            self.hub.take(agent, &signals);
        }
    }
}
