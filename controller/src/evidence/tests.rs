//! The receiver over real sockets on 127.0.0.1: HTTP and gRPC, both encodings, compressed and not, honest and hostile.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use rollpin_engine::evidence::{Assignment, Evidence, Finish, Kind, Limits, Sight};
use rollpin_engine::policy::{GatePolicy, OnInconclusive, Policy, Role, Step, StrataPolicy};
use tonic::codec::CompressionEncoding;

use super::http::MAX_BODY;
use super::otlp::{Fact, from_logs, from_traces};
use super::*;

const AGENT: &str = "team/agent";
const CANARY: &str = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const STABLE: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn gate(outcome: &str) -> GatePolicy {
    GatePolicy {
        name: outcome.into(),
        role: Role::Guardrail,
        outcome: outcome.into(),
        margin: Some(0.1),
        tolerance: 0.0,
        maturity_millis: 200,
        share: 0.5,
        slices: vec![],
        declared: true,
        baseline: None,
    }
}

fn policy() -> Policy {
    Policy {
        steps: vec![Step::Weight { percent: 50, sessions: 10, min_seconds: 0 }],
        gates: vec![gate("task_success"), gate("tool_error")],
        false_rollback: 0.05,
        false_promotion: 0.05,
        progress_deadline_seconds: 600,
        deadline_seconds: 6_000,
        on_inconclusive: OnInconclusive::RollBack,
        bake_seconds: 60,
        max_blind_seconds: 60,
        strata: StrataPolicy { min_sessions: 2, max_millis: 300 },
    }
}

struct World {
    running: Running,
    hub: Arc<EvidenceHub>,
    directory: Arc<Directory>,
    counters: Arc<Counters>,
}

/// A receiver on free ports. `pod` is the release that 127.0.0.1 is a pod of, if any.
fn world(pod: Option<&'static str>) -> World {
    let limits = Limits { grace_millis: 100, ..Limits::default() };
    let hub = Arc::new(EvidenceHub::new(limits, now_millis()));
    let directory = Arc::new(Directory::new(move |peer: IpAddr| {
        let digest = pod.filter(|_| peer.is_loopback())?;
        Some(Speaker { namespace: "team".into(), name: "agent".into(), digest: digest.into() })
    }));
    directory.set_tokens(vec![Listed { token: "good".into(), namespaces: vec!["team".into()] }]);
    let counters = Arc::new(Counters::default());
    let receiver = Arc::new(Receiver::new(Arc::clone(&hub), Arc::clone(&directory), Arc::clone(&counters)));
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let running = serve(receiver, Addresses { grpc: any, http: any }).unwrap();
    World { running, hub, directory, counters }
}

impl World {
    fn begin(&self) {
        let policy = policy();
        let trial = Trial { policy: &policy, canary: CANARY, stable: STABLE, step: 0, weight: 50 };
        self.hub.begin(AGENT, trial, None, now_millis() - 1_000);
    }

    fn post(&self, path: &str, kind: &str, more: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
        post(self.running.addresses.http, path, kind, more, body)
    }

    fn eventually(&self, met: impl Fn(&Evidence) -> bool) -> Evidence {
        for _ in 0..200 {
            let seen = self.hub.snapshot(AGENT, now_millis()).unwrap();
            if met(&seen) {
                return seen;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("never came true: {:?}", self.hub.snapshot(AGENT, now_millis()));
    }
}

fn post(to: SocketAddr, path: &str, kind: &str, more: &[(&str, &str)], body: &[u8]) -> (u16, Vec<u8>) {
    let mut stream = TcpStream::connect(to).unwrap();
    let mut head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n",
        body.len()
    );
    for (name, value) in more {
        head.extend([*name, ": ", *value, "\r\n"]);
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
    // A server that refuses by the headers may close before it has read the body.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let text = String::from_utf8_lossy(&answer).to_string();
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n").map(|at| answer[at + 4..].to_vec());
    (status, body.unwrap_or_default())
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn word(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

fn resource(version: &str) -> Resource {
    Resource { attributes: vec![word("service.version", version)], ..Resource::default() }
}

fn logs(version: &str, log_records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let scope = ScopeLogs { log_records, ..ScopeLogs::default() };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource(version)),
            scope_logs: vec![scope],
            ..ResourceLogs::default()
        }],
    }
}

