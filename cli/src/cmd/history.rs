//! `rollpin history`: the decisions of a release in order, with the proof that none was changed or left out.

use kube::ResourceExt;
use rollpin_crds::status::History as Chain;
use rollpin_crds::{AgentRelease, DecisionRecord, DecisionRecordSpec};
use rollpin_engine::record;
use serde_json::json;

use crate::args::{Form, Global, History};
use crate::connect::{self, Cluster};
use crate::failure::{Exit, Failure};
use crate::output::{self, BAD, GOOD, count, styled};
use crate::progress::Progress;
use rollpin_engine::phase;

/// Prints the chain.
pub async fn run(global: &Global, it: &History) -> Result<Exit, Failure> {
    let cluster = connect::connect(global).await?;
    let progress = Progress::new(global.quiet);
    let release = progress.during("reading the release", cluster.release(&it.name)).await?;
    let mut records = progress.during("reading the decision records", records(&cluster, &release)).await?;
    progress.clear();
    records.sort_by_key(|record| record.spec.sequence);
    print(global, &records)?;
    let verdict = verify(&release, &records);
    say_verdict(global, &verdict);
    Ok(if verdict.is_ok() { Exit::Ok } else { Exit::Failed })
}

/// The records of this object, not of an earlier one with its name. In small pages: each holds all that was seen.
async fn records(cluster: &Cluster, release: &AgentRelease) -> Result<Vec<DecisionRecord>, Failure> {
    let uid = release.uid().unwrap_or_default();
    let all = cluster.all(&cluster.objects::<DecisionRecord>(), "list decisionrecords", 20).await?;
    Ok(all.into_iter().filter(|record| record.spec.release_uid == uid).collect())
}

fn print(global: &Global, records: &[DecisionRecord]) -> Result<(), Failure> {
    match global.output {
        Some(Form::Json | Form::Yaml) => {
            output::say_value(global.output, &json!({"apiVersion": "v1", "kind": "List", "items": records})).map(|_| ())
        }
        Some(Form::Name) => records
            .iter()
            .try_for_each(|record| output::say(&format!("decisionrecord.rollpin.dev/{}", record.name_any()))),
        Some(Form::Wide) | None if records.is_empty() => Ok(()),
        Some(Form::Wide) | None => output::say(&text(records, global.output == Some(Form::Wide), global.quiet)),
    }
}

/// The table.
fn text(records: &[DecisionRecord], wide: bool, quiet: bool) -> String {
    let mut heading = vec![];
    if !quiet {
        heading.extend(["SEQ", "AT", "FROM", "TO", "WHY"]);
        heading.extend(wide.then_some(["RECORD", "HASH"]).into_iter().flatten());
    }
    let rows: Vec<Vec<String>> = records.iter().map(|record| row(record, wide)).collect();
    output::table(&heading, &rows)
}

fn row(record: &DecisionRecord, wide: bool) -> Vec<String> {
    let spec = &record.spec;
    let mut row = vec![
        spec.sequence.to_string(),
        format!("{:.0}", spec.at.0),
        spec.from.map_or("", phase::name).to_owned(),
        phase::name(spec.to).to_owned(),
        spec.message.clone(),
    ];
    row.extend(wide.then(|| [record.name_any(), spec.hash.clone()]).into_iter().flatten());
    row
}

/// That the records follow each other, and end where the status says.
fn verify(release: &AgentRelease, records: &[DecisionRecord]) -> Result<String, String> {
    let status = release.status.clone().unwrap_or_default();
    let chain = status.history.unwrap_or_default();
    let mut specs: Vec<DecisionRecordSpec> = records.iter().map(|record| record.spec.clone()).collect();
    // The newest one may be committed and not yet an object.
    let pending =
        status.pending_record.and_then(|pending| serde_json::from_str::<DecisionRecordSpec>(&pending.spec).ok());
    let pending = pending.filter(|pending| specs.iter().all(|spec| spec.sequence != pending.sequence));
    let unwritten = pending.is_some();
    specs.extend(pending);
    verify_chain(&chain, &specs)?;
    let how_many = i64::try_from(specs.len()).unwrap_or(i64::MAX);
    let note = if unwritten { ", the newest is not an object yet" } else { "" };
    Ok(format!("{}, chain verified: none was changed or left out{note}", count(how_many, "record")))
}

