//! How traffic reaches an agent, and how a conversation stays with the release that it began on.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::bundle::JsonObject;
use crate::schema::Duration;

/// Traffic of an agent: the gateway in front of it and the session pins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Traffic {
    /// The Gateway API gateway that routes to this agent.
    pub gateway: GatewayBinding,
    /// How a conversation names the release that it began on. Absent: `Header` and `McpParam`, 24 h idle, 7 d age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
}

/// The gateway that routes to this agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayBinding {
    /// The Gateways that the route attaches to.
    #[schemars(length(min = 1, max = 4))]
    pub parent_refs: Vec<ParentRef>,
    /// Host names of the agent. Absent: those of the Gateway's listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 1, max = 253)))]
    pub hostnames: Vec<String>,
    /// Path matches that belong to the agent, copied into every rule. Absent: every path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub matches: Vec<PathMatch>,
    /// Gateway API filters, copied into every rule as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "filters")]
    pub filters: Vec<JsonObject>,
    /// Gateway API timeouts of every rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<RouteTimeouts>,
    /// `host:port` at which rollpin's own probes reach the Gateway, where its status has no address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), regex(pattern = "^[^\\s/]+:[0-9]{1,5}$"))]
    pub probe_address: Option<String>,
}

fn filters(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 8,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "description": "A Gateway API filter."},
    })
}

/// A Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ParentRef {
    /// Name of the Gateway.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Namespace of the Gateway. Absent: the release's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub namespace: Option<String>,
    /// Listener of the Gateway. Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub section_name: Option<String>,
}

/// A path that belongs to the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PathMatch {
    /// `PathPrefix` or `Exact`.
    #[serde(rename = "type")]
    pub kind: PathMatchType,
    /// The path, beginning with `/`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub value: String,
}

/// One of `PathPrefix`, `Exact`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PathMatchType {
    /// The path and everything below it.
    PathPrefix,
    /// The path alone.
    Exact,
}

/// Gateway API timeouts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RouteTimeouts {
    /// Of the whole request, retries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Duration>,
    /// Of one attempt at the backend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend_request: Option<Duration>,
}

/// How a conversation stays with its release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pin {
    /// What carries the release in a follow-up. Absent: `Header` and `McpParam`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 6), extend("x-kubernetes-list-type" = "set"))]
    pub by: Vec<Carrier>,
    /// Name of the MCP argument header behind `McpParam`, the `<Name>` of `Mcp-Param-<Name>`. Absent: `Conversation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9][A-Za-z0-9-]*$"))]
    pub mcp_param: Option<String>,
    /// What happens to pinned conversations when their release is withdrawn: `Migrate`, `Drain` or `Terminate`. Absent: `Migrate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_rollback: Option<OnRollback>,
    /// How long a withdrawn or replaced release may finish its conversations. Absent: 300.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 604_800))]
    pub drain_seconds: Option<i64>,
    /// A conversation that is silent for so long loses its pin at the next turn. Absent: 24 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_idle: Option<Duration>,
    /// A conversation that is older loses its pin at the next turn. Absent: 168 h.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Duration>,
}

/// What carries the release in a follow-up. One of `Header`, `McpParam`, `McpSession`, `PathPrefix`, `Query`, `Cookie`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum Carrier {
    /// The header `x-agent-release`.
    Header,
    /// MCP 2026-07-28: an argument mirrored into `Mcp-Param-<Name>`.
    McpParam,
    /// MCP up to 2025-11-25: `Mcp-Session-Id`.
    McpSession,
    /// A path `/r/<release>/...`.
    PathPrefix,
    /// A query parameter `agent_release`.
    Query,
    /// A cookie `agent-release` on the conversation's path.
    Cookie,
}

/// One of `Migrate`, `Drain`, `Terminate`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnRollback {
    /// Conversations go on at stable.
    #[default]
    Migrate,
    /// Conversations may finish within `drainSeconds`.
    Drain,
    /// Conversations are ended with 410.
    Terminate,
}
