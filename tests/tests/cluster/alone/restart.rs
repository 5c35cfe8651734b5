//! The operator may end at any moment: the next one goes on from what was committed, with the evidence of the ledger.

use rollpin_crds::AgentReleaseStatus;
use rollpin_crds::status::{Phase, State};
use serde_json::json;

use crate::support::manifest::{weight, with};
use crate::support::scene::trial;
use crate::support::{Scene, at, kubectl, operator_namespace, pause};

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_operator_goes_on_where_the_last_one_was() {
    let scene = Scene::new("restart").await;
    let steps = json!([weight(10, 20), weight(40, 250), weight(60, 10), {"setWeight": 100}]);
    let stable = scene.serve(&scene.manifest("task_success=1")).await;
    let load = scene.load(40, &["--turns", "2", "--think-time", "0.3"]);
    pause(3.0).await;
    scene.apply(&with(scene.manifest("task_success=1,chars=100"), "/spec/rollout/steps", steps));
    let canary = scene.on_trial(&stable, 20).await;
    scene.wait("weight 40", 90, |status| status.weight == Some(40)).await;
    // A checkpoint is at most 10 s away.
    pause(11.0).await;
    let before = scene.status().await;
    let counted = sessions(&before);
    assert!(step(&before) == 1 && counted > 20, "{}", scene.account(&before));
    let ledger = checkpointed(&scene);
    assert!(ledger.contains("task_success"), "no evidence was checkpointed: {ledger}");

    let namespace = operator_namespace();
    kubectl(&["--namespace", &namespace, "delete", "pods", "--all", "--grace-period=0", "--force"]).ok();
    let killed = scene.release().await.metadata.resource_version.unwrap().parse::<u64>().unwrap();
    let status = scene.reach(Phase::Baking, 120).await;
    assert_eq!(status.serving.unwrap().digest, canary.digest, "the same end");

    let later: Vec<AgentReleaseStatus> = scene
        .watched
        .all("AgentRelease")
        .into_iter()
        .filter(|version| version.number > killed)
        .map(|version| serde_json::from_value(at(&version.object, "/status").clone()).unwrap())
        .collect();
    let judged: Vec<i64> =
        later.iter().filter(|status| trial(status).is_some() && !status.gates.is_empty()).map(sessions).collect();
    assert!(!judged.is_empty(), "nothing was reported after the restart");
    // What was counted after the last checkpoint is lost, in both arms; what was before it is not.
    assert!(
        judged.iter().all(|sessions| *sessions > 20),
        "the evidence began from nothing: {judged:?} after {counted}"
    );
    assert!(later.iter().all(|status| trial(status).is_none() || step(status) >= 1), "a step was taken back");
    scene.weights_reach(&canary, &[0, 10, 40, 60, 100]).await;
    rollpin_engine::record::verify_chain(&scene.records().await, None).unwrap();
    scene.watched.weights_always_sum_to_100();
    let report = load.finish().await;
    assert_eq!(
        (report.failed, report.moved),
        (0, 0),
        "traffic does not notice: {:?} {:?}",
        report.errors,
        report.moves
    );
}

fn step(status: &AgentReleaseStatus) -> i64 {
    match &status.state {
        Some(State::Canary(canary)) => canary.step,
        _ => -1,
    }
}

fn sessions(status: &AgentReleaseStatus) -> i64 {
    status.gates.iter().filter(|gate| gate.name == "task_success").map(|gate| gate.canary_sessions).sum()
}

fn checkpointed(scene: &Scene) -> String {
    scene.kubectl(&["get", "evidenceledgers", "-o", "jsonpath={.items[*].status.evidence}"]).ok()
}
