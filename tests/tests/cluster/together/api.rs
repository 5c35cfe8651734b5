//! The kinds as people meet them by kubectl: applied, explained, shown, scaled, and never changed behind their back.

use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use rollpin_crds::{AgentRevision, DecisionRecord, ReleaseCommand};
use serde_json::{Value, json};

use crate::support::{Scene, at, kubectl, kubectl_with, repository};

#[test]
fn the_kinds_are_installed_with_a_plain_kubectl_apply() {
    let folder = repository("charts/rollpin-crds/templates");
    let applied = kubectl(&["apply", "-f", &folder]).ok();
    assert_eq!(applied.lines().count(), 7, "{applied}");
    for file in std::fs::read_dir(&folder).unwrap() {
        let (path, size) = file.map(|file| (file.path(), file.metadata().unwrap().len())).unwrap();
        assert!(size < 200 * 1024, "{} has {size} bytes", path.display());
    }
    let kinds = kubectl(&["api-resources", "--api-group=rollpin.dev", "-o", "name"]).ok();
    let mut kinds: Vec<&str> = kinds.lines().collect();
    kinds.sort_unstable();
    let all = [
        "agentreleases",
        "agentrevisions",
        "decisionrecords",
        "evidenceledgers",
        "gatetemplates",
        "metricsources",
        "releasecommands",
    ];
    assert_eq!(kinds, all.map(|kind| format!("{kind}.rollpin.dev")));
}

#[test]
fn kubectl_explain_reads_like_documentation() {
    let bundle = kubectl(&["explain", "agentrelease.spec.bundle"]).ok();
    assert!(bundle.contains("What the agent is made of. Every change here makes a new release."), "{bundle}");
    for (field, text) in [
        ("bundle.model", "An absent parameter is not the same as zero"),
        ("bundle.model.version", "The pinned snapshot"),
        ("bundle.prompt.messages", "in the order in which the model reads them"),
        ("rollout.steps", "Share of new sessions"),
        ("gates.margin", "as an absolute fraction of sessions"),
    ] {
        let page = kubectl(&["explain", &format!("agentrelease.spec.{field}")]).ok();
        let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains(text), "{field}: {page}");
    }
    let described = kubectl(&["explain", "agentrelease.spec.bundle.tools.items"]).ok();
    let undescribed = described.lines().filter(|line| line.contains("<no description>")).count();
    assert_eq!(undescribed, 0, "{described}");
}

#[test]
fn a_newcomers_manifest_is_accepted_as_written() {
    let manifest = std::fs::read_to_string(repository("tests/data/manifests/newcomer.yaml")).unwrap();
    let answer = kubectl_with(&["apply", "--dry-run=server", "-f", "-"], &manifest).ok();
    assert!(answer.contains("agentrelease.rollpin.dev/support created (server dry run)"), "{answer}");
    let stored: Value =
        serde_json::from_str(&kubectl_with(&["create", "--dry-run=server", "-o", "json", "-f", "-"], &manifest).ok())
            .unwrap();
    let written: Value = serde_yaml::from_str(&manifest).unwrap();
    assert_eq!(at(&stored, "/spec"), at(&written, "/spec"), "the API server filled in or dropped something");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rollpin_writes_about_a_release_never_changes() {
    let scene = Scene::new("immutable").await;
    scene.serve(&scene.manifest("task_success=1")).await;
    let refusals = [
        changed(
            &scene,
            "agentrevision",
            &first_name::<AgentRevision>(&scene).await,
            &json!({"spec": {"manifest": "{}"}}),
        ),
        changed(
            &scene,
            "decisionrecord",
            &first_name::<DecisionRecord>(&scene).await,
            &json!({"spec": {"message": "nothing happened"}}),
        ),
        changed(&scene, "releasecommand", &command(&scene).await, &json!({"spec": {"reason": "another"}})),
    ];
    for (refusal, words) in
        refusals.iter().zip(["a revision never changes", "a decision record never changes", "a command never changes"])
    {
        assert!(refusal.contains(words), "{refusal}");
    }
    let map = first_revision(&scene).await;
    let refusal = changed(&scene, "configmap", &map, &json!({"data": {"manifest.json": "{}"}}));
    assert!(refusal.contains("immutable"), "{refusal}");
}

async fn first_revision(scene: &Scene) -> String {
    first_name::<AgentRevision>(scene).await
}

async fn first_name<K>(scene: &Scene) -> String
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    let api: Api<K> = scene.api();
    api.list(&ListParams::default()).await.unwrap().items.first().expect("none was written").name_any()
}

