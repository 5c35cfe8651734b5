//! Re-hashes a stored revision before it is used, and compares two.
//!
//! A revision is trusted for nothing but its content: every digest in it is made again.

use std::collections::BTreeSet;

use rollpin_crds::AgentRevisionSpec;
use rollpin_crds::revision::Component;
use serde_json::Value;
use thiserror::Error;

use super::{COMPONENTS, DIGEST_VERSION, manifest::manifest, project, template};
use crate::hash;

/// A stored revision that is not what its digest says. Nothing may be made from it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damaged {
    /// Made by a recipe that this version does not know.
    #[error(
        "digest recipe {found} is not known to this version of rollpin (it knows {DIGEST_VERSION}); install the version that made the revision"
    )]
    OtherRecipe {
        /// The recipe.
        found: i64,
    },
    /// A component's content is not what its digest says.
    #[error(
        "component {name} hashes to {found}, the revision says {stored}; restore the AgentRevision from a backup, or delete it and apply the manifest again"
    )]
    Component {
        /// The component.
        name: String,
        /// What its content hashes to.
        found: String,
        /// What is stored.
        stored: String,
    },
    /// A component is unknown, missing its place in the order, or no JSON in canonical form.
    #[error("component {name} is not a component of a release in canonical form and in order")]
    Form {
        /// The component.
        name: String,
    },
    /// The manifest is not that of the components, or does not hash to the digest.
    #[error(
        "the {what} hashes to {found}, the revision says {stored}; restore the AgentRevision from a backup, or delete it and apply the manifest again"
    )]
    Manifest {
        /// `manifest` or `behavior manifest`.
        what: &'static str,
        /// What it hashes to.
        found: String,
        /// What is stored.
        stored: String,
    },
    /// The pod template, contract level or port is not what the harness component says.
    #[error(
        "the {what} is not what the harness component says; restore the AgentRevision from a backup, or delete it and apply the manifest again"
    )]
    Harness {
        /// `template`, `contractLevel` or `port`.
        what: &'static str,
    },
}

/// Makes every digest of a revision again.
pub fn verify(revision: &AgentRevisionSpec) -> Result<(), Damaged> {
    let AgentRevisionSpec {
        agent: _,
        digest,
        behavior_digest,
        digest_version,
        manifest: stored,
        components,
        template,
        contract_level,
        port,
    } = revision;
    if *digest_version != DIGEST_VERSION {
        return Err(Damaged::OtherRecipe { found: *digest_version });
    }
    let mut behavior = Vec::new();
    let mut harness = Value::Null;
    for component in in_order(components)? {
        let value = verify_component(component)?;
        behavior.push((component.name.as_str(), verify_behavior(component, &value)?));
        if component.name == "harness" {
            harness = value;
        }
    }
    let made = manifest(components.iter().map(|it| (it.name.as_str(), it.content.as_str())));
    same("manifest", hash::of_bytes(made.as_bytes()), digest)?;
    same("manifest", hash::of_bytes(stored.as_bytes()), digest)?;
    let made = manifest(behavior.iter().map(|(name, blob)| (*name, blob.as_str())));
    same("behavior manifest", hash::of_bytes(made.as_bytes()), behavior_digest)?;
    verify_harness(&harness, template, *contract_level, *port)
}

/// Names of the components whose content differs, in the order of the layers.
#[must_use]
pub fn changed_components(before: &[Component], after: &[Component]) -> Vec<String> {
    let content = |set: &[Component], name: &str| set.iter().find(|it| it.name == name).map(|it| it.digest.clone());
    COMPONENTS
        .iter()
        .filter(|name| content(before, name) != content(after, name))
        .map(|name| (*name).to_owned())
        .collect()
}

fn in_order(components: &[Component]) -> Result<&[Component], Damaged> {
    let mut seen = BTreeSet::new();
    let mut last = 0;
    for component in components {
        let place = COMPONENTS
            .iter()
            .position(|name| *name == component.name)
            .filter(|place| *place >= last && seen.insert(*place));
        last = place.ok_or_else(|| Damaged::Form { name: component.name.clone() })?;
    }
    Ok(components)
}

fn verify_component(component: &Component) -> Result<Value, Damaged> {
    let Component { name, digest, behavior_digest: _, content } = component;
    let found = hash::of_bytes(content.as_bytes());
    if found != *digest {
        return Err(Damaged::Component { name: name.clone(), found, stored: digest.clone() });
    }
    serde_json::from_str(content)
        .ok()
        .filter(|value| hash::canonical(value) == *content)
        .ok_or_else(|| Damaged::Form { name: name.clone() })
}

fn verify_behavior(component: &Component, value: &Value) -> Result<String, Damaged> {
    let blob = hash::canonical(&project::behavior_of(&component.name, value));
    let found = hash::of_bytes(blob.as_bytes());
    if found != component.behavior_digest {
        return Err(Damaged::Component {
            name: component.name.clone(),
            found,
            stored: component.behavior_digest.clone(),
        });
    }
    Ok(blob)
}

fn same(what: &'static str, found: String, stored: &str) -> Result<(), Damaged> {
    if found == stored { Ok(()) } else { Err(Damaged::Manifest { what, found, stored: stored.to_owned() }) }
}

fn verify_harness(harness: &Value, template: &str, level: i64, port: i32) -> Result<(), Damaged> {
    let stored: Value = serde_json::from_str(template).map_err(|_| Damaged::Harness { what: "template" })?;
    let (kept, _) = template::split_template(&stored);
    if kept != stored || harness.get("template") != Some(&template::hashed(&kept)) {
        return Err(Damaged::Harness { what: "template" });
    }
    if harness.pointer("/contract/level").and_then(Value::as_i64).unwrap_or(0) != level {
        return Err(Damaged::Harness { what: "contractLevel" });
    }
    let declared =
        harness.pointer("/contract/port").or_else(|| stored.pointer("/spec/containers/0/ports/0/containerPort"));
    if declared.and_then(Value::as_i64) != Some(i64::from(port)) {
        return Err(Damaged::Harness { what: "port" });
    }
    Ok(())
}
