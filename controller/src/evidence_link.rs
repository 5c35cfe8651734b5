//! Between the loop and the evidence hub: which attempt is gathered, at which weight, and what is durable of it.
//!
//! It judges nothing. A ledger holds exactly the evidence that a decision saw.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use rollpin_crds::status::{AgentReleaseStatus, Canary, ReleaseRef, State};
use rollpin_crds::{EvidenceLedger, EvidenceLedgerStatus};
use rollpin_engine::evidence::Evidence;
use rollpin_engine::hash;
use rollpin_engine::observed::BaselineSeen;
use rollpin_engine::phase;
use rollpin_engine::policy::Policy;
use serde_json::json;

use crate::build::Agent;
use crate::context::{Context, Memory};
use crate::error::Error;
use crate::evidence::{EvidenceHub, Trial, now_millis};
use crate::observe::Scene;

/// How often evidence that no decision cites is stored.
const CHECKPOINT: Duration = Duration::from_secs(10);

/// The evidence of all attempts under way.
pub struct EvidenceLink {
    hub: Arc<EvidenceHub>,
}

impl EvidenceLink {
    /// A link to a hub.
    pub fn new(hub: Arc<EvidenceHub>) -> Self {
        Self { hub }
    }

    /// Gathers what the committed state asks for: an attempt, from what its ledger holds, or stable alone.
    pub async fn follow(
        &self,
        ctx: &Context,
        agent: &Agent,
        status: &AgentReleaseStatus,
        policy: Option<&Policy>,
    ) -> Result<(), Error> {
        let key = key(agent);
        let Some(state) = &status.state else {
            return Ok(());
        };
        if let State::Canary(canary) = state {
            return self.begin(ctx, agent, canary).await;
        }
        self.hub.end(&key);
        if let Some(live) = phase::live(state) {
            self.hub.watch_serving(&key, &live.digest, policy);
        }
        Ok(())
    }

    async fn begin(&self, ctx: &Context, agent: &Agent, canary: &Canary) -> Result<(), Error> {
        let key = key(agent);
        if self.hub.is_gathering(&key, &canary.trial.digest, &canary.live.digest) {
            return Ok(());
        }
        let stored = stored(ctx, agent, &canary.ledger).await?;
        let policy: Policy = serde_json::from_str(&canary.policy).map_err(|cause| Error::Malformed {
            object: format!("frozen policy of AgentRelease {key}"),
            why: cause.to_string(),
        })?;
        let trial = Trial {
            policy: &policy,
            canary: &canary.trial.digest,
            stable: &canary.live.digest,
            step: usize::try_from(canary.step).unwrap_or_default(),
            weight: canary.weight,
        };
        self.hub.begin(&key, trial, stored.as_ref(), now_millis());
        Ok(())
    }

    /// The gateway has taken the route of this state: from now on, sessions are shared by its weight.
    pub fn in_force(&self, agent: &Agent, status: &AgentReleaseStatus) {
        if let Some(State::Canary(canary)) = &status.state {
            let step = usize::try_from(canary.step).unwrap_or_default();
            self.hub.set_weight(&key(agent), step, canary.weight, now_millis());
        }
    }

    /// What is known of an attempt, and of stable before one.
    pub fn look(&self, agent: &Agent, status: &AgentReleaseStatus) -> (Option<Evidence>, BaselineSeen) {
        let (key, now) = (key(agent), now_millis());
        match &status.state {
            Some(State::Canary(_)) => (self.hub.snapshot(&key, now), self.hub.baseline(&key, now)),
            Some(State::Pending(_) | State::Steady(_) | State::Reverting(_) | State::Baking(_)) | None => {
                (None, self.hub.baseline(&key, now))
            }
        }
    }

    /// When telemetry of a release was heard last, in milliseconds since 1970.
    pub fn last_heard(&self, agent: &Agent, release: &ReleaseRef) -> Option<i64> {
        self.hub.heard(&key(agent), &release.digest)
    }

    /// A release was deleted.
    pub fn forget(&self, agent: &Agent) {
        self.hub.forget(&key(agent));
    }
}

fn key(agent: &Agent) -> String {
    format!("{}/{}", agent.namespace, agent.name)
}

/// What the ledger of an attempt holds; damaged evidence counts as none, which costs time and never a wrong verdict.
async fn stored(ctx: &Context, agent: &Agent, ledger: &str) -> Result<Option<Evidence>, Error> {
    let found = ctx.api::<EvidenceLedger>(agent).get_opt(ledger).await;
    let found =
        found.map_err(|cause| Error::api("read", format!("EvidenceLedger {}/{ledger}", agent.namespace), cause))?;
    let Some(status) = found.and_then(|ledger| ledger.status) else {
        return Ok(None);
    };
    let Some(text) = status.evidence else {
        return Ok(None);
    };
    if status.evidence_hash.as_deref() != Some(&hash::of_bytes(text.as_bytes())) {
        tracing::warn!(%ledger, "the evidence of a ledger does not hash to what it says: starting anew");
        return Ok(None);
    }
    let evidence = serde_json::from_str(&text);
    Ok(evidence
        .inspect_err(|cause| tracing::warn!(%ledger, %cause, "the evidence of a ledger cannot be read: starting anew"))
        .ok())
}

/// Stores evidence now and then, so that a restart loses little.
pub async fn checkpoint(
    ctx: &Context,
    scene: &Scene,
    status: &AgentReleaseStatus,
    memory: &mut Memory,
) -> Result<(), Error> {
    let due = memory.stored_at.is_none_or(|at| at.elapsed() >= CHECKPOINT);
    match (&status.state, &scene.observed.evidence) {
        (Some(State::Canary(canary)), Some(evidence)) if due => {
            store(ctx, &scene.agent, &canary.ledger, evidence, memory).await
        }
        _ => Ok(()),
    }
}

/// Makes the evidence of a decision durable before the decision is committed.
pub async fn store_cited(ctx: &Context, scene: &Scene, memory: &mut Memory) -> Result<(), Error> {
    match (&scene.observed.status.state, &scene.observed.evidence) {
        (Some(State::Canary(canary)), Some(evidence)) => {
            store(ctx, &scene.agent, &canary.ledger, evidence, memory).await
        }
        _ => Ok(()),
    }
}

async fn store(
    ctx: &Context,
    agent: &Agent,
    ledger: &str,
    evidence: &Evidence,
    memory: &mut Memory,
) -> Result<(), Error> {
    let text = hash::canonical(evidence);
    let fingerprint = hash::of_bytes(text.as_bytes());
    memory.stored_at = Some(Instant::now());
    if memory.stored.as_ref() == Some(&fingerprint) {
        return Ok(());
    }
    let status = EvidenceLedgerStatus {
        evidence: Some(text),
        evidence_hash: Some(fingerprint.clone()),
        at: Some(Time(jiff::Timestamp::now())),
        hold: None,
    };
    // A merge leaves the hold as it is: an absent field is not in the patch.
    let patch = Patch::Merge(json!({"status": status}));
    let done = ctx.api::<EvidenceLedger>(agent).patch_status(ledger, &PatchParams::default(), &patch).await;
    done.map_err(|cause| Error::api("store", format!("EvidenceLedger {}/{ledger}", agent.namespace), cause))?;
    memory.stored = Some(fingerprint);
    Ok(())
}
