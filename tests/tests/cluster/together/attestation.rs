//! No weight before the right bytes are loaded: a harness that loaded others is never ready; a plain container is said to be one.

use rollpin_crds::status::Phase;
use rollpin_engine::digest::base32;
use serde_json::{Value, json};

use crate::support::history::{pin_target, weight_of};
use crate::support::manifest::{with, with_env};
use crate::support::scene::condition;
use crate::support::{Scene, agent_image, pause};

#[tokio::test(flavor = "multi_thread")]
async fn a_harness_that_loaded_other_bytes_never_gets_traffic() {
    let scene = Scene::new("wrong-bytes").await;
    let stable = scene.serve(&scene.manifest("task_success=1")).await;
    let load = scene.load(10, &["--turns", "2", "--think-time", "0.2"]);
    let wrong = with_env(scene.manifest("task_success=1"), "REPLAY_FAULT", "wrong-bytes");
    scene.apply(&with(wrong, "/spec/rollout/progressDeadlineSeconds", json!(8)));
    let canary = scene.on_trial(&stable, 20).await;
    let status = scene.wait("Attested=False", 30, |status| condition(status, "Attested").1 == "DigestMismatch").await;
    let (attested, _, message) = condition(&status, "Attested");
    assert_eq!(attested, "False");
    assert!(message.contains("loaded sha256:") && message.contains(&canary.digest), "{message}");
    let status = scene.wait("parked after the deadline", 30, |status| status.phase == Some(Phase::Paused)).await;
    assert_eq!((status.weight, status.hold.len()), (Some(0), 0), "nothing is held for infrastructure");
    assert!(!scene.pods(&canary).await.is_empty());
    assert_eq!(scene.ready_pods(&canary).await, 0, "such a pod is never ready");
    pause(2.0).await;
    let weights: Vec<i64> = scene.watched.weights_of(&canary.revision).iter().map(|(_, weight)| *weight).collect();
    assert_eq!(weights, [0], "never any weight");
    let report = load.finish().await;
    assert_eq!((report.failed, report.release(&base32(&canary.digest)).turns), (0, 0), "{:?}", report.errors);

    // Repaired by another bundle, it goes on as if nothing had been.
    scene.apply(&scene.manifest("task_success=1"));
    scene.come_back_to(Phase::Healthy, 30).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_container_works_and_attests_nothing() {
    let scene = Scene::new("plain").await;
    let mut manifest = scene.manifest("task_success=1");
    manifest.pointer_mut("/spec").and_then(Value::as_object_mut).unwrap().remove("contract");
    let live = scene.serve(&manifest).await;
    let status = scene.status().await;
    let (attested, reason, _) = condition(&status, "Attested");
    assert_eq!((attested.as_str(), reason.as_str(), status.contract_level), ("Unknown", "ContractLevel0", Some(0)));
    assert_eq!(scene.get("/healthz", &[]), Some(200));
    assert_eq!(
        scene.get("/healthz", &[("x-agent-release", &base32(&live.digest))]),
        Some(200),
        "its pin rule works, too"
    );
    assert_eq!(pin_target(&scene.route(), &base32(&live.digest)), Some(live.revision.clone()));
    let report = {
        let load = scene.load(10, &["--turns", "1"]);
        pause(3.0).await;
        load.finish().await
    };
    assert!(report.sessions > 5 && report.failed == 0, "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_does_not_exist_leaves_the_traffic_where_it_is() {
    let scene = Scene::new("no-image").await;
    let stable = scene.serve(&scene.manifest("task_success=1")).await;
    let (name, _) = agent_image().split_once('@').map(|(name, digest)| (name.to_owned(), digest.to_owned())).unwrap();
    let missing = format!("{name}@sha256:{}", "0".repeat(64));
    let wrong = with(scene.manifest("task_success=1"), "/spec/template/spec/containers/0/image", json!(missing));
    scene.apply(&with(wrong, "/spec/rollout/progressDeadlineSeconds", json!(8)));
    let canary = scene.on_trial(&stable, 20).await;
    let status = scene.wait("parked", 40, |status| status.phase == Some(Phase::Paused)).await;
    assert!(status.message.as_deref().unwrap_or_default().contains("ImagePull"), "{:?}", status.message);
    assert!(status.hold.is_empty());
    assert_eq!((weight_of(&scene.route(), &canary.revision), weight_of(&scene.route(), &stable.revision)), (0, 100));
}
