//! A healthy release is promoted on evidence; the pods that were judged are the pods that serve; the bake is a way back.

use rollpin_crds::status::{Cause, Phase, State};
use rollpin_engine::digest::base32;
use serde_json::json;

use crate::support::history::now;
use crate::support::manifest::with;
use crate::support::scene::trial;
use crate::support::{Scene, audit, pause};

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_agent_whose_guardrails_never_fail_is_promoted_and_a_person_may_still_return() {
    let scene = Scene::new("promotion").await;
    let stable = with(scene.manifest("task_success=1"), "/spec/replicas", json!(2));
    let old = scene.serve(&stable).await;
    let load = scene.load(40, &["--turns", "2", "--think-time", "0.3"]);
    pause(3.0).await;

    let changed = with(
        stable,
        "/spec/bundle/prompt/messages/0/content",
        json!("You help customers of ACME with their orders, kindly."),
    );
    scene.apply(&with(changed, "/spec/rollout/bake", json!({"duration": "120s"})));
    let new = scene.on_trial(&old, 20).await;
    scene.wait("sessions are judged", 60, |status| status.weight.is_some_and(|weight| weight >= 5)).await;
    let judged = scene.pods(&new).await;
    assert!(!judged.is_empty());

    let status = scene.reach(Phase::Baking, 150).await;
    let Some(State::Baking(baking)) = &status.state else { panic!("{:?}", status.state) };
    assert_eq!((baking.basis.as_str(), &baking.live), ("NonInferior", &new));
    assert!(status.hold.is_empty());
    let serving = scene.pods(&new).await;
    assert!(judged.iter().all(|pod| serving.contains(pod)), "judged {judged:?}, serving {serving:?}");
    assert!(scene.ready_pods(&old).await >= 1, "the predecessor must stay warm");
    // Weights rise along the declared steps only.
    scene.weights_reach(&new, &[0, 5, 25, 50, 100]).await;
    let words = scene.records().await.pop().unwrap().message;
    assert!(
        words.contains(
            "shown no worse than its margins in task_success, tool_error, schema_violation, empty_output, truncated"
        ),
        "{words}"
    );

    pause(1.0).await;
    let asked = now();
    let answer = scene.rollpin(&["rollback", &scene.name, "--reason", "customers complain"]);
    assert_eq!(answer.code, 0, "{}", answer.all());
    let status = scene.wait("rolled back", 30, |status| status.phase == Some(Phase::RolledBack)).await;
    assert_eq!(status.serving.unwrap().digest, old.digest);
    assert_eq!(
        status.hold.iter().map(|hold| (hold.cause, hold.digest.clone())).collect::<Vec<_>>(),
        [(Cause::Person, new.digest.clone())]
    );
    let writes = audit::writes_in(&scene.namespace, asked, now());
    let routes: Vec<String> =
        writes.iter().filter(|write| write.is_of("httproutes")).map(audit::Request::line).collect();
    assert_eq!(routes.len(), 1, "back to the predecessor in one write of the route: {routes:#?}");
    scene.watched.weights_always_sum_to_100();
    let report = load.finish().await;
    assert_eq!(report.failed, 0, "{:?}", report.errors);
    assert!(report.release(&base32(&new.digest)).turns > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_release_serves_without_a_canary() {
    let scene = Scene::new("first").await;
    scene.apply(&scene.manifest("task_success=1"));
    let status = scene.reach(Phase::Baking, 30).await;
    assert!(trial(&status).is_none());
    let Some(State::Baking(baking)) = &status.state else { panic!("{:?}", status.state) };
    assert_eq!((baking.basis.as_str(), baking.predecessor.as_ref()), ("First", None));
    let status = scene.reach(Phase::Healthy, 20).await;
    assert_eq!(status.weight, Some(100));
    assert_eq!(scene.watched.phases(), ["Pending", "Baking", "Healthy"]);
    assert_eq!(scene.get("/healthz", &[]), Some(200));
}
