//! Says what happened: one log line, metrics, and events for people; all from the words of the decision.

use kube::Resource;
use kube::runtime::events::{Event, EventType};
use rollpin_crds::AgentRelease;
use rollpin_engine::decide::{Decision, Notice};
use rollpin_engine::phase;

use crate::commit::Committed;
use crate::context::Context;
use crate::observe::Scene;

/// Longest note of an event; the API server refuses more than 1 KiB.
const NOTE: usize = 1000;

/// Reports one look.
pub async fn report(ctx: &Context, release: &AgentRelease, scene: &Scene, decision: &Decision, committed: &Committed) {
    let agent = &scene.agent;
    ctx.shared.metrics.looked(&agent.namespace, &agent.name, &committed.status);
    let named = committed.status.phase.map_or("", phase::name);
    let changed = committed.wrote && decision.edge;
    if !changed {
        tracing::debug!(namespace = %agent.namespace, release = %agent.name, phase = named, reason = %decision.because, "looked");
        return;
    }
    if let Some(to) = committed.status.phase {
        ctx.shared.metrics.decided(to);
    }
    let weight = committed.status.weight.unwrap_or_default();
    if decision.events.iter().any(|notice| notice.warning) {
        tracing::warn!(namespace = %agent.namespace, release = %agent.name, phase = named, weight, reason = %decision.because, "decided");
    } else {
        tracing::info!(namespace = %agent.namespace, release = %agent.name, phase = named, weight, reason = %decision.because, "decided");
    }
    for notice in &decision.events {
        publish(ctx, release, notice).await;
    }
}

async fn publish(ctx: &Context, release: &AgentRelease, notice: &Notice) {
    let event = Event {
        type_: if notice.warning { EventType::Warning } else { EventType::Normal },
        reason: notice.reason.clone(),
        note: Some(notice.message.chars().take(NOTE).collect()),
        action: "Rollout".to_owned(),
        secondary: None,
    };
    if let Err(cause) = ctx.shared.recorder.publish(&event, &release.object_ref(&())).await {
        tracing::debug!(%cause, reason = %notice.reason, "an event could not be written");
    }
}
