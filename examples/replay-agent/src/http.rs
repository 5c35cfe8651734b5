//! The HTTP door: attestation, liveness and turns, and the pin on every response.
//! Knows nothing of models or telemetry; it turns requests into calls of the agent.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    agent::{Agent, Answer, Caller, Refused},
    config::ContractLevel,
    conversation::Assignment,
    mcp,
};

/// The pin: which release answered, and which one to ask again.
pub const RELEASE_HEADER: HeaderName = HeaderName::from_static("x-agent-release");
/// Set by the gateway's route: how this request was brought here.
pub const ASSIGNMENT_HEADER: HeaderName = HeaderName::from_static("x-agent-assignment");

/// The body of a turn.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TurnRequest {
    /// Absent: the agent opens a conversation.
    conversation_id: Option<String>,
    /// What the user says; replayed answers do not depend on it.
    #[serde(rename = "text")]
    _text: String,
    /// The client says that this was the last turn.
    #[serde(default)]
    end: bool,
}

/// All routes. A plain container has turns and liveness only.
pub fn router(agent: &Arc<Agent>) -> Router {
    let contract = Router::new().route("/.well-known/agent-release/{pin}", get(attest));
    let doors = Router::new()
        .route("/v1/turn", post(turn))
        .merge(mcp::router(agent))
        .layer(middleware::from_fn_with_state(Arc::clone(agent), pinned));
    let routes = if agent.level == ContractLevel::Plain { doors } else { doors.merge(contract) };
    routes.route("/healthz", get(|| async { "ok\n" })).with_state(Arc::clone(agent))
}

/// What the gateway said about this request.
pub fn assignment_of(headers: &HeaderMap) -> Option<Assignment> {
    headers.get(ASSIGNMENT_HEADER).and_then(|value| value.to_str().ok()).and_then(Assignment::parse)
}

async fn attest(State(agent): State<Arc<Agent>>, Path(pin): Path<String>) -> Response {
    let loaded = agent.release.map(|digest| digest.oci());
    match agent.attest(&pin) {
        Ok(()) => Json(json!({ "loaded": loaded })).into_response(),
        Err(reason) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "loaded": loaded, "reason": reason }))).into_response()
        }
    }
}

async fn turn(State(agent): State<Arc<Agent>>, headers: HeaderMap, Json(request): Json<TurnRequest>) -> Response {
    let caller = request.conversation_id.map_or(Caller::New, Caller::Named);
    match agent.answer(caller, assignment_of(&headers)).await {
        Ok(answer) => {
            if request.end {
                agent.end(&answer.conversation_id);
            }
            answered(answer)
        }
        Err(refused) => refusal(&refused),
    }
}

fn answered(answer: Answer) -> Response {
    let assignment = answer.assignment.map(HeaderValue::from_static);
    let mut response = Json(answer).into_response();
    if let Some(assignment) = assignment {
        response.headers_mut().insert(ASSIGNMENT_HEADER, assignment);
    }
    response
}

fn refusal(refused: &Refused) -> Response {
    let status = match refused {
        Refused::BadName => StatusCode::BAD_REQUEST,
        Refused::Fault | Refused::Lost => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, Json(json!({ "error": refused.to_string() }))).into_response()
}

/// Puts the pin on whatever the doors answer, errors included: a client must know whom it met.
async fn pinned(State(agent): State<Arc<Agent>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(pin) = agent.pin().and_then(|pin| HeaderValue::try_from(pin).ok()) {
        response.headers_mut().insert(RELEASE_HEADER, pin);
    }
    response
}
