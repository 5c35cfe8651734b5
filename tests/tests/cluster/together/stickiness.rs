//! One session, one release: every follow-up of every kind of client meets the release that it began on, while weights move.

use rollpin_crds::status::PauseReason;
use rollpin_engine::digest::base32;
use serde_json::{Value, json};

use crate::support::manifest::{weight, with};
use crate::support::{Output, Scene, at, pause};

#[tokio::test(flavor = "multi_thread")]
async fn every_follow_up_meets_its_release_while_the_weights_move() {
    let scene = Scene::new("sticky").await;
    let stable = scene.serve(&scene.manifest("task_success=1")).await;
    // Long conversations from before the canary, over the whole rollout and beyond.
    let load = scene.load(25, &["--turns", "6", "--think-time", "2"]);
    let old_mcp = scene.mcp_client("2025-11-25", 12, 8, 0.5);
    let new_mcp = scene.mcp_client("2026-07-28", 12, 8, 0.5);
    pause(3.0).await;
    let steps = json!([weight(10, 10), weight(30, 20), weight(60, 20), {"pause": {}}, {"setWeight": 100}]);
    let changed = with(scene.manifest("task_success=1,chars=100"), "/spec/rollout/steps", steps);
    scene.apply(&changed);
    let canary = scene.on_trial(&stable, 20).await;
    let b32 = base32(&canary.digest);
    scene.wait("the first weight", 40, |status| status.weight.is_some_and(|weight| weight > 0)).await;
    let pinned = scene.load(3, &["--pin", &b32, "--turns", "2", "--think-time", "0.2"]);
    scene.wait("the pause after three weights", 120, waits_at_a_step).await;

    let preassigned = pinned.finish().await;
    let more_old = scene.mcp_client("2025-11-25", 6, 3, 0.1);
    let more_new = scene.mcp_client("2026-07-28", 6, 3, 0.1);
    let clients = [old_mcp, new_mcp, more_old, more_new].map(|client| client.join().unwrap());
    let mcp: Vec<Value> = clients.iter().flat_map(conversations).collect();
    let report = load.finish().await;
    scene.weights_reach(&canary, &[0, 10, 30, 60]).await;

    assert_eq!((report.moved, report.failed), (0, 0), "{:?} {:?}", report.errors, report.moves);
    assert!(
        report.followups > 500 && report.followups == report.sticky_followups,
        "{} of {}",
        report.sticky_followups,
        report.followups
    );
    for conversation in &mcp {
        assert_eq!(at(conversation, "/sticky"), &json!(true), "{conversation:#}");
        assert!(at(conversation, "/pinned_calls").as_i64() > Some(0), "the SDK carried no pin: {conversation:#}");
    }
    let releases: std::collections::BTreeSet<String> = mcp.iter().map(|one| at(one, "/release").to_string()).collect();
    assert_eq!(releases.len(), 2, "conversations of MCP clients should have begun on both releases: {releases:?}");

    // Only sessions that the gateway assigned are counted; those that chose their release themselves are told apart.
    assert_eq!(report.assignments.keys().collect::<Vec<_>>(), ["weighted"], "{:?}", report.assignments);
    assert_eq!(preassigned.assignments.get("pinned"), Some(&preassigned.sessions), "{:?}", preassigned.assignments);
    let on_canary = mcp.iter().filter(|one| at(one, "/release") == &json!(b32)).count() as u64;
    let assigned = report.release(&b32).new_sessions + on_canary;
    counted_sessions_are_those_assigned(&scene, assigned, preassigned.sessions).await;
    scene.watched.weights_always_sum_to_100();
}

fn waits_at_a_step(status: &rollpin_crds::AgentReleaseStatus) -> bool {
    let Some(rollpin_crds::State::Canary(canary)) = &status.state else { return false };
    canary.paused.as_ref().is_some_and(|paused| paused.reason == PauseReason::Step)
}

fn conversations(output: &Output) -> Vec<Value> {
    assert_eq!(output.code, 0, "{}", output.all());
    let lines = output.out.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.filter(|line: &Value| line.get("summary").is_none()).collect()
}

/// What the evidence says, from the record of a command that changes nothing for the sessions.
async fn counted_sessions_are_those_assigned(scene: &Scene, assigned: u64, preassigned: u64) {
    pause(3.0).await;
    scene.rollpin(&["abort", &scene.name, "--reason", "enough was seen"]).ok();
    scene.wait("taken back", 30, |status| status.phase == Some(rollpin_crds::Phase::RolledBack)).await;
    let records = scene.records().await;
    let aborted = records.iter().find(|record| record.message.contains("enough was seen")).unwrap();
    let seen: Value = serde_json::from_str(&aborted.observed).unwrap();
    let sessions = at(&seen, "/evidence/sessions");
    let counted = at(sessions, "/canary").as_u64().unwrap();
    assert_eq!(counted, assigned, "sessions that the gateway assigned to the canary; evidence: {sessions}");
    assert_eq!(at(sessions, "/preassigned").as_u64(), Some(preassigned), "{sessions}");
    assert_eq!(at(sessions, "/moved").as_u64(), Some(0), "{sessions}");
}
