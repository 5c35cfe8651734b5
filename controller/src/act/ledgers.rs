//! Ledgers: there before an attempt has weight, and the keepers of holds.

use kube::api::{Patch, PatchParams};
use rollpin_crds::EvidenceLedger;
use rollpin_crds::status::{AgentReleaseStatus, Hold, State};
use rollpin_engine::hash;
use rollpin_engine::plan::Plan;
use serde_json::json;

use super::apply;
use crate::build::children;
use crate::context::{Context, Memory};
use crate::error::Error;
use crate::evidence_link::checkpoint;
use crate::observe::{Scene, past};

/// Makes the ledger of the attempt under way, and stores its evidence now and then.
pub async fn ensure(
    ctx: &Context,
    scene: &Scene,
    status: &AgentReleaseStatus,
    plan: &Plan,
    memory: &mut Memory,
) -> Result<(), Error> {
    let Some(ledger) = &plan.ledger else {
        return Ok(());
    };
    if memory.attempt.as_deref() != Some(&ledger.name) {
        apply::create_once(&ctx.shared.client, &scene.agent, &children::ledger(&scene.agent, ledger)).await?;
        memory.attempt = Some(ledger.name.clone());
    }
    checkpoint(ctx, scene, status, memory).await
}

/// Every hold stands in the ledger of its attempt. One is taken out only if it was lifted, or if its release is on trial or
/// serves: a recreated agent knows of no holds yet, and must not wipe them out.
pub async fn hold(
    ctx: &Context,
    scene: &Scene,
    status: &AgentReleaseStatus,
    plan: &Plan,
    memory: &mut Memory,
) -> Result<(), Error> {
    let lifted = lifted(&scene.observed.status, status);
    let done = hash::of_value(&(&plan.holds, &lifted));
    if memory.holds.as_ref() == Some(&done) || (plan.holds.is_empty() && lifted.is_empty()) {
        return Ok(());
    }
    for ledger in past::list(ctx, &scene.agent).await? {
        let there = ledger.status.as_ref().and_then(|status| status.hold.as_ref());
        let wanted = plan.holds.iter().find(|hold| is_of(hold, &ledger));
        let after = match wanted {
            Some(hold) => Some(hold),
            None if lifted.contains(&ledger.spec.behavior_digest) => None,
            None => there,
        };
        if after != there {
            write(ctx, scene, &ledger, after).await?;
        }
    }
    memory.holds = Some(done);
    Ok(())
}

/// Behaviours that are not held, whatever a ledger says.
fn lifted(before: &AgentReleaseStatus, after: &AgentReleaseStatus) -> Vec<String> {
    let named = after.state.iter().flat_map(|state| match state {
        State::Canary(canary) => vec![&canary.trial],
        State::Baking(baking) => vec![&baking.live],
        State::Pending(_) | State::Steady(_) | State::Reverting(_) => vec![],
    });
    let mut lifted: Vec<String> = named.map(|release| release.behavior_digest.clone()).collect();
    lifted.extend(before.hold.iter().map(|hold| hold.behavior_digest.clone()));
    lifted.retain(|behavior| !after.hold.iter().any(|hold| hold.behavior_digest == *behavior));
    lifted
}

async fn write(ctx: &Context, scene: &Scene, ledger: &EvidenceLedger, hold: Option<&Hold>) -> Result<(), Error> {
    let name = ledger.metadata.name.clone().unwrap_or_default();
    let patch = Patch::Merge(json!({"status": {"hold": hold}}));
    let done = ctx.api::<EvidenceLedger>(&scene.agent).patch_status(&name, &PatchParams::default(), &patch).await;
    done.map(|_| ())
        .map_err(|cause| Error::api("hold", format!("EvidenceLedger {}/{name}", scene.agent.namespace), cause))
}

fn is_of(hold: &Hold, ledger: &EvidenceLedger) -> bool {
    ledger.spec.behavior_digest == hold.behavior_digest && ledger.spec.attempt == hold.attempt
}
