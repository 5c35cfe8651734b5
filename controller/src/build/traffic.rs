//! The one `HTTPRoute` of an agent: the weighted rule, then a pin rule per release.
//!
//! A pin rule wins over the weighted rule because it matches a header more (the precedence of Gateway API), not by its
//! place. Places matter for another reason: gateways name what they build after a rule's number, so a rule that moves up
//! is torn down and built again under traffic, which answers 503 or, for a moment, the wrong release. So the weighted
//! rule is number 0 for ever, and a release keeps the number at which it entered until it has left.
//!
//! It decides nothing about weights: a `RoutePlan` comes in, JSON comes out. Core features of Gateway API only, but for the
//! regular expressions of the MCP and cookie carriers, which rollpin's own probes check.

use rollpin_crds::status::ReleaseRef;
use rollpin_crds::traffic::{Carrier, GatewayBinding, PathMatch, Pin, Traffic};
use rollpin_crds::{ASSIGNMENT_HEADER, PIN_HEADER, WELL_KNOWN_PATH};
use rollpin_engine::digest::base32;
use rollpin_engine::plan::RoutePlan;
use serde_json::{Map, Value, json};

use super::Agent;
use super::children::SERVICE_PORT;

/// Name of the MCP argument header where the spec names none.
const MCP_PARAM: &str = "Conversation";

/// The route, without the fence that a write adds. `live` is the spec that stands, from which places are kept.
pub fn route(agent: &Agent, plan: &RoutePlan, traffic: &Traffic, carriers: &[Carrier], live: Option<&Value>) -> Value {
    let gateway = &traffic.gateway;
    let mut rules = vec![weighted_rule(gateway, &plan.weights)];
    rules.extend(places(plan, live).iter().map(|(pinned, target)| pin_rule(traffic, carriers, pinned, target)));
    let mut spec = json!({"parentRefs": gateway.parent_refs, "rules": rules});
    if !gateway.hostnames.is_empty() {
        insert(&mut spec, "hostnames", json!(gateway.hostnames));
    }
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": agent.metadata(&agent.name),
        "spec": spec,
    })
}

/// The pins in the order of their rules: each where it stands already, new ones where one has left, else at the end. A
/// place that is left and not taken keeps its rule and leads to the release that serves, until it is the last one.
fn places(plan: &RoutePlan, live: Option<&Value>) -> Vec<(String, ReleaseRef)> {
    let wanted: Vec<(String, ReleaseRef)> =
        plan.pins.iter().map(|(pinned, target)| (base32(&pinned.digest), target.clone())).collect();
    let standing = live.map(standing_pins).unwrap_or_default();
    let mut fresh: Vec<(String, ReleaseRef)> =
        wanted.iter().filter(|(pin, _)| !standing.contains(pin)).cloned().rev().collect();
    let mut places: Vec<(String, Option<ReleaseRef>)> = standing
        .into_iter()
        .map(|pin| match wanted.iter().find(|(known, _)| *known == pin) {
            Some((_, target)) => (pin, Some(target.clone())),
            None => fresh.pop().map_or((pin, None), |(pin, target)| (pin, Some(target))),
        })
        .collect();
    places.extend(fresh.into_iter().rev().map(|(pin, target)| (pin, Some(target))));
    while places.last().is_some_and(|(_, target)| target.is_none()) {
        places.pop();
    }
    let serving = plan.pins.first().map(|(_, target)| target.clone()).unwrap_or_default();
    places.into_iter().map(|(pin, target)| (pin, target.unwrap_or_else(|| serving.clone()))).collect()
}

/// The pins of a route that stands, in the order of its rules.
fn standing_pins(spec: &Value) -> Vec<String> {
    let rules = spec.get("rules").and_then(Value::as_array).into_iter().flatten();
    rules.filter_map(|rule| rule.get("name")?.as_str()?.strip_prefix("pin-").map(str::to_owned)).collect()
}

