//! What the spec asks for: policy, digest, pre-flight, and a dry run of its pods; worked out once per generation.
//!
//! Content that is referred to is read by a call and never kept, and only while a generation has not been worked out.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use rollpin_crds::{AgentRelease, AgentReleaseSpec, MANAGER};
use rollpin_engine::digest::{self, Built, Content, Contents, NotBuilt};
use rollpin_engine::observed::Wanted;
use rollpin_engine::phase;
use rollpin_engine::policy::{Policy, Settings};
use rollpin_engine::preflight::{self, Finding};
use rollpin_engine::validate::{self, Problem};
use serde_json::Value;

use crate::build::{Agent, workload};
use crate::context::{Context, Memory};
use crate::error::Error;

/// A valid spec, worked out.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The generation of the spec.
    pub generation: i64,
    /// The release, ready to be stored.
    pub built: Built,
    /// The policy that a new attempt would freeze.
    pub policy: Policy,
    settings: Settings,
    warnings: Vec<String>,
}

/// What the spec asks for, and, if it is complete, what can be stored.
pub async fn wanted(
    ctx: &Context,
    agent: &Agent,
    release: &AgentRelease,
    memory: &mut Memory,
) -> Result<(Wanted, Option<Arc<Prepared>>), Error> {
    let generation = release.metadata.generation.unwrap_or_default();
    let known = memory.prepared.clone().filter(|prepared| prepared.generation == generation);
    let prepared = match known {
        Some(prepared) => prepared,
        None => match work_out(ctx, agent, &release.spec, generation).await? {
            Ok(prepared) => Arc::new(prepared),
            Err(not) => return Ok((not, None)),
        },
    };
    memory.prepared = Some(Arc::clone(&prepared));
    let wanted = Wanted::Release {
        release: prepared.built.release.clone(),
        policy: prepared.policy.clone(),
        settings: prepared.settings.clone(),
        changed: changed(ctx, agent, release, &prepared.built),
        warnings: prepared.warnings.clone(),
    };
    Ok((wanted, Some(prepared)))
}

async fn work_out(
    ctx: &Context,
    agent: &Agent,
    spec: &AgentReleaseSpec,
    generation: i64,
) -> Result<Result<Prepared, Wanted>, Error> {
    let checked = validate::policy(spec);
    let settings = checked.as_ref().ok().map(|(_, settings)| settings.clone());
    let contents = contents(ctx, agent, spec).await?;
    let built = digest::build(&agent.name, spec, &contents);
    let ((policy, settings), built) = match (checked, built) {
        (Ok(checked), Ok(built)) => (checked, built),
        (Ok((_, settings)), Err(NotBuilt::WaitingForContent(why))) => {
            return Ok(Err(Wanted::WaitingForContent { why, settings }));
        }
        (checked, built) => {
            return Ok(Err(invalid(&problems(checked.err(), built.err()), settings)));
        }
    };
    let (wrong, warnings): (Vec<Finding>, Vec<Finding>) =
        preflight::check_with(spec, &contents).into_iter().partition(Finding::blocks);
    let mut wrong: Vec<String> = wrong.iter().map(finding).collect();
    if wrong.is_empty() {
        wrong.extend(template_problem(ctx, agent, spec, &built).await?);
    }
    if !wrong.is_empty() {
        return Ok(Err(Wanted::Invalid { problems: wrong, settings: Some(settings) }));
    }
    Ok(Ok(Prepared { generation, built, policy, settings, warnings: warnings.iter().map(finding).collect() }))
}

fn problems(policy: Option<Vec<Problem>>, built: Option<NotBuilt>) -> Vec<Problem> {
    let mut problems = policy.unwrap_or_default();
    match built {
        Some(NotBuilt::Invalid(more)) => problems.extend(more),
        Some(NotBuilt::WaitingForContent(_)) | None => {}
    }
    problems
}

fn invalid(problems: &[Problem], settings: Option<Settings>) -> Wanted {
    Wanted::Invalid { problems: problems.iter().map(words).collect(), settings }
}

/// One problem as people read it.
pub fn words(problem: &Problem) -> String {
    match problem.code {
        "" => format!("{}: {}", problem.field, problem.message),
        code => format!("{}: {} ({code})", problem.field, problem.message),
    }
}

