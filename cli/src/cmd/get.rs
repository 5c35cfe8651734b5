//! `rollpin get`: the columns of `kubectl get`, once or as they change.

use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use rollpin_crds::AgentRelease;
use serde_json::json;

use crate::args::{Form, Get, Global};
use crate::connect::{self, Cluster};
use crate::failure::{Exit, Failure};
use crate::output;
use crate::progress::Progress;
use rollpin_engine::phase;

/// Prints releases.
pub async fn run(global: &Global, it: &Get) -> Result<Exit, Failure> {
    let cluster = connect::connect(global).await?;
    let progress = Progress::new(global.quiet);
    let found = progress.during("reading releases", releases(&cluster, it)).await?;
    progress.clear();
    if it.watch {
        return watch(global, &cluster, it).await;
    }
    print(global, it, &found, &cluster)?;
    Ok(Exit::Ok)
}

fn api(cluster: &Cluster, it: &Get) -> Api<AgentRelease> {
    if it.all_namespaces { Api::all(cluster.client.clone()) } else { cluster.releases() }
}

async fn releases(cluster: &Cluster, it: &Get) -> Result<Vec<AgentRelease>, Failure> {
    match &it.name {
        Some(name) => Ok(vec![cluster.release(name).await?]),
        None => cluster.all(&api(cluster, it), "list agentreleases", 500).await,
    }
}

fn print(global: &Global, it: &Get, found: &[AgentRelease], cluster: &Cluster) -> Result<(), Failure> {
    match (global.output, found) {
        (Some(Form::Json | Form::Yaml), [only]) if it.name.is_some() => {
            output::say_value(global.output, only).map(|_| ())
        }
        (Some(Form::Json | Form::Yaml), _) => {
            output::say_value(global.output, &json!({"apiVersion": "v1", "kind": "List", "items": found})).map(|_| ())
        }
        (Some(Form::Name), _) => found.iter().try_for_each(|release| output::say(&object_name(release))),
        (Some(Form::Wide) | None, []) => {
            let place = if it.all_namespaces {
                "in any namespace".to_owned()
            } else {
                format!("in namespace {:?}", cluster.namespace)
            };
            output::remark(&format!("no agentreleases {place}"));
            Ok(())
        }
        (Some(Form::Wide) | None, _) => {
            let columns = Columns { wide: global.output == Some(Form::Wide), namespace: it.all_namespaces };
            output::say(&text(found, columns, global.quiet, Timestamp::now()))
        }
    }
}

fn object_name(release: &AgentRelease) -> String {
    format!("agentrelease.rollpin.dev/{}", release.name_any())
}

/// Which columns are shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Columns {
    /// Step, sessions and the tightest gate too.
    pub wide: bool,
    /// The namespace too.
    pub namespace: bool,
}

/// The table.
pub fn text(found: &[AgentRelease], columns: Columns, quiet: bool, now: Timestamp) -> String {
    let mut heading = vec![];
    if !quiet {
        heading.extend(columns.namespace.then_some("NAMESPACE"));
        heading.extend(["NAME", "PHASE", "SERVING", "DESIRED", "WEIGHT", "VERDICT", "AGE"]);
        heading.extend(columns.wide.then_some(["STEP", "SESSIONS", "TIGHTEST"]).into_iter().flatten());
    }
    let rows: Vec<Vec<String>> = found.iter().map(|release| row(release, columns, now)).collect();
    output::table(&heading, &rows)
}

fn row(release: &AgentRelease, columns: Columns, now: Timestamp) -> Vec<String> {
    let status = release.status.clone().unwrap_or_default();
    let texts = status.columns.clone().unwrap_or_default();
    let born = release.metadata.creation_timestamp.as_ref();
    let mut row = vec![];
    row.extend(columns.namespace.then(|| release.namespace().unwrap_or_default()));
    row.extend([
        release.name_any(),
        status.phase.map_or("", phase::name).to_owned(),
        texts.serving,
        texts.desired,
        status.weight.map(|weight| weight.to_string()).unwrap_or_default(),
        texts.verdict,
        born.map(|born| output::age(born.0, now)).unwrap_or_default(),
    ]);
    row.extend(columns.wide.then_some([texts.step, texts.sessions, texts.tightest]).into_iter().flatten());
    row
}

/// Prints a line per change until somebody stops it. Columns keep the width of the first look.
async fn watch(global: &Global, cluster: &Cluster, it: &Get) -> Result<Exit, Failure> {
    let config = match &it.name {
        Some(name) => watcher::Config::default().fields(&format!("metadata.name={name}")),
        None => watcher::Config::default(),
    };
    let columns = Columns { wide: global.output == Some(Form::Wide), namespace: it.all_namespaces };
    let mut changes = watcher(api(cluster, it), config).default_backoff().applied_objects().boxed();
    let mut printer = Printer { columns, quiet: global.quiet, last: Vec::new() };
    loop {
        match changes.try_next().await {
            Ok(Some(release)) => printer.change(global, &release)?,
            Ok(None) => return Ok(Exit::Ok),
            Err(cause) => connect::watch_problem("watch agentreleases", &cause)?,
        }
    }
}

struct Printer {
    columns: Columns,
    quiet: bool,
    last: Vec<(String, Vec<String>)>,
}

impl Printer {
    fn change(&mut self, global: &Global, release: &AgentRelease) -> Result<(), Failure> {
        if output::say_value(global.output, release)? {
            return Ok(());
        }
        if global.output == Some(Form::Name) {
            return output::say(&object_name(release));
        }
        // The age alone is no change: it is taken at the moment of the object's birth.
        let key = format!("{}/{}", release.namespace().unwrap_or_default(), release.name_any());
        let unaged = row(release, self.columns, Timestamp::UNIX_EPOCH);
        if self.last.iter().any(|(have, row)| *have == key && *row == unaged) {
            return Ok(());
        }
        let text =
            text(std::slice::from_ref(release), self.columns, self.quiet || !self.last.is_empty(), Timestamp::now());
        self.last.retain(|(have, _)| *have != key);
        self.last.push((key, unaged));
        output::say(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::explain::tests::{now, rolled_back};

    #[test]
    fn the_columns_are_those_of_kubectl() {
        insta::assert_snapshot!(text(&[rolled_back()], Columns::default(), false, now()));
    }

    #[test]
    fn wide_adds_step_sessions_and_the_tightest_gate() {
        let columns = Columns { wide: true, namespace: true };
        insta::assert_snapshot!(text(&[rolled_back()], columns, false, now()));
    }

    #[test]
    fn a_release_that_nobody_has_looked_at_has_a_row_too() {
        let mut fresh = rolled_back();
        fresh.status = None;
        assert_eq!(text(&[fresh], Columns::default(), true, now()), "support                       41d");
    }
}
