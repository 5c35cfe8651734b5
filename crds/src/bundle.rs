//! The bundle: everything that can change how an agent behaves, apart from its harness pod.
//!
//! Field names are the API's; which of them count as behaviour is decided by the digest, not here.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A JSON object whose content rollpin stores and hashes but does not interpret, such as a JSON Schema.
pub type JsonObject = Map<String, Value>;

/// The schema of a free-form JSON object: `type: object` with unknown fields preserved.
#[must_use]
pub fn free_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// The schema of a JSON Schema written by users: a free-form object that must be an object schema.
#[must_use]
pub fn object_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"type": {"type": "string", "enum": ["object"], "description": "The root of a tool schema is an object."}},
        "required": ["type"],
    })
}

/// What the agent is made of: model, prompt, tools, context layout, runtime limits and session state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// For people; provenance, never part of the behaviour digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub description: Option<String>,
    /// The language model and its parameters.
    pub model: Model,
    /// The prompt: an ordered list of messages.
    pub prompt: Prompt,
    /// The tools that the agent may call. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Tools>,
    /// How the context window is laid out. Absent: the harness decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// Deadlines, retries and loop limits that the harness must keep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Runtime>,
    /// Which session schemas this release writes and reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SessionState>,
}

/// The model, in OpenTelemetry's terms: `gen_ai.provider.name` and `gen_ai.request.model`, pinned to a snapshot.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Model {
    /// Who serves the model, such as `anthropic` or `openai`.
    #[schemars(length(min = 1, max = 63))]
    pub provider: String,
    /// The model's name without its snapshot.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The pinned snapshot, such as `20251001`. An alias like `latest` is refused by lint (M01).
    #[schemars(length(min = 1, max = 253))]
    pub version: String,
    /// Name of the endpoint that the harness should use, where it knows several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub endpoint_ref: Option<String>,
    /// Size of the context window in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub context_window: Option<i64>,
    /// Sampling parameters. An absent parameter is not the same as zero.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<Parameters>,
    /// JSON Schema of the answer, where the provider enforces one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub response_format: Option<JsonObject>,
    /// Models to try in this order when the first one fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub fallbacks: Vec<FallbackModel>,
}

/// Sampling parameters of a model call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Parameters {
    /// Sampling temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 2.0))]
    pub temperature: Option<f64>,
    /// Nucleus sampling mass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub top_p: Option<f64>,
    /// Sample from this many most likely tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub top_k: Option<i64>,
    /// Longest answer in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000_000))]
    pub max_output_tokens: Option<i64>,
    /// Penalty on tokens by how often they occurred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2.0, max = 2.0))]
    pub frequency_penalty: Option<f64>,
    /// Penalty on tokens that occurred at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -2.0, max = 2.0))]
    pub presence_penalty: Option<f64>,
    /// The sampler's seed, where the provider has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = -9_007_199_254_740_991_i64, max = 9_007_199_254_740_991_i64))]
    pub seed: Option<i64>,
    /// How hard a reasoning model should think, in the provider's own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub reasoning_effort: Option<String>,
    /// Budget of reasoning tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100_000_000))]
    pub reasoning_tokens: Option<i64>,
    /// Strings that end an answer, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub stop_sequences: Vec<String>,
}

/// A model to fall back to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FallbackModel {
    /// Who serves the model.
    #[schemars(length(min = 1, max = 63))]
    pub provider: String,
    /// The model's name without its snapshot.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The pinned snapshot.
    #[schemars(length(min = 1, max = 253))]
    pub version: String,
}

/// The prompt.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// How `{{variables}}` in messages are filled in. Absent: `Mustache`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_engine: Option<TemplateEngine>,
    /// The messages, in the order in which the model reads them.
    #[schemars(length(min = 1, max = 64))]
    pub messages: Vec<Message>,
    /// The variables that the messages use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub variables: Vec<Variable>,
}

/// A template language. One of `Mustache`, `None` (braces are literal text).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TemplateEngine {
    /// `{{name}}` is replaced by the variable.
    Mustache,
    /// Braces are literal text.
    None,
}

/// One message of the prompt. Exactly one of `content` and `contentFrom` must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.content) != has(self.contentFrom)",
    "message": "give exactly one of content (inline text) and contentFrom (a reference)"
}]))]
pub struct Message {
    /// `system`, `developer`, `user` or `assistant`.
    #[schemars(extend("enum" = ["system", "developer", "user", "assistant"]))]
    pub role: String,
    /// The text of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200_000))]
    pub content: Option<String>,
    /// Where the text is, when it is not inline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_from: Option<ContentSource>,
}

/// Where a text is. Exactly one source must be given.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "has(self.configMapKeyRef) != has(self.ociRef)",
    "message": "give exactly one of configMapKeyRef and ociRef"
}]))]
pub struct ContentSource {
    /// A key of a `ConfigMap` in the release's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<ConfigMapKeyRef>,
    /// A blob in a registry, by digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512), regex(pattern = "^[^@\\s]+@sha256:[0-9a-f]{64}$"))]
    pub oci_ref: Option<String>,
    /// SHA-256 of the text, 64 hexadecimal digits. Needed unless the `ConfigMap` is immutable: Git tools apply in any
    /// order, and without it a moment in between would be hashed as a mixture that nobody wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), regex(pattern = "^[0-9a-f]{64}$"))]
    pub sha256: Option<String>,
}