/// The header of the carrier `McpParam`.
pub fn mcp_param_header(pin: Option<&Pin>) -> String {
    let name = pin.and_then(|pin| pin.mcp_param.as_deref()).unwrap_or(MCP_PARAM);
    format!("Mcp-Param-{name}")
}

fn pin_rule(traffic: &Traffic, carriers: &[Carrier], b32: &str, target: &ReleaseRef) -> Value {
    let paths = &traffic.gateway.matches;
    let mut matches: Vec<Value> = vec![];
    for carrier in carriers {
        let held = carried(*carrier, b32, traffic.pin.as_ref());
        if *carrier == Carrier::PathPrefix || paths.is_empty() {
            matches.push(held);
            continue;
        }
        matches.extend(paths.iter().map(|path| with_path(&held, &path_match(path))));
        // The probes' own path, which the agent's paths need not cover.
        let probe = json!({"type": "Exact", "value": format!("{WELL_KNOWN_PATH}/{b32}")});
        matches.push(with_path(&held, &probe));
    }
    rule(&traffic.gateway, &format!("pin-{b32}"), matches, "pinned", &[(target, None)])
}

fn weighted_rule(gateway: &GatewayBinding, weights: &[(ReleaseRef, i64)]) -> Value {
    let matches = gateway.matches.iter().map(|path| json!({"path": path_match(path)})).collect();
    let backends: Vec<(&ReleaseRef, Option<i64>)> =
        weights.iter().filter(|(_, weight)| *weight > 0).map(|(release, weight)| (release, Some(*weight))).collect();
    rule(gateway, "weighted", matches, "weighted", &backends)
}

fn rule(
    gateway: &GatewayBinding,
    name: &str,
    matches: Vec<Value>,
    assignment: &str,
    backends: &[(&ReleaseRef, Option<i64>)],
) -> Value {
    let mut rule = json!({
        "name": name,
        "filters": filters(gateway, assignment),
        "backendRefs": backends.iter().map(|(release, weight)| backend(release, *weight)).collect::<Vec<_>>(),
    });
    if !matches.is_empty() {
        insert(&mut rule, "matches", Value::Array(matches));
    }
    if let Some(timeouts) = &gateway.timeouts {
        insert(&mut rule, "timeouts", json!(timeouts));
    }
    rule
}

fn backend(release: &ReleaseRef, weight: Option<i64>) -> Value {
    let mut backend = json!({"name": release.revision, "port": SERVICE_PORT});
    if let Some(weight) = weight {
        insert(&mut backend, "weight", json!(weight));
    }
    backend
}

/// What a follow-up of a release looks like by one carrier.
fn carried(carrier: Carrier, b32: &str, pin: Option<&Pin>) -> Value {
    let header =
        |kind: &str, name: &str, value: String| json!({"headers": [{"type": kind, "name": name, "value": value}]});
    match carrier {
        Carrier::Header => header("Exact", PIN_HEADER, b32.to_owned()),
        Carrier::McpParam => header("RegularExpression", &mcp_param_header(pin), format!("{b32}-.*")),
        Carrier::McpSession => header("RegularExpression", "Mcp-Session-Id", format!("{b32}-.*")),
        Carrier::Cookie => header("RegularExpression", "cookie", format!("(.*; ?)?agent-release={b32}(;.*)?")),
        Carrier::Query => {
            json!({"queryParams": [{"type": "Exact", "name": "agent_release", "value": b32}]})
        }
        Carrier::PathPrefix => {
            json!({"path": {"type": "PathPrefix", "value": format!("/r/{b32}")}})
        }
    }
}

fn path_match(path: &PathMatch) -> Value {
    json!({"type": path.kind, "value": path.value})
}

fn with_path(held: &Value, path: &Value) -> Value {
    let mut joined = held.clone();
    insert(&mut joined, "path", path.clone());
    joined
}

