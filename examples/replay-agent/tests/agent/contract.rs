//! The harness contract, against the real binary: attestation, pins, turns, telemetry and the end.
//! Needs loopback only.

use std::{fs, time::Duration};

use crate::support::{Collector, Mounted, Running, attribute, command};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

async fn status(url: String) -> u16 {
    crate::client().get(url).send().await.unwrap().status().as_u16()
}

fn probe(agent: &Running, pin: &str) -> String {
    agent.url(&format!("/.well-known/agent-release/{pin}"))
}

/// One turn as through a gateway that says `assignment`.
async fn turn(agent: &Running, assignment: &str, body: Value) -> (reqwest::header::HeaderMap, Value) {
    let response = crate::client()
        .post(agent.url("/v1/turn"))
        .header("x-agent-assignment", assignment)
        .json(&body)
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    (headers, response.json().await.unwrap())
}

#[tokio::test]
async fn the_loaded_release_is_attested_and_no_other() {
    let release = Mounted::of("openai", "gpt-4", "0314");
    let agent = Running::start(Some(&release), &[]);
    assert_eq!(status(probe(&agent, &release.pin)).await, 200);
    for other in [&release.pin[..12], &release.pin.to_uppercase(), &"a".repeat(52)] {
        let response = crate::client().get(probe(&agent, other)).send().await.unwrap();
        assert_eq!(response.status(), 503, "{other}");
        assert_eq!(response.json::<Value>().await.unwrap()["loaded"], release.digest);
    }
}

