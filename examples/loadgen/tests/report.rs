//! The real binary against an agent of our own, which moves, fails or stays as the test says.
//! Shows that the report would notice what it is there to notice.

// A test that cannot go on should panic; clippy's exemption for tests does not reach helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::{
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use serde_json::{Value, json};

/// Answers request number `n` with the release that `rule(n, pin)` names; `None` is an error.
type Rule = fn(u64, Option<&str>) -> Option<&'static str>;

#[derive(Clone)]
struct Agent {
    rule: Rule,
    requests: Arc<AtomicU64>,
}

async fn answer(State(agent): State<Agent>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let number = agent.requests.fetch_add(1, Ordering::Relaxed);
    let pin = headers.get("x-agent-release").and_then(|pin| pin.to_str().ok());
    let Some(release) = (agent.rule)(number, pin) else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let conversation = match &body["conversation_id"] {
        Value::String(name) => name.clone(),
        _ => format!("made-{number}"),
    };
    Json(json!({
        "conversation_id": conversation,
        "release": release,
        "assignment": if pin.is_some() { "pinned" } else { "weighted" },
        "model": "m",
        "host": headers["host"].to_str().unwrap(),
    }))
    .into_response()
}

async fn run(rule: Rule, extra: &[&str]) -> (Value, Duration) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/turn", listener.local_addr().unwrap());
    let agent = Agent { rule, requests: Arc::default() };
    let router = Router::new().route("/v1/turn", post(answer)).with_state(agent);
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    command.args(["--url", &url, "--think-time", "0.005"]).args(extra).stderr(Stdio::null());
    let began = Instant::now();
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert!(output.status.success());
    (serde_json::from_slice(&output.stdout).unwrap(), began.elapsed())
}

const TWENTY: [&str; 4] = ["--sessions", "20", "--sessions-per-second", "500"];

#[tokio::test]
async fn sessions_that_stay_are_counted_on_the_release_they_began_on() {
    let rule: Rule = |number, pin| match pin {
        Some("a") => Some("a"),
        Some("b") => Some("b"),
        _ => Some(if number % 2 == 0 { "a" } else { "b" }),
    };
    let (report, _) = run(rule, &TWENTY).await;
    assert_eq!((&report["sessions"], &report["finished"], &report["turns"]), (&json!(20), &json!(20), &json!(60)));
    assert_eq!((&report["followups"], &report["sticky_followups"]), (&json!(40), &json!(40)));
    assert_eq!((&report["moved"], &report["errors"]), (&json!(0), &json!({})));
    assert_eq!(report["assignments"], json!({"weighted": 20}));
    let new = |release: &str| report["releases"][release]["new_sessions"].as_u64().unwrap();
    assert_eq!(new("a") + new("b"), 20);
    let last = &report["releases"]["a"]["last_answer_us"];
    assert!(last["pinned"].as_u64().unwrap() > report["started_us"].as_u64().unwrap());
}

#[tokio::test]
async fn a_session_that_another_release_answers_has_moved() {
    let rule: Rule = |_, pin| Some(if pin.is_some() { "b" } else { "a" });
    let (report, _) = run(rule, &TWENTY).await;
    assert_eq!((&report["moved"], &report["sticky_followups"]), (&json!(20), &json!(0)));
    let moves = report["moves"].as_array().unwrap();
    assert_eq!(moves.len(), 20);
    for change in moves {
        assert_eq!((&change["from"], &change["to"]), (&json!("a"), &json!("b")));
        assert!(change["last_from_us"].as_u64() < change["first_to_us"].as_u64());
    }
}

#[tokio::test]
async fn without_echo_no_pin_is_sent() {
    let rule: Rule = |_, pin| Some(if pin.is_some() { "pinned" } else { "new" });
    let (report, _) = run(rule, &[&TWENTY[..], &["--no-echo"]].concat()).await;
    assert_eq!((&report["releases"]["new"]["turns"], &report["releases"]["pinned"]), (&json!(60), &Value::Null));
    assert_eq!(report["releases"]["new"]["last_answer_us"]["pinned"], Value::Null);
}

#[tokio::test]
async fn a_client_that_picks_its_release_is_pinned_from_the_start() {
    let rule: Rule = |_, pin| Some(if pin == Some("b") { "b" } else { "a" });
    let (report, _) = run(rule, &[&TWENTY[..], &["--pin", "b"]].concat()).await;
    assert_eq!((&report["assignments"], &report["releases"]["a"]), (&json!({"pinned": 20}), &Value::Null));
}

#[tokio::test]
async fn errors_are_counted_by_kind_and_end_their_session() {
    let rule: Rule = |number, _| (number >= 20).then_some("a");
    let (report, _) = run(rule, &[&TWENTY[..], &["--turns", "1"]].concat()).await;
    assert_eq!((&report["errors"], &report["failed"]), (&json!({"status_503": 20}), &json!(20)));
}

#[tokio::test]
async fn a_run_ends_when_its_time_is_up() {
    let rule: Rule = |_, _| Some("a");
    let extra = ["--duration", "1", "--turns", "1000000", "--sessions-per-second", "50"];
    let (report, took) = run(rule, &extra).await;
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(report["finished"], 0);
    assert_eq!(report["cut_short"], report["sessions"]);
}

#[tokio::test]
async fn held_sessions_are_asked_until_the_end_and_only_on_the_release_wanted() {
    let rule: Rule = |number, pin| match pin {
        Some("b") => Some("b"),
        Some(_) => Some("a"),
        None => Some(if number % 3 == 0 { "b" } else { "a" }),
    };
    let extra = [
        "--hold",
        "5",
        "--hold-on",
        "b",
        "--duration",
        "1.5",
        "--sessions-per-second",
        "200",
        "--ping-interval",
        "0.01",
    ];
    let (report, _) = run(rule, &extra).await;
    assert_eq!((&report["held"], &report["cut_short"]), (&json!(5), &json!(5)));
    assert!(report["followups"].as_u64().unwrap() > 100, "{report}");
    assert_eq!(report["followups"], report["sticky_followups"]);
    assert_eq!(report["releases"]["a"]["last_answer_us"]["pinned"], Value::Null);
}

#[tokio::test]
async fn a_seed_names_the_conversations() {
    let rule: Rule = |_, pin| Some(if pin.is_some() { "b" } else { "a" });
    let extra = ["--sessions", "2", "--turns", "2", "--seed", "7", "--sessions-per-second", "500"];
    let (report, _) = run(rule, &extra).await;
    let mut names: Vec<&str> =
        report["moves"].as_array().unwrap().iter().map(|change| change["conversation"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["s7-0", "s7-1"]);
}
