//! `rollpin replay`: decides again from what a record says was seen. The engine compares; this reads and prints.

use std::path::Path;

use kube::ResourceExt;
use rollpin_crds::{DecisionRecord, DecisionRecordSpec};
use rollpin_engine::record::{self, Replay as Found};
use serde::Serialize;
use serde_json::Value;

use crate::args::{Global, Replay};
use crate::connect;
use crate::failure::{Exit, Failure};
use crate::manifest;
use crate::output::{self, BAD, GOOD, styled};
use crate::progress::Progress;
use crate::yaml;

/// One record's result.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    record: String,
    result: &'static str,
    recorded: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<String>,
    engine: String,
}

/// Records from a file.
pub fn run_offline(global: &Global, it: &Replay) -> Result<Exit, Failure> {
    let path = it.file.as_deref().unwrap_or(Path::new("-"));
    let records = read(path, &manifest::read_text(path)?)?;
    print(global, &records)
}

/// A record of the cluster.
pub async fn run_online(global: &Global, it: &Replay) -> Result<Exit, Failure> {
    let name = it.name.clone().unwrap_or_default();
    let cluster = connect::connect(global).await?;
    let progress = Progress::new(global.quiet);
    let api = cluster.objects::<DecisionRecord>();
    let action = format!("read decisionrecord {name:?} in namespace {:?}", cluster.namespace);
    let found = progress.during("reading the record", connect::answer(&action, api.get_opt(&name))).await?;
    progress.clear();
    match found {
        Some(record) => print(global, &[(record.name_any(), record.spec)]),
        None => Err(Failure::NotFound {
            kind: "decisionrecord",
            name,
            namespace: cluster.namespace,
            hint: "`rollpin history NAME -o name` shows what there is; a file is read with -f".to_owned(),
        }),
    }
}

/// Every record in a text: one, many documents, or a list.
fn read(path: &Path, text: &str) -> Result<Vec<(String, DecisionRecordSpec)>, Failure> {
    let documents = yaml::read(text).map_err(|finding| Failure::Content(manifest::lines(path, &[finding])))?;
    let mut records = vec![];
    for document in documents {
        let value = document.root.to_json();
        match value.get("items").and_then(Value::as_array) {
            Some(items) => items.iter().try_for_each(|item| take(path, item, &mut records))?,
            None => take(path, &value, &mut records)?,
        }
    }
    if records.is_empty() {
        return Err(Failure::Content(format!("{}: there is no DecisionRecord in it", manifest::shown(path))));
    }
    Ok(records)
}

fn take(path: &Path, value: &Value, records: &mut Vec<(String, DecisionRecordSpec)>) -> Result<(), Failure> {
    let file = manifest::shown(path);
    let kind = value.get("kind").and_then(Value::as_str).unwrap_or_default();
    if kind != "DecisionRecord" {
        return Err(Failure::Content(format!(
            "{file}: {kind:?} is not a DecisionRecord; `kubectl get decisionrecord NAME -o yaml` prints one"
        )));
    }
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("record").to_owned();
    let spec = value.get("spec").cloned().unwrap_or_default();
    let spec = serde_json::from_value(spec)
        .map_err(|cause| Failure::Content(format!("{file}: record {name:?} is damaged: {cause}")))?;
    records.push((name, spec));
    Ok(())
}

fn print(global: &Global, records: &[(String, DecisionRecordSpec)]) -> Result<Exit, Failure> {
    let results: Vec<Outcome> = records.iter().map(|(name, spec)| result(name, spec)).collect();
    if !output::say_value(global.output, &results)? {
        results.iter().try_for_each(say)?;
    }
    Ok(if results.iter().all(|result| result.result == SAME) { Exit::Ok } else { Exit::Failed })
}

const SAME: &str = "same";

fn result(name: &str, spec: &DecisionRecordSpec) -> Outcome {
    let (result, replayed) = match record::replay(spec) {
        Found::Same { message } => (SAME, Some(message)),
        Found::Different { replayed, .. } => ("different", Some(replayed)),
        Found::Tampered => ("changed after it was written", None),
        Found::Unreadable { why } => ("unreadable", Some(why)),
    };
    Outcome { record: name.to_owned(), result, recorded: spec.message.clone(), replayed, engine: spec.engine.clone() }
}

