//! OTLP messages into facts about sessions. Reads only what the contract names; text of conversations is never looked at.
//!
//! Total: any message that decodes gives facts or none, never an error. An absent attribute is *not reported*.

use std::hash::{DefaultHasher, Hash, Hasher};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{Span, status::StatusCode};
use rollpin_engine::evidence::{Assignment, Finish, Kind, Start, Turn};

use super::aliases::{self, Role};

/// The longest conversation id, slice name or value that is looked at.
const MAX_WORD: usize = 256;
/// Slice labels of one session.
const MAX_SLICES: usize = 8;

/// Something that several facts have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// The trace.
    Trace(u128),
    /// The response that is spoken of, hashed.
    Response(u64),
}

/// One fact about a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// The session, where the fact itself names it.
    pub session: Option<String>,
    /// What it has in common with others.
    pub links: Vec<Link>,
    /// When it happened, in milliseconds since 1970; for a span, when it began.
    pub at_millis: i64,
    /// What happened; absent where the fact tells the session of its links and nothing else.
    pub kind: Option<Kind>,
}

/// The facts of one resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Group {
    /// `service.version` of the resource.
    pub version: Option<String>,
    /// `k8s.namespace.name` of the resource.
    pub namespace: Option<String>,
    /// What happened.
    pub facts: Vec<Fact>,
}

impl Group {
    fn of(resource: Option<&Resource>) -> Self {
        let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
        Self {
            version: text(attributes, "service.version"),
            namespace: text(attributes, "k8s.namespace.name"),
            facts: Vec::new(),
        }
    }
}

/// The facts in an export of spans.
#[must_use]
pub fn from_traces(request: &ExportTraceServiceRequest) -> Vec<Group> {
    let group = |spans: &opentelemetry_proto::tonic::trace::v1::ResourceSpans| {
        let mut group = Group::of(spans.resource.as_ref());
        for scope in &spans.scope_spans {
            let name = scope_name(scope.scope.as_ref());
            group.facts.extend(scope.spans.iter().flat_map(|span| from_span(name, span)));
        }
        group
    };
    request.resource_spans.iter().map(group).collect()
}

/// The facts in an export of logs. A record without a time of its own happened when it was `received`.
#[must_use]
pub fn from_logs(request: &ExportLogsServiceRequest, received: i64) -> Vec<Group> {
    let group = |logs: &opentelemetry_proto::tonic::logs::v1::ResourceLogs| {
        let mut group = Group::of(logs.resource.as_ref());
        for scope in &logs.scope_logs {
            let name = scope_name(scope.scope.as_ref());
            group.facts.extend(scope.log_records.iter().filter_map(|record| from_record(name, record, received)));
        }
        group
    };
    request.resource_logs.iter().map(group).collect()
}

fn scope_name(scope: Option<&InstrumentationScope>) -> &str {
    scope.map_or("", |scope| scope.name.as_str())
}

fn from_span(scope: &str, span: &Span) -> Vec<Fact> {
    let attributes = &span.attributes;
    let at_millis = millis(span.start_time_unix_nano);
    let session = session_of(scope, attributes);
    let links: Vec<Link> = trace_link(&span.trace_id).into_iter().chain(response_link(attributes)).collect();
    let fact = |at_millis, kind| Fact { session: session.clone(), links: links.clone(), at_millis, kind: Some(kind) };
    let mut facts = Vec::new();
    match role_of(attributes) {
        Some(Role::Agent) => facts.push(fact(at_millis, Kind::Turn(Turn::default()))),
        Some(Role::Model) => facts.push(fact(at_millis, Kind::Turn(turn_of(span)))),
        Some(Role::Tool) if is_schema_error(attributes) => {
            // The model asked for something that the tool's schema does not allow: the tool itself did not fail.
            facts.push(fact(at_millis, Kind::Tool { failed: false }));
            facts.push(fact(at_millis, Kind::Turn(Turn { schema_violation: Some(true), ..Turn::default() })));
        }
        Some(Role::Tool) => facts.push(fact(at_millis, Kind::Tool { failed: has_failed(span) })),
        None => {}
    }
    let judged = span.events.iter().filter(|event| event.name == "gen_ai.evaluation.result");
    facts.extend(judged.filter_map(|event| {
        let kind = evaluation_of(&event.attributes)?;
        Some(fact(millis(event.time_unix_nano), kind))
    }));
    if facts.is_empty() && session.is_some() && !links.is_empty() {
        facts.push(Fact { session, links, at_millis, kind: None });
    }
    facts
}

