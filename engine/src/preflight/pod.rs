//! H01: images are pinned by digest. H02: what the pod reads besides its release is not covered by it.

use rollpin_crds::AgentReleaseSpec;
use serde_json::Value;

use super::Finding;
use crate::digest::{image_content, is_digest};

pub fn check(spec: &AgentReleaseSpec) -> Vec<Finding> {
    let mut found = Vec::new();
    let Some(pod) = spec.template.get("spec") else {
        return found;
    };
    for list in ["containers", "initContainers"] {
        for (index, container) in items(pod, list).enumerate() {
            let field = format!("spec.template.spec.{list}[{index}]");
            found.extend(unpinned_image(&field, container));
            found.extend(unpinned_environment(&field, container));
        }
    }
    for (index, volume) in items(pod, "volumes").enumerate() {
        if ["configMap", "secret", "projected"].iter().any(|kind| volume.get(*kind).is_some()) {
            found.push(unpinned(format!("spec.template.spec.volumes[{index}]")));
        }
    }
    found
}

fn items<'a>(value: &'a Value, list: &str) -> impl Iterator<Item = &'a Value> {
    value.get(list).and_then(Value::as_array).into_iter().flatten()
}

fn unpinned_image(field: &str, container: &Value) -> Option<Finding> {
    let image = container.get("image").and_then(Value::as_str).unwrap_or_default();
    (!is_digest(image_content(image))).then(|| {
        let message = format!("{image:?} can change without a new release; write name@sha256:<64 hexadecimal digits>");
        Finding::error("H01", format!("{field}.image"), message)
    })
}

fn unpinned_environment(field: &str, container: &Value) -> Vec<Finding> {
    let from = items(container, "envFrom").next().map(|_| unpinned(format!("{field}.envFrom")));
    let refers = |variable: &&Value| {
        ["configMapKeyRef", "secretKeyRef"].iter().any(|kind| variable.pointer(&format!("/valueFrom/{kind}")).is_some())
    };
    let env = items(container, "env").find(refers).map(|_| unpinned(format!("{field}.env")));
    from.into_iter().chain(env).collect()
}

fn unpinned(field: String) -> Finding {
    let message = "a ConfigMap or Secret here can change without a new release; keep what shapes behaviour in the bundle, and only credentials here";
    Finding::warning("H02", field, message)
}