fn say(result: &Outcome) -> Result<(), Failure> {
    let Outcome { record, result: word, recorded, replayed, engine } = result;
    if *word == SAME {
        return output::say(&format!("{} {record}: {recorded}", styled(GOOD, word)));
    }
    let head = format!("{} {record}", styled(BAD, word));
    let replayed =
        replayed.as_ref().map(|text| format!("\n  here     {text} (engine {})", record::ENGINE)).unwrap_or_default();
    output::say(&format!("{head}\n  recorded {recorded} (engine {engine}){replayed}"))
}

#[cfg(test)]
mod tests {
    use rollpin_engine::observed::{BaselineSeen, Identity, Observed, RouteSeen, Wanted};
    use rollpin_engine::{decide, digest, validate};

    use super::*;

    /// What the operator writes when a first release appears.
    fn recorded() -> DecisionRecordSpec {
        let manifest = manifest::read(include_str!("../../tests/scripts/manifests/support.yaml"));
        let spec = &manifest.agents[0].release.spec;
        let (policy, settings) = validate::policy(spec).unwrap();
        let release = digest::build("support", spec, &digest::Contents::new()).unwrap().release;
        let seen = Observed {
            now: "2026-11-21T12:00:00Z".parse().unwrap(),
            release: Identity {
                namespace: "agents".to_owned(),
                name: "support".to_owned(),
                uid: "uid-1".to_owned(),
                generation: 1,
            },
            desired: Wanted::Release { release, policy, settings, changed: vec![], warnings: vec![] },
            status: rollpin_crds::AgentReleaseStatus::default(),
            revisions: vec![],
            route: RouteSeen::default(),
            evidence: None,
            baseline: BaselineSeen::default(),
            commands: vec![],
            past: vec![],
        };
        let pending = decide::decide(&seen).status.pending_record.unwrap();
        serde_json::from_str(&pending.spec).unwrap()
    }

    fn rehashed(mut spec: DecisionRecordSpec) -> DecisionRecordSpec {
        spec.hash = record::hash_of(&spec);
        spec
    }

    #[test]
    fn a_record_of_the_engine_replays_to_the_same() {
        assert_eq!(result("r", &recorded()).result, SAME);
    }

    #[test]
    fn another_decision_is_different_even_in_a_record_that_was_hashed_again() {
        let spec = rehashed(DecisionRecordSpec { message: "all is well".to_owned(), ..recorded() });
        assert_eq!(result("r", &spec).result, "different");
        let spec = rehashed(DecisionRecordSpec { decided: "sha256:00".to_owned(), ..recorded() });
        assert_eq!(result("r", &spec).result, "different");
    }

    #[test]
    fn a_changed_record_is_said_to_be_changed_and_a_foreign_one_unreadable() {
        let spec = DecisionRecordSpec { message: "all is well".to_owned(), ..recorded() };
        assert_eq!(result("r", &spec).result, "changed after it was written");
        let spec = rehashed(DecisionRecordSpec { observed: "{}".to_owned(), ..recorded() });
        assert_eq!(result("r", &spec).result, "unreadable");
    }

    #[test]
    fn records_are_read_from_one_document_many_and_lists() {
        let one = serde_json::to_string(&DecisionRecord::new("one", recorded())).unwrap();
        let path = Path::new("records.yaml");
        assert_eq!(read(path, &one).unwrap().len(), 1);
        assert_eq!(read(path, &format!("---\n{one}\n---\n{one}\n")).unwrap().len(), 2);
        let yaml = serde_yaml::to_string(
            &serde_json::json!({"kind": "List", "items": [DecisionRecord::new("one", recorded())]}),
        )
        .unwrap();
        assert_eq!(read(path, &yaml).unwrap()[0], ("one".to_owned(), recorded()));
        assert!(read(path, "kind: ConfigMap\n").unwrap_err().to_string().contains("is not a DecisionRecord"));
        assert!(read(path, "").unwrap_err().to_string().contains("there is no DecisionRecord"));
    }
}