fn spans_of(scope: &str, version: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = Some(InstrumentationScope { name: scope.into(), ..InstrumentationScope::default() });
    let scope = ScopeSpans { scope, spans, ..ScopeSpans::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource(version)),
            scope_spans: vec![scope],
            ..ResourceSpans::default()
        }],
    }
}

fn spans(version: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    spans_of("harness", version, spans)
}

fn nanos() -> u64 {
    u64::try_from(now_millis()).unwrap() * 1_000_000
}

fn event(name: &str, session: &str, more: Vec<KeyValue>) -> LogRecord {
    let mut attributes = vec![word("gen_ai.conversation.id", session)];
    attributes.extend(more);
    LogRecord { event_name: name.into(), time_unix_nano: nanos(), attributes, ..LogRecord::default() }
}

fn started(session: &str) -> LogRecord {
    event(
        "rollpin.session.start",
        session,
        vec![word("rollpin.assignment", "weighted"), word("rollpin.slice.dataset", "prime")],
    )
}

fn judged(session: &str, score: f64) -> LogRecord {
    let more = vec![
        word("gen_ai.evaluation.name", "task_success"),
        pair("gen_ai.evaluation.score.value", Value::DoubleValue(score)),
    ];
    event("gen_ai.evaluation.result", session, more)
}

fn span(trace: u8, session: Option<&str>, attributes: Vec<KeyValue>) -> Span {
    let mut attributes = attributes;
    attributes.extend(session.map(|session| word("gen_ai.conversation.id", session)));
    Span {
        trace_id: vec![trace; 16],
        span_id: vec![trace; 8],
        start_time_unix_nano: nanos(),
        end_time_unix_nano: nanos() + 5_000_000,
        attributes,
        ..Span::default()
    }
}

fn failed_tool(trace: u8) -> Span {
    let status = Some(Status { code: 2, ..Status::default() });
    Span { status, ..span(trace, None, vec![word("gen_ai.operation.name", "execute_tool")]) }
}

fn facts(span: Span) -> Vec<Fact> {
    facts_of("harness", span)
}

fn facts_of(scope: &str, span: Span) -> Vec<Fact> {
    from_traces(&spans_of(scope, STABLE, vec![span])).remove(0).facts
}

#[test]
fn sessions_sent_by_a_pod_become_evidence_of_its_release() {
    let world = world(Some(CANARY));
    world.begin();
    // It claims to be another release: the pod counts, and the conflict is told.
    let body = logs(STABLE, vec![started("s1"), judged("s1", 0.0)]).encode_to_vec();
    assert_eq!(world.post("/v1/logs", "application/x-protobuf", &[], &body), (200, vec![]));
    let tools =
        spans(CANARY, vec![failed_tool(1), span(1, Some("s1"), vec![word("gen_ai.operation.name", "invoke_agent")])]);
    assert_eq!(world.post("/v1/traces", "application/x-protobuf", &[], &tools.encode_to_vec()).0, 200);
    let seen = world.eventually(|seen| seen.gates.iter().all(|gate| gate.strata == 1));
    assert_eq!((seen.sessions.canary, seen.sessions.stable), (1, 0));
    assert_eq!((seen.gates[0].canary.bad, seen.gates[1].canary.bad), (1, 1));
    assert_eq!((world.counters.conflicts.get(), world.counters.requests.get()), (1, 2));
    assert!(world.hub.heard(AGENT, CANARY).is_some() && world.hub.heard(AGENT, STABLE).is_none());
    world.running.stop();
}