#[tokio::test]
async fn a_release_that_must_not_be_attested_never_is() {
    let changed = Mounted::of("openai", "gpt-4", "0314");
    fs::write(changed.dir.join("prompt.json"), r#"{"messages":[]}"#).unwrap();
    let whole = Mounted::of("openai", "gpt-4", "0314");
    let other_env = ("AGENT_RELEASE_DIGEST", "sha256:00");
    for (release, extra) in [
        (&changed, &[][..]),
        (&whole, &[("REPLAY_FAULT", "wrong-bytes")][..]),
        (&whole, &[("REPLAY_FAULT", "not-ready")][..]),
        (&whole, &[other_env][..]),
    ] {
        let agent = Running::start(Some(release), extra);
        assert_eq!(status(probe(&agent, &release.pin)).await, 503, "{extra:?}");
    }
}

#[tokio::test]
async fn a_plain_container_serves_without_any_of_the_contract() {
    let agent = Running::start(None, &[("REPLAY_LATENCY_DIVISOR", "1000")]);
    assert_eq!(status(probe(&agent, "abc")).await, 404);
    let (headers, answer) = turn(&agent, "weighted", json!({"text": "hello"})).await;
    assert!(headers.get("x-agent-release").is_none());
    assert_eq!((&answer["release"], &answer["model"]), (&Value::Null, &json!("gpt-4-0314")));
}

#[test]
fn an_agent_that_cannot_serve_its_release_ends_with_an_error() {
    let unknown = Mounted::of("openai", "gpt-5", "0101");
    let script = Mounted::of("replay", "scripted", "task_succes=1");
    for (release, extra) in [
        (Some(&unknown), &[][..]),
        (Some(&script), &[][..]),
        (None, &[("AGENT_CONTRACT_LEVEL", "1")][..]),
        (None, &[("REPLAY_FAULT", "crash")][..]),
        (None, &[("REPLAY_FAULT", "typo")][..]),
    ] {
        let output = command(release, extra).output().unwrap();
        assert!(!output.status.success(), "{extra:?}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("ERROR"), "{extra:?}");
    }
}

#[tokio::test]
async fn a_conversation_keeps_its_name_release_and_assignment() {
    let release = Mounted::of("openai", "gpt-4", "0613");
    let agent = Running::start(Some(&release), &[("REPLAY_LATENCY_DIVISOR", "1000")]);
    let (headers, first) = turn(&agent, "weighted", json!({"text": "one"})).await;
    assert_eq!(headers["x-agent-release"], release.pin.as_str());
    assert_eq!(headers["x-agent-assignment"], "weighted");
    assert!(first["conversation_id"].as_str().unwrap().starts_with(&release.pin));
    let again = json!({"text": "two", "conversation_id": first["conversation_id"]});
    let (_, second) = turn(&agent, "pinned", again).await;
    assert_eq!((&first["turn"], &second["turn"]), (&json!(1), &json!(2)));
    assert_eq!((&second["assignment"], &second["release"]), (&json!("weighted"), &json!(release.pin)));
    assert_eq!(first["dataset"], second["dataset"]);
}

/// A session of two turns whose first goes wrong in every way, told to its end.
async fn told_session() -> (Collector, Mounted) {
    let (collector, endpoint) = Collector::start().await;
    let script = "task_success=0,tool_error=1,truncated=1,empty_output=1";
    let release = Mounted::of("replay", "scripted", script);
    let env = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
        ("OTEL_SERVICE_NAME", "support"),
        ("AGENT_CONTRACT_LEVEL", "2"),
    ];
    let agent = Running::start(Some(&release), &env);
    turn(&agent, "weighted", json!({"text": "one", "conversation_id": "c1"})).await;
    turn(&agent, "pinned", json!({"text": "two", "conversation_id": "c1", "end": true})).await;
    agent.terminate();
    let (took, success) = agent.wait().await;
    assert!(success && took < Duration::from_secs(5), "{took:?}");
    (collector, release)
}

#[tokio::test]
async fn the_events_of_a_session_name_what_the_contract_asks_for_and_are_flushed_at_the_end() {
    let (collector, release) = told_session().await;
    collector.read(|received| {
        for resource in &received.resources {
            let of = |key: &str| attribute(&resource.attributes, key);
            assert_eq!(of("service.version"), Some(release.digest.clone()));
            assert_eq!(of("service.name").as_deref(), Some("support"));
        }
        let names: Vec<&str> = received.events.iter().map(|event| event.event_name.as_str()).collect();
        assert_eq!(names, ["rollpin.session.start", "gen_ai.evaluation.result", "rollpin.session.end"]);
        let event = |position: usize, key: &str| attribute(&received.events[position].attributes, key);
        for position in 0..3 {
            assert_eq!(event(position, "gen_ai.conversation.id").as_deref(), Some("c1"));
        }
        assert_eq!(event(0, "rollpin.assignment").as_deref(), Some("weighted"));
        assert!(matches!(event(0, "rollpin.slice.dataset").as_deref(), Some("even" | "odd")));
        assert_eq!(event(1, "gen_ai.evaluation.name").as_deref(), Some("task_success"));
        assert_eq!(event(1, "gen_ai.evaluation.score.value").as_deref(), Some("0"));
        assert_eq!(event(1, "gen_ai.evaluation.score.label").as_deref(), Some("fail"));
        assert_eq!(event(2, "rollpin.outcome").as_deref(), Some("completed"));
    });
}

#[tokio::test]
async fn the_spans_of_a_session_show_every_outcome_where_it_happened() {
    let (collector, _release) = told_session().await;
    collector.read(|received| {
        assert_eq!(received.spans.len(), 6);
        let named = |name: &str| -> Vec<_> { received.spans.iter().filter(|span| span.name == name).collect() };
        let roots = named("invoke_agent support");
        let (chats, tools) = (named("chat scripted"), named("execute_tool record_answer"));
        assert_eq!((roots.len(), chats.len(), tools.len()), (2, 2, 2));
        for child in chats.iter().chain(&tools) {
            let parent = |root: &&&Span| root.span_id == child.parent_span_id && root.trace_id == child.trace_id;
            assert_eq!(roots.iter().filter(parent).count(), 1);
        }
        let first = chats.iter().min_by_key(|span| span.start_time_unix_nano).unwrap();
        let chat = |key: &str| attribute(&first.attributes, key).unwrap();
        assert_eq!(chat("gen_ai.response.finish_reasons"), "length");
        assert_eq!(chat("rollpin.output.length"), "0");
        assert_eq!(chat("rollpin.output.empty"), "true");
        assert_eq!(chat("rollpin.schema_violation"), "false");
        assert_eq!(chat("gen_ai.provider.name"), "replay");
        let failed: Vec<_> = tools.iter().filter_map(|tool| attribute(&tool.attributes, "error.type")).collect();
        assert_eq!(failed, ["tool_failed"]);
    });
}

#[tokio::test]
async fn a_schema_violation_is_explicit_on_both_spans() {
    let (collector, endpoint) = Collector::start().await;
    let release = Mounted::of("replay", "scripted", "schema_violation=1");
    let agent = Running::start(Some(&release), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
    turn(&agent, "weighted", json!({"text": "one"})).await;
    agent.terminate();
    assert!(agent.wait().await.1);
    let found = collector.read(|received| {
        let mut found: Vec<_> = received
            .spans
            .iter()
            .filter_map(|span| {
                attribute(&span.attributes, "rollpin.schema_violation")
                    .or_else(|| attribute(&span.attributes, "error.type"))
            })
            .collect();
        found.sort();
        found
    });
    assert_eq!(found, ["schema_violation", "true"]);
}

#[tokio::test]
async fn a_silent_agent_sends_nothing() {
    let (collector, endpoint) = Collector::start().await;
    let release = Mounted::of("replay", "scripted", "task_success=1");
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("REPLAY_FAULT", "no-telemetry")];
    let agent = Running::start(Some(&release), &env);
    turn(&agent, "weighted", json!({"text": "one"})).await;
    agent.terminate();
    assert!(agent.wait().await.1);
    assert!(collector.read(|received| received.spans.is_empty() && received.events.is_empty()));
}

#[tokio::test]
async fn an_answer_in_progress_is_given_before_the_end() {
    let release = Mounted::of("replay", "scripted", "latency_ms=2500");
    let agent = Running::start(Some(&release), &[]);
    let asked = tokio::spawn(crate::client().post(agent.url("/v1/turn")).json(&json!({"text": "slow"})).send());
    tokio::time::sleep(Duration::from_millis(300)).await;
    agent.terminate();
    assert_eq!(asked.await.unwrap().unwrap().status(), 200);
    let (took, success) = agent.wait().await;
    assert!(success && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn a_bad_turn_says_what_is_wrong() {
    let agent = Running::start(None, &[]);
    for (body, code) in [
        (json!({"text": "x", "conversation_id": "a b"}), 400),
        (json!({"txt": "x"}), 422),
        (json!({"text": "x", "stream": true}), 422),
    ] {
        let response = crate::client().post(agent.url("/v1/turn")).json(&body).send().await.unwrap();
        assert_eq!(response.status(), code, "{body}");
        assert!(!response.text().await.unwrap().is_empty());
    }
}
