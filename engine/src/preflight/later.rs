//! N01: fields that the API has and this version does not act on. Silence would be a promise.

use rollpin_crds::AgentReleaseSpec;

use super::Finding;

pub fn check(spec: &AgentReleaseSpec) -> Vec<Finding> {
    let fields = [
        (
            !spec.alerts.is_empty(),
            "spec.alerts",
            "this version receives no alerts; use ReleaseCommands (rollpin rollback) instead",
        ),
        (
            !spec.expect.is_empty(),
            "spec.expect",
            "this version has no drift verdict from which a change could be taken out; the field does nothing yet",
        ),
        (
            spec.drift.is_some(),
            "spec.drift",
            "this version does not watch for drift after the bake; the field does nothing yet",
        ),
    ];
    fields
        .into_iter()
        .filter(|(there, _, _)| *there)
        .map(|(_, field, message)| Finding::warning("N01", field, message))
        .collect()
}