#[test]
fn all_ways_of_writing_a_body_mean_the_same() {
    let world = world(Some(STABLE));
    world.begin();
    let request = |session| logs(STABLE, vec![started(session)]);
    let json = |session| serde_json::to_vec(&request(session)).unwrap();
    let by_protobuf = request("a").encode_to_vec();
    assert_eq!(world.post("/v1/logs", "application/x-protobuf", &[], &by_protobuf), (200, vec![]));
    assert_eq!(
        world
            .post(
                "/v1/logs",
                "application/x-protobuf",
                &[("content-encoding", "gzip")],
                &gzip(&request("b").encode_to_vec())
            )
            .0,
        200
    );
    let (status, answer) = world.post("/v1/logs", "application/json; charset=utf-8", &[], &json("c"));
    assert_eq!((status, serde_json::from_slice::<serde_json::Value>(&answer).unwrap().is_object()), (200, true));
    assert_eq!(world.post("/v1/logs", "application/json", &[("content-encoding", "gzip")], &gzip(&json("d"))).0, 200);
    // As JavaScript SDKs write it: numbers as numbers, ids in hexadecimal.
    let text = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[]}},"scopeLogs":[{{"scope":{{"name":"x"}},"logRecords":[{{"timeUnixNano":"{}",
        "severityNumber":9,"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","attributes":[
        {{"key":"event.name","value":{{"stringValue":"rollpin.session.start"}}}},{{"key":"n","value":{{"intValue":3}}}},
        {{"key":"gen_ai.conversation.id","value":{{"stringValue":"e"}}}},
        {{"key":"rollpin.assignment","value":{{"stringValue":"weighted"}}}}]}}]}}]}}]}}"#,
        nanos()
    );
    assert_eq!(world.post("/v1/logs", "application/json", &[], text.as_bytes()).0, 200);
    let seen = world.eventually(|seen| seen.sessions.stable == 5);
    assert_eq!(seen.sessions.canary, 0);
}

/// Content type, further headers, body, and the status that it deserves.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [u8], u16);

#[test]
fn what_cannot_be_a_body_is_refused_and_counted_and_changes_nothing() {
    let world = world(Some(STABLE));
    world.begin();
    let huge = vec![0_u8; MAX_BODY + 1];
    let bomb = gzip(&vec![0_u8; 200 * 1024 * 1024]);
    assert!(bomb.len() < MAX_BODY);
    let protobuf = "application/x-protobuf";
    let cases: [Case<'_>; 8] = [
        (protobuf, &[], b"\xff\xff\xff\xff", 400),
        ("application/json", &[], b"{\"resourceLogs\": [", 400),
        ("application/json", &[], b"[]x", 400),
        ("text/html", &[], b"<html>", 415),
        (protobuf, &[("content-encoding", "br")], b"", 415),
        (protobuf, &[("content-encoding", "gzip")], b"not gzip", 400),
        (protobuf, &[], &huge, 413),
        (protobuf, &[("content-encoding", "gzip")], &bomb, 413),
    ];
    for (kind, more, body, wanted) in cases {
        assert_eq!(world.post("/v1/logs", kind, more, body).0, wanted, "{kind} {more:?}");
    }
    assert_eq!(world.counters.malformed.get(), 8);
    assert_eq!(world.counters.requests.get(), 0);
    assert_eq!(world.hub.snapshot(AGENT, now_millis()).unwrap().sessions.stable, 0);
}

#[test]
fn a_stranger_and_a_wrong_token_move_nothing() {
    let world = world(None);
    world.begin();
    let body = logs(CANARY, vec![started("s1"), judged("s1", 0.0)]).encode_to_vec();
    let protobuf = "application/x-protobuf";
    for path in ["/v1/logs", "/v1/traces", "/v1/metrics"] {
        assert_eq!(world.post(path, protobuf, &[], &body).0, 403, "{path}");
        assert_eq!(world.post(path, protobuf, &[("authorization", "Bearer bad")], &body).0, 401, "{path}");
    }
    assert_eq!((world.counters.strangers.get(), world.counters.wrong_tokens.get()), (3, 3));
    assert_eq!(world.hub.snapshot(AGENT, now_millis()).unwrap().sessions.canary, 0);
}