/// A key of a `ConfigMap`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// Name of the `ConfigMap`.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its `data`.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// A variable of the prompt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// The name between the braces.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z_][A-Za-z0-9_.-]*$"))]
    pub name: String,
    /// Whether the harness must refuse a turn without it. Absent: not required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required: Option<bool>,
    /// Where the harness takes the value from, in its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub source: Option<String>,
}

/// The tools of the agent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tools {
    /// The tools, each an MCP Tool object as the server published it when the release was made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub items: Vec<Tool>,
    /// What each tool does to the world.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub effects: Vec<ToolEffect>,
    /// Whether the model must call a tool: `auto`, `none`, `required`, or a tool's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub choice: Option<String>,
    /// Whether the model may call several tools at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel_calls: Option<bool>,
}

/// An MCP Tool object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tool {
    /// The MCP server that offers the tool, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub server: Option<String>,
    /// The tool's name, as the model sees it.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// A title for people; provenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub title: Option<String>,
    /// What the model reads about the tool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16_384))]
    pub description: Option<String>,
    /// JSON Schema of the arguments.
    #[schemars(schema_with = "object_schema")]
    pub input_schema: JsonObject,
    /// JSON Schema of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "object_schema")]
    pub output_schema: Option<JsonObject>,
    /// MCP's hints, such as `readOnlyHint`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "free_object")]
    pub annotations: Option<JsonObject>,
}

/// What a tool does to the world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ToolEffect {
    /// The tool's name.
    #[schemars(length(min = 1, max = 128))]
    pub name: String,
    /// `Read`, `IdempotentWrite` or `Write`.
    pub effect: Effect,
}

/// One of `Read`, `IdempotentWrite`, `Write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Changes something, and a second call changes nothing more.
    IdempotentWrite,
    /// Changes something at each call.
    Write,
}

/// How the context window is laid out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Context {
    /// The parts of the window, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub segments: Vec<Segment>,
    /// What is retrieved into the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retrieval: Option<Retrieval>,
    /// What the agent remembers between sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// What happens to a history that grows too long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compaction: Option<Compaction>,
}

/// A part of the context window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// Its name, once per layout.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// `Prompt`, `Tools`, `History`, `Retrieval`, `Memory` or `Input`.
    pub source: SegmentSource,
    /// Budget in tokens.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub max_tokens: i64,
    /// What happens when the content is longer: `TruncateOldest`, `TruncateNewest`, `Summarize` or `Refuse`. Absent: the harness decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overflow: Option<Overflow>,
    /// Whether the provider's prompt cache may end here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_breakpoint: Option<bool>,
}

/// One of `Prompt`, `Tools`, `History`, `Retrieval`, `Memory`, `Input`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SegmentSource {
    /// The bundle's prompt.
    Prompt,
    /// The tools' definitions.
    Tools,
    /// Earlier turns.
    History,
    /// Retrieved documents.
    Retrieval,
    /// Long-term memory.
    Memory,
    /// The turn's own input.
    Input,
}

/// One of `TruncateOldest`, `TruncateNewest`, `Summarize`, `Refuse`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Overflow {
    /// Drop from the front.
    TruncateOldest,
    /// Drop from the end.
    TruncateNewest,
    /// Replace by a summary.
    Summarize,
    /// Refuse the turn.
    Refuse,
}

/// What is retrieved into the window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retrieval {
    /// The snapshot of the index.
    #[schemars(length(min = 1, max = 253))]
    pub index_snapshot: String,
    /// The embedding model that the index was built with.
    #[schemars(length(min = 1, max = 253))]
    pub embedding_model: String,
    /// How many documents are taken.
    #[schemars(range(min = 1, max = 10_000))]
    pub top_k: i64,
}

/// What the agent remembers between sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Memory {
    /// Version of the memory's schema.
    #[schemars(length(min = 1, max = 63))]
    pub schema_version: String,
    /// How long an entry lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<crate::schema::Duration>,
}

/// What happens to a history that grows too long.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compaction {
    /// Compact when the history reaches this many tokens.
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub trigger_tokens: i64,
    /// The model that summarises, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summarizer: Option<FallbackModel>,
}

/// Limits that the harness must keep.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// Deadlines, from the inside out: tool call < turn < request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Deadlines>,
    /// Retries of model and tool calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Which side effects carry an idempotency key: `None`, `WritesOnly` or `All`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Idempotency>,
    /// How many model calls one turn may make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000))]
    pub max_iterations: Option<i64>,
}

/// Deadlines of one request, turn and tool call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deadlines {
    /// Of the whole request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<crate::schema::Duration>,
    /// Of one turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub turn: Option<crate::schema::Duration>,
    /// Of one tool call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<crate::schema::Duration>,
}

/// Retries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts in all, the first included.
    #[schemars(range(min = 1, max = 100))]
    pub max_attempts: i64,
    /// Share of requests that may be retries, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 100))]
    pub budget_percent: Option<i64>,
}

/// One of `None`, `WritesOnly`, `All`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Idempotency {
    /// No key.
    None,
    /// Writing tools carry a key.
    WritesOnly,
    /// Every tool call carries a key.
    All,
}

/// Which session schemas a release writes and reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SessionState {
    /// The version that this release writes.
    #[schemars(length(min = 1, max = 63))]
    pub session_schema_version: String,
    /// Versions that it can read besides its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub readable_from: Vec<String>,
}
