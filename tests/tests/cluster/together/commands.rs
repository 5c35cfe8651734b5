//! What a person says: pause, resume, promote, abort, retry, each with its exit code, as `rollpin` and as `kubectl rollpin`.

use std::os::unix::fs::symlink;
use std::process::Command;

use rollpin_crds::AgentReleaseStatus;
use rollpin_crds::status::{Cause, PauseReason, Phase, State};
use serde_json::{Value, json};

use crate::support::manifest::{weight, with};
use crate::support::{Scene, pause, programs};

/// Weight 20 at once, a pause, then a step that would need more sessions than there ever will be.
fn manifest(scene: &Scene, script: &str) -> Value {
    let steps = json!([weight(20, 0), {"pause": {}}, weight(50, 1_000_000), {"setWeight": 100}]);
    with(with(scene.manifest(script), "/spec/rollout/steps", steps), "/spec/rollout/bake", json!({"duration": "2s"}))
}

fn paused_for(status: &AgentReleaseStatus, wanted: PauseReason) -> bool {
    let Some(State::Canary(canary)) = &status.state else { return false };
    canary.paused.as_ref().is_some_and(|paused| paused.reason == wanted)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_resumes_pauses_and_promotes() {
    let scene = Scene::new("promote").await;
    let stable = scene.serve(&manifest(&scene, "task_success=1")).await;
    let _load = scene.load(20, &["--turns", "2", "--think-time", "0.3"]);
    pause(2.0).await;
    scene.apply(&manifest(&scene, "task_success=1,chars=100"));
    let canary = scene.on_trial(&stable, 20).await;
    let status = scene.wait("the pause step", 40, |status| paused_for(status, PauseReason::Step)).await;
    assert_eq!((status.phase, status.weight), (Some(Phase::Paused), Some(20)));
    scene
        .stays("a pause without a duration waits for a person", 3.0, |status| status.phase == Some(Phase::Paused))
        .await;
    let waiting = scene.rollpin(&["status", "support", "--timeout", "1s"]);
    assert_eq!(waiting.code, 4, "{}", waiting.all());

    said(&scene, &["resume", "support", "--reason", "looks fine"]);
    scene.wait("weight 50", 30, |status| status.weight == Some(50)).await;
    said(&scene, &["pause", "support", "--reason", "lunch"]);
    let status = scene.wait("paused by a person", 10, |status| paused_for(status, PauseReason::Person)).await;
    assert!(status.message.unwrap().contains("lunch"));
    said(&scene, &["resume", "support"]);
    scene.wait("on its way again", 10, |status| status.phase == Some(Phase::Progressing)).await;
    said(&scene, &["promote", "support", "--full", "--reason", "the release train leaves"]);
    let status =
        scene.wait("promoted", 40, |status| matches!(status.phase, Some(Phase::Baking | Phase::Healthy))).await;
    assert_eq!(status.serving.unwrap().digest, canary.digest);
    let records = scene.records().await;
    assert!(
        records.iter().any(|record| record.message.contains("the release train leaves")),
        "a promotion by a person names the reason"
    );
    assert_eq!(scene.rollpin(&["status", "support", "--timeout", "30s"]).code, 0);
    let late = scene.rollpin(&["promote", "support", "--reason", "twice"]);
    assert_eq!(late.code, 6, "nothing is left to promote: {}", late.all());
}

fn said(scene: &Scene, arguments: &[&str]) {
    let answer = scene.rollpin(arguments);
    assert_eq!(answer.code, 0, "{arguments:?}: {}", answer.all());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_aborts_and_retries() {
    let scene = Scene::new("abort").await;
    let stable = scene.serve(&manifest(&scene, "task_success=1")).await;
    let _load = scene.load(20, &["--turns", "2", "--think-time", "0.3"]);
    pause(2.0).await;
    scene.apply(&manifest(&scene, "task_success=1,chars=100"));
    scene.wait("the pause step", 40, |status| paused_for(status, PauseReason::Step)).await;
    said(&scene, &["abort", "support", "--reason", "wrong tone"]);
    let status = scene.wait("taken back", 30, |status| status.phase == Some(Phase::RolledBack)).await;
    assert_eq!(status.serving.as_ref().map(|serving| serving.digest.as_str()), Some(stable.digest.as_str()));
    assert_eq!(status.hold.first().map(|hold| hold.cause), Some(Cause::Person));
    let records = scene.records().await;
    assert!(records.iter().any(|record| record.message.contains("wrong tone")));
    assert_eq!(scene.rollpin(&["status", "support", "--timeout", "5s"]).code, 3, "rolled back");
    let again = scene.rollpin(&["abort", "support", "--reason", "twice"]);
    assert_eq!(again.code, 6, "somebody else moved first: {}", again.all());
    assert_eq!(scene.rollpin(&["retry", "support"]).code, 2, "a retry needs a reason");

    said(&scene, &["retry", "support", "--reason", "the tone was right after all"]);
    let status = scene.wait("on trial again", 40, |status| status.weight == Some(20)).await;
    let Some(State::Canary(canary)) = &status.state else { panic!("{:?}", status.state) };
    assert_eq!((canary.attempt, status.hold.len()), (2, 0), "the second attempt, and the hold is gone");
    said(&scene, &["abort", "support", "--reason", "it was not"]);
    scene.wait("taken back", 30, |status| status.phase == Some(Phase::RolledBack)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_that_means_another_release_is_refused() {
    let scene = Scene::new("refused").await;
    let live = scene.serve(&manifest(&scene, "task_success=1")).await;
    let command = json!({
        "apiVersion": "rollpin.dev/v1alpha1", "kind": "ReleaseCommand", "metadata": {"name": "late"},
        "spec": {"release": "support", "verb": "Rollback", "digest": format!("sha256:{}", "0".repeat(64)), "reason": "a test", "requestedBy": "admin"},
    });
    scene.apply(&command);
    scene.kubectl(&["wait", "--for=jsonpath={.status.result}=Refused", "releasecommand/late", "--timeout=15s"]).ok();
    let message = scene.kubectl(&["get", "releasecommand", "late", "-o", "jsonpath={.status.message}"]).ok();
    assert!(message.contains("by now"), "{message}");
    let status = scene.status().await;
    assert_eq!((status.phase, status.serving.unwrap().digest), (Some(Phase::Healthy), live.digest));
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_rollpin_as_a_plugin() {
    let scene = Scene::new("plugin").await;
    scene.serve(&manifest(&scene, "task_success=1")).await;
    let folder = std::env::temp_dir().join(&scene.namespace);
    std::fs::create_dir(&folder).unwrap();
    symlink(programs::program("rollpin"), folder.join("kubectl-rollpin")).unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let run = |arguments: &[&str]| {
        programs::run(Command::new("kubectl").env("PATH", &path).arg("rollpin").args(arguments), "")
    };
    let table = run(&["get", "--namespace", &scene.namespace]);
    assert!(table.code == 0 && table.out.contains("support") && table.out.contains("Healthy"), "{}", table.all());
    let json = run(&["get", "support", "--namespace", &scene.namespace, "-o", "json"]).ok();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["status"]["phase"], "Healthy");
    assert!(run(&["promote", "--help"]).ok().contains("kubectl rollpin promote"));
    let nothing = run(&["status", "nobody", "--namespace", &scene.namespace]);
    assert_eq!(nothing.code, 1, "{}", nothing.all());
    std::fs::remove_dir_all(&folder).unwrap();
}
