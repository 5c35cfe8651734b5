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
        return Err(Failure::Content(format!("{file}: {kind:?} is not a DecisionRecord; `kubectl get decisionrecord NAME -o yaml` prints one")));
    }
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or("record").to_owned();
    let spec = value.get("spec").cloned().unwrap_or_default();
    let spec = serde_json::from_value(spec).map_err(|cause| Failure::Content(format!("{file}: record {name:?} is damaged: {cause}")))?;
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
    let replayed = replayed.as_ref().map(|text| format!("\n  here     {text} (engine {})", record::ENGINE)).unwrap_or_default();
    output::say(&format!("{head}\n  recorded {recorded} (engine {engine}){replayed}"))
}
