//! How frameworks spell what the contract names once. Data only.
//!
//! Session aliases hold per instrumentation scope and never for all: the same key is a session here and a response there.

/// What a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The agent as a whole was asked.
    Agent,
    /// One model call.
    Model,
    /// One tool call.
    Tool,
}

/// Attribute, value, role; the first that fits.
pub const ROLES: &[(&str, &str, Role)] = &[
    ("gen_ai.operation.name", "chat", Role::Model),
    ("gen_ai.operation.name", "generate_content", Role::Model),
    ("gen_ai.operation.name", "text_completion", Role::Model),
    ("gen_ai.operation.name", "invoke_agent", Role::Agent),
    ("gen_ai.operation.name", "invoke_workflow", Role::Agent),
    ("gen_ai.operation.name", "execute_tool", Role::Tool),
    ("openinference.span.kind", "LLM", Role::Model),
    ("openinference.span.kind", "AGENT", Role::Agent),
    ("openinference.span.kind", "TOOL", Role::Tool),
    ("langsmith.span.kind", "llm", Role::Model),
    ("langsmith.span.kind", "tool", Role::Tool),
    ("ai.operationId", "ai.generateText.doGenerate", Role::Model),
    ("ai.operationId", "ai.streamText.doStream", Role::Model),
    ("ai.operationId", "ai.generateText", Role::Agent),
    ("ai.operationId", "ai.streamText", Role::Agent),
    ("ai.operationId", "ai.toolCall", Role::Tool),
];

/// Beginning of the instrumentation scope's name, and the attribute in which it carries the session.
pub const SESSIONS: &[(&str, &str)] = &[
    ("", "gen_ai.conversation.id"),
    ("openinference.", "session.id"),
    ("strands.", "session.id"),
    ("traceloop.", "traceloop.association.properties.session_id"),
    ("opentelemetry.instrumentation.", "traceloop.association.properties.session_id"),
    ("opentelemetry.instrumentation.", "traceloop.association.properties.thread_id"),
    ("langsmith", "langsmith.metadata.thread_id"),
    ("ai", "ai.telemetry.metadata.sessionId"),
    ("ai", "ai.settings.context.sessionId"),
    ("gen_ai", "ai.settings.context.sessionId"),
];

/// Scopes whose `gen_ai.conversation.id` is the id of a response, new on each turn, and no session.
pub const NO_SESSION_SCOPES: &[&str] = &["agent_framework"];

/// Values that are ids of responses under a session's name.
pub const NO_SESSION_PREFIXES: &[&str] = &["resp_"];

/// Where finish reasons are.
pub const FINISH_REASONS: &[&str] = &[
    "gen_ai.response.finish_reasons",
    "gen_ai.response.finish_reason",
    "llm.finish_reason",
    "ai.response.finishReason",
];

/// Finish reasons in lower case and without a leading `finishreason.`, that mean a tool call.
pub const FINISH_TOOL_CALL: &[&str] =
    &["tool_calls", "tool_call", "tool-calls", "tool_use", "function_call", "malformed_function_call"];
/// ... that mean that the limit was reached.
pub const FINISH_TRUNCATED: &[&str] = &["length", "max_tokens", "max_output_tokens", "incomplete", "model_length"];
/// ... that mean that the model, or a filter, refused.
pub const FINISH_REFUSED: &[&str] = &["refusal", "content_filter", "content-filter", "safety"];

/// Output tokens of one model call.
pub const TOKENS_OUT: &[&str] = &[
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.completion_tokens",
    "llm.token_count.completion",
    "ai.usage.completionTokens",
];

/// Ids of responses.
pub const RESPONSE_IDS: &[&str] = &["gen_ai.response.id", "ai.response.id"];

/// An `error.type` that is explicit evidence of a broken schema.
pub const SCHEMA_ERRORS: &[&str] = &["schema_violation"];

/// Labels of an evaluation that mean failure, in lower case.
pub const FAILED_LABELS: &[&str] = &["fail", "failed", "failure", "false", "incorrect", "no"];
/// Labels of an evaluation that mean success.
pub const PASSED_LABELS: &[&str] = &["pass", "passed", "success", "true", "correct", "yes"];
