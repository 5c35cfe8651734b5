//! The loop: observe, decide, commit, act, report. One look at one release.
//!
//! Commit before act: an intent that is written can be finished by whoever comes next.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::controller::Action;
use rollpin_crds::AgentRelease;
use rollpin_engine::decide::{Decision, decide};

use crate::act::act;
use crate::build::Agent;
use crate::commit::{Committed, commit};
use crate::context::{Context, Memory};
use crate::error::{Error, Retry, backoff, chain};
use crate::observe::observe;
use crate::report;

/// How long a copy may be older than our own last write before we ask again.
const STALE: Duration = Duration::from_millis(100);
/// A lost race is looked at again at once, but not in a busy loop.
const AT_ONCE: Duration = Duration::from_millis(20);
/// How often content that is not there yet is looked for.
const CONTENT_EVERY: Duration = Duration::from_secs(3);

/// One look, on a task of its own: a bug that one release meets must not stop the others.
pub async fn reconcile(release: Arc<AgentRelease>, ctx: Arc<Context>) -> Result<Action, Error> {
    let agent = Agent::of(&release);
    match tokio::spawn(look(release, ctx)).await {
        Ok(done) => done,
        Err(cause) => Err(Error::Panicked {
            object: format!("AgentRelease {}/{}", agent.namespace, agent.name),
            why: cause.to_string(),
        }),
    }
}

async fn look(release: Arc<AgentRelease>, ctx: Arc<Context>) -> Result<Action, Error> {
    let agent = Agent::of(&release);
    let mut memory = ctx.shared.memories.of(&agent).await;
    let release = match newest(&ctx, &agent, release, &memory).await? {
        Copy::Newest(release) => release,
        Copy::Stale => return Ok(Action::requeue(STALE)),
        Copy::Gone => return Ok(Action::await_change()),
    };
    let outcome = finish(&ctx, &release, &mut memory).await;
    memory.read_fresh = matches!(outcome, Err(Error::Conflict { .. }));
    if outcome.is_ok() {
        memory.failures = 0;
    }
    outcome
}

async fn finish(ctx: &Context, release: &AgentRelease, memory: &mut Memory) -> Result<Action, Error> {
    let scene = observe(ctx, release, memory).await?;
    let decision = decide(&scene.observed);
    let committed = commit(ctx, release, &scene, &decision, memory).await?;
    act(ctx, release, &scene, &committed.status, memory).await?;
    report::report(ctx, release, &scene, &decision, &committed).await;
    Ok(next_look(&scene.observed.desired, &decision, &committed))
}

/// A copy of a release, compared with what we wrote ourselves.
enum Copy {
    Newest(Arc<AgentRelease>),
    Stale,
    Gone,
}

async fn newest(ctx: &Context, agent: &Agent, release: Arc<AgentRelease>, memory: &Memory) -> Result<Copy, Error> {
    let release = if memory.read_fresh {
        let found = ctx.api::<AgentRelease>(agent).get_opt(&agent.name).await;
        match found
            .map_err(|cause| Error::api("read", format!("AgentRelease {}/{}", agent.namespace, agent.name), cause))?
        {
            Some(found) => Arc::new(found),
            None => return Ok(Copy::Gone),
        }
    } else {
        release
    };
    if release.metadata.deletion_timestamp.is_some() || release.metadata.uid.as_deref() != Some(&agent.uid) {
        return Ok(Copy::Gone);
    }
    Ok(if is_older(release.metadata.resource_version.as_deref(), memory.written.as_deref()) {
        Copy::Stale
    } else {
        Copy::Newest(release)
    })
}

/// Resource versions of one kind are numbers that grow.
fn is_older(copy: Option<&str>, written: Option<&str>) -> bool {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u128>().ok());
    matches!((number(copy), number(written)), (Some(copy), Some(written)) if copy < written)
}

/// A release at rest is not looked at again until something changes.
fn next_look(wanted: &rollpin_engine::observed::Wanted, decision: &Decision, committed: &Committed) -> Action {
    use rollpin_engine::observed::Wanted;
    let content = match wanted {
        Wanted::WaitingForContent { .. } => Some(CONTENT_EVERY),
        Wanted::Release { .. } | Wanted::Invalid { .. } => None,
    };
    let wake = decision.wake_millis.and_then(|millis| u64::try_from(millis).ok()).map(Duration::from_millis);
    match [content, wake, committed.later].into_iter().flatten().min() {
        Some(wait) => Action::requeue(wait),
        None => Action::await_change(),
    }
}

/// What follows from an error: the same object again, later and later.
#[allow(clippy::needless_pass_by_value)] // the signature that kube calls
pub fn on_error(release: Arc<AgentRelease>, error: &Error, ctx: Arc<Context>) -> Action {
    let agent = Agent::of(&release);
    ctx.shared.metrics.failed(error.kind());
    match error.retry() {
        Retry::Now => {
            tracing::debug!(release = %agent.name, namespace = %agent.namespace, cause = %error, "somebody was faster: looking again");
            Action::requeue(AT_ONCE)
        }
        Retry::Backoff => {
            let failures = ctx.shared.memories.failed(&agent);
            tracing::warn!(release = %agent.name, namespace = %agent.namespace, failures, cause = %chain(error), "reconcile failed");
            Action::requeue(backoff(failures))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_from_before_our_own_write_is_not_looked_at() {
        assert!(is_older(Some("9"), Some("10")));
        assert!(!is_older(Some("10"), Some("10")));
        assert!(!is_older(Some("11"), Some("10")));
        assert!(!is_older(Some("11"), None));
    }
}