/// One finding as people read it.
fn finding(finding: &Finding) -> String {
    format!("{}: {} ({})", finding.field, finding.message, finding.code)
}

/// The texts that the spec refers to, as they are now.
async fn contents(ctx: &Context, agent: &Agent, spec: &AgentReleaseSpec) -> Result<Contents, Error> {
    let mut contents = Contents::new();
    let mut maps: BTreeMap<String, Option<ConfigMap>> = BTreeMap::new();
    for reference in digest::references(spec) {
        if !maps.contains_key(&reference.config_map) {
            let found = ctx.api::<ConfigMap>(agent).get_opt(&reference.config_map).await;
            let found = found.map_err(|cause| {
                Error::api("read", format!("ConfigMap {}/{}", agent.namespace, reference.config_map), cause)
            })?;
            maps.insert(reference.config_map.clone(), found);
        }
        let map = maps.get(&reference.config_map).and_then(Option::as_ref);
        let content = Content {
            text: map.and_then(|map| map.data.as_ref()?.get(&reference.key).cloned()),
            immutable: map.is_some_and(|map| map.immutable == Some(true)),
        };
        contents.insert((reference.config_map, reference.key), content);
    }
    Ok(contents)
}

/// What the API server says about the pods, without making any.
async fn template_problem(
    ctx: &Context,
    agent: &Agent,
    spec: &AgentReleaseSpec,
    built: &Built,
) -> Result<Option<String>, Error> {
    let template = Value::Object(spec.template.clone());
    let workload = workload::Workload {
        release: &built.release,
        template: &template,
        contract_level: built.contract_level,
        port: built.port,
        otlp_endpoint: ctx.shared.otlp_endpoint.as_deref(),
    };
    let deployment = match workload::deployment(agent, &workload) {
        Ok(deployment) => deployment,
        Err(problem) => return Ok(Some(problem.to_string())),
    };
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", "Deployment"));
    let api: kube::Api<DynamicObject> = kube::Api::namespaced_with(ctx.shared.client.clone(), &agent.namespace, &kind);
    let params = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).force() };
    match api.patch(&built.release.revision, &params, &Patch::Apply(&deployment)).await {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.is_invalid() || status.code == 400 => {
            Ok(Some(template_words(&status.message)))
        }
        // Server-side apply answers an unknown field or a wrong type with 500 and the words of its schema.
        Err(kube::Error::Api(status)) if status.code == 500 && status.message.contains("schema") => {
            Ok(Some(template_words(&status.message)))
        }
        Err(cause) => {
            Err(Error::api("dry-run", format!("Deployment {}/{}", agent.namespace, built.release.revision), cause))
        }
    }
}

/// The API server speaks of a Deployment; the user wrote a template.
fn template_words(message: &str) -> String {
    let own = message.split_once("is invalid: ").map_or(message, |(_, own)| own);
    format!("spec.template: {}", own.replace("spec.template.spec.", "spec."))
}

/// Components that differ from the release that serves.
fn changed(ctx: &Context, agent: &Agent, release: &AgentRelease, built: &Built) -> Vec<String> {
    let live = release.status.as_ref().and_then(|status| status.state.as_ref()).and_then(phase::live);
    let live = live.and_then(|live| ctx.stores.revisions.get(&ObjectRef::new(&live.revision).within(&agent.namespace)));
    live.map(|live| digest::changed_components(&live.spec.components, &built.components)).unwrap_or_default()
}

/// Whether a store's object belongs to an agent.
pub fn belongs<K: ResourceExt>(object: &K, agent: &Agent) -> bool {
    object.namespace().as_deref() == Some(&agent.namespace)
        && object.labels().get(rollpin_crds::NAME_LABEL) == Some(&agent.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_of_the_pods_names_the_template() {
        let message = "Deployment.apps \"support-abc\" is invalid: spec.template.spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be non-negative";
        assert_eq!(
            template_words(message),
            "spec.template: spec.containers[0].resources.limits[cpu]: Invalid value: \"-1\": must be non-negative"
        );
    }
}
