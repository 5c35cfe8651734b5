//! The objects of an agent, as JSON: pure functions of a plan, a revision and a spec.
//!
//! No client, no clock. A user's own labels and annotations on the `AgentRelease` are never copied: tools like Argo CD
//! would take the copies for objects of their own, and prune them.

pub mod children;
pub mod traffic;
pub mod workload;

use rollpin_crds::status::ReleaseRef;
use rollpin_crds::{AgentRelease, MANAGER, NAME_LABEL, RELEASE_LABEL};
use rollpin_engine::digest::base32;
use serde_json::{Value, json};

/// Annotation with the hash of what a Deployment and its companions were made from.
pub const APPLIED: &str = "rollpin.dev/applied";

/// The agent that objects are made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

impl Agent {
    /// The agent of an object read from the cluster.
    pub fn of(release: &AgentRelease) -> Self {
        Self {
            namespace: release.metadata.namespace.clone().unwrap_or_default(),
            name: release.metadata.name.clone().unwrap_or_default(),
            uid: release.metadata.uid.clone().unwrap_or_default(),
        }
    }

    /// The owner reference by which Kubernetes removes an object together with its agent.
    pub fn owner(&self) -> Value {
        json!({
            "apiVersion": format!("{}/{}", rollpin_crds::GROUP, rollpin_crds::VERSION),
            "kind": "AgentRelease",
            "name": self.name,
            "uid": self.uid,
            "controller": true,
            "blockOwnerDeletion": true,
        })
    }

    /// Metadata of an object that belongs to the whole agent.
    pub fn metadata(&self, name: &str) -> Value {
        json!({
            "name": name,
            "namespace": self.namespace,
            "labels": {NAME_LABEL: self.name, "app.kubernetes.io/managed-by": MANAGER},
            "ownerReferences": [self.owner()],
        })
    }

    /// Metadata of an object that belongs to one release of the agent.
    pub fn metadata_of(&self, name: &str, release: &ReleaseRef) -> Value {
        let mut metadata = self.metadata(name);
        if let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) {
            labels.insert(RELEASE_LABEL.to_owned(), Value::String(base32(&release.digest)));
        }
        metadata
    }

    /// Labels that select the pods of one release.
    pub fn selector(&self, release: &ReleaseRef) -> Value {
        json!({NAME_LABEL: self.name, RELEASE_LABEL: base32(&release.digest)})
    }
}

/// Whether everything that is asked for is there: maps may hold more (defaults of the API server), lists may not.
pub fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            wanted.iter().all(|(key, value)| live.get(key).is_some_and(|there| holds(there, value)))
        }
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(there, value)| holds(there, value))
        }
        (live, wanted) => live == wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_of_the_api_server_are_no_difference() {
        assert!(holds(
            &json!({"a": 1, "added": true, "list": [{"x": 1, "y": 2}]}),
            &json!({"a": 1, "list": [{"x": 1}]})
        ));
    }

    #[test]
    fn a_rule_that_somebody_added_is_a_difference() {
        assert!(!holds(&json!({"rules": [1, 2]}), &json!({"rules": [1]})));
        assert!(!holds(&json!({"a": 1}), &json!({"a": 2})));
        assert!(!holds(&json!({}), &json!({"a": 2})));
    }
}
