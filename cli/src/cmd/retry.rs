//! `rollpin retry`: a named person tries a held or ended release again. It needs a reason.

use kube::ResourceExt;
use rollpin_crds::status::{AgentReleaseStatus, State};
use rollpin_crds::{AgentRelease, Verb};

use crate::args::{Global, Retry};
use crate::cmd::change::{self, Intent};
use crate::digests;
use crate::failure::{Exit, Failure};

/// Means the release that the spec asks for, or the one that is named.
pub async fn run(global: &Global, it: &Retry) -> Result<Exit, Failure> {
    if it.change.reason.trim().is_empty() {
        return Err(Failure::Usage(
            "a retry needs a reason, which the decision record keeps: --reason \"...\"".to_owned(),
        ));
    }
    change::run(global, &it.change, |release| Ok(Intent::new(Verb::Retry, &meant(release, it.digest.as_deref())?)))
        .await
}

fn meant(release: &AgentRelease, typed: Option<&str>) -> Result<String, Failure> {
    let status = release.status.clone().unwrap_or_default();
    let desired = status.desired.as_ref().and_then(|desired| desired.digest.clone());
    let Some(typed) = typed else {
        return desired.ok_or_else(|| {
            Failure::Precondition(format!("the spec of {:?} does not make a release yet", release.name_any()))
        });
    };
    let mut known = known(&status, desired);
    known.retain(|digest| digests::begins(digest, typed));
    known.sort();
    known.dedup();
    match known.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Failure::Precondition(format!(
            "{:?} neither asks for nor holds a release that begins with {typed:?}; `rollpin explain {}` shows which it does",
            release.name_any(),
            release.name_any()
        ))),
        several => {
            Err(Failure::Usage(format!("{typed:?} is the beginning of several releases: {}", several.join(", "))))
        }
    }
}

fn known(status: &AgentReleaseStatus, desired: Option<String>) -> Vec<String> {
    let ended = match &status.state {
        Some(State::Steady(steady)) => steady.ended.as_ref().map(|ended| ended.trial.digest.clone()),
        Some(State::Pending(_) | State::Canary(_) | State::Reverting(_) | State::Baking(_)) | None => None,
    };
    desired.into_iter().chain(ended).chain(status.hold.iter().map(|hold| hold.digest.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::explain::tests::rolled_back;

    #[test]
    fn without_a_digest_the_desired_one_is_meant() {
        let release = rolled_back();
        let desired = release.status.clone().unwrap().desired.unwrap().digest.unwrap();
        assert_eq!(meant(&release, None).unwrap(), desired);
        assert_eq!(meant(&release, Some("dzpozs")).unwrap(), desired);
    }

    #[test]
    fn a_digest_that_nobody_holds_is_a_failed_precondition() {
        let failure = meant(&rolled_back(), Some("zzzzzz")).unwrap_err();
        assert_eq!(failure.exit(), Exit::Precondition);
    }
}