/// Our header beside the user's filters; Gateway API allows one `RequestHeaderModifier` per rule, so theirs takes ours in.
fn filters(gateway: &GatewayBinding, assignment: &str) -> Vec<Value> {
    let ours = json!({"name": ASSIGNMENT_HEADER, "value": assignment});
    let mut filters: Vec<Value> = gateway.filters.iter().cloned().map(Value::Object).collect();
    let theirs = filters.iter_mut().find(|filter| filter.get("type") == Some(&json!("RequestHeaderModifier")));
    match theirs.and_then(|filter| filter.get_mut("requestHeaderModifier")).and_then(Value::as_object_mut) {
        Some(modifier) => set_header(modifier, ours),
        None => filters.insert(0, json!({"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [ours]}})),
    }
    filters
}

fn set_header(modifier: &mut Map<String, Value>, ours: Value) {
    let set = modifier.entry("set").or_insert_with(|| json!([]));
    if let Some(headers) = set.as_array_mut() {
        headers.retain(|header| {
            header.get("name").and_then(Value::as_str).is_none_or(|name| !name.eq_ignore_ascii_case(ASSIGNMENT_HEADER))
        });
        headers.push(ours);
    }
}

fn insert(object: &mut Value, key: &str, value: Value) {
    if let Some(map) = object.as_object_mut() {
        map.insert(key.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(letter: char) -> ReleaseRef {
        ReleaseRef {
            digest: format!("sha256:{}", letter.to_string().repeat(64)),
            behavior_digest: String::new(),
            revision: format!("support-{letter}"),
        }
    }

    fn agent() -> Agent {
        Agent { namespace: "agents".to_owned(), name: "support".to_owned(), uid: "u-1".to_owned() }
    }

    fn traffic(json: &Value) -> Traffic {
        serde_json::from_value(json.clone()).unwrap()
    }

    fn plain() -> Traffic {
        traffic(&json!({"gateway": {"parentRefs": [{"name": "public"}], "hostnames": ["support.acme.example"]}}))
    }

    fn plan(canary: i64) -> RoutePlan {
        let (stable, trial) = (release('a'), release('b'));
        let mut weights = vec![(stable.clone(), 100 - canary), (trial.clone(), canary)];
        weights.retain(|(_, weight)| *weight > 0);
        RoutePlan { weights, pins: vec![(stable.clone(), stable), (trial.clone(), trial)] }
    }

    fn rules(route: &Value) -> Vec<Value> {
        route.pointer("/spec/rules").and_then(Value::as_array).cloned().unwrap()
    }

    #[test]
    fn the_weighted_rule_is_number_0_and_every_release_has_a_pin_rule() {
        let route = route(&agent(), &plan(5), &plain(), &[Carrier::Header, Carrier::McpParam], None);
        insta::assert_json_snapshot!(route);
    }

    #[test]
    fn a_canary_without_weight_has_a_pin_and_no_share_of_new_sessions() {
        let rules = rules(&route(&agent(), &plan(0), &plain(), &[Carrier::Header], None));
        assert_eq!(rules.len(), 3);
        assert_eq!(rules[0]["backendRefs"], json!([{"name": "support-a", "port": 80, "weight": 100}]));
        assert_eq!(rules[2]["backendRefs"], json!([{"name": "support-b", "port": 80}]));
    }

    fn pins(spec: &Value) -> Vec<String> {
        standing_pins(spec)
    }

    fn spec(releases: &str, live: Option<&Value>) -> Value {
        let all: Vec<ReleaseRef> = releases.chars().map(release).collect();
        let weights = vec![(all[0].clone(), 100)];
        let plan = RoutePlan { weights, pins: all.into_iter().map(|one| (one.clone(), one)).collect() };
        route(&agent(), &plan, &plain(), &[Carrier::Header], live)["spec"].clone()
    }

    fn named(releases: &str) -> Vec<String> {
        releases.chars().map(|letter| base32(&release(letter).digest)).collect()
    }

    #[test]
    fn a_release_keeps_the_number_of_its_rule_until_it_has_left() {
        let canary = spec("ab", None);
        assert_eq!(pins(&canary), named("ab"));
        let promoted = spec("ba", Some(&canary));
        assert_eq!(pins(&promoted), named("ab"), "what serves changed, the numbers did not");
        let baked = spec("b", Some(&promoted));
        assert_eq!(pins(&baked), named("ab"), "the place of the one that left leads to the one that serves");
        assert_eq!(rules(&json!({"spec": baked}))[1]["backendRefs"][0]["name"], "support-b");
        let next = spec("bc", Some(&baked));
        assert_eq!(pins(&next), named("cb"), "a new release takes the free place");
        assert_eq!(pins(&spec("c", Some(&next))), named("c"), "the last place is given up");
        assert_eq!(spec("bc", Some(&next)), next, "written once, it is written for good");
    }

    #[test]
    fn a_withdrawn_release_sends_its_conversations_to_stable() {
        let (stable, rejected) = (release('a'), release('b'));
        let plan = RoutePlan {
            weights: vec![(stable.clone(), 100)],
            pins: vec![(stable.clone(), stable.clone()), (rejected, stable)],
        };
        let rules = rules(&route(&agent(), &plan, &plain(), &[Carrier::Header], None));
        assert_eq!(rules[2]["matches"][0]["headers"][0]["value"], base32(&release('b').digest));
        assert_eq!(rules[2]["backendRefs"][0]["name"], "support-a");
    }

    #[test]
    fn every_path_is_multiplied_by_every_carrier_and_the_probe_path_is_added() {
        let traffic = traffic(&json!({"gateway": {
            "parentRefs": [{"name": "public"}],
            "matches": [{"type": "PathPrefix", "value": "/chat"}, {"type": "Exact", "value": "/mcp"}],
        }}));
        let rules = rules(&route(&agent(), &plan(5), &traffic, &[Carrier::Header, Carrier::McpSession], None));
        let paths: Vec<&Value> =
            rules[1]["matches"].as_array().unwrap().iter().map(|one| &one["path"]["value"]).collect();
        let probe = json!(format!("{WELL_KNOWN_PATH}/{}", base32(&release('a').digest)));
        assert_eq!(paths, vec![&json!("/chat"), &json!("/mcp"), &probe, &json!("/chat"), &json!("/mcp"), &probe]);
        assert_eq!(rules[0]["matches"].as_array().unwrap().len(), 2);
    }

    #[test]
    fn a_header_filter_of_the_user_takes_our_header_in() {
        let traffic = traffic(&json!({"gateway": {"parentRefs": [{"name": "public"}], "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x-team", "value": "a"}, {"name": "X-Agent-Assignment", "value": "forged"}]}},
        ]}}));
        let rules = rules(&route(&agent(), &plan(5), &traffic, &[Carrier::Header], None));
        assert_eq!(
            rules[0]["filters"],
            json!([{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [
                {"name": "x-team", "value": "a"}, {"name": "x-agent-assignment", "value": "weighted"},
            ]}}])
        );
    }

    #[test]
    fn the_header_of_an_mcp_argument_can_be_named() {
        let traffic = traffic(&json!({"gateway": {"parentRefs": [{"name": "public"}]}, "pin": {"mcpParam": "Thread"}}));
        let rules = rules(&route(&agent(), &plan(5), &traffic, &[Carrier::McpParam], None));
        assert_eq!(rules[1]["matches"][0]["headers"][0]["name"], "Mcp-Param-Thread");
    }

    #[test]
    fn weights_sum_to_a_hundred() {
        for canary in [0, 1, 5, 50, 99, 100] {
            let rules = rules(&route(&agent(), &plan(canary), &plain(), &[Carrier::Header], None));
            let sum: i64 =
                rules[0]["backendRefs"].as_array().unwrap().iter().map(|one| one["weight"].as_i64().unwrap()).sum();
            assert_eq!(sum, 100, "canary at {canary}");
        }
    }
}
