//! rollpin's own probes through the gateway: does a pin hold, and is a withdrawn release still reached?
//!
//! They go to the well-known path only, never to an endpoint that would cost a model call, and carry no content.

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use reqwest::StatusCode;
use reqwest::header::{HOST, HeaderMap, HeaderName, HeaderValue};
use rollpin_crds::status::{AgentReleaseStatus, ReleaseRef, State};
use rollpin_crds::traffic::{Carrier, GatewayBinding, Traffic};
use rollpin_crds::{AgentRelease, PIN_HEADER, WELL_KNOWN_PATH};
use rollpin_engine::digest::base32;
use rollpin_engine::observed::{RevisionSeen, RouteSeen};
use rollpin_engine::policy::Settings;
use serde_json::Value;

use super::{in_force, withdrawn};
use crate::build::{Agent, traffic};
use crate::context::{Context, Memory};

/// How long the answer of one probe is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the pins of a canary with traffic are looked at again.
const AGAIN: Duration = Duration::from_mins(1);

/// What probes said of a canary.
#[derive(Clone, Debug)]
pub struct Probed {
    digest: String,
    at: Instant,
    /// Absent: nothing could be asked.
    holds: Option<bool>,
    missing: Vec<String>,
}

/// What one probe met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    /// The release itself.
    Release,
    /// Another one, or nobody that knows it.
    Other,
    /// No answer.
    Silence,
}

/// Adds what probes say, where it is needed: before a canary has weight, now and then while it has, and while one is taken back.
#[allow(clippy::too_many_arguments)] // the facts read so far; each is used once
pub async fn through_gateway(
    ctx: &Context,
    agent: &Agent,
    release: &AgentRelease,
    status: &AgentReleaseStatus,
    settings: &Settings,
    revisions: &[RevisionSeen],
    route: &mut RouteSeen,
    memory: &mut Memory,
) {
    if settings.contract_level < 1 || !in_force(route) {
        return;
    }
    if let Some(gone) = withdrawn(status) {
        route.withdrawn_reached = still_reached(ctx, agent, release, settings, gone).await;
        return;
    }
    let Some(State::Canary(canary)) = &status.state else {
        return;
    };
    let ready = revisions.iter().any(|seen| seen.digest == canary.trial.digest && seen.ready > 0 && seen.endpoints > 0);
    if !ready {
        return;
    }
    let known = memory
        .probed
        .clone()
        .filter(|probed| probed.digest == canary.trial.digest && is_good_still(probed, canary.weight));
    let probed = match known {
        Some(probed) => probed,
        None => probe_pins(ctx, agent, release, settings, &canary.trial).await,
    };
    route.pin_holds = probed.holds;
    route.carriers_missing.clone_from(&probed.missing);
    memory.probed = Some(probed);
}

fn is_good_still(probed: &Probed, weight: i64) -> bool {
    // An address that was not known may be by now; it costs one call.
    probed.holds == Some(true) && (weight == 0 || probed.at.elapsed() < AGAIN)
}

async fn still_reached(
    ctx: &Context,
    agent: &Agent,
    release: &AgentRelease,
    settings: &Settings,
    gone: &ReleaseRef,
) -> Option<bool> {
    let target = Target::of(ctx, agent, &release.spec.traffic.gateway).await?;
    let mut all_answered = true;
    for carrier in &settings.carriers {
        match target.probe(ctx, &release.spec.traffic, *carrier, gone).await {
            Met::Release => return Some(true),
            Met::Other => {}
            Met::Silence => all_answered = false,
        }
    }
    all_answered.then_some(false)
}

async fn probe_pins(
    ctx: &Context,
    agent: &Agent,
    release: &AgentRelease,
    settings: &Settings,
    trial: &ReleaseRef,
) -> Probed {
    let mut missing = vec![];
    let mut held = vec![];
    match Target::of(ctx, agent, &release.spec.traffic.gateway).await {
        None => missing.push(
            "pins were not probed: the Gateway's status has no address, so give spec.traffic.gateway.probeAddress"
                .to_owned(),
        ),
        Some(target) => {
            for carrier in &settings.carriers {
                let met = target.probe(ctx, &release.spec.traffic, *carrier, trial).await;
                held.push((*carrier, met == Met::Release));
                missing.extend(complaint(*carrier, met, &target.address));
            }
        }
    }
    Probed { digest: trial.digest.clone(), at: Instant::now(), holds: enough(&held), missing }
}

