//! The one place where a status is written: with the resourceVersion that the decision was made on, or not at all.
//!
//! Before it, whatever the status cites must be durable: the record of the edge before, and the evidence. It acts on nothing.

use std::time::{Duration, Instant};

use kube::api::PostParams;
use rollpin_crds::record::PendingRecord;
use rollpin_crds::status::AgentReleaseStatus;
use rollpin_crds::{AgentRelease, DecisionRecord, DecisionRecordSpec, NAME_LABEL};
use rollpin_engine::decide::Decision;

use crate::build::Agent;
use crate::context::{Context, Memory};
use crate::error::Error;
use crate::evidence_link::store_cited;
use crate::observe::Scene;

/// Least time between two writes that change nothing but words and numbers.
const TEXTS_EVERY: Duration = Duration::from_secs(5);

/// What is committed now.
pub struct Committed {
    /// The status that the hands act on.
    pub status: AgentReleaseStatus,
    /// Whether this reconcile wrote it.
    pub wrote: bool,
    /// Words that wait for their turn: look again after this time.
    pub later: Option<Duration>,
}

/// Commits a decision.
pub async fn commit(
    ctx: &Context,
    release: &AgentRelease,
    scene: &Scene,
    decision: &Decision,
    memory: &mut Memory,
) -> Result<Committed, Error> {
    let before = release.status.clone().unwrap_or_default();
    if decision.status == before {
        return Ok(Committed { status: before, wrote: false, later: None });
    }
    if let Some(wait) = wait_for_texts(decision, memory) {
        return Ok(Committed { status: before, wrote: false, later: Some(wait) });
    }
    if let Some(record) = &before.pending_record {
        write_record(ctx, &scene.agent, record, memory).await?;
    }
    if decision.cites_evidence {
        store_cited(ctx, scene, memory).await?;
    }
    let written = write(ctx, release, decision.status.clone()).await?;
    memory.written.clone_from(&written.metadata.resource_version);
    memory.texts_at = Some(Instant::now());
    Ok(Committed { status: written.status.unwrap_or_default(), wrote: true, later: None })
}

/// How long words must still wait. An edge never does.
fn wait_for_texts(decision: &Decision, memory: &Memory) -> Option<Duration> {
    if decision.edge {
        return None;
    }
    TEXTS_EVERY.checked_sub(memory.texts_at?.elapsed())
}

async fn write(ctx: &Context, release: &AgentRelease, status: AgentReleaseStatus) -> Result<AgentRelease, Error> {
    let agent = Agent::of(release);
    let object = format!("status of AgentRelease {}/{}", agent.namespace, agent.name);
    let next = AgentRelease { status: Some(status), ..release.clone() };
    let written = ctx.api::<AgentRelease>(&agent).replace_status(&agent.name, &PostParams::default(), &next).await;
    written.map_err(|cause| Error::api("write", object, cause))
}

/// Makes the object of a record that was committed. It may be there already, from a reconcile that was cut short.
pub async fn write_record(
    ctx: &Context,
    agent: &Agent,
    record: &PendingRecord,
    memory: &mut Memory,
) -> Result<(), Error> {
    if memory.recorded.as_deref() == Some(&record.name) {
        return Ok(());
    }
    let object = || format!("DecisionRecord {}/{}", agent.namespace, record.name);
    let spec: DecisionRecordSpec = serde_json::from_str(&record.spec)
        .map_err(|cause| Error::Malformed { object: object(), why: cause.to_string() })?;
    let api = ctx.api::<DecisionRecord>(agent);
    let mut wanted = DecisionRecord::new(&record.name, spec);
    wanted.metadata.labels = Some([(NAME_LABEL.to_owned(), agent.name.clone())].into());
    wanted.metadata.owner_references = serde_json::from_value(serde_json::json!([agent.owner()])).ok();
    match api.create(&PostParams::default(), &wanted).await {
        Ok(_) => {}
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let there = api.get(&record.name).await.map_err(|cause| Error::api("read", object(), cause))?;
            if there.spec.hash != wanted.spec.hash {
                return Err(Error::Malformed {
                    object: object(),
                    why: "it exists with another hash than the one that was committed".to_owned(),
                });
            }
        }
        Err(cause) => return Err(Error::api("create", object(), cause)),
    }
    memory.recorded = Some(record.name.clone());
    Ok(())
}
