//! `rollpin rollback`: a named person returns to an earlier revision.

use kube::ResourceExt;
use rollpin_crds::{AgentRelease, AgentRevision, Verb};

use crate::args::{Global, Rollback};
use crate::cmd::change::{self, Intent};
use crate::connect::{self, Cluster};
use crate::digests;
use crate::failure::{Exit, Failure};
use crate::progress::Progress;

/// Means the release that serves.
pub async fn run(global: &Global, it: &Rollback) -> Result<Exit, Failure> {
    let cluster = connect::connect(global).await?;
    let progress = Progress::new(global.quiet);
    let release = progress.during("reading the release", cluster.release(&it.change.name)).await?;
    let serving = serving(&release)?;
    let to_revision = match &it.to_revision {
        Some(typed) => {
            Some(progress.during("reading its revisions", revision(&cluster, &it.change.name, typed)).await?)
        }
        None => None,
    };
    let intent = Intent { to_revision, ..Intent::new(Verb::Rollback, &serving) };
    change::send(global, &cluster, &it.change, intent, &progress).await
}

fn serving(release: &AgentRelease) -> Result<String, Failure> {
    let serving = release.status.as_ref().and_then(|status| status.serving.as_ref());
    serving.map(|serving| serving.digest.clone()).ok_or_else(|| {
        Failure::Precondition(format!(
            "nothing of {:?} serves yet, so there is nothing to roll back",
            release.name_any()
        ))
    })
}

/// The revision's full name, from its name or the beginning of its digest.
async fn revision(cluster: &Cluster, agent: &str, typed: &str) -> Result<String, Failure> {
    let revisions = cluster.all(&cluster.objects::<AgentRevision>(), "list agentrevisions", 100).await?;
    let of_agent: Vec<&AgentRevision> = revisions.iter().filter(|revision| revision.spec.agent == agent).collect();
    resolve(agent, typed, &of_agent)
}

fn resolve(agent: &str, typed: &str, revisions: &[&AgentRevision]) -> Result<String, Failure> {
    if let Some(exact) = revisions.iter().find(|revision| revision.name_any() == typed) {
        return Ok(exact.name_any());
    }
    let fits = |revision: &&&AgentRevision| digests::begins(&revision.spec.digest, typed);
    let fitting: Vec<String> = revisions.iter().filter(fits).map(|revision| revision.name_any()).collect();
    match fitting.as_slice() {
        [only] => Ok(only.clone()),
        [] => {
            let names: Vec<String> = revisions.iter().map(|revision| revision.name_any()).collect();
            let there =
                if names.is_empty() { "it has none".to_owned() } else { format!("it has {}", names.join(", ")) };
            Err(Failure::Usage(format!("{agent:?} has no revision {typed:?}; {there}")))
        }
        several => {
            Err(Failure::Usage(format!("{typed:?} is the beginning of several revisions: {}", several.join(", "))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(name: &str, digest: char) -> AgentRevision {
        let mut made = AgentRevision::new(name, rollpin_crds::AgentRevisionSpec::default());
        made.spec.digest = format!("sha256:{}", digest.to_string().repeat(64));
        made
    }

    #[test]
    fn a_revision_is_found_by_its_name_or_the_beginning_of_its_digest() {
        let (one, two) = (revision("support-one", 'a'), revision("support-two", 'b'));
        let all = [&one, &two];
        assert_eq!(resolve("support", "support-two", &all).unwrap(), "support-two");
        assert_eq!(resolve("support", "aaaa", &all).unwrap(), "support-one");
        let missing = resolve("support", "cccc", &all).unwrap_err();
        assert_eq!(missing.to_string(), "\"support\" has no revision \"cccc\"; it has support-one, support-two");
        assert_eq!(missing.exit(), Exit::Usage);
    }

    #[test]
    fn an_ambiguous_beginning_is_refused() {
        let (one, two) = (revision("support-one", 'a'), revision("support-two", 'a'));
        assert!(resolve("support", "aaaa", &[&one, &two]).unwrap_err().to_string().contains("several revisions"));
    }
}
