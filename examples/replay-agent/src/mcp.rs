//! The MCP door, for both revisions. Up to 2025-11-25 the release travels in the session id that `initialize` hands out;
//! since 2026-07-28, which has no sessions, in a conversation handle that conforming clients mirror into a header.
//! The protocol is the SDK's; the SDK serves statelessly, so that a session of a withdrawn release goes on here.

use std::sync::{Arc, OnceLock};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, Method, StatusCode, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, Implementation, InitializeRequestParams,
        InitializeResult, ListToolsResult, PaginatedRequestParams, ServerCapabilities, Tool,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::{Map, Value, json};

use crate::{
    agent::{Agent, Caller, Refused},
    conversation::Assignment,
    http::assignment_of,
};

const SESSION_HEADER: HeaderName = HeaderName::from_static("mcp-session-id");

/// The id of a session that `initialize` opened; written by the handler, sent by the middleware.
type HandedOut = Arc<OnceLock<String>>;

/// `/mcp`.
pub fn router(agent: &Arc<Agent>) -> Router<Arc<Agent>> {
    let server = McpDoor { agent: Arc::clone(agent) };
    // The gateway in front decides which hosts exist; the SDK's own list knows loopback names only.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts();
    let service =
        StreamableHttpService::new(move || Ok(server.clone()), Arc::new(NeverSessionManager::default()), config);
    Router::new().route_service("/mcp", service).layer(middleware::from_fn_with_state(Arc::clone(agent), sessions))
}

/// Ends sessions, and hands out the id of a new one.
async fn sessions(State(agent): State<Arc<Agent>>, mut request: Request, next: Next) -> Response {
    if request.method() == Method::DELETE {
        if let Some(id) = session_of(request.headers()) {
            agent.end(&id);
        }
        return StatusCode::NO_CONTENT.into_response();
    }
    let handed_out = HandedOut::default();
    request.extensions_mut().insert(Arc::clone(&handed_out));
    let mut response = next.run(request).await;
    if let Some(id) = handed_out.get().and_then(|id| HeaderValue::try_from(id).ok()) {
        response.headers_mut().insert(SESSION_HEADER, id);
    }
    response
}

fn session_of(headers: &axum::http::HeaderMap) -> Option<String> {
    Some(headers.get(SESSION_HEADER)?.to_str().ok()?.to_owned())
}

#[derive(Clone)]
struct McpDoor {
    agent: Arc<Agent>,
}

impl ServerHandler for McpDoor {
    fn get_info(&self) -> InitializeResult {
        InitializeResult::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(self.agent.name.clone(), env!("CARGO_PKG_VERSION")))
            .with_instructions("Ask whether a number is prime; answers are replayed recordings.")
    }

    async fn initialize(
        &self,
        request: InitializeRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<InitializeResult, ErrorData> {
        let result = self.negotiate_initialize(&request)?;
        if let Some(handed_out) = parts_of(&context).and_then(|parts| parts.extensions.get::<HandedOut>()) {
            // A request is initialized once; a second value could not be sent anyway.
            let _ = handed_out.set(self.agent.open(received_by(&context)));
        }
        Ok(result)
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(vec![open_conversation(), ask()]))
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        [open_conversation(), ask()].into_iter().find(|tool| tool.name == name)
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        match request.name.as_ref() {
            "open_conversation" => Ok(self.open(&context).into()),
            "ask" => self.ask(&arguments, &context).await.map(Into::into),
            other => Err(ErrorData::invalid_params(
                format!("there is no tool {other:?}: use open_conversation or ask"),
                None,
            )),
        }
    }
}

impl McpDoor {
    /// A session of the older revision is a conversation already: its id is the handle.
    fn open(&self, context: &RequestContext<RoleServer>) -> CallToolResult {
        let assignment = received_by(context);
        let conversation = session_in(context).unwrap_or_else(|| self.agent.open(assignment));
        CallToolResult::structured(json!({
            "conversation": conversation,
            "release": self.agent.pin(),
            "assignment": assignment.map(Assignment::word),
        }))
    }

    async fn ask(
        &self,
        arguments: &Map<String, Value>,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResult, ErrorData> {
        let caller = caller_of(arguments, context)?;
        match self.agent.answer(caller, received_by(context)).await {
            Ok(answer) => Ok(CallToolResult::structured(json!({
                "conversation": answer.conversation_id,
                "release": answer.release,
                "assignment": answer.assignment,
                "turn": answer.turn,
                "text": answer.text,
                "model": answer.model,
                "dataset": answer.dataset,
            }))),
            Err(refused @ Refused::BadName) => Err(ErrorData::invalid_params(refused.to_string(), None)),
            Err(refused @ (Refused::Fault | Refused::Lost)) => {
                Err(ErrorData::internal_error(refused.to_string(), None))
            }
        }
    }
}

/// The handle in the arguments, else the session of the older revision, else a new conversation.
fn caller_of(arguments: &Map<String, Value>, context: &RequestContext<RoleServer>) -> Result<Caller, ErrorData> {
    if !arguments.get("text").is_some_and(Value::is_string) {
        return Err(ErrorData::invalid_params("ask needs text: a string", None));
    }
    match arguments.get("conversation") {
        Some(Value::String(handle)) => Ok(Caller::Handle(handle.clone())),
        Some(Value::Null) | None => Ok(session_in(context).map_or(Caller::New, Caller::Handle)),
        Some(_) => Err(ErrorData::invalid_params("conversation must be a string", None)),
    }
}

fn parts_of(context: &RequestContext<RoleServer>) -> Option<&Parts> {
    context.extensions.get::<Parts>()
}

fn received_by(context: &RequestContext<RoleServer>) -> Option<Assignment> {
    assignment_of(&parts_of(context)?.headers)
}

fn session_in(context: &RequestContext<RoleServer>) -> Option<String> {
    session_of(&parts_of(context)?.headers)
}

fn open_conversation() -> Tool {
    Tool::new(
        "open_conversation",
        "Opens a conversation and hands out its handle.",
        object(json!({ "type": "object", "properties": {} })),
    )
}

/// `x-mcp-header` makes clients of 2026-07-28 send the handle in `Mcp-Param-Conversation` too, where a gateway sees it.
fn ask() -> Tool {
    Tool::new(
        "ask",
        "Says something in a conversation and returns the answer.",
        object(json!({
            "type": "object",
            "properties": {
                "conversation": {
                    "type": "string",
                    "description": "The handle of the conversation; absent: a new one.",
                    "x-mcp-header": "Conversation",
                },
                "text": { "type": "string", "description": "What to say." },
            },
            "required": ["text"],
        })),
    )
}

fn object(schema: Value) -> Map<String, Value> {
    match schema {
        Value::Object(map) => map,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}
