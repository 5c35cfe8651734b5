//! `rollpin status`: waits until a rollout is settled, and ends with the exit code that says how.

use rollpin_crds::AgentRelease;

use crate::args::{Global, Status};
use crate::connect::{self, Step};
use crate::failure::{Exit, Failure};
use crate::output::{self, BAD, GOOD, WAIT};
use crate::progress::Progress;
use crate::settle::{self, Standing};

/// Waits.
pub async fn run(global: &Global, it: &Status) -> Result<Exit, Failure> {
    let cluster = connect::connect(global).await?;
    let progress = Progress::new(global.quiet);
    let first = progress.during("reading the release", cluster.release(&it.name)).await?;
    let mut last = String::new();
    let mut newest = first.clone();
    let settled = if it.timeout.is_some_and(|timeout| timeout.is_zero()) {
        settled(&first, it.baked)
    } else {
        let judge = |seen: Option<&AgentRelease>| {
            let Some(release) = seen else {
                return Err(gone(it, &cluster.namespace));
            };
            newest = release.clone();
            match settle::standing(release, it.baked) {
                Standing::Settled(exit, text) => Ok(Step::Done((exit, text))),
                Standing::Waiting(text) => {
                    if it.watch && last != text {
                        progress.clear();
                        output::say(&text)?;
                        last.clone_from(&text);
                    }
                    Ok(Step::Wait(format!("{}: {text}", it.name)))
                }
            }
        };
        connect::until(&cluster.releases(), &it.name, it.timeout, &progress, judge).await?
    };
    progress.clear();
    conclude(global, it, &newest, settled)
}

fn settled(release: &AgentRelease, baked: bool) -> Option<(Exit, String)> {
    match settle::standing(release, baked) {
        Standing::Settled(exit, text) => Some((exit, text)),
        Standing::Waiting(_) => None,
    }
}

fn gone(it: &Status, namespace: &str) -> Failure {
    Failure::NotFound {
        kind: "agentrelease",
        name: it.name.clone(),
        namespace: namespace.to_owned(),
        hint: "it was deleted while waiting".to_owned(),
    }
}

fn conclude(
    global: &Global,
    it: &Status,
    release: &AgentRelease,
    settled: Option<(Exit, String)>,
) -> Result<Exit, Failure> {
    let printed = output::say_value(global.output, &release.status)?;
    if let Some((exit, text)) = settled {
        if !printed {
            let style = if exit == Exit::Ok { GOOD } else { BAD };
            output::say(&output::styled(style, &text))?;
        }
        return Ok(exit);
    }
    let (Standing::Waiting(text) | Standing::Settled(_, text)) = settle::standing(release, it.baked);
    if !printed {
        output::say(&output::styled(WAIT, &text))?;
    }
    Err(Failure::Timeout(format!("{:?} is not settled yet", it.name)))
}
