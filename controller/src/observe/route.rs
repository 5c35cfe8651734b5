//! The route as it is: whether it says what the committed state asks for, and whether every gateway took it.

use kube::api::DynamicObject;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};
use rollpin_crds::AgentRelease;
use rollpin_engine::observed::RouteSeen;
use rollpin_engine::plan::Plan;
use rollpin_engine::policy::Settings;
use serde_json::{Value, json};

use crate::build::{self, Agent, traffic};
use crate::context::{Context, Memory};
use crate::error::Error;
use crate::watch::http_route;

/// A route that is there, with what a write needs as its fence.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// The version that was read.
    pub version: String,
    /// Whether it is ours.
    pub ours: bool,
    /// Its generation.
    generation: i64,
    /// Its spec.
    pub spec: Value,
    status: Value,
}

/// Reads the route: the watched copy, or the API server's own after somebody else was faster.
pub async fn read(ctx: &Context, agent: &Agent, memory: &Memory) -> Result<Option<Live>, Error> {
    if memory.read_fresh {
        let api: Api<DynamicObject> = Api::namespaced_with(ctx.shared.client.clone(), &agent.namespace, &http_route());
        let found = api.get_opt(&agent.name).await;
        let found = found
            .map_err(|cause| Error::api("read", format!("HTTPRoute {}/{}", agent.namespace, agent.name), cause))?;
        return Ok(found.as_ref().map(|route| live(route, agent)));
    }
    let key = ObjectRef::new_with(&agent.name, http_route()).within(&agent.namespace);
    Ok(ctx.stores.routes.get(&key).map(|route| live(&route, agent)))
}

fn live(route: &DynamicObject, agent: &Agent) -> Live {
    Live {
        uid: route.metadata.uid.clone().unwrap_or_default(),
        version: route.metadata.resource_version.clone().unwrap_or_default(),
        ours: route.owner_references().iter().any(|owner| owner.uid == agent.uid),
        generation: route.metadata.generation.unwrap_or_default(),
        spec: route.data.get("spec").cloned().unwrap_or_default(),
        status: route.data.get("status").cloned().unwrap_or_default(),
    }
}

/// What a decision needs to know of it.
pub fn seen(
    agent: &Agent,
    release: &AgentRelease,
    settings: &Settings,
    expected: &Plan,
    route: Option<&Live>,
) -> RouteSeen {
    let Some(plan) = &expected.route else {
        return RouteSeen::default();
    };
    let Some(live) = route else {
        return RouteSeen { problem: Some("the route is not there yet".to_owned()), ..RouteSeen::default() };
    };
    let wanted = traffic::route(agent, plan, &release.spec.traffic, &settings.carriers, Some(&live.spec));
    let problem = refusal(live, &json!(release.spec.traffic.gateway.parent_refs), &agent.namespace);
    RouteSeen { current: says(live, &wanted), accepted: problem.is_none(), problem, ..RouteSeen::default() }
}

/// Whether a live route says what is wanted.
pub fn says(live: &Live, wanted: &Value) -> bool {
    wanted.get("spec").is_some_and(|spec| build::holds(&live.spec, spec))
}

/// Why a gateway has not taken this generation of the route, if one has not.
fn refusal(live: &Live, parents: &Value, namespace: &str) -> Option<String> {
    let answers = live.status.get("parents").and_then(Value::as_array);
    parents.as_array().into_iter().flatten().find_map(|parent| {
        let name = parent.get("name").and_then(Value::as_str).unwrap_or_default();
        let answer = answers
            .into_iter()
            .flatten()
            .find(|answer| answer.get("parentRef").is_some_and(|known| same_parent(known, parent, namespace)));
        let Some(answer) = answer else {
            return Some(format!(
                "Gateway {name} has not answered yet: does it exist, and does it allow routes from this namespace?"
            ));
        };
        ["Accepted", "ResolvedRefs"].iter().find_map(|condition| missing(answer, condition, live.generation, name))
    })
}

/// The gateway's answer repeats our reference with its defaults filled in.
fn same_parent(known: &Value, ours: &Value, namespace: &str) -> bool {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
    let place = |value: &Value| text(value, "namespace").unwrap_or_else(|| namespace.to_owned());
    text(known, "name") == text(ours, "name")
        && text(known, "sectionName") == text(ours, "sectionName")
        && place(known) == place(ours)
}

fn missing(answer: &Value, condition: &str, generation: i64, gateway: &str) -> Option<String> {
    let conditions = answer.get("conditions").and_then(Value::as_array);
    let found = conditions.into_iter().flatten().find(|one| one.get("type").and_then(Value::as_str) == Some(condition));
    let Some(found) = found else {
        return Some(format!("Gateway {gateway} has not said {condition} yet"));
    };
    if found.get("observedGeneration").and_then(Value::as_i64) != Some(generation) {
        return Some(format!("Gateway {gateway} has not looked at the newest route yet"));
    }
    if found.get("status").and_then(Value::as_str) == Some("True") {
        return None;
    }
    let message = found.get("message").and_then(Value::as_str).unwrap_or("it gives no reason");
    let message: String = message.chars().take(300).collect();
    Some(format!("Gateway {gateway} does not take the route: {condition} is not True: {message}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(generation: i64, conditions: &Value) -> Live {
        Live {
            uid: "u".to_owned(),
            version: "1".to_owned(),
            ours: true,
            generation,
            spec: Value::Null,
            status: json!({"parents": [{"parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"}, "conditions": conditions}]}),
        }
    }

    fn conditions(generation: i64, resolved: &str) -> Value {
        json!([
            {"type": "Accepted", "status": "True", "observedGeneration": generation},
            {"type": "ResolvedRefs", "status": resolved, "observedGeneration": generation, "message": "no such Service"},
        ])
    }

    fn parents() -> Value {
        json!([{"name": "public"}])
    }

    #[test]
    fn a_route_counts_as_accepted_for_its_own_generation_only() {
        assert_eq!(refusal(&route(3, &conditions(3, "True")), &parents(), "agents"), None);
        assert!(refusal(&route(4, &conditions(3, "True")), &parents(), "agents").unwrap().contains("newest"));
    }

    #[test]
    fn a_backend_that_is_not_found_is_repeated_in_the_gateways_words() {
        assert!(refusal(&route(3, &conditions(3, "False")), &parents(), "agents").unwrap().contains("no such Service"));
    }

    #[test]
    fn every_parent_must_answer() {
        let parents = json!([{"name": "public"}, {"name": "internal", "namespace": "infra"}]);
        assert!(refusal(&route(3, &conditions(3, "True")), &parents, "agents").unwrap().contains("internal"));
    }

    #[test]
    fn a_gateway_of_another_namespace_is_another_gateway() {
        let parents = json!([{"name": "public", "namespace": "infra"}]);
        assert!(refusal(&route(3, &conditions(3, "True")), &parents, "agents").is_some());
        assert_eq!(
            refusal(&route(3, &conditions(3, "True")), &json!([{"name": "public", "namespace": "agents"}]), "agents"),
            None
        );
    }
}