fn role_of(attributes: &[KeyValue]) -> Option<Role> {
    let found = aliases::ROLES.iter().find(|(key, value, _)| text_ref(attributes, key) == Some(value));
    found.map(|(_, _, role)| *role)
}

fn turn_of(span: &Span) -> Turn {
    let attributes = &span.attributes;
    let finish = aliases::FINISH_REASONS.iter().find_map(|key| finish_of(find(attributes, key)?));
    let output_length = integer(attributes, "rollpin.output.length");
    let empty = boolean(attributes, "rollpin.output.empty").or(output_length.map(|length| length == 0));
    let violation = boolean(attributes, "rollpin.schema_violation");
    Turn {
        schema_violation: violation.or(is_schema_error(attributes).then_some(true)),
        finish,
        // A model that asks for a tool says nothing by saying nothing.
        empty: empty.filter(|_| finish != Some(Finish::ToolCall)),
        output_length,
        tokens_out: aliases::TOKENS_OUT.iter().find_map(|key| integer(attributes, key)),
        latency_millis: (span.end_time_unix_nano >= span.start_time_unix_nano && span.end_time_unix_nano > 0)
            .then(|| millis(span.end_time_unix_nano - span.start_time_unix_nano)),
        response: response_hash(attributes),
    }
}

/// Of several reasons the one that matters most.
fn finish_of(value: &AnyValue) -> Option<Finish> {
    let reasons = match value.value.as_ref()? {
        Value::StringValue(text) => words(text),
        Value::ArrayValue(list) => list
            .values
            .iter()
            .filter_map(|value| match value.value.as_ref()? {
                Value::StringValue(text) => Some(words(text)),
                _ => None,
            })
            .flatten()
            .collect(),
        _ => return None,
    };
    let any = |known: &[&str]| reasons.iter().any(|reason| known.contains(&reason.as_str()));
    if any(aliases::FINISH_TRUNCATED) {
        Some(Finish::Truncated)
    } else if any(aliases::FINISH_REFUSED) {
        Some(Finish::Refused)
    } else if any(aliases::FINISH_TOOL_CALL) {
        Some(Finish::ToolCall)
    } else {
        (!reasons.is_empty()).then_some(Finish::Done)
    }
}

/// `length`, `FinishReason.LENGTH`, or a JSON list in a string: words in lower case.
fn words(text: &str) -> Vec<String> {
    let bare = |word: &str| {
        let word = word.trim().to_ascii_lowercase();
        word.strip_prefix("finishreason.").map_or(word.clone(), str::to_owned)
    };
    let all = match serde_json::from_str::<Vec<String>>(text) {
        Ok(list) => list.iter().map(|word| bare(word)).collect(),
        Err(_) => vec![bare(text)],
    };
    all.into_iter().filter(|word: &String| !word.is_empty()).collect()
}

fn has_failed(span: &Span) -> bool {
    let status = span.status.as_ref().is_some_and(|status| status.code == StatusCode::Error as i32);
    let exception = span.events.iter().any(|event| event.name == "exception");
    status || exception || find(&span.attributes, "error.type").is_some()
}

fn is_schema_error(attributes: &[KeyValue]) -> bool {
    text_ref(attributes, "error.type").is_some_and(|kind| aliases::SCHEMA_ERRORS.contains(&kind))
}

fn from_record(scope: &str, record: &LogRecord, received: i64) -> Option<Fact> {
    let attributes = &record.attributes;
    let name = if record.event_name.is_empty() { text_ref(attributes, "event.name")? } else { &record.event_name };
    let kind = match name {
        "rollpin.session.start" => Kind::Start(start_of(attributes)),
        "rollpin.session.end" => Kind::End,
        "gen_ai.evaluation.result" => evaluation_of(attributes)?,
        _ => return None,
    };
    let at_millis = match (record.time_unix_nano, record.observed_time_unix_nano) {
        (0, 0) => received,
        (0, observed) => millis(observed),
        (time, _) => millis(time),
    };
    let links = trace_link(&record.trace_id).into_iter().chain(response_link(attributes)).collect();
    Some(Fact { session: session_of(scope, attributes), links, at_millis, kind: Some(kind) })
}

