//! The Deployment of one release: the user's pod template, the mounted bundle, the probe of the contract, and its telemetry.
//!
//! Pure. The number of pods is not in it, since an autoscaler may own that; it is written apart.

use rollpin_crds::status::ReleaseRef;
use rollpin_crds::{MOUNT_PATH, WELL_KNOWN_PATH};
use rollpin_engine::digest::base32;
use rollpin_engine::hash;
use serde_json::{Map, Value, json};

use super::{APPLIED, Agent};

/// Name of the volume with the bundle.
const VOLUME: &str = "agent-release";

/// What a Deployment is made from.
#[derive(Clone, Debug)]
pub struct Workload<'a> {
    /// The release.
    pub release: &'a ReleaseRef,
    /// Its pod template, operations fields included.
    pub template: &'a Value,
    /// Contract level of the harness.
    pub contract_level: i64,
    /// Port of the harness.
    pub port: i32,
    /// Where harnesses send telemetry unless their template says otherwise.
    pub otlp_endpoint: Option<&'a str>,
}

/// Why a template cannot carry the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateInvalid {
    /// Both places for the contract's probe are taken.
    #[error(
        "spec.template.spec.containers[0]: contract level {0} needs a probe of its own, but readinessProbe and startupProbe are both taken: remove one of them, or set spec.contract.level to 0"
    )]
    ProbesTaken(i64),
    /// There is no container.
    #[error("spec.template.spec.containers: at least one container is needed: the first one is the harness")]
    NoContainer,
}

/// The Deployment, without a number of pods.
pub fn deployment(agent: &Agent, workload: &Workload<'_>) -> Result<Value, TemplateInvalid> {
    let mut metadata = agent.metadata_of(&workload.release.revision, workload.release);
    let pods = pod_template(agent, workload)?;
    let spec = json!({
        "selector": {"matchLabels": agent.selector(workload.release)},
        "revisionHistoryLimit": 1,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": pods,
    });
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert("annotations".to_owned(), json!({APPLIED: made_from(workload)}));
    }
    Ok(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}))
}

/// Hash of what the pods are made from. Of the inputs, not of the outcome: a newer rollpin that builds pods in another way
/// must not restart those that serve.
pub fn made_from(workload: &Workload<'_>) -> String {
    hash::of_value(
        &json!({"template": workload.template, "contractLevel": workload.contract_level, "port": workload.port}),
    )
}

fn pod_template(agent: &Agent, workload: &Workload<'_>) -> Result<Value, TemplateInvalid> {
    let mut template = workload.template.as_object().cloned().unwrap_or_default();
    add_labels(&mut template, &agent.selector(workload.release));
    let spec = object(&mut template, "spec");
    let volumes = list(spec, "volumes");
    volumes.retain(|volume| volume.get("name") != Some(&json!(VOLUME)));
    volumes.push(json!({"name": VOLUME, "configMap": {"name": workload.release.revision}}));
    let harness =
        list(spec, "containers").first_mut().and_then(Value::as_object_mut).ok_or(TemplateInvalid::NoContainer)?;
    list(harness, "volumeMounts").push(json!({"name": VOLUME, "mountPath": MOUNT_PATH, "readOnly": true}));
    add_environment(agent, workload, list(harness, "env"));
    add_probe(workload, harness)?;
    Ok(Value::Object(template))
}

fn add_labels(template: &mut Map<String, Value>, selector: &Value) {
    let labels = object(object(template, "metadata"), "labels");
    if let Some(ours) = selector.as_object() {
        labels.extend(ours.clone());
    }
}

