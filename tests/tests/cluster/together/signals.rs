//! What cannot be seen never advances and never takes the blame: a missing signal, and no telemetry at all.

use rollpin_crds::AgentReleaseStatus;
use rollpin_crds::status::{Cause, Phase, State};
use serde_json::json;

use crate::support::manifest::{weight, with, with_env};
use crate::support::{Scene, pause};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_signal_reads_insufficient_and_ends_without_blame() {
    let scene = Scene::new("no-evaluations").await;
    let status = never_advances(&scene, "no-evaluations").await;
    let said = scene.watched.all("AgentRelease");
    let insufficient = said.iter().any(|version| {
        let gates = crate::support::at(&version.object, "/status/gates").as_array().cloned().unwrap_or_default();
        gates.iter().any(|gate| {
            gate["name"] == "task_success"
                && gate["verdict"] == "Insufficient"
                && gate["message"].as_str().is_some_and(|text| text.contains("not reported by"))
        })
    });
    assert!(insufficient, "no status called task_success Insufficient for want of reports");
    ended_without_blame(&scene, &status).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_telemetry_nothing_advances_and_nothing_is_held() {
    let scene = Scene::new("no-telemetry").await;
    let status = never_advances(&scene, "no-telemetry").await;
    assert!(status.hold.is_empty(), "{:?}", status.hold);
    assert_ne!(status.serving.map(|serving| serving.weight), Some(0));
    let causes: Vec<Option<Cause>> =
        scene.watched.all("AgentRelease").iter().map(|version| cause(&version.object)).collect();
    assert!(!causes.contains(&Some(Cause::Regressed)), "silence is no regression: {causes:?}");
}

fn cause(release: &serde_json::Value) -> Option<Cause> {
    serde_json::from_value(release.pointer("/status/state/reverting/cause")?.clone()).ok()
}

/// Rolls out a release with this fault and a deadline of 25 s; gives the status after it.
async fn never_advances(scene: &Scene, fault: &str) -> AgentReleaseStatus {
    let stable = scene.serve(&scene.manifest("task_success=0.95")).await;
    let _load = scene.load(30, &["--turns", "2", "--think-time", "0.3"]);
    pause(3.0).await;
    let faulty = with_env(scene.manifest("task_success=0.95"), "REPLAY_FAULT", fault);
    let steps = json!([weight(20, 10), weight(50, 20), {"setWeight": 100}]);
    scene.apply(&with(with(faulty, "/spec/rollout/steps", steps), "/spec/rollout/deadline", json!("25s")));
    let canary = scene.on_trial(&stable, 20).await;
    scene.wait("the first step", 30, |status| status.weight == Some(20)).await;
    let ended = |status: &AgentReleaseStatus| status.phase == Some(Phase::RolledBack);
    let status = scene.wait("the end of the deadline", 60, ended).await;
    let weights = scene.watched.weights_of(&canary.revision);
    assert!(weights.iter().all(|(_, weight)| *weight <= 20), "it advanced: {weights:?}");
    status
}

async fn ended_without_blame(scene: &Scene, status: &AgentReleaseStatus) {
    assert!(status.hold.is_empty(), "{:?}", status.hold);
    let Some(State::Steady(steady)) = &status.state else { panic!("{:?}", status.state) };
    assert_eq!(steady.ended.as_ref().map(|ended| ended.cause), Some(Cause::NotEnoughEvidence));
    assert!(status.message.as_deref().unwrap_or_default().contains("not enough evidence"), "{:?}", status.message);
    let code = scene.rollpin(&["status", &scene.name, "--timeout", "5s"]).code;
    assert_eq!(code, 5, "inconclusive");
    scene.stays("it does not start again by itself", 4.0, |status| status.phase == Some(Phase::RolledBack)).await;
}