#[test]
fn a_collector_speaks_for_the_releases_of_its_namespaces() {
    let world = world(None);
    world.begin();
    let token: &[(&str, &str)] = &[("authorization", "Bearer good")];
    let send = |version: &str, session: &str| {
        let body = logs(version, vec![started(session)]).encode_to_vec();
        world.post("/v1/logs", "application/x-protobuf", token, &body).0
    };
    assert_eq!((send(CANARY, "a"), send(STABLE, "b"), send("1.2.3", "c")), (200, 200, 200));
    world.directory.set_tokens(vec![Listed { token: "good".into(), namespaces: vec!["other".into()] }]);
    assert_eq!(send(CANARY, "d"), 200);
    let seen = world.eventually(|seen| seen.sessions.stable == 1);
    assert_eq!(seen.sessions.canary, 1);
    assert_eq!(world.counters.unknown_releases.get(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_reaches_the_same_evidence() {
    let world = world(Some(CANARY));
    world.begin();
    let to = format!("http://{}", world.running.addresses.grpc);
    let mut client = LogsServiceClient::connect(to.clone()).await.unwrap();
    client.export(logs(CANARY, vec![started("s1")])).await.unwrap();
    let mut zipped = LogsServiceClient::connect(to.clone()).await.unwrap().send_compressed(CompressionEncoding::Gzip);
    zipped.export(logs(CANARY, vec![judged("s1", 1.0), started("s2")])).await.unwrap();
    let mut traces = TraceServiceClient::connect(to.clone()).await.unwrap();
    traces.export(spans(CANARY, vec![failed_tool(1), span(1, Some("s2"), vec![])])).await.unwrap();
    MetricsServiceClient::connect(to).await.unwrap().export(ExportMetricsServiceRequest::default()).await.unwrap();
    let due = tokio::time::timeout(std::time::Duration::from_secs(10), world.hub.matured()).await.unwrap();
    assert_eq!(due, [AGENT]);
    let seen = world.eventually(|seen| seen.gates.iter().all(|gate| gate.strata >= 1));
    assert_eq!((seen.sessions.canary, seen.gates[1].canary.bad), (2, 1));
    assert_eq!((seen.gates[0].canary.sessions, seen.gates[0].canary.bad, seen.gates[0].canary.missing), (1, 0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_refuses_strangers_wrong_tokens_and_bodies_without_end() {
    let world = world(None);
    let to = format!("http://{}", world.running.addresses.grpc);
    let mut client = LogsServiceClient::connect(to.clone()).await.unwrap();
    let refused = client.export(logs(CANARY, vec![started("s1")])).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let with_token = |token: &str, body| {
        let mut request = tonic::Request::new(body);
        request.metadata_mut().insert("authorization", token.parse().unwrap());
        request
    };
    let wrong = client.export(with_token("Bearer bad", logs(CANARY, vec![]))).await.unwrap_err();
    assert_eq!(wrong.code(), tonic::Code::Unauthenticated);
    let long = logs(CANARY, vec![event("x", &"s".repeat(MAX_BODY), vec![])]);
    let mut client = client.max_encoding_message_size(usize::MAX).send_compressed(CompressionEncoding::Gzip);
    let refused = client.export(with_token("Bearer good", long)).await.unwrap_err();
    assert!(matches!(refused.code(), tonic::Code::OutOfRange | tonic::Code::ResourceExhausted), "{refused:?}");
    client.export(with_token("Bearer good", logs(CANARY, vec![]))).await.unwrap();
}

#[test]
fn a_stopped_receiver_closes_its_ports_and_blinds_its_attempts() {
    let world = world(Some(STABLE));
    world.begin();
    world.eventually(|seen| !matches!(seen.sight, Sight::Blind { .. }));
    let Addresses { grpc, http } = world.running.addresses;
    world.running.stop();
    assert!(TcpStream::connect(http).is_err() && TcpStream::connect(grpc).is_err());
    let seen = world.hub.snapshot(AGENT, now_millis()).unwrap();
    assert!(matches!(seen.sight, Sight::Blind { .. }), "{:?}", seen.sight);
}

#[test]
fn a_taken_port_is_an_error_that_names_it() {
    let world = world(None);
    let taken = world.running.addresses.http;
    let receiver =
        Arc::new(Receiver::new(Arc::clone(&world.hub), Arc::clone(&world.directory), Arc::clone(&world.counters)));
    let error = serve(receiver, Addresses { grpc: "127.0.0.1:0".parse().unwrap(), http: taken }).unwrap_err();
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[test]
fn a_receiver_that_has_not_started_is_blind() {
    let hub = EvidenceHub::new(Limits::default(), 5);
    let policy = policy();
    hub.begin(AGENT, Trial { policy: &policy, canary: CANARY, stable: STABLE, step: 0, weight: 50 }, None, 10);
    assert!(matches!(hub.snapshot(AGENT, 10).unwrap().sight, Sight::Blind { since_millis: 5, .. }));
    hub.set_blind(None, 11);
    assert!(!matches!(hub.snapshot(AGENT, 12).unwrap().sight, Sight::Blind { .. }));
}

#[test]
fn attempts_in_the_namespaces_of_a_sampled_source_are_sampled_and_looked_at() {
    let hub = EvidenceHub::new(Limits::default(), 0);
    let policy = policy();
    let begin = |key: &str| {
        hub.begin(key, Trial { policy: &policy, canary: CANARY, stable: STABLE, step: 0, weight: 50 }, None, 0);
    };
    let before = |namespace: &str| Sampler { source: "gateway".into(), namespaces: vec![namespace.into()] };
    let sampled = |key: &str| match hub.snapshot(key, 1).unwrap().sight {
        Sight::Sampled { why } => Some(why),
        _ => None,
    };
    let why = "MetricSource gateway is sampled: every rate is biased, so its gates read Insufficient";
    begin("one/a");
    begin("two/a");
    hub.set_sampled(vec![before("one")]);
    assert_eq!((sampled("one/a").as_deref(), sampled("two/a")), (Some(why), None));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(hub.matured()), ["one/a", "two/a"]);
    begin("one/later");
    assert_eq!(sampled("one/later").as_deref(), Some(why), "also one that begins afterwards");
    hub.set_sampled(vec![before("*")]);
    assert_eq!(sampled("two/a").as_deref(), Some(why));
    hub.set_sampled(vec![]);
    assert_eq!((sampled("one/a"), sampled("two/a")), (None, None), "nothing was counted behind it");
}

#[test]
fn beginning_again_keeps_the_evidence_and_another_release_starts_anew() {
    let hub = EvidenceHub::new(Limits::default(), 0);
    let policy = policy();
    let trial = Trial { policy: &policy, canary: CANARY, stable: STABLE, step: 0, weight: 50 };
    hub.begin(AGENT, trial, None, 0);
    let start = Kind::Start(rollpin_engine::evidence::Start { assignment: Assignment::Weighted, slices: vec![] });
    let release = identity::canonical(CANARY);
    let signal = rollpin_engine::evidence::Signal {
        release,
        conversation: "s".into(),
        at_millis: 10,
        received_millis: 10,
        kind: start,
    };
    hub.take(AGENT, &[signal]);
    hub.begin(AGENT, Trial { weight: 75, ..trial }, None, 20);
    assert_eq!(hub.snapshot(AGENT, 30).unwrap().sessions.canary, 1);
    assert!(hub.is_gathering(AGENT, &identity::canonical(CANARY), STABLE));
    hub.begin(AGENT, Trial { canary: STABLE, stable: CANARY, ..trial }, None, 40);
    assert_eq!(hub.snapshot(AGENT, 50).unwrap().sessions.canary, 0);
    hub.end(AGENT);
    assert!(hub.snapshot(AGENT, 60).is_none());
    assert_eq!(hub.heard(AGENT, CANARY), Some(10));
}

#[test]
fn between_attempts_the_serving_release_is_the_baseline() {
    let world = world(Some(STABLE));
    world.hub.watch_serving(AGENT, STABLE, Some(&policy()));
    let body = logs(STABLE, vec![started("a"), judged("a", 0.2), started("b"), judged("b", 0.9)]).encode_to_vec();
    assert_eq!(world.post("/v1/logs", "application/x-protobuf", &[], &body).0, 200);
    let seen = world.hub.baseline(AGENT, now_millis() + 3_600_000).outcomes;
    assert_eq!((seen["task_success"].bad, seen["task_success"].sessions), (1, 2));
    assert!(!seen.contains_key("schema_violation"));
}

#[test]
fn finish_reasons_are_understood_in_all_their_spellings() {
    let list = |word: &str| {
        Value::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(Value::StringValue(word.into())) }] })
    };
    let one = |word: &str| Value::StringValue(word.into());
    let cases = [
        ("gen_ai.response.finish_reasons", list("length"), Finish::Truncated),
        ("gen_ai.response.finish_reasons", one(r#"["length"]"#), Finish::Truncated),
        ("gen_ai.response.finish_reasons", list("max_tokens"), Finish::Truncated),
        ("gen_ai.response.finish_reason", one("FinishReason.LENGTH"), Finish::Truncated),
        ("gen_ai.response.finish_reason", one("FinishReason.TOOL_CALLS"), Finish::ToolCall),
        ("ai.response.finishReason", one("tool-calls"), Finish::ToolCall),
        ("llm.finish_reason", one("stop"), Finish::Done),
        ("gen_ai.response.finish_reasons", list("content_filter"), Finish::Refused),
    ];
    for (key, value, wanted) in cases {
        let said = format!("{key} {value:?}");
        let facts = facts(span(1, Some("s"), vec![word("gen_ai.operation.name", "chat"), pair(key, value)]));
        let Some(Kind::Turn(turn)) = &facts[0].kind else { panic!("{said}") };
        assert_eq!(turn.finish, Some(wanted), "{said}");
    }
}

#[test]
fn a_model_span_tells_what_it_has_and_nothing_else() {
    let chat = word("gen_ai.operation.name", "chat");
    let Some(Kind::Turn(bare)) = facts(span(1, None, vec![chat.clone()]))[0].kind else { panic!() };
    assert_eq!((bare.schema_violation, bare.finish, bare.empty, bare.output_length), (None, None, None, None));
    let full = vec![
        chat,
        pair("rollpin.schema_violation", Value::BoolValue(false)),
        pair("rollpin.output.length", Value::IntValue(0)),
        pair("gen_ai.usage.output_tokens", Value::IntValue(17)),
    ];
    let Some(Kind::Turn(turn)) = facts(span(1, None, full))[0].kind else { panic!() };
    assert_eq!(
        (turn.schema_violation, turn.empty, turn.tokens_out, turn.latency_millis),
        (Some(false), Some(true), Some(17), Some(5))
    );
}

#[test]
fn a_tool_call_that_broke_its_schema_is_no_tool_error() {
    let kinds = |kind: &str| {
        let attributes = vec![word("gen_ai.operation.name", "execute_tool"), word("error.type", kind)];
        facts(span(1, Some("s"), attributes)).into_iter().filter_map(|fact| fact.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds("tool_failed"), [Kind::Tool { failed: true }]);
    let broken = kinds("schema_violation");
    assert_eq!(broken[0], Kind::Tool { failed: false });
    assert!(matches!(&broken[1], Kind::Turn(turn) if turn.schema_violation == Some(true)));
}

#[test]
fn session_aliases_hold_for_their_own_framework_only() {
    let session = |scope: &str, key: &str, value: &str| {
        facts_of(scope, span(1, None, vec![word("gen_ai.operation.name", "chat"), word(key, value)]))[0].session.clone()
    };
    assert_eq!(session("openinference.instrumentation.langchain", "session.id", "s"), Some("s".into()));
    assert_eq!(session("harness", "session.id", "s"), None);
    assert_eq!(session("langsmith", "langsmith.metadata.thread_id", "s"), Some("s".into()));
    assert_eq!(session("langsmith", "langsmith.trace.session_name", "default"), None);
    assert_eq!(session("agent_framework", "gen_ai.conversation.id", "anything"), None);
    assert_eq!(session("harness", "gen_ai.conversation.id", "resp_0123"), None);
    assert_eq!(session("harness", "gen_ai.conversation.id", "s"), Some("s".into()));
}

#[test]
fn a_judge_that_could_not_judge_said_nothing() {
    let name = word("gen_ai.evaluation.name", "politeness");
    let failed = |more: Vec<KeyValue>| {
        let record = event("gen_ai.evaluation.result", "s", [vec![name.clone()], more].concat());
        match from_logs(&logs(STABLE, vec![record]), 0).remove(0).facts.pop().and_then(|fact| fact.kind) {
            Some(Kind::Evaluation { failed, .. }) => Some(failed),
            _ => None,
        }
    };
    let score = |value| pair("gen_ai.evaluation.score.value", value);
    assert_eq!(failed(vec![word("error.type", "timeout")]), None);
    assert_eq!(failed(vec![score(Value::DoubleValue(f64::NAN))]), None);
    assert_eq!(failed(vec![score(Value::IntValue(1))]), Some(false));
    assert_eq!(failed(vec![score(Value::DoubleValue(0.49))]), Some(true));
    assert_eq!(failed(vec![word("gen_ai.evaluation.score.label", "Fail")]), Some(true));
    assert_eq!(failed(vec![word("gen_ai.evaluation.score.label", "pass")]), Some(false));
}

macro_rules! recorded {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/otlp/", $name)).as_slice()
    };
}

#[test]
fn recorded_bodies_of_real_frameworks_give_the_sessions_that_were_played() {
    let traces = ExportTraceServiceRequest::decode(recorded!("openai-agents.traces.pb")).unwrap();
    let mut join = join::Join::default();
    let all = from_traces(&traces).into_iter().flat_map(|group| group.facts).collect::<Vec<_>>();
    let tools_without_session =
        all.iter().filter(|fact| matches!(fact.kind, Some(Kind::Tool { .. })) && fact.session.is_none()).count();
    assert!(tools_without_session > 0, "the trap of this recording: tool spans name no session");
    let resolved = join.resolve("team/agent", all.clone());
    assert!(resolved.iter().all(|(session, _)| session.starts_with("conv-")));
    let tools = |failed| resolved.iter().filter(|(_, fact)| fact.kind == Some(Kind::Tool { failed })).count();
    assert!(tools(true) >= 1 && tools(false) >= 1, "{resolved:?}");

    let evaluated = ExportTraceServiceRequest::decode(recorded!("eval-event.traces.pb")).unwrap();
    let facts = from_traces(&evaluated).remove(0).facts;
    let judgements =
        |facts: &[Fact]| facts.iter().filter(|fact| matches!(fact.kind, Some(Kind::Evaluation { .. }))).count();
    assert_eq!(judgements(&facts), 3, "judgements as events of spans");
    let mut join = join::Join::default();
    join.resolve("team/agent", facts);
    let records = ExportLogsServiceRequest::decode(recorded!("eval-event.logs.pb")).unwrap();
    let facts = from_logs(&records, 0).remove(0).facts;
    assert_eq!(judgements(&facts), 4, "two of the six failed to judge, and are left out");
    let resolved = join.resolve("team/agent", facts);
    assert_eq!(resolved.len(), 4, "every judgement finds its session, by trace or by itself");
}

#[test]
fn a_recorded_body_without_sessions_is_taken_and_counts_for_nobody() {
    let world = world(Some(STABLE));
    world.begin();
    let body = recorded!("genai-openai.traces.pb.gz");
    assert_eq!(world.post("/v1/traces", "application/x-protobuf", &[("content-encoding", "gzip")], body).0, 200);
    assert_eq!(world.counters.requests.get(), 1);
    assert!(world.counters.without_session.get() > 0);
    assert_eq!(world.counters.signals.get(), 0);
}