/// The Core carrier must hold; others may be beyond the gateway, and are named. Absent where nothing could be asked.
fn enough(held: &[(Carrier, bool)]) -> Option<bool> {
    match held.iter().find(|(carrier, _)| *carrier == Carrier::Header) {
        Some((_, holds)) => Some(*holds),
        None if held.is_empty() => None,
        None => Some(held.iter().any(|(_, holds)| *holds)),
    }
}

fn complaint(carrier: Carrier, met: Met, address: &str) -> Option<String> {
    match met {
        Met::Release => None,
        Met::Other => Some(format!("{carrier:?}: the gateway does not send a pinned request to its release")),
        Met::Silence => Some(format!("{carrier:?}: the gateway at {address} does not answer")),
    }
}

/// Where probes go.
struct Target {
    address: String,
    host: Option<String>,
}

impl Target {
    async fn of(ctx: &Context, agent: &Agent, gateway: &GatewayBinding) -> Option<Self> {
        let address = match &gateway.probe_address {
            Some(address) => address.clone(),
            None => gateway_address(ctx, agent, gateway).await?,
        };
        // A wildcard host name stands for any name below it.
        let host = gateway.hostnames.first().map(|host| host.replacen('*', "rollpin-probe", 1));
        Some(Self { address, host })
    }

    async fn probe(&self, ctx: &Context, traffic: &Traffic, carrier: Carrier, release: &ReleaseRef) -> Met {
        let b32 = base32(&release.digest);
        let Some(headers) = self.headers(carrier, &b32, traffic) else {
            return Met::Silence;
        };
        let path = match carrier {
            Carrier::PathPrefix => format!("/r/{b32}{WELL_KNOWN_PATH}/{b32}"),
            Carrier::Query => format!("{WELL_KNOWN_PATH}/{b32}?agent_release={b32}"),
            Carrier::Header | Carrier::McpParam | Carrier::McpSession | Carrier::Cookie => {
                format!("{WELL_KNOWN_PATH}/{b32}")
            }
        };
        let request = ctx.shared.http.get(format!("http://{}{path}", self.address)).headers(headers).timeout(PATIENCE);
        match request.send().await {
            Ok(answer) if answer.status() == StatusCode::OK => Met::Release,
            Ok(_) => Met::Other,
            Err(_) => Met::Silence,
        }
    }

    fn headers(&self, carrier: Carrier, b32: &str, traffic: &Traffic) -> Option<HeaderMap> {
        let mut headers = HeaderMap::new();
        if let Some(host) = &self.host {
            headers.insert(HOST, HeaderValue::from_str(host).ok()?);
        }
        let (name, value) = match carrier {
            Carrier::Header => (PIN_HEADER.to_owned(), b32.to_owned()),
            Carrier::McpParam => (traffic::mcp_param_header(traffic.pin.as_ref()), format!("{b32}-probe")),
            Carrier::McpSession => ("Mcp-Session-Id".to_owned(), format!("{b32}-probe")),
            Carrier::Cookie => ("cookie".to_owned(), format!("agent-release={b32}")),
            Carrier::PathPrefix | Carrier::Query => return Some(headers),
        };
        headers.insert(HeaderName::try_from(name).ok()?, HeaderValue::from_str(&value).ok()?);
        Some(headers)
    }
}

/// The address in the status of the first Gateway, with the port of its listener.
async fn gateway_address(ctx: &Context, agent: &Agent, gateway: &GatewayBinding) -> Option<String> {
    let parent = gateway.parent_refs.first()?;
    let namespace = parent.namespace.as_deref().unwrap_or(&agent.namespace);
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "Gateway"));
    let api: Api<DynamicObject> = Api::namespaced_with(ctx.shared.client.clone(), namespace, &kind);
    let found = api.get_opt(&parent.name).await.ok().flatten()?;
    let address = found.data.pointer("/status/addresses/0/value").and_then(Value::as_str)?;
    let listeners = found.data.pointer("/spec/listeners").and_then(Value::as_array)?;
    let named = |listener: &&Value| {
        parent.section_name.as_deref().is_none_or(|name| listener.get("name").and_then(Value::as_str) == Some(name))
    };
    let port = listeners.iter().find(named)?.get("port").and_then(Value::as_i64)?;
    Some(format!("{address}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_carrier_must_hold_and_others_may_be_missing() {
        assert_eq!(enough(&[(Carrier::Header, true), (Carrier::McpParam, false)]), Some(true));
        assert_eq!(enough(&[(Carrier::Header, false), (Carrier::McpParam, true)]), Some(false));
        assert_eq!(enough(&[(Carrier::McpSession, false)]), Some(false));
    }

    #[test]
    fn what_could_not_be_asked_is_neither_yes_nor_no() {
        assert_eq!(enough(&[]), None);
    }
}
