//! A worse release is taken back by itself, in the right order, with its reasons; and it stays held, whatever is applied.

use rollpin_crds::AgentRelease;
use rollpin_crds::status::{Cause, Phase, ReleaseRef};
use rollpin_engine::digest::base32;
use rollpin_engine::record::{self, Replay};
use serde_json::{Value, json};

use crate::support::history::{pin_target, weight_of};
use crate::support::manifest::with;
use crate::support::scene::condition;
use crate::support::{Scene, at, pause, programs};

const GOOD: &str = "task_success=0.95";
const BAD: &str = "task_success=0.6";

/// A scene in which `BAD` was just taken back by itself.
async fn taken_back(name: &str) -> (Scene, ReleaseRef, ReleaseRef, crate::support::Load) {
    let scene = Scene::new(name).await;
    let stable = scene.serve(&scene.manifest(GOOD)).await;
    let load = scene.load(40, &["--turns", "2", "--think-time", "0.3"]);
    pause(3.0).await;
    scene.apply(&scene.manifest(BAD));
    let canary = scene.on_trial(&stable, 20).await;
    scene.wait("taken back", 150, |status| status.phase == Some(Phase::RolledBack)).await;
    (scene, stable, canary, load)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_regression_is_taken_back_by_itself_and_says_why() {
    let (scene, stable, canary, load) = taken_back("regression").await;
    let status = scene.status().await;
    assert_eq!(
        status.serving.as_ref().map(|serving| (serving.digest.clone(), serving.weight)),
        Some((stable.digest.clone(), 100))
    );
    let message = status.message.clone().unwrap();
    says_sessions_and_odds(&message);
    let [hold] = status.hold.as_slice() else { panic!("{:?}", status.hold) };
    assert_eq!(
        (hold.cause, hold.gate.as_deref(), hold.digest.as_str()),
        (Cause::Regressed, Some("task_success"), canary.digest.as_str())
    );
    assert!(hold.exposed_sessions > 0, "{hold:?}");
    for (kind, wanted) in [("Ready", ("False", "DesiredReleaseRolledBack")), ("Stalled", ("True", "Quarantined"))] {
        let (status, reason, _) = condition(&status, kind);
        assert_eq!((status.as_str(), reason.as_str()), wanted, "{kind}");
    }
    assert_eq!(condition(&status, "Available").0, "True");
    assert_eq!(condition(&status, "Reconciling").0, "False");
    let columns = status.columns.unwrap();
    assert!(columns.desired.contains("(held)") && columns.verdict == "Regressed: task_success", "{columns:?}");
    let events = scene.events().await;
    assert!(
        events
            .iter()
            .any(|(kind, reason, text)| kind == "Warning" && reason == "Regressed" && text.contains("task_success")),
        "{events:#?}"
    );

    the_order_of_writes_is_safe(&scene, &stable, &canary).await;
    records_are_chained_and_replay(&scene).await;
    let report = load.finish().await;
    assert_eq!(report.failed, 0, "{:?}", report.errors);
}

/// The sentence names the odds with their sequence, and the sessions of both arms.
fn says_sessions_and_odds(message: &str) {
    let rest =
        message.split_once("rolled back: task_success, odds of failure ").unwrap_or_else(|| panic!("{message}")).1;
    let (odds, rest) = rest.split_once(" times (95 % sequence ").unwrap_or_else(|| panic!("{message}"));
    let (low, rest) = rest.split_once("..").unwrap();
    let (high, rest) = rest.split_once(") after ").unwrap();
    // An end that is not known yet is left open.
    let high = if high.is_empty() { "inf" } else { high };
    let (canary, rest) = rest.split_once(" canary and ").unwrap();
    let (stable, _) = rest.split_once(" stable sessions").unwrap();
    let number = |text: &str| text.parse::<f64>().unwrap_or_else(|_| panic!("{text:?} in {message}"));
    assert!(number(low) <= number(odds) && number(odds) <= number(high) && number(odds) > 1.0, "{message}");
    assert!(number(canary) >= 5.0 && number(stable) > number(canary), "{message}");
}

/// Commit, then the route, both sides in one write, then, after the proof, the pods.
async fn the_order_of_writes_is_safe(scene: &Scene, stable: &ReleaseRef, canary: &ReleaseRef) {
    pause(5.0).await;
    let watched = &scene.watched;
    let had_weight = watched
        .first("HTTPRoute", 0, "with a weight for the canary", |route| weight_of(&route.object, &canary.revision) > 0);
    let commit = watched.first("AgentRelease", had_weight.number, "in RollingBack", |version| {
        phase_of(&version.object) == Some("RollingBack")
    });
    let left = watched.first("HTTPRoute", had_weight.number, "without the canary", |route| {
        weight_of(&route.object, &canary.revision) == 0
    });
    assert!(
        commit.number < left.number,
        "the route moved at {} before the intent was committed at {}",
        left.number,
        commit.number
    );
    assert_eq!(weight_of(&left.object, &stable.revision), 100);
    assert_eq!(
        pin_target(&left.object, &base32(&canary.digest)),
        Some(stable.revision.clone()),
        "the same write moves the pinned sessions"
    );
    let done = watched
        .first("AgentRelease", left.number, "in RolledBack", |version| phase_of(&version.object) == Some("RolledBack"));
    let scaled = watched.first("Deployment", had_weight.number, "of the canary at 0 pods", |version| {
        version.name == canary.revision && at(&version.object, "/spec/replicas") == &json!(0)
    });
    assert!(done.number < scaled.number, "pods went at {} before the proof at {}", scaled.number, done.number);
    watched.weights_always_sum_to_100();
}

fn phase_of(release: &Value) -> Option<&str> {
    at(release, "/status/phase").as_str()
}

async fn records_are_chained_and_replay(scene: &Scene) {
    let records = scene.records().await;
    record::verify_chain(&records, None).unwrap();
    let history = scene.status().await.history.unwrap();
    let last = records.last().unwrap();
    assert_eq!((history.sequence, &history.head), (last.sequence, &last.hash));
    for record in &records {
        let replay = record::replay(record);
        assert!(
            matches!(&replay, Replay::Same { message } if *message == record.message),
            "record {}: {replay:?}",
            record.sequence
        );
    }
    let stored = scene.kubectl(&["get", "decisionrecords", "-o", "json"]).ok();
    let answer = programs::rollpin_offline(&["replay", "-f", "-"], &stored);
    assert_eq!(answer.code, 0, "{}", answer.all());
    let forged = stored.replacen("rolled back: task_success", "rolled back: nothing", 1);
    assert_ne!(programs::rollpin_offline(&["replay", "-f", "-"], &forged).code, 0, "a forged record must not replay");
    let shown = scene.rollpin(&["history", &scene.name]).ok();
    assert!(shown.contains("RolledBack"), "{shown}");
    let explained = scene.rollpin(&["explain", &scene.name]).ok();
    assert!(explained.contains("task_success"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_release_stays_held_whatever_is_applied() {
    let (scene, stable, canary, load) = taken_back("held").await;
    let quiet = |status: &rollpin_crds::AgentReleaseStatus| status.retiring.is_empty();
    scene.wait("the canary's pods are gone", 30, quiet).await;

    // The same manifest again: nothing.
    let before = scene.release().await;
    scene.apply(&scene.manifest(BAD));
    pause(4.0).await;
    let after = scene.release().await;
    assert_eq!(
        before.metadata.resource_version, after.metadata.resource_version,
        "the same manifest again must change nothing"
    );

    // Back to A: Healthy at once, no pod touched, the hold stays.
    let pods = scene.pods(&stable).await;
    scene.apply(&scene.manifest(GOOD));
    let status = scene.reach(Phase::Healthy, 5).await;
    assert_eq!(scene.pods(&stable).await, pods);
    assert_eq!(status.hold.len(), 1);

    // A new bundle: a fresh canary against A, the hold on B stays.
    scene.apply(&scene.manifest("task_success=0.94,chars=100"));
    let fresh = scene.on_trial(&stable, 20).await;
    assert_ne!(fresh.behavior_digest, canary.behavior_digest);
    let status =
        scene.wait("weight for the fresh canary", 40, |status| status.weight.is_some_and(|weight| weight > 0)).await;
    assert_eq!(status.hold.iter().map(|hold| hold.digest.as_str()).collect::<Vec<_>>(), [canary.digest.as_str()]);

    // B again: the canary gives way, B is held and gets no traffic.
    scene.apply(&scene.manifest(BAD));
    let status = scene.wait("B is held again", 40, |status| status.phase == Some(Phase::RolledBack)).await;
    assert_eq!(status.desired.unwrap().state, "Quarantined");
    load.finish().await;

    // Deleted and recreated: the hold still applies, and nothing serves.
    scene.kubectl(&["delete", "agentrelease", &scene.name, "--timeout=60s"]).ok();
    scene.apply(&scene.manifest(BAD));
    let status =
        scene.wait("quarantined without a stable release", 40, |status| status.phase == Some(Phase::Failed)).await;
    assert_eq!(condition(&status, "Stalled").1, "Quarantined");
    let routes: kube::Api<AgentRelease> = scene.api();
    assert!(routes.get(&scene.name).await.unwrap().status.unwrap().serving.is_none());
    assert_ne!(scene.get("/healthz", &[]), Some(200), "a held release must not answer");

    // A is the first release of the new object; B is still held behind it.
    scene.apply(&with(scene.manifest(GOOD), "/spec/rollout/bake", json!({"duration": "1s"})));
    scene.come_back_to(Phase::Healthy, 60).await;
    scene.apply(&scene.manifest(BAD));
    let status = scene.wait("B is held behind A", 30, |status| status.phase == Some(Phase::RolledBack)).await;
    assert_eq!(status.hold.first().map(|hold| hold.behavior_digest.clone()), Some(canary.behavior_digest));
    scene.watched.weights_always_sum_to_100();
}
