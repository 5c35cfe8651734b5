//! Idle costs nothing: a release at rest causes no write and no polling, even while it serves.

use crate::support::history::now;
use crate::support::{Scene, audit, pause};

const SECONDS: f64 = 20.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_release_at_rest_causes_no_write_and_no_polling() {
    let scene = Scene::new("rest").await;
    scene.serve(&scene.manifest("task_success=1")).await;
    let load = scene.load(10, &["--turns", "2", "--think-time", "0.3"]);
    scene.wait("nothing left to scale down", 30, |status| status.retiring.is_empty()).await;
    // Other tests' namespaces may still be going away.
    settle().await;

    let from = now();
    pause(SECONDS).await;
    let requests = audit::of_operator(from, now());
    let load = load.finish().await;
    assert!(load.sessions > 100 && load.failed == 0, "the release served meanwhile: {load:?}");
    let renewals = requests.iter().filter(|request| request.object_ref.resource == "leases").count();
    assert!(renewals > 0, "the operator was not heard of at all: is it running, and is the audit log on?");
    let others: Vec<String> = requests
        .iter()
        .filter(|request| request.object_ref.resource != "leases" && request.verb != "watch")
        .map(audit::Request::line)
        .collect();
    assert!(others.is_empty(), "only Lease renewals and watches are allowed at rest: {others:#?}");
    println!(
        "at rest for {SECONDS} s: {renewals} Lease requests, {} watches opened again, nothing else",
        requests.len() - renewals
    );
}

/// Waits until the operator has been silent for three seconds.
async fn settle() {
    for _ in 0..20 {
        let from = now();
        pause(3.0).await;
        let busy = audit::of_operator(from, now())
            .iter()
            .any(|request| request.object_ref.resource != "leases" && request.verb != "watch");
        if !busy {
            return;
        }
    }
}
