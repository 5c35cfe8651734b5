//! Only a release's own pods speak for it: telemetry from any other sender is counted as dropped, and moves nothing.

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use rollpin_crds::RELEASE_LABEL;
use rollpin_crds::status::{ReleaseRef, State};
use rollpin_engine::digest::base32;
use serde_json::{Value, json};

use crate::support::manifest::{weight, with};
use crate::support::{Scene, agent_image, at, kubectl, operator_namespace, pause, programs};

/// A pod in another namespace that wears every label of the canary's pods.
fn impostor(canary: &ReleaseRef) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "impostor", "labels": {RELEASE_LABEL: base32(&canary.digest), "rollpin.dev/name": "support"}},
        "spec": {"containers": [{"name": "agent", "image": agent_image(), "env": [{"name": "AGENT_CONTRACT_LEVEL", "value": "0"}]}]},
    }))
    .unwrap()
}

/// A pod without any label.
fn nobody() -> Pod {
    let mut pod = impostor(&ReleaseRef::default());
    pod.metadata.labels = None;
    pod.metadata.name = Some("nobody".to_owned());
    pod
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_of_anybody_else_is_counted_and_inert() {
    let scene = Scene::new("victim").await;
    let other = Scene::new("impostor").await;
    let stable = scene.serve(&scene.manifest("task_success=1")).await;
    let steps = json!([weight(50, 1_000_000), {"setWeight": 100}]);
    let _load = scene.load(10, &["--turns", "1"]);
    pause(2.0).await;
    scene.apply(&with(scene.manifest("task_success=1,chars=100"), "/spec/rollout/steps", steps));
    let canary = scene.on_trial(&stable, 20).await;
    scene.wait("weight 50", 40, |status| status.weight == Some(50)).await;
    let endpoint = otlp_endpoint(&scene, &canary);

    let body = forged(&canary);
    let url = format!("{}/v1/logs", by_address(&endpoint));
    let before = strangers();
    let from_node = post(&["curl"], &url, &body);
    let between = strangers();
    assert!(
        between > before,
        "telemetry of the node must be counted: answer {from_node}, {before} before and {between} after"
    );
    let from_nobody = post(&inside(&scene.api(), &nobody()).await, &url, &body);
    let after = strangers();
    assert!(
        after > between,
        "telemetry of a pod of no release must be counted: answer {from_nobody}, {between} before and {after} after"
    );
    let from_impostor = post(&inside(&other.api(), &impostor(&canary)).await, &url, &body);
    assert!(
        from_impostor.parse::<u16>().is_ok_and(|code| code >= 200),
        "the receiver was not reached: {from_impostor:?}"
    );
    pause(6.0).await;

    let status = scene.status().await;
    let Some(State::Canary(still)) = &status.state else {
        panic!("spoofed evidence moved the release\n{}", scene.account(&status))
    };
    assert_eq!(still.trial, canary);
    for gate in &status.gates {
        assert_eq!((gate.canary_bad, gate.stable_bad), (0, 0), "{gate:?}");
    }
    assert!(
        status.gates.iter().any(|gate| gate.canary_sessions > 0),
        "the release's own pods are heard: {:?}",
        status.gates
    );
}

/// Where the operator tells harnesses to send.
fn otlp_endpoint(scene: &Scene, release: &ReleaseRef) -> String {
    let deployment: Value =
        serde_json::from_str(&scene.kubectl(&["get", "deployment", &release.revision, "-o", "json"]).ok()).unwrap();
    let env = at(&deployment, "/spec/template/spec/containers/0/env").as_array().cloned().unwrap_or_default();
    let found = env
        .iter()
        .find(|one| one["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT")
        .expect("no endpoint was given to the harness");
    found["value"].as_str().unwrap().to_owned()
}

/// Starts a pod and gives the command that runs curl from its network, so that the receiver sees its address.
async fn inside(pods: &Api<Pod>, pod: &Pod) -> Vec<String> {
    let name = pod.metadata.name.clone().unwrap();
    pods.create(&PostParams::default(), pod).await.unwrap();
    for _ in 0..100 {
        let seen = pods.get(&name).await.unwrap();
        let running = seen.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
        if let (true, Some(process)) = (running, process_of(&seen.metadata.uid.unwrap())) {
            // The operator learns of the pod by its watch.
            pause(1.0).await;
            return ["nsenter", "--target", &process, "--net", "curl"].map(str::to_owned).to_vec();
        }
        pause(0.2).await;
    }
    panic!("pod {name} did not start");
}

/// A process of a pod, by its cgroup.
fn process_of(uid: &str) -> Option<String> {
    let group = format!("/pod{uid}/");
    std::fs::read_dir("/proc").unwrap().filter_map(Result::ok).find_map(|entry| {
        let groups = std::fs::read_to_string(entry.path().join("cgroup")).ok()?;
        groups.contains(&group).then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

/// Sends a body as JSON; gives the status code.
fn post(program: &[impl AsRef<str>], url: &str, body: &Value) -> String {
    let (first, rest) = program.split_first().unwrap();
    let mut command = std::process::Command::new(first.as_ref());
    command.args(rest.iter().map(AsRef::as_ref));
    command.args([
        "-s",
        "--max-time",
        "5",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "-H",
        "content-type: application/json",
        "-d",
        "@-",
        url,
    ]);
    programs::run(&mut command, &body.to_string()).out
}

/// Fifty sessions of the canary, as OTLP, each judged a failure.
fn forged(canary: &ReleaseRef) -> Value {
    let now = (jiff::Timestamp::now().as_nanosecond()).to_string();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let event = |name: &str, number: u32, more: &[Value]| {
        let conversation = text("gen_ai.conversation.id", &format!("forged-{number}"));
        let attributes = [&[conversation], more].concat();
        json!({"eventName": name, "timeUnixNano": now, "attributes": attributes})
    };
    let records: Vec<Value> = (0..50)
        .flat_map(|number| {
            let judged = [
                text("gen_ai.evaluation.name", "task_success"),
                text("gen_ai.evaluation.score.label", "fail"),
                json!({"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.0}}),
            ];
            [
                event("rollpin.session.start", number, &[text("rollpin.assignment", "weighted")]),
                event("gen_ai.evaluation.result", number, &judged),
            ]
        })
        .collect();
    json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.version", &canary.digest)]},
        "scopeLogs": [{"scope": {"name": "forged"}, "logRecords": records}],
    }]})
}

/// The node does not use the cluster's DNS: the Service's address instead of its name.
fn by_address(endpoint: &str) -> String {
    let rest = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let (host, port) = rest.split_once(':').unwrap();
    let mut parts = host.split('.');
    let (service, namespace) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let address =
        kubectl(&["--namespace", namespace, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}"]).ok();
    format!("http://{address}:{port}")
}

/// Requests that the receiver dropped for want of an identity, from the operator's own metrics.
fn strangers() -> f64 {
    let namespace = operator_namespace();
    let pods: Value =
        serde_json::from_str(&kubectl(&["--namespace", &namespace, "get", "pods", "-o", "json"]).ok()).unwrap();
    let addresses = at(&pods, "/items").as_array().cloned().unwrap_or_default();
    let mut sum = 0.0;
    for pod in addresses {
        let Some(ip) = at(&pod, "/status/podIP").as_str() else { continue };
        let url = format!("http://{ip}:8080/metrics");
        let text = programs::run(std::process::Command::new("curl").args(["-s", "--max-time", "5", &url]), "").out;
        for line in text.lines().filter(|line| line.starts_with("rollpin_otlp_strangers")) {
            sum += line.rsplit(' ').next().and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0);
        }
    }
    sum
}
