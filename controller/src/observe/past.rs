//! What earlier attempts left in ledgers. Ledgers are never kept in memory, so they are asked for only when a release is
//! desired that neither serves nor is on trial.

use kube::api::ListParams;
use rollpin_crds::status::AgentReleaseStatus;
use rollpin_crds::{EvidenceLedger, NAME_LABEL};
use rollpin_engine::observed::{PastAttempt, Wanted};
use rollpin_engine::phase;

use crate::build::Agent;
use crate::context::Context;
use crate::error::Error;

/// Earlier attempts, where they matter.
pub async fn attempts(
    ctx: &Context,
    agent: &Agent,
    status: &AgentReleaseStatus,
    wanted: &Wanted,
) -> Result<Vec<PastAttempt>, Error> {
    if !matters(status, wanted) {
        return Ok(vec![]);
    }
    let ledgers = list(ctx, agent).await?;
    let mut past: Vec<PastAttempt> = ledgers.into_iter().map(attempt).collect();
    past.sort_by(|one, other| (&one.behavior_digest, one.attempt).cmp(&(&other.behavior_digest, other.attempt)));
    Ok(past)
}

/// The ledgers of an agent.
pub async fn list(ctx: &Context, agent: &Agent) -> Result<Vec<EvidenceLedger>, Error> {
    let params = ListParams::default().labels(&format!("{NAME_LABEL}={}", agent.name));
    let listed = ctx.api::<EvidenceLedger>(agent).list(&params).await;
    Ok(listed
        .map_err(|cause| Error::api("list", format!("EvidenceLedgers of {}/{}", agent.namespace, agent.name), cause))?
        .items)
}

fn matters(status: &AgentReleaseStatus, wanted: &Wanted) -> bool {
    let Wanted::Release { release, .. } = wanted else {
        return false;
    };
    let Some(state) = &status.state else {
        return true;
    };
    ![phase::live(state), phase::trial(state)]
        .into_iter()
        .flatten()
        .any(|known| known.behavior_digest == release.behavior_digest)
}

fn attempt(ledger: EvidenceLedger) -> PastAttempt {
    PastAttempt {
        behavior_digest: ledger.spec.behavior_digest,
        attempt: ledger.spec.attempt,
        hold: ledger.status.and_then(|status| status.hold),
    }
}
