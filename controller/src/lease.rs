//! One leader at a time, by a Lease of the API server.
//!
//! Every write carries the resourceVersion that was read, so two replicas cannot both win; and whether a foreign lease has
//! run out is judged by our own steady clock from the moment we saw it change, never by comparing clocks of two machines.
//! It does not fence: what a late leader might still write is stopped by the resourceVersions in those writes.
//! (`kubert` follows another kube; `kube-leader-election` renews without a resourceVersion.)

use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

/// How long a lease lasts without a renewal; a crashed leader is replaced after at most this and one retry.
pub const DURATION: Duration = Duration::from_secs(8);
/// A leader that could not renew for so long stops, well before anyone else may begin.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(6);
/// Time between two renewals.
pub const RENEW: Duration = Duration::from_secs(2);
/// Time between two looks of a candidate; a clean stop is followed within this time.
pub const RETRY: Duration = Duration::from_millis(500);

/// A candidate for the lease.
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    holder: String,
    /// The foreign holder and version that were seen last, and when they were first seen.
    seen: Option<(String, Instant)>,
}

/// What one look at the lease brought.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Look {
    /// It is ours, taken or renewed.
    Ours,
    /// Somebody else has it.
    Theirs,
}

impl Candidate {
    /// A candidate with a name that no other process has.
    pub fn new(client: Client, namespace: &str, name: &str, holder: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), name: name.to_owned(), holder: holder.to_owned(), seen: None }
    }

    /// Waits until the lease is ours.
    pub async fn win(&mut self) {
        loop {
            match self.look().await {
                Ok(Look::Ours) => return,
                Ok(Look::Theirs) => {}
                Err(cause) => {
                    tracing::warn!(lease = %self.name, %cause, "cannot look at the lease");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Keeps the lease; returns once it is lost.
    pub async fn keep(&mut self) {
        let mut renewed = Instant::now();
        while renewed.elapsed() < RENEW_DEADLINE {
            tokio::time::sleep(RENEW).await;
            let began = Instant::now();
            match tokio::time::timeout(RENEW_DEADLINE.saturating_sub(renewed.elapsed()), self.look()).await {
                Ok(Ok(Look::Ours)) => renewed = began,
                Ok(Err(cause)) => {
                    tracing::warn!(lease = %self.name, %cause, "cannot renew the lease");
                }
                Ok(Ok(Look::Theirs)) | Err(_) => return,
            }
        }
    }

    /// Gives the lease back, so that the next leader need not wait for its end.
    pub async fn release(&self) -> Result<(), kube::Error> {
        let mut lease = self.api.get(&self.name).await?;
        if let Some(spec) = lease.spec.as_mut().filter(|spec| spec.holder_identity.as_deref() == Some(&self.holder)) {
            spec.holder_identity = None;
            spec.renew_time = Some(now());
            self.api.replace(&self.name, &PostParams::default(), &lease).await?;
        }
        Ok(())
    }

    async fn look(&mut self) -> Result<Look, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            return lost_race(self.api.create(&PostParams::default(), &self.fresh()).await);
        };
        let spec = lease.spec.clone().unwrap_or_default();
        match spec.holder_identity.as_deref().unwrap_or_default() {
            holder if holder == self.holder => self.write(lease, renewed(spec)).await,
            "" => self.write(lease, self.taken(&spec)).await,
            _ if self.has_run_out(&lease, &spec) => self.write(lease, self.taken(&spec)).await,
            _ => Ok(Look::Theirs),
        }
    }

    async fn write(&self, lease: Lease, spec: LeaseSpec) -> Result<Look, kube::Error> {
        let lease = Lease { spec: Some(spec), ..lease };
        lost_race(self.api.replace(&self.name, &PostParams::default(), &lease).await)
    }

    /// Whether a foreign lease has not changed for its whole duration, by our own clock.
    fn has_run_out(&mut self, lease: &Lease, spec: &LeaseSpec) -> bool {
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let lasts = spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map_or(DURATION, Duration::from_secs);
        match &self.seen {
            Some((known, since)) if *known == version => since.elapsed() >= lasts,
            Some(_) | None => {
                self.seen = Some((version, Instant::now()));
                false
            }
        }
    }

    fn fresh(&self) -> Lease {
        Lease {
            metadata: ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            spec: Some(self.taken(&LeaseSpec::default())),
        }
    }

    fn taken(&self, before: &LeaseSpec) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(self.holder.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: Some(now()),
            renew_time: Some(now()),
            lease_transitions: Some(before.lease_transitions.unwrap_or(-1) + 1),
            ..LeaseSpec::default()
        }
    }
}

fn renewed(spec: LeaseSpec) -> LeaseSpec {
    LeaseSpec { renew_time: Some(now()), ..spec }
}

fn now() -> MicroTime {
    MicroTime(jiff::Timestamp::now())
}

/// A write that somebody else was faster with is an answer, not an error.
fn lost_race(written: Result<Lease, kube::Error>) -> Result<Look, kube::Error> {
    match written {
        Ok(_) => Ok(Look::Ours),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => Ok(Look::Theirs),
        Err(cause) => Err(cause),
    }
}
