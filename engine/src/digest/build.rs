//! From a spec and the content that it refers to, to a release: check, resolve, project, hash.

use rollpin_crds::AgentReleaseSpec;
use rollpin_crds::bundle::Parameters;
use rollpin_crds::revision::Component;
use rollpin_crds::status::ReleaseRef;
use serde_json::Value;

use super::{
    Built, COMPONENT_LIMIT, Contents, INLINE_LIMIT, MOUNT_LIMIT, NotBuilt, content, manifest::manifest, names, project,
    strict, template,
};
use crate::hash;
use crate::validate::{self, Problem};

/// Makes the release that a spec asks for.
pub fn build(agent: &str, spec: &AgentReleaseSpec, contents: &Contents) -> Result<Built, NotBuilt> {
    let mut problems = hashable(spec);
    problems.extend(validate::agent_name(agent));
    let texts = match content::resolve(&spec.bundle.prompt, contents) {
        Ok(texts) => texts,
        Err(unresolved) => {
            problems.extend(unresolved.problems);
            return Err(if problems.is_empty() {
                NotBuilt::WaitingForContent(unresolved.waiting.join("; "))
            } else {
                NotBuilt::Invalid(problems)
            });
        }
    };
    let Some(port) = harness_port(spec) else {
        problems.push(no_port());
        return Err(NotBuilt::Invalid(problems));
    };
    let (kept, _) = template::split_template(&Value::Object(spec.template.clone()));
    match project::components(&spec.bundle, &texts, spec.contract.as_ref(), template::hashed(&kept)) {
        Ok(components) if problems.is_empty() => assemble(agent, spec, &components, &kept, port),
        Ok(_) => Err(NotBuilt::Invalid(problems)),
        Err(more) => {
            problems.extend(more);
            Err(NotBuilt::Invalid(problems))
        }
    }
}

/// The port of the harness: `contract.port`, else the first port of the first container.
#[must_use]
pub fn harness_port(spec: &AgentReleaseSpec) -> Option<i32> {
    let declared = spec.contract.as_ref().and_then(|contract| contract.port);
    let first = spec.template.get("spec")?.pointer("/containers/0/ports/0/containerPort").and_then(Value::as_i64);
    declared.or_else(|| first.and_then(|port| i32::try_from(port).ok()))
}

fn no_port() -> Problem {
    Problem::new(
        "spec.contract.port",
        "nothing says at which port the harness listens; write contract.port, or ports in the first container",
    )
}

fn assemble(
    agent: &str,
    spec: &AgentReleaseSpec,
    components: &[(&'static str, Value)],
    kept: &Value,
    port: i32,
) -> Result<Built, NotBuilt> {
    let behavior: Vec<(&str, String)> =
        components.iter().map(|(name, value)| (*name, hash::canonical(&project::behavior_of(name, value)))).collect();
    let behavior_manifest = manifest(behavior.iter().map(|(name, blob)| (*name, blob.as_str())));
    let components: Vec<Component> = components
        .iter()
        .zip(&behavior)
        .map(|((name, value), (_, behavior))| component(name, value, behavior))
        .collect();
    let manifest = manifest(components.iter().map(|it| (it.name.as_str(), it.content.as_str())));
    let problems = too_large(&components, &manifest);
    if !problems.is_empty() {
        return Err(NotBuilt::Invalid(problems));
    }
    let digest = hash::of_bytes(manifest.as_bytes());
    Ok(Built {
        release: ReleaseRef {
            revision: names::object_name(agent, &digest),
            digest,
            behavior_digest: hash::of_bytes(behavior_manifest.as_bytes()),
        },
        manifest,
        components,
        template: hash::canonical(kept),
        contract_level: spec.contract.as_ref().map_or(0, |contract| contract.level),
        port,
    })
}

fn component(name: &str, value: &Value, behavior: &str) -> Component {
    let content = hash::canonical(value);
    Component {
        name: name.to_owned(),
        digest: hash::of_bytes(content.as_bytes()),
        behavior_digest: hash::of_bytes(behavior.as_bytes()),
        content,
    }
}

/// Everything in a spec that must not be hashed, and bundles that are too long to be inline.
fn hashable(spec: &AgentReleaseSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(parameters) = &spec.bundle.model.parameters {
        not_finite(parameters, &mut problems);
    }
    if !problems.is_empty() {
        return problems;
    }
    let bundle = serde_json::to_value(&spec.bundle).unwrap_or_default();
    strict::check("spec.bundle", &bundle, &mut problems);
    strict::check("spec.template", &Value::Object(spec.template.clone()), &mut problems);
    let length = hash::canonical(&bundle).len();
    if length > INLINE_LIMIT {
        let advice = "move long texts into immutable ConfigMaps (contentFrom.configMapKeyRef), or into an OCI artifact (ociRef) once this version can fetch one";
        problems.push(Problem::new(
            "spec.bundle",
            format!("the bundle is {length} bytes, the limit is {INLINE_LIMIT}; {advice}"),
        ));
    }
    problems
}

fn not_finite(parameters: &Parameters, problems: &mut Vec<Problem>) {
    let floats = [
        ("temperature", parameters.temperature),
        ("topP", parameters.top_p),
        ("frequencyPenalty", parameters.frequency_penalty),
        ("presencePenalty", parameters.presence_penalty),
    ];
    for (name, value) in floats {
        if value.is_some_and(|value| !value.is_finite()) {
            let field = format!("spec.bundle.model.parameters.{name}");
            problems
                .push(Problem::new(field, "not a finite number; write a number such as 0.2, or leave the field out"));
        }
    }
}

fn too_large(components: &[Component], manifest: &str) -> Vec<Problem> {
    let mut problems: Vec<Problem> = components
        .iter()
        .filter(|it| it.content.len() > COMPONENT_LIMIT)
        .map(|it| {
            Problem::new(
                field_of(&it.name),
                format!("{} bytes, the limit of one component is {COMPONENT_LIMIT}", it.content.len()),
            )
        })
        .collect();
    let total: usize = manifest.len() + components.iter().map(|it| it.content.len()).sum::<usize>();
    if total > MOUNT_LIMIT {
        problems.push(Problem::new(
            "spec.bundle",
            format!("{total} bytes with all content, the limit of one release is {MOUNT_LIMIT}"),
        ));
    }
    problems
}

fn field_of(component: &str) -> String {
    match component {
        "harness" => "spec.template".to_owned(),
        name => format!("spec.bundle.{name}"),
    }
}
