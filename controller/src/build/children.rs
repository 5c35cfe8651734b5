//! The plain companions of a release: its `AgentRevision`, `ConfigMap`, Services and ledger.
//!
//! Pure; no object here is ever changed after it was made, except for the stable Service, which follows the release that serves.

use rollpin_crds::revision::Component;
use rollpin_crds::status::ReleaseRef;
use rollpin_crds::{AgentRevision, AgentRevisionSpec, BEHAVIOR_LABEL, EvidenceLedgerSpec, MANAGER, NAME_LABEL};
use rollpin_engine::digest::{Built, DIGEST_VERSION, base32};
use rollpin_engine::plan::LedgerPlan;
use serde_json::{Map, Value, json};

use super::Agent;

/// Port of every Service of rollpin; the harness listens where its revision says.
pub const SERVICE_PORT: i32 = 80;

/// The revision object of a release that was just built.
pub fn revision(agent: &Agent, built: &Built) -> Value {
    let spec = AgentRevisionSpec {
        agent: agent.name.clone(),
        digest: built.release.digest.clone(),
        behavior_digest: built.release.behavior_digest.clone(),
        digest_version: DIGEST_VERSION,
        manifest: built.manifest.clone(),
        components: built.components.clone(),
        template: built.template.clone(),
        contract_level: built.contract_level,
        port: built.port,
    };
    json!({
        "apiVersion": format!("{}/{}", rollpin_crds::GROUP, rollpin_crds::VERSION),
        "kind": "AgentRevision",
        "metadata": agent.metadata_of(&built.release.revision, &built.release),
        "spec": spec,
    })
}

/// The files that a harness finds at `/etc/agent-release`.
pub fn config_map(agent: &Agent, release: &ReleaseRef, revision: &AgentRevision) -> Value {
    let mut data = Map::new();
    data.insert("manifest.json".to_owned(), Value::String(revision.spec.manifest.clone()));
    for Component { name, content, digest: _, behavior_digest: _ } in &revision.spec.components {
        data.insert(format!("{name}.json"), Value::String(content.clone()));
    }
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": agent.metadata_of(&release.revision, release),
        "immutable": true,
        "data": data,
    })
}

/// A Service on the pods of one release: of its own name, or of the agent's for the release that serves.
pub fn service(agent: &Agent, name: &str, release: &ReleaseRef, port: i32) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": agent.metadata_of(name, release),
        "spec": {
            "selector": agent.selector(release),
            "ports": [{"name": "http", "port": SERVICE_PORT, "targetPort": port, "protocol": "TCP"}],
        },
    })
}

/// The ledger of an attempt. It has no owner: it outlives its agent, so that deleting and recreating one buys nothing.
pub fn ledger(agent: &Agent, plan: &LedgerPlan) -> Value {
    let spec = EvidenceLedgerSpec {
        release: agent.name.clone(),
        digest: plan.trial.digest.clone(),
        behavior_digest: plan.trial.behavior_digest.clone(),
        baseline_digest: plan.baseline.digest.clone(),
        attempt: plan.attempt,
        policy_hash: plan.policy_hash.clone(),
    };
    json!({
        "apiVersion": format!("{}/{}", rollpin_crds::GROUP, rollpin_crds::VERSION),
        "kind": "EvidenceLedger",
        "metadata": {
            "name": plan.name,
            "namespace": agent.namespace,
            "labels": {
                NAME_LABEL: agent.name,
                BEHAVIOR_LABEL: base32(&plan.trial.behavior_digest),
                "app.kubernetes.io/managed-by": MANAGER,
            },
        },
        "spec": spec,
    })
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
            behavior_digest: format!("sha256:{}", "b".repeat(64)),
            revision: "support-a".to_owned(),
        }
    }

    #[test]
    fn the_mounted_files_are_the_bytes_that_were_hashed() {
        let mut revision = AgentRevision::new("support-a", AgentRevisionSpec::default());
        revision.spec.manifest = "{\"schemaVersion\":2}".to_owned();
        revision.spec.components = vec![Component {
            name: "model".to_owned(),
            content: "{\"name\":\"m\"}".to_owned(),
            ..Component::default()
        }];
        let map = config_map(&agent(), &release(), &revision);
        assert_eq!(map["data"], json!({"manifest.json": "{\"schemaVersion\":2}", "model.json": "{\"name\":\"m\"}"}));
        assert_eq!(map["immutable"], json!(true));
    }

    #[test]
    fn a_service_selects_the_pods_of_one_release_only() {
        let service = service(&agent(), "support", &release(), 8080);
        assert_eq!(
            service["spec"]["selector"],
            json!({"rollpin.dev/name": "support", "rollpin.dev/release": base32(&release().digest)})
        );
        assert_eq!(service["spec"]["ports"][0]["targetPort"], json!(8080));
    }

    #[test]
    fn a_ledger_outlives_its_agent() {
        let plan = LedgerPlan {
            name: "support-b-1".to_owned(),
            trial: release(),
            baseline: release(),
            attempt: 1,
            policy_hash: String::new(),
        };
        assert_eq!(ledger(&agent(), &plan)["metadata"].get("ownerReferences"), None);
    }
}
