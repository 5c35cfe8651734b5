//! Manifests as people would write them, small enough that a rollout takes seconds. Tests change the JSON where they differ.

use serde_json::{Value, json};

use super::{Scene, agent_image};

/// Outcomes that gate by default here.
const OUTCOMES: [&str; 5] = ["task_success", "tool_error", "schema_violation", "empty_output", "truncated"];

impl Scene {
    /// A release that plays a script, with steps 5, 25, 50, 100, margins of 10 percentage points and outcomes that are final after a second.
    pub fn manifest(&self, script: &str) -> Value {
        json!({
            "apiVersion": "rollpin.dev/v1alpha1",
            "kind": "AgentRelease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": {
                "bundle": {
                    "model": {"provider": "replay", "name": "scripted", "version": script},
                    "prompt": {"messages": [{"role": "system", "content": "You help customers of ACME with their orders."}]},
                },
                "contract": {"level": 1, "port": 8080},
                "replicas": 1,
                "template": {"spec": {"containers": [{"name": "agent", "image": agent_image(), "ports": [{"containerPort": 8080}]}]}},
                "traffic": {
                    "gateway": {
                        "parentRefs": [{"name": "public", "namespace": "agents"}],
                        "hostnames": [self.host],
                        "probeAddress": super::gateway().trim_start_matches("http://"),
                    },
                    "pin": {"by": ["Header", "McpParam", "McpSession"], "drainSeconds": 5},
                },
                "rollout": {
                    "steps": [weight(5, 10), weight(25, 20), weight(50, 20), {"setWeight": 100}],
                    "bake": {"duration": "3s"},
                    "progressDeadlineSeconds": 30,
                    "abortScaleDownDelaySeconds": 2,
                },
                "gates": OUTCOMES.map(gate),
            },
        })
    }
}

/// A step that waits for so many canary sessions.
pub fn weight(percent: i64, sessions: i64) -> Value {
    json!({"setWeight": percent, "analysis": {"sessions": sessions}})
}

/// A gate with a wide margin and a quick maturity.
pub fn gate(outcome: &str) -> Value {
    json!({"name": outcome, "outcome": outcome, "margin": 0.10, "maturity": "1s"})
}

/// Sets an environment variable of the harness, which is behaviour.
pub fn with_env(mut manifest: Value, name: &str, value: &str) -> Value {
    let container = manifest.pointer_mut("/spec/template/spec/containers/0").unwrap();
    let env = container.as_object_mut().unwrap().entry("env").or_insert_with(|| json!([]));
    env.as_array_mut().unwrap().push(json!({"name": name, "value": value}));
    manifest
}

/// Puts a value at a JSON pointer, whose parent must exist.
pub fn with(mut manifest: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = manifest.pointer_mut(parent).unwrap_or_else(|| panic!("the manifest has no {parent}"));
    parent.as_object_mut().unwrap().insert(key.to_owned(), value);
    manifest
}