fn verify_chain(chain: &Chain, specs: &[DecisionRecordSpec]) -> Result<(), String> {
    record::verify_chain(specs, chain.anchor.as_deref())?;
    match specs.last() {
        None if chain.sequence == 0 => Ok(()),
        None => Err(format!("the status speaks of {} and there are none", count(chain.sequence, "record"))),
        Some(last) if last.sequence < chain.sequence => {
            Err(format!("the status speaks of record {}, the newest one there is {}", chain.sequence, last.sequence))
        }
        Some(last) if last.sequence == chain.sequence && last.hash != chain.head => {
            Err(format!("record {} is not the one that the status speaks of", last.sequence))
        }
        Some(_) => Ok(()),
    }
}

fn say_verdict(global: &Global, verdict: &Result<String, String>) {
    match verdict {
        Ok(text) if !global.quiet => output::remark(&styled(GOOD, text)),
        Ok(_) => {}
        Err(text) => output::remark(&styled(BAD, &format!("the chain is broken: {text}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmd::explain::tests::rolled_back;

    /// A chain of records, and a release whose status speaks of its end.
    fn chain(length: i64) -> (AgentRelease, Vec<DecisionRecord>) {
        let mut release = rolled_back();
        let mut records = vec![];
        let mut before = String::new();
        for sequence in 1..=length {
            let mut spec: DecisionRecordSpec = serde_json::from_value(json!({
                "release": "support", "releaseUid": "uid-1", "sequence": sequence, "previous": before, "hash": "",
                "at": "2026-11-21T11:00:00Z", "from": "Progressing", "to": "Progressing", "message": format!("step {sequence}"),
                "engine": "0.1.0", "observed": "{}", "decided": "sha256:00"
            }))
            .unwrap();
            spec.hash = record::hash_of(&spec);
            before.clone_from(&spec.hash);
            records.push(DecisionRecord::new(&format!("support-{sequence}"), spec));
        }
        let status = release.status.as_mut().unwrap();
        status.history = Some(Chain { sequence: length, head: before, anchor: None });
        (release, records)
    }

    #[test]
    fn an_unbroken_chain_is_said_to_be_so() {
        let (release, records) = chain(3);
        assert_eq!(verify(&release, &records).unwrap(), "3 records, chain verified: none was changed or left out");
    }

    #[test]
    fn a_changed_word_breaks_the_chain() {
        let (release, mut records) = chain(3);
        records[1].spec.message = "nothing happened".to_owned();
        assert_eq!(verify(&release, &records).unwrap_err(), "record 2 was changed after it was written");
    }

    #[test]
    fn a_missing_record_breaks_the_chain_wherever_it_was() {
        let (release, records) = chain(3);
        for missing in 0..3 {
            let mut fewer = records.clone();
            fewer.remove(missing);
            assert!(verify(&release, &fewer).is_err(), "without record {}", missing + 1);
        }
    }

    #[test]
    fn a_chain_written_anew_does_not_fit_the_status() {
        let (mut release, _) = chain(3);
        release.status.as_mut().unwrap().history.as_mut().unwrap().head = "sha256:00".to_owned();
        let (_, records) = chain(3);
        assert_eq!(verify(&release, &records).unwrap_err(), "record 3 is not the one that the status speaks of");
    }

    #[test]
    fn the_newest_record_may_still_be_in_the_status() {
        let (mut release, mut records) = chain(3);
        let newest = records.pop().unwrap();
        release.status.as_mut().unwrap().pending_record = Some(rollpin_crds::record::PendingRecord {
            name: "support-3".to_owned(),
            spec: serde_json::to_string(&newest.spec).unwrap(),
        });
        assert!(verify(&release, &records).unwrap().ends_with("the newest is not an object yet"));
    }

    #[test]
    fn the_table_tells_the_story_in_order() {
        insta::assert_snapshot!(text(&chain(2).1, false, false));
    }
}
