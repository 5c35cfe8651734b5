//! One digest: what the command line says, what the operator says, and what `sha256sum` says of the bytes in the pod.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use rollpin_crds::AgentRevision;
use rollpin_crds::status::{Phase, ReleaseRef};
use rollpin_engine::phase;
use serde_json::{Value, json};

use crate::support::manifest::with;
use crate::support::{Scene, at, pause, programs, setting};

#[tokio::test(flavor = "multi_thread")]
async fn command_line_operator_and_sha256sum_agree_on_the_digest() {
    let scene = Scene::new("digest").await;
    let manifest = scene.manifest("task_success=1,chars=20");
    let printed = programs::rollpin_offline(&["digest", "-f", "-"], &manifest.to_string()).ok();
    let live = scene.serve(&manifest).await;
    assert!(printed.contains(&live.digest), "the command line says {printed}, the operator {}", live.digest);
    let status = scene.status().await;
    assert_eq!(status.desired.unwrap().digest.as_deref(), Some(live.digest.as_str()));

    let folder = mounted(&scene, &live).await;
    assert_eq!(format!("sha256:{}", sha256sum(&folder.join("manifest.json"))), live.digest);
    let oci: Value = serde_json::from_str(&std::fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
    let layers = at(&oci, "/layers").as_array().unwrap().clone();
    assert!(layers.len() >= 3, "{oci:#}");
    for layer in layers {
        let media_type = at(&layer, "/mediaType").as_str().unwrap();
        let component = media_type.trim_start_matches("application/vnd.rollpin.release.").trim_end_matches(".v1+json");
        let file = folder.join(format!("{component}.json"));
        assert_eq!(at(&layer, "/digest"), &json!(format!("sha256:{}", sha256sum(&file))), "{component}");
        assert_eq!(at(&layer, "/size"), &json!(std::fs::metadata(&file).unwrap().len()), "{component}");
    }
}

/// The folder on the node that the kubelet mounts into the pod.
async fn mounted(scene: &Scene, release: &ReleaseRef) -> PathBuf {
    let pod = scene.pods(release).await.pop().unwrap();
    let volumes = Path::new(&setting("ROLLPIN_CLUSTER_STATE"))
        .join("kubelet/pods")
        .join(pod)
        .join("volumes/kubernetes.io~configmap");
    let found = std::fs::read_dir(&volumes).unwrap_or_else(|cause| panic!("{}: {cause}", volumes.display()));
    found
        .map(|entry| entry.unwrap().path())
        .find(|path| path.join("manifest.json").exists())
        .expect("no mounted manifest.json")
}

fn sha256sum(file: &Path) -> String {
    let said = programs::run(Command::new("sha256sum").arg(file), "").ok();
    said.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operations_edit_never_makes_a_new_release() {
    let scene = Scene::new("operations").await;
    let manifest = scene.manifest("task_success=1");
    let live = scene.serve(&manifest).await;
    let records = scene.records().await.len();
    let resources = json!({"requests": {"memory": "16Mi"}});
    let edited = with(
        with(manifest, "/spec/replicas", json!(2)),
        "/spec/template/spec/containers/0/resources",
        resources.clone(),
    );
    scene.apply(&edited);
    let in_place = |deployment: &Deployment| {
        let spec = serde_json::to_value(&deployment.spec).unwrap();
        at(&spec, "/template/spec/containers/0/resources/requests") == at(&resources, "/requests")
            && at(&spec, "/replicas") == &json!(2)
    };
    until("the Deployment is edited in place", 30, async || {
        in_place(&scene.api::<Deployment>().get(&live.revision).await.unwrap())
    })
    .await;
    until("both pods are ready", 30, async || scene.ready_pods(&live).await == 2).await;
    let status = scene.reach(Phase::Healthy, 10).await;
    assert_eq!(status.desired.unwrap().digest.unwrap(), live.digest);
    assert_eq!(scene.api::<AgentRevision>().list(&ListParams::default()).await.unwrap().items.len(), 1);
    assert_eq!(scene.records().await.len(), records, "an operations edit is no phase edge");
    assert!(!scene.watched.phases().contains(&"Progressing".to_owned()), "{:?}", scene.watched.phases());
}

async fn until(what: &str, seconds: u32, is: impl AsyncFn() -> bool) {
    for _ in 0..seconds * 5 {
        if is().await {
            return;
        }
        pause(0.2).await;
    }
    panic!("{what}: not within {seconds} s");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_label_rolls_in_without_a_canary() {
    let scene = Scene::new("provenance").await;
    let manifest = scene.manifest("task_success=1");
    let live = scene.serve(&manifest).await;
    scene.apply(&with(manifest, "/spec/template/metadata", json!({"labels": {"team": "orders"}})));
    let status = scene.wait("the labelled release serves", 60, |status| {
        status.serving.as_ref().is_some_and(|serving| serving.digest != live.digest && serving.weight == 100)
    });
    let labelled = phase::live(status.await.state.as_ref().unwrap()).unwrap().clone();
    // A canary would have had a weight in between.
    scene.weights_reach(&labelled, &[0, 100]).await;
    let basis = scene.records().await.pop().unwrap().message;
    assert!(basis.contains("SameBehavior"), "{basis}");
    scene.watched.weights_always_sum_to_100();
}
