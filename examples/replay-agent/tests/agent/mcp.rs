//! MCP on the wire, in both revisions, as a gateway sees it: which header carries the pin. Raw requests, so that the
//! bytes are ours; the official SDKs' clients are in `examples/mcp-clients`.

use crate::support::{Mounted, Running};
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";

async fn call(agent: &Running, headers: &[(&str, &str)], body: &Value) -> (u16, HeaderMap, Value) {
    let mut request =
        crate::client().post(agent.url("/mcp")).header("accept", "application/json, text/event-stream").json(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, headers, response.json().await.unwrap_or(Value::Null))
}

fn scripted() -> (Mounted, Running) {
    let release = Mounted::of("replay", "scripted", "task_success=1");
    let agent = Running::start(Some(&release), &[]);
    (release, agent)
}

fn old(method: &str, params: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

fn new(method: &str, params: &Value) -> Value {
    let mut params = params.clone();
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": NEW,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    old(method, &params)
}

async fn ask_new(agent: &Running, handle: Option<&str>, mirrored: Option<&str>, assignment: &str) -> (u16, Value) {
    let mut arguments = json!({"text": "hello"});
    let mut headers = vec![
        ("mcp-protocol-version", NEW),
        ("mcp-method", "tools/call"),
        ("mcp-name", "ask"),
        ("x-agent-assignment", assignment),
    ];
    if let Some(handle) = handle {
        arguments["conversation"] = json!(handle);
    }
    if let Some(mirrored) = mirrored {
        headers.push(("mcp-param-conversation", mirrored));
    }
    let body = new("tools/call", &json!({"name": "ask", "arguments": arguments}));
    let (status, _, answer) = call(agent, &headers, &body).await;
    (status, answer)
}

async fn open_old(agent: &Running) -> String {
    let hello = json!({"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}});
    let (status, headers, answer) =
        call(agent, &[("x-agent-assignment", "weighted")], &old("initialize", &hello)).await;
    assert_eq!((status, &answer["result"]["protocolVersion"]), (200, &json!(OLD)));
    headers["mcp-session-id"].to_str().unwrap().to_owned()
}

async fn ask_old(agent: &Running, session: &str) -> Value {
    let headers = [("mcp-session-id", session), ("mcp-protocol-version", OLD), ("x-agent-assignment", "pinned")];
    let body = old("tools/call", &json!({"name": "ask", "arguments": {"text": "hello"}}));
    let (status, _, answer) = call(agent, &headers, &body).await;
    assert_eq!(status, 200, "{answer}");
    answer["result"]["structuredContent"].clone()
}

#[tokio::test]
async fn an_older_client_gets_a_session_id_that_begins_with_the_release() {
    let (release, agent) = scripted();
    let session = open_old(&agent).await;
    assert!(session.starts_with(&format!("{}-", release.pin)), "{session}");
    let first = ask_old(&agent, &session).await;
    assert_eq!((&first["conversation"], &first["release"]), (&json!(session), &json!(release.pin)));
    assert_eq!((&first["assignment"], &first["turn"]), (&json!("weighted"), &json!(1)));
    assert_eq!(ask_old(&agent, &session).await["turn"], 2);
}

#[tokio::test]
async fn a_session_of_a_withdrawn_release_goes_on_here() {
    let (release, agent) = scripted();
    let foreign = format!("{}-7d1c", "a".repeat(52));
    let answer = ask_old(&agent, &foreign).await;
    assert_eq!((&answer["conversation"], &answer["release"]), (&json!(foreign), &json!(release.pin)));
    assert_eq!((&answer["assignment"], &answer["turn"]), (&json!("pinned"), &json!(2)));
}

#[tokio::test]
async fn another_replica_of_the_release_takes_a_session_as_it_was_assigned() {
    let (release, agent) = scripted();
    let replica = Running::start(Some(&release), &[]);
    let session = open_old(&agent).await;
    assert_eq!(ask_old(&replica, &session).await["assignment"], "weighted");
}

#[tokio::test]
async fn ending_a_session_is_accepted() {
    let (_release, agent) = scripted();
    let session = open_old(&agent).await;
    let request = crate::client().delete(agent.url("/mcp")).header("mcp-session-id", session);
    assert_eq!(request.send().await.unwrap().status(), 204);
}

#[tokio::test]
async fn the_newer_revision_lists_the_handle_as_a_header_and_needs_no_session() {
    let (_release, agent) = scripted();
    let headers = [("mcp-protocol-version", NEW), ("mcp-method", "tools/list")];
    let (status, headers, answer) = call(&agent, &headers, &new("tools/list", &json!({}))).await;
    assert_eq!(status, 200, "{answer}");
    assert!(headers.get("mcp-session-id").is_none());
    let tools = answer["result"]["tools"].as_array().unwrap();
    let ask = tools.iter().find(|tool| tool["name"] == "ask").unwrap();
    assert_eq!(ask["inputSchema"]["properties"]["conversation"]["x-mcp-header"], "Conversation");
}

#[tokio::test]
async fn a_handle_begins_with_the_release_and_is_checked_against_its_header() {
    let (release, agent) = scripted();
    let (status, opened) = ask_new(&agent, None, None, "weighted").await;
    let first = &opened["result"]["structuredContent"];
    assert_eq!((status, &first["assignment"]), (200, &json!("weighted")), "{opened}");
    let handle = first["conversation"].as_str().unwrap();
    assert!(handle.starts_with(&format!("{}-", release.pin)));
    let (_, second) = ask_new(&agent, Some(handle), Some(handle), "pinned").await;
    let second = &second["result"]["structuredContent"];
    assert_eq!((&second["turn"], &second["assignment"]), (&json!(2), &json!("weighted")));
    for mirrored in [None, Some("another")] {
        let (status, refused) = ask_new(&agent, Some(handle), mirrored, "weighted").await;
        assert_eq!(status, 400, "{refused}");
    }
}
