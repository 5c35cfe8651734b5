//! Reads everything that a decision needs, and stamps the time. What cannot be read is a fact, not an early end.
//!
//! It writes nothing and decides nothing; what it reads comes from the watched copies, with a few calls where those cannot know.

pub mod commands;
pub mod desired;
pub mod past;
pub mod probe;
pub mod revisions;
pub mod route;

use std::sync::Arc;

use rollpin_crds::AgentRelease;
use rollpin_crds::status::{AgentReleaseStatus, ReleaseRef, State};
use rollpin_crds::traffic::{Carrier, OnRollback};
use rollpin_engine::observed::{Identity, Observed, RouteSeen, Wanted};
use rollpin_engine::phase;
use rollpin_engine::plan::{Plan, plan};
use rollpin_engine::policy::{ReadyWhen, Settings};

use crate::build::Agent;
use crate::context::{Context, Memory};
use crate::error::Error;

/// One look: the facts, and what else the hands need that act on the decision.
pub struct Scene {
    /// The agent.
    pub agent: Agent,
    /// The facts.
    pub observed: Observed,
    /// What the spec asks for, ready to be stored; absent while it is incomplete or invalid.
    pub prepared: Option<Arc<desired::Prepared>>,
    /// What acts at once.
    pub settings: Settings,
    /// The route as it was read.
    pub route: Option<route::Live>,
}

/// Looks at everything.
pub async fn observe(ctx: &Context, release: &AgentRelease, memory: &mut Memory) -> Result<Scene, Error> {
    let agent = Agent::of(release);
    let status = confirmed_status(release, memory);
    let (wanted, prepared) = desired::wanted(ctx, &agent, release, memory).await?;
    let settings = settings(&wanted, release);
    let expected = plan(&status, &settings);
    let commands = commands::pending(ctx, &agent, &status);
    let named = named(&status, &wanted, &commands);
    let revisions = revisions::seen(ctx, &agent, &named, &expected, memory).await;
    let route = route::read(ctx, &agent, memory).await?;
    let mut route_seen = route::seen(&agent, release, &settings, &expected, route.as_ref());
    probe::through_gateway(ctx, &agent, release, &status, &settings, &revisions, &mut route_seen, memory).await;
    let policy = prepared.as_ref().map(|prepared| &prepared.policy);
    ctx.shared.evidence.follow(ctx, &agent, &status, policy).await?;
    if in_force(&route_seen) {
        ctx.shared.evidence.in_force(&agent, &status);
    }
    route_seen.withdrawn_heard_millis =
        withdrawn(&status).and_then(|gone| ctx.shared.evidence.last_heard(&agent, gone));
    let past = past::attempts(ctx, &agent, &status, &wanted).await?;
    let (evidence, baseline) = ctx.shared.evidence.look(&agent, &status);
    let observed = Observed {
        now: jiff::Timestamp::now(),
        release: identity(&agent, release),
        desired: wanted,
        status,
        revisions,
        route: route_seen,
        evidence,
        baseline,
        commands,
        past,
    };
    Ok(Scene { agent, observed, prepared, settings, route })
}

/// The committed status; a pending record that is an object by now is pending no more.
fn confirmed_status(release: &AgentRelease, memory: &Memory) -> AgentReleaseStatus {
    let mut status = release.status.clone().unwrap_or_default();
    let confirmed =
        status.pending_record.as_ref().is_some_and(|record| memory.recorded.as_deref() == Some(&record.name));
    if confirmed {
        status.pending_record = None;
    }
    status
}

fn identity(agent: &Agent, release: &AgentRelease) -> Identity {
    Identity {
        namespace: agent.namespace.clone(),
        name: agent.name.clone(),
        uid: agent.uid.clone(),
        generation: release.metadata.generation.unwrap_or_default(),
    }
}

/// The release that is being taken back.
pub fn withdrawn(status: &AgentReleaseStatus) -> Option<&ReleaseRef> {
    match status.state.as_ref()? {
        State::Reverting(reverting) => Some(&reverting.rejected),
        State::Pending(_) | State::Steady(_) | State::Canary(_) | State::Baking(_) => None,
    }
}

/// Every release that a decision may ask about, each once.
fn named(
    status: &AgentReleaseStatus,
    wanted: &Wanted,
    commands: &[rollpin_engine::observed::CommandSeen],
) -> Vec<ReleaseRef> {
    let mut named: Vec<ReleaseRef> = vec![];
    if let Some(state) = &status.state {
        named.extend(
            [phase::live(state), phase::trial(state), phase::predecessor(state)].into_iter().flatten().cloned(),
        );
    }
    named.extend(status.retiring.iter().map(|retiring| retiring.release.clone()));
    if let Wanted::Release { release, .. } = wanted {
        named.push(release.clone());
    }
    named.extend(commands.iter().filter_map(|command| command.to.clone()));
    let mut once: Vec<ReleaseRef> = vec![];
    for release in named {
        if !once.iter().any(|known| known.digest == release.digest) {
            once.push(release);
        }
    }
    once
}

/// What acts at once; for a spec that cannot be read, what changes nothing.
fn settings(wanted: &Wanted, release: &AgentRelease) -> Settings {
    match wanted {
        Wanted::Release { settings, .. }
        | Wanted::WaitingForContent { settings, .. }
        | Wanted::Invalid { settings: Some(settings), .. } => settings.clone(),
        Wanted::Invalid { settings: None, .. } => Settings {
            replicas: release.spec.replicas,
            suspend: true,
            on_rollback: OnRollback::Migrate,
            drain_seconds: 300,
            scale_down_delay_seconds: 30,
            revision_history_limit: 10,
            ready_when: ReadyWhen::Promoted,
            carriers: vec![Carrier::Header, Carrier::McpParam],
            contract_level: release.spec.contract.as_ref().map_or(0, |contract| contract.level),
        },
    }
}

/// The plan of a status, for the hands.
pub fn plan_of(status: &AgentReleaseStatus, scene: &Scene) -> Plan {
    plan(status, &scene.settings)
}

/// Whether the route is what the committed state asks for, and taken by the gateway.
pub fn in_force(route: &RouteSeen) -> bool {
    route.current && route.accepted
}
