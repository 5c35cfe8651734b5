//! Bad manifests get a clear answer: the field, what is wrong, what to write instead.
//!
//! Each file says in its head what it expects. Those that the API server refuses are run against a real one elsewhere;
//! here they must at least be read without a crash.

use rollpin_crds::AgentRelease;
use rollpin_engine::digest::{self, Contents, NotBuilt};
use rollpin_engine::preflight;
use rollpin_engine::validate::{self, Problem};
use serde_json::Value;

use crate::{contents, data, read, value};

/// What a bad manifest expects.
struct Expected {
    tag: String,
    field: String,
    says: String,
}

fn expected(text: &str) -> Expected {
    let line = |name: &str| {
        let start = format!("# {name}: ");
        text.lines()
            .find_map(|line| line.strip_prefix(start.as_str()))
            .unwrap_or_else(|| panic!("no {start:?} in {text}"))
            .to_owned()
    };
    Expected { tag: line("tag"), field: line("field"), says: line("says") }
}

/// Everything that the command line and the controller find without a cluster.
fn found(manifest: &Value) -> Vec<Problem> {
    let mut problems = validate::unknown_fields(manifest);
    let Ok(release) = serde_json::from_value::<AgentRelease>(manifest.clone()) else {
        return problems;
    };
    problems.extend(validate::policy(&release.spec).err().unwrap_or_default());
    problems.extend(preflight::check(&release.spec).into_iter().filter(preflight::Finding::blocks).map(Problem::from));
    match digest::build(&release.metadata.name.unwrap_or_default(), &release.spec, &Contents::new()) {
        Ok(_) => {}
        Err(NotBuilt::WaitingForContent(why)) => problems.push(Problem::new("", why)),
        Err(NotBuilt::Invalid(more)) => problems.extend(more),
    }
    problems
}

fn bad_manifests() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(data("bad-manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn every_bad_manifest_is_answered_with_its_field_and_a_way_out() {
    let mut failures = Vec::new();
    for name in bad_manifests() {
        let path = format!("bad-manifests/{name}");
        let Expected { tag, field, says } = expected(&read(&path));
        let problems = found(&value(&path));
        let hit =
            problems.iter().any(|problem| (problem.field == field || field == "-") && problem.message.contains(&says));
        match tag.as_str() {
            // One fault per file: any other problem would hide whether this one stops a rollout.
            "Lint" | "Condition" if !hit || problems.len() != 1 => {
                failures.push(format!("{name}: wanted {field}: {says}\n  got {problems:#?}"));
            }
            "Lint" | "Condition" | "Admission" => {}
            other => panic!("{name}: unknown tag {other}"),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn there_are_bad_manifests_of_every_kind() {
    let tags: Vec<String> =
        bad_manifests().iter().map(|name| expected(&read(&format!("bad-manifests/{name}"))).tag).collect();
    let count = |tag: &str| tags.iter().filter(|it| *it == tag).count();
    assert!(tags.len() >= 20 && count("Admission") >= 5 && count("Lint") >= 5 && count("Condition") >= 3, "{tags:?}");
}

#[test]
fn good_manifests_are_not_refused() {
    for name in std::fs::read_dir(data("manifests")).unwrap() {
        let path = format!("manifests/{}", name.unwrap().file_name().into_string().unwrap());
        assert_eq!(found(&value(&path)), [], "{path}");
    }
    let release = crate::release("digest/everything.yaml");
    assert_eq!(validate::unknown_fields(&value("digest/everything.yaml")), []);
    assert!(validate::policy(&release.spec).is_ok());
    let findings = preflight::check_with(&release.spec, &contents());
    assert_eq!(findings, [], "everything.yaml");
}