/// The kubelet asks the harness which bytes it loaded: as readiness probe, or as startup probe where the user has a readiness probe.
fn add_probe(workload: &Workload<'_>, harness: &mut Map<String, Value>) -> Result<(), TemplateInvalid> {
    if workload.contract_level < 1 {
        return Ok(());
    }
    let path = format!("{WELL_KNOWN_PATH}/{}", base32(&workload.release.digest));
    let get = json!({"path": path, "port": workload.port});
    let taken = |harness: &Map<String, Value>, probe: &str| harness.get(probe).is_some_and(|probe| !probe.is_null());
    match (taken(harness, "readinessProbe"), taken(harness, "startupProbe")) {
        (false, _) => {
            harness.insert(
                "readinessProbe".to_owned(),
                json!({"httpGet": get, "periodSeconds": 2, "timeoutSeconds": 1, "failureThreshold": 3}),
            );
            Ok(())
        }
        (true, false) => {
            // Long enough that a harness with other bytes is reported as that, not as a crash loop.
            harness.insert(
                "startupProbe".to_owned(),
                json!({"httpGet": get, "periodSeconds": 2, "timeoutSeconds": 1, "failureThreshold": 600}),
            );
            Ok(())
        }
        (true, true) => Err(TemplateInvalid::ProbesTaken(workload.contract_level)),
    }
}

fn add_environment(agent: &Agent, workload: &Workload<'_>, env: &mut Vec<Value>) {
    let digest = &workload.release.digest;
    let resource = joined_attributes(env, &format!("service.version={digest}"));
    set(env, "AGENT_RELEASE_DIGEST", digest);
    set(env, "AGENT_RELEASE_NAME", &agent.name);
    set(env, "AGENT_CONTRACT_LEVEL", &workload.contract_level.to_string());
    set(env, "OTEL_RESOURCE_ATTRIBUTES", &resource);
    default(env, "OTEL_SERVICE_NAME", &agent.name);
    let own_endpoint = env.iter().any(|one| {
        name_of(one).is_some_and(|name| name.starts_with("OTEL_EXPORTER_OTLP") && name.ends_with("ENDPOINT"))
    });
    if let Some(endpoint) = workload.otlp_endpoint.filter(|_| !own_endpoint) {
        set(env, "OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        default(env, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    }
}

/// The user's resource attributes with ours; a value from elsewhere (`valueFrom`) cannot be joined and gives way.
fn joined_attributes(env: &[Value], ours: &str) -> String {
    let theirs = env.iter().find(|one| name_of(one) == Some("OTEL_RESOURCE_ATTRIBUTES"));
    let theirs = theirs.and_then(|one| one.get("value")).and_then(Value::as_str).unwrap_or_default();
    let kept =
        theirs.split(',').map(str::trim).filter(|pair| !pair.is_empty() && !pair.starts_with("service.version="));
    kept.chain([ours]).collect::<Vec<_>>().join(",")
}

fn name_of(variable: &Value) -> Option<&str> {
    variable.get("name").and_then(Value::as_str)
}

fn set(env: &mut Vec<Value>, name: &str, value: &str) {
    env.retain(|one| name_of(one) != Some(name));
    env.push(json!({"name": name, "value": value}));
}

fn default(env: &mut Vec<Value>, name: &str, value: &str) {
    if !env.iter().any(|one| name_of(one) == Some(name)) {
        env.push(json!({"name": name, "value": value}));
    }
}

/// The object below a key, made if it is not there.
fn object<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = parent.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("the slot was just made an object"),
    }
}