fn start_of(attributes: &[KeyValue]) -> Start {
    let assignment = match text_ref(attributes, "rollpin.assignment") {
        Some("weighted") => Assignment::Weighted,
        Some("pinned") => Assignment::Pinned,
        Some(_) | None => Assignment::Unknown,
    };
    let mut slices: Vec<(String, String)> = attributes
        .iter()
        .filter_map(|pair| {
            let name = pair.key.strip_prefix("rollpin.slice.").filter(|name| name.len() <= MAX_WORD)?;
            Some((name.to_owned(), scalar(pair.value.as_ref()?).filter(|value| value.len() <= MAX_WORD)?))
        })
        .collect();
    slices.sort();
    slices.truncate(MAX_SLICES);
    Start { assignment, slices }
}

/// A judge that could not judge said nothing.
fn evaluation_of(attributes: &[KeyValue]) -> Option<Kind> {
    let name = text(attributes, "gen_ai.evaluation.name")?;
    let label = text(attributes, "gen_ai.evaluation.score.label").map(|label| label.to_ascii_lowercase());
    let score = number(attributes, "gen_ai.evaluation.score.value");
    let by_label = label.and_then(|label| {
        let failed = aliases::FAILED_LABELS.contains(&label.as_str());
        (failed || aliases::PASSED_LABELS.contains(&label.as_str())).then_some(failed)
    });
    let by_score = score.map(|score| score < 0.5);
    let failed = match (by_label, by_score) {
        (None, None) => return None,
        (label, score) => label == Some(true) || score == Some(true),
    };
    Some(Kind::Evaluation { name, failed })
}

fn session_of(scope: &str, attributes: &[KeyValue]) -> Option<String> {
    aliases::SESSIONS.iter().filter(|(prefix, _)| scope.starts_with(prefix)).find_map(|(prefix, key)| {
        let lies = prefix.is_empty() && aliases::NO_SESSION_SCOPES.iter().any(|lying| scope.starts_with(lying));
        let session = text(attributes, key).filter(|session| !session.is_empty() && !lies)?;
        let is_response = aliases::NO_SESSION_PREFIXES.iter().any(|prefix| session.starts_with(prefix));
        (!is_response).then_some(session)
    })
}

fn trace_link(id: &[u8]) -> Option<Link> {
    let id = u128::from_be_bytes(id.try_into().ok()?);
    (id != 0).then_some(Link::Trace(id))
}

fn response_link(attributes: &[KeyValue]) -> Option<Link> {
    response_hash(attributes).map(Link::Response)
}

fn response_hash(attributes: &[KeyValue]) -> Option<u64> {
    let id = aliases::RESPONSE_IDS.iter().find_map(|key| text_ref(attributes, key)).filter(|id| !id.is_empty())?;
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    Some(hasher.finish())
}

fn millis(nanos: u64) -> i64 {
    i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
}

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a AnyValue> {
    attributes.iter().find(|pair| pair.key == key)?.value.as_ref()
}

fn text_ref<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match find(attributes, key)?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    text_ref(attributes, key).filter(|text| text.len() <= MAX_WORD).map(str::to_owned)
}

fn scalar(value: &AnyValue) -> Option<String> {
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::BoolValue(truth) => Some(truth.to_string()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn boolean(attributes: &[KeyValue], key: &str) -> Option<bool> {
    match find(attributes, key)?.value.as_ref()? {
        Value::BoolValue(truth) => Some(*truth),
        Value::StringValue(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::StringValue(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn integer(attributes: &[KeyValue], key: &str) -> Option<i64> {
    match find(attributes, key)?.value.as_ref()? {
        Value::IntValue(number) => Some(*number),
        _ => None,
    }
}

fn number(attributes: &[KeyValue], key: &str) -> Option<f64> {
    match find(attributes, key)?.value.as_ref()? {
        Value::DoubleValue(number) => Some(*number).filter(|number| number.is_finite()),
        Value::IntValue(number) => Some(*number as f64),
        _ => None,
    }
}
