//! `rollpin digest`: the digest that the operator will compute, without a cluster.

use std::path::Path;

use kube::ResourceExt;
use rollpin_crds::AgentRelease;
use rollpin_engine::digest::{self, Built, Contents, NotBuilt};
use serde::Serialize;

use crate::args::{FileArgs, Form, Global};
use crate::digests;
use crate::failure::{Exit, Failure};
use crate::manifest::{self, Agent};
use crate::output;

/// A release in full.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    name: String,
    digest: String,
    behavior_digest: String,
    base32: String,
    revision: String,
    components: Vec<Part>,
    manifest: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Part {
    name: String,
    digest: String,
    behavior_digest: String,
    size: usize,
}

/// Prints the digest of every agent release in a file.
pub fn run(global: &Global, it: &FileArgs) -> Result<Exit, Failure> {
    let manifest = manifest::read(&manifest::read_text(&it.file)?);
    if !manifest.findings.is_empty() {
        return Err(Failure::Content(format!(
            "the manifest has no digest\n{}",
            manifest::lines(&it.file, &manifest.findings)
        )));
    }
    if manifest.agents.is_empty() {
        return Err(Failure::Content(format!("{}: there is no AgentRelease in it", manifest::shown(&it.file))));
    }
    let answer = |agent: &Agent| build(&it.file, agent, &manifest.contents(&agent.release));
    let answers = manifest.agents.iter().map(answer).collect::<Result<Vec<_>, _>>()?;
    print(global, &answers)?;
    Ok(Exit::Ok)
}

fn build(path: &Path, agent: &Agent, contents: &Contents) -> Result<Answer, Failure> {
    let name = agent.release.name_any();
    match digest::build(&name, &agent.release.spec, contents) {
        Ok(built) => Ok(answer(&agent.release, built)),
        Err(NotBuilt::WaitingForContent(why)) => Err(Failure::Content(format!(
            "{}: {name}: {why}; offline, add the ConfigMap to the file as another document",
            manifest::shown(path)
        ))),
        Err(NotBuilt::Invalid(problems)) => {
            let findings: Vec<_> = problems.iter().map(|problem| agent.finding(problem)).collect();
            Err(Failure::Content(format!("the manifest has no digest\n{}", manifest::lines(path, &findings))))
        }
    }
}

fn answer(agent: &AgentRelease, built: Built) -> Answer {
    let part = |component: &rollpin_crds::revision::Component| Part {
        name: component.name.clone(),
        digest: component.digest.clone(),
        behavior_digest: component.behavior_digest.clone(),
        size: component.content.len(),
    };
    Answer {
        name: agent.name_any(),
        base32: digests::base32(&built.release.digest),
        components: built.components.iter().map(part).collect(),
        digest: built.release.digest,
        behavior_digest: built.release.behavior_digest,
        revision: built.release.revision,
        manifest: built.manifest,
    }
}

fn print(global: &Global, answers: &[Answer]) -> Result<(), Failure> {
    match (global.output, answers) {
        (Some(Form::Json | Form::Yaml), [only]) => output::say_value(global.output, only).map(|_| ()),
        (Some(Form::Json | Form::Yaml), several) => output::say_value(global.output, &several).map(|_| ()),
        (Some(Form::Name), several) => several.iter().try_for_each(|answer| output::say(&answer.revision)),
        (Some(Form::Wide), several) => several.iter().try_for_each(|answer| output::say(&wide(answer))),
        (None, several) => several.iter().try_for_each(|answer| {
            output::say(&if global.quiet {
                answer.digest.clone()
            } else {
                format!("{}  {}", answer.digest, answer.name)
            })
        }),
    }
}

fn wide(answer: &Answer) -> String {
    let row = |what: &str, digest: &str, behavior: &str, size: String| {
        vec![what.to_owned(), digest.to_owned(), behavior.to_owned(), size]
    };
    let mut rows = vec![row(&answer.name, &answer.digest, &answer.behavior_digest, answer.manifest.len().to_string())];
    rows.extend(
        answer
            .components
            .iter()
            .map(|part| row(&format!("  {}", part.name), &part.digest, &part.behavior_digest, part.size.to_string())),
    );
    output::table(&["RELEASE", "DIGEST", "BEHAVIOUR", "BYTES"], &rows)
}