async fn command(scene: &Scene) -> String {
    let digest = scene.status().await.serving.unwrap().digest;
    let command: ReleaseCommand = serde_json::from_value(json!({
        "metadata": {"generateName": "pause-"},
        "spec": {"release": scene.name, "verb": "Pause", "digest": digest, "reason": "a test", "requestedBy": "admin"},
    }))
    .unwrap();
    scene.api::<ReleaseCommand>().create(&PostParams::default(), &command).await.unwrap().name_any()
}

/// What the API server says to a change.
fn changed(scene: &Scene, kind: &str, name: &str, patch: &Value) -> String {
    let answer = scene.kubectl(&["patch", kind, name, "--type=merge", "-p", &patch.to_string()]);
    assert_ne!(answer.code, 0, "{kind} {name} was changed: {}", answer.all());
    answer.all()
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_the_columns_that_people_need() {
    let scene = Scene::new("columns").await;
    scene.serve(&scene.manifest("task_success=1")).await;
    let table = scene.kubectl(&["get", "arel"]).ok();
    let (head, row) = table.split_once('\n').unwrap();
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>(),
        ["NAME", "PHASE", "SERVING", "DESIRED", "WEIGHT", "VERDICT", "AGE"]
    );
    assert!(row.starts_with("support") && row.contains("Healthy") && row.contains("100"), "{table}");
    let wide = scene.kubectl(&["get", "agentrel", "-o", "wide"]).ok();
    assert!(["STEP", "SESSIONS", "TIGHTEST"].iter().all(|column| wide.contains(column)), "{wide}");
    for short in ["arev", "drec"] {
        assert!(scene.kubectl(&["get", short]).ok().contains("support"), "{short}");
    }
    assert!(scene.kubectl(&["get", "rollpin"]).ok().contains("agentrelease.rollpin.dev/support"));
    assert_eq!(scene.kubectl(&["wait", "--for=condition=Ready", "arel/support", "--timeout=1s"]).code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_scale_changes_the_pods_and_nothing_else() {
    let scene = Scene::new("scale").await;
    let live = scene.serve(&scene.manifest("task_success=1")).await;
    let before = scene.pods(&live).await;
    scene.kubectl(&["scale", "arel/support", "--replicas=2"]).ok();
    let status = scene.wait("two pods behind /scale", 30, |status| status.replicas == Some(2)).await;
    while scene.ready_pods(&live).await < 2 {
        crate::support::pause(0.2).await;
    }
    let after = scene.pods(&live).await;
    assert!(after.len() == 2 && before.iter().all(|uid| after.contains(uid)), "{before:?} became {after:?}");
    assert_eq!(scene.status().await.serving.unwrap().digest, live.digest);
    let scale: Value = serde_json::from_str(&scene.kubectl(&["get", "--raw", &scale_path(&scene)]).ok()).unwrap();
    assert_eq!(at(&scale, "/spec/replicas"), &json!(2));
    assert_eq!(at(&scale, "/status/selector"), &json!(status.selector.unwrap()));
}

fn scale_path(scene: &Scene) -> String {
    format!("/apis/rollpin.dev/v1alpha1/namespaces/{}/agentreleases/{}/scale", scene.namespace, scene.name)
}
