//! Commands that nobody has answered yet, oldest first.

use jiff::SignedDuration;
use rollpin_crds::status::{AgentReleaseStatus, ReleaseRef};
use rollpin_crds::{AgentRevision, ReleaseCommand};
use rollpin_engine::observed::CommandSeen;

use crate::build::Agent;
use crate::context::Context;

/// How long a command without an end of its own is good for.
const LIFETIME: SignedDuration = SignedDuration::from_hours(1);

/// Commands without a result, but for the one whose result was committed and is about to be written.
pub fn pending(ctx: &Context, agent: &Agent, status: &AgentReleaseStatus) -> Vec<CommandSeen> {
    let answered = status.last_command.as_ref().map(|last| last.uid.as_str());
    let mut commands = ctx.stores.commands.state_filter(|command| concerns(command, agent) && is_open(command));
    commands.retain(|command| command.metadata.uid.as_deref() != answered);
    commands.sort_by_key(|command| {
        (command.metadata.creation_timestamp.as_ref().map(|time| time.0), command.metadata.name.clone())
    });
    let now = jiff::Timestamp::now();
    commands.iter().map(|command| seen(ctx, agent, command, now)).collect()
}

fn concerns(command: &ReleaseCommand, agent: &Agent) -> bool {
    command.spec.release == agent.name && command.metadata.namespace.as_deref() == Some(&agent.namespace)
}

fn is_open(command: &ReleaseCommand) -> bool {
    command.status.as_ref().is_none_or(|status| status.result.is_none())
}

/// Whether a command came too late.
pub fn expired(command: &ReleaseCommand, now: jiff::Timestamp) -> bool {
    let created = command.metadata.creation_timestamp.as_ref().map(|time| time.0);
    let until = command.spec.expires_at.as_ref().map(|time| time.0);
    let until = until.or_else(|| created.and_then(|created| created.checked_add(LIFETIME).ok()));
    until.is_some_and(|until| now > until)
}

fn seen(ctx: &Context, agent: &Agent, command: &ReleaseCommand, now: jiff::Timestamp) -> CommandSeen {
    let spec = &command.spec;
    let to = spec.to_revision.as_ref().map(|name| (name, revision(ctx, agent, name)));
    CommandSeen {
        uid: command.metadata.uid.clone().unwrap_or_default(),
        name: command.metadata.name.clone().unwrap_or_default(),
        verb: spec.verb,
        digest: spec.digest.clone(),
        by: match &spec.on_behalf_of {
            Some(whom) => format!("{} for {whom}", spec.requested_by),
            None => spec.requested_by.clone(),
        },
        reason: spec.reason.clone(),
        full: spec.full.unwrap_or_default(),
        no_bake_rollback: spec.no_bake_rollback.unwrap_or_default(),
        to_missing: to.as_ref().filter(|(_, found)| found.is_none()).map(|(name, _)| (*name).clone()),
        to: to.and_then(|(_, found)| found),
        expired: expired(command, now),
    }
}

fn revision(ctx: &Context, agent: &Agent, name: &str) -> Option<ReleaseRef> {
    let found: std::sync::Arc<AgentRevision> =
        ctx.stores.revisions.get(&kube::runtime::reflector::ObjectRef::new(name).within(&agent.namespace))?;
    (found.spec.agent == agent.name).then(|| ReleaseRef {
        digest: found.spec.digest.clone(),
        behavior_digest: found.spec.behavior_digest.clone(),
        revision: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
    use rollpin_crds::{ReleaseCommandSpec, Verb};

    fn command(expires: Option<&str>) -> ReleaseCommand {
        let spec = ReleaseCommandSpec {
            release: "support".to_owned(),
            verb: Verb::Abort,
            digest: String::new(),
            reason: String::new(),
            requested_by: "ann".to_owned(),
            on_behalf_of: None,
            full: None,
            no_bake_rollback: None,
            to_revision: None,
            expires_at: expires.map(|time| Time(time.parse().unwrap())),
        };
        let mut command = ReleaseCommand::new("abort-1", spec);
        command.metadata.creation_timestamp = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
        command
    }

    #[test]
    fn a_command_is_good_for_an_hour_unless_it_says_otherwise() {
        let at = |time: &str| time.parse().unwrap();
        assert!(!expired(&command(None), at("2026-01-01T00:59:59Z")));
        assert!(expired(&command(None), at("2026-01-01T01:00:01Z")));
        assert!(expired(&command(Some("2026-01-01T00:05:00Z")), at("2026-01-01T00:06:00Z")));
        assert!(!expired(&command(Some("2026-01-02T00:00:00Z")), at("2026-01-01T10:00:00Z")));
    }
}
