//! Only a release's own pods speak for it: telemetry from any other sender is counted as dropped, and moves nothing.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;
use rollpin_crds::RELEASE_LABEL;
use rollpin_crds::status::{ReleaseRef, State};
use rollpin_engine::digest::base32;
use serde_json::{Value, json};

use crate::support::manifest::{weight, with};
use crate::support::{Scene, agent_image, at, kubectl, operator_namespace, pause, programs};

/// A pod in a namespace of its own that calls itself the canary, labels included, and reports nothing but failures.
fn impostor(endpoint: &str, canary: &ReleaseRef) -> Pod {
    let env = json!([
        {"name": "REPLAY_MODEL", "value": "scripted:task_success=0,tool_error=1,schema_violation=1"},
        {"name": "AGENT_CONTRACT_LEVEL", "value": "1"},
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": endpoint},
        {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": format!("service.version={}", canary.digest)},
    ]);
    serde_json::from_value(json!({
        "metadata": {"name": "impostor", "labels": {RELEASE_LABEL: base32(&canary.digest), "rollpin.dev/name": "support"}},
        "spec": {"containers": [{"name": "agent", "image": agent_image(), "env": env, "ports": [{"containerPort": 8080}]}]},
    }))
    .unwrap()
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

    let before = dropped();
    let pods: Api<Pod> = other.api();
    pods.create(&PostParams::default(), &impostor(&endpoint, &canary)).await.unwrap();
    let address = address(&pods).await;
    let sessions = speak_through(&address);
    let posted = post_without_identity(&endpoint, &canary);
    pause(6.0).await;
    assert!(dropped() > before, "spoofed signals must be counted: {before} before and {} after {sessions} sessions and answer {posted}", dropped());

    let status = scene.status().await;
    let Some(State::Canary(still)) = &status.state else { panic!("spoofed evidence moved the release\n{}", scene.account(&status)) };
    assert_eq!(still.trial, canary);
    for gate in &status.gates {
        assert_eq!((gate.canary_bad, gate.stable_bad), (0, 0), "{gate:?}");
    }
    assert!(status.gates.iter().any(|gate| gate.canary_sessions > 0), "the release's own pods are heard: {:?}", status.gates);
}

/// Where the operator tells harnesses to send.
fn otlp_endpoint(scene: &Scene, release: &ReleaseRef) -> String {
    let deployment: Value = serde_json::from_str(&scene.kubectl(&["get", "deployment", &release.revision, "-o", "json"]).ok()).unwrap();
    let env = at(&deployment, "/spec/template/spec/containers/0/env").as_array().cloned().unwrap_or_default();
    let found = env.iter().find(|one| one["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT").expect("no endpoint was given to the harness");
    found["value"].as_str().unwrap().to_owned()
}

async fn address(pods: &Api<Pod>) -> String {
    for _ in 0..100 {
        let pod = pods.get("impostor").await.unwrap();
        let running = pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"));
        if let (true, Some(ip)) = (running, pod.status.and_then(|status| status.pod_ip)) {
            ip.parse::<Ipv4Addr>().unwrap();
            return ip;
        }
        pause(0.2).await;
    }
    panic!("the impostor did not start");
}

/// Sessions straight to the impostor, as if the gateway had assigned them.
fn speak_through(address: &str) -> u32 {
    let url = format!("http://{address}:8080/v1/turn");
    let headers = ["-H", "content-type: application/json", "-H", "x-agent-assignment: weighted"];
    for _ in 0..60 {
        let mut command = std::process::Command::new("curl");
        command.args(["-s", "-f", "--max-time", "5", "--retry", "3", "--retry-connrefused"]).args(headers).args(["-d", r#"{"text":"?"}"#, &url]);
        programs::run(&mut command, "").ok();
    }
    60
}

/// OTLP as JSON from the node itself, which is no pod at all.
fn post_without_identity(endpoint: &str, canary: &ReleaseRef) -> String {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let start = |number: u32| {
        let conversation = text("gen_ai.conversation.id", &format!("forged-{number}"));
        json!({"eventName": "rollpin.session.start", "attributes": [conversation, text("rollpin.assignment", "weighted")]})
    };
    let body = json!({"resourceLogs": [{
        "resource": {"attributes": [text("service.version", &canary.digest)]},
        "scopeLogs": [{"scope": {"name": "forged"}, "logRecords": (0..50).map(start).collect::<Vec<_>>()}],
    }]});
    let url = format!("{}/v1/logs", by_address(endpoint));
    let mut command = std::process::Command::new("curl");
    command.args(["-s", "--max-time", "5", "-o", "/dev/null", "-w", "%{http_code}", "-H", "content-type: application/json", "-d", &body.to_string(), &url]);
    programs::run(&mut command, "").out
}

/// The node does not use the cluster's DNS: the Service's address instead of its name.
fn by_address(endpoint: &str) -> String {
    let rest = endpoint.trim_start_matches("http://").trim_end_matches('/');
    let (host, port) = rest.split_once(':').unwrap();
    let mut parts = host.split('.');
    let (service, namespace) = (parts.next().unwrap(), parts.next().unwrap_or_default());
    let address = kubectl(&["--namespace", namespace, "get", "service", service, "-o", "jsonpath={.spec.clusterIP}"]).ok();
    format!("http://{address}:{port}")
}

/// Signals that the receiver dropped for want of an identity, from the operator's own metrics.
fn dropped() -> f64 {
    let namespace = operator_namespace();
    let pods: Value = serde_json::from_str(&kubectl(&["--namespace", &namespace, "get", "pods", "-o", "json"]).ok()).unwrap();
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