/// The list below a key, made if it is not there.
fn list<'a>(parent: &'a mut Map<String, Value>, key: &str) -> &'a mut Vec<Value> {
    let slot = parent.entry(key).or_insert_with(|| json!([]));
    if !slot.is_array() {
        *slot = json!([]);
    }
    match slot {
        Value::Array(list) => list,
        _ => unreachable!("the slot was just made a list"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent() -> Agent {
        Agent { namespace: "agents".to_owned(), name: "support".to_owned(), uid: "u-1".to_owned() }
    }

    fn release() -> ReleaseRef {
        ReleaseRef {
            digest: format!("sha256:{}", "a".repeat(64)),
            behavior_digest: String::new(),
            revision: "support-a".to_owned(),
        }
    }

    fn made(container: &Value, level: i64) -> Result<Value, TemplateInvalid> {
        let template = json!({"metadata": {"labels": {"team": "x"}}, "spec": {"containers": [container]}});
        let release = release();
        let workload = Workload {
            release: &release,
            template: &template,
            contract_level: level,
            port: 8080,
            otlp_endpoint: Some("http://rollpin-otlp.rollpin.svc:4318"),
        };
        deployment(&agent(), &workload)
    }

    fn harness(deployment: &Value) -> Value {
        deployment.pointer("/spec/template/spec/containers/0").cloned().unwrap()
    }

    fn variable(harness: &Value, name: &str) -> Value {
        let env = harness["env"].as_array().unwrap();
        let found: Vec<&Value> = env.iter().filter(|one| one["name"] == name).collect();
        assert_eq!(found.len(), 1, "{name} is set once");
        found[0]["value"].clone()
    }

    #[test]
    fn a_deployment_mounts_the_bundle_and_asks_for_its_digest() {
        insta::assert_json_snapshot!(made(&json!({"name": "agent", "image": "i@sha256:0"}), 1).unwrap());
    }

    #[test]
    fn a_plain_container_has_no_probe_of_ours() {
        let harness = harness(&made(&json!({"name": "agent", "image": "i"}), 0).unwrap());
        assert_eq!(harness.get("readinessProbe"), None);
        assert_eq!(harness.get("startupProbe"), None);
    }

    #[test]
    fn a_readiness_probe_of_the_user_moves_ours_to_startup() {
        let harness = harness(
            &made(&json!({"name": "agent", "image": "i", "readinessProbe": {"tcpSocket": {"port": 1}}}), 1).unwrap(),
        );
        assert_eq!(harness["readinessProbe"], json!({"tcpSocket": {"port": 1}}));
        assert_eq!(
            harness["startupProbe"]["httpGet"]["path"],
            format!("{WELL_KNOWN_PATH}/{}", base32(&release().digest))
        );
    }

    #[test]
    fn two_probes_of_the_user_leave_no_room_for_the_contract() {
        let probes = json!({"name": "agent", "image": "i", "readinessProbe": {"tcpSocket": {"port": 1}}, "startupProbe": {"tcpSocket": {"port": 1}}});
        assert_eq!(made(&probes, 1), Err(TemplateInvalid::ProbesTaken(1)));
        assert!(made(&probes, 0).is_ok());
    }

    #[test]
    fn resource_attributes_of_the_user_are_kept_but_for_the_version() {
        let env = json!([{"name": "OTEL_RESOURCE_ATTRIBUTES", "value": "team=x, service.version=forged"}, {"name": "AGENT_RELEASE_DIGEST", "value": "forged"}]);
        let harness = harness(&made(&json!({"name": "agent", "image": "i", "env": env}), 1).unwrap());
        assert_eq!(
            variable(&harness, "OTEL_RESOURCE_ATTRIBUTES"),
            json!(format!("team=x,service.version={}", release().digest))
        );
        assert_eq!(variable(&harness, "AGENT_RELEASE_DIGEST"), json!(release().digest));
    }

    #[test]
    fn an_endpoint_of_the_user_is_left_alone() {
        let env = json!([{"name": "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "value": "http://collector:4318"}]);
        let harness = harness(&made(&json!({"name": "agent", "image": "i", "env": env}), 1).unwrap());
        assert!(!harness["env"].as_array().unwrap().iter().any(|one| one["name"] == "OTEL_EXPORTER_OTLP_ENDPOINT"));
    }

    #[test]
    fn the_number_of_pods_is_not_part_of_it() {
        assert_eq!(made(&json!({"name": "agent", "image": "i"}), 1).unwrap().pointer("/spec/replicas"), None);
    }
}
