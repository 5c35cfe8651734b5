//! Says in OpenTelemetry what happened: session starts, turns, evaluations, ends. The one place that spells attribute names.
//! Decides nothing, and carries no text of any conversation.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Array, Context, KeyValue, StringValue, Value,
    logs::{AnyValue, LogRecord as _, Logger as _, LoggerProvider as _, Severity},
    trace::{Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, Tracer as _, TracerProvider as _},
};
use opentelemetry_otlp::{LogExporter, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    logs::{self, BatchLogProcessor, SdkLogger, SdkLoggerProvider},
    trace::{self, BatchSpanProcessor, SdkTracer, SdkTracerProvider},
};
use thiserror::Error;

use crate::{conversation::Assignment, outcome::Outcome, recorded::TABLE, release::Digest};

/// How long a span or an event waits for company before it is sent.
const EXPORT_DELAY: Duration = Duration::from_millis(250);
/// Spans or events that may wait; beyond it the newest are dropped.
const QUEUE: usize = 16_384;
/// The tool that every turn calls. No tool call was recorded: this one is made up.
pub const TOOL: &str = "record_answer";
const SCOPE: &str = "replay-agent";

/// The exporter could not be built.
#[derive(Debug, Error)]
pub enum TelemetryError {
    /// The exporter refuses its settings.
    #[error("cannot build the OTLP exporter: check OTEL_EXPORTER_OTLP_ENDPOINT")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The HTTP client below it cannot be made.
    #[error("cannot make the HTTP client of the OTLP exporter")]
    Client(#[from] reqwest::Error),
}

/// What is the same in everything that this process sends.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `gen_ai.agent.name`.
    pub agent: String,
    /// `gen_ai.provider.name`.
    pub provider: String,
    /// `gen_ai.request.model` and `gen_ai.response.model`.
    pub model: String,
    /// The release that was loaded.
    pub release: Option<Digest>,
}

/// One answered turn.
#[derive(Debug)]
pub struct TurnReport<'a> {
    /// The conversation.
    pub conversation: &'a str,
    /// Unique to the model call.
    pub response_id: &'a str,
    /// When the turn began.
    pub began: SystemTime,
    /// When the model had answered.
    pub answered: SystemTime,
    /// What it amounted to.
    pub outcome: &'a Outcome,
}

/// Sends, or, where no endpoint is set, does nothing.
#[derive(Debug)]
pub struct Telemetry {
    identity: Identity,
    tracer: SdkTracer,
    logger: SdkLogger,
    spans: SdkTracerProvider,
    events: SdkLoggerProvider,
    dataset_hash: String,
}

impl Telemetry {
    /// Sends to `OTEL_EXPORTER_OTLP_ENDPOINT` if `send`. Must be called outside the asynchronous runtime: the exporter's
    /// client blocks on threads of its own.
    pub fn start(identity: Identity, send: bool) -> Result<Self, TelemetryError> {
        let resource = resource_of(&identity);
        let mut spans = SdkTracerProvider::builder().with_resource(resource.clone());
        let mut events = SdkLoggerProvider::builder().with_resource(resource);
        if send {
            spans = spans.with_span_processor(span_processor()?);
            events = events.with_log_processor(event_processor()?);
        }
        let (spans, events) = (spans.build(), events.build());
        Ok(Self {
            tracer: spans.tracer(SCOPE),
            logger: events.logger(SCOPE),
            spans,
            events,
            identity,
            dataset_hash: Digest::of(TABLE.as_bytes()).oci(),
        })
    }

    /// A session starts here. Sent at once, before the answer, so that a turn which never ends was still begun.
    pub fn session_started(&self, conversation: &str, assignment: Option<Assignment>, dataset: &str) {
        let mut attributes = vec![
            ("gen_ai.conversation.id", AnyValue::from(conversation.to_owned())),
            ("rollpin.slice.dataset", AnyValue::from(dataset.to_owned())),
        ];
        if let Some(assignment) = assignment {
            attributes.push(("rollpin.assignment", AnyValue::from(assignment.word())));
        }
        self.event("rollpin.session.start", attributes);
    }

    /// A turn was answered: a root span with the model call and the tool call below it.
    pub fn turn_answered(&self, turn: &TurnReport<'_>) {
        let mut root = self.root_span(turn);
        let context = root.span_context().clone();
        self.chat_span(turn, &context);
        self.tool_span(turn, &context);
        root.end_with_timestamp(SystemTime::now());
    }

    /// The judge's word on the session. The judge here is the recorded label, or the script.
    pub fn session_evaluated(&self, turn: &TurnReport<'_>, success: bool) {
        self.event(
            "gen_ai.evaluation.result",
            vec![
                ("gen_ai.evaluation.name", AnyValue::from("task_success")),
                ("gen_ai.evaluation.score.value", AnyValue::from(f64::from(u8::from(success)))),
                ("gen_ai.evaluation.score.label", AnyValue::from(if success { "pass" } else { "fail" })),
                ("gen_ai.conversation.id", AnyValue::from(turn.conversation.to_owned())),
                ("gen_ai.response.id", AnyValue::from(turn.response_id.to_owned())),
                ("rollpin.judge.model", AnyValue::from("recorded-label")),
                ("rollpin.judge.prompt_hash", AnyValue::from("none")),
                ("rollpin.judge.dataset_hash", AnyValue::from(self.dataset_hash.clone())),
            ],
        );
    }

    /// The client said that the session is over.
    pub fn session_ended(&self, conversation: &str) {
        self.event(
            "rollpin.session.end",
            vec![
                ("gen_ai.conversation.id", AnyValue::from(conversation.to_owned())),
                ("rollpin.outcome", AnyValue::from("completed")),
            ],
        );
    }

    /// Sends what waits and stops; at most `patience` for each of the two signals.
    pub fn stop(&self, patience: Duration) {
        for result in [self.events.shutdown_with_timeout(patience), self.spans.shutdown_with_timeout(patience)] {
            if let Err(error) = result {
                tracing::warn!(%error, "some telemetry was not sent before the end");
            }
        }
    }

    fn root_span(&self, turn: &TurnReport<'_>) -> trace::Span {
        self.tracer
            .span_builder(format!("invoke_agent {}", self.identity.agent))
            .with_kind(SpanKind::Internal)
            .with_start_time(turn.began)
            .with_attributes([
                KeyValue::new("gen_ai.operation.name", "invoke_agent"),
                KeyValue::new("gen_ai.provider.name", self.identity.provider.clone()),
                KeyValue::new("gen_ai.agent.name", self.identity.agent.clone()),
                KeyValue::new("gen_ai.conversation.id", turn.conversation.to_owned()),
            ])
            .start_with_context(&self.tracer, &Context::new())
    }

    fn chat_span(&self, turn: &TurnReport<'_>, root: &SpanContext) {
        let Outcome {
            dataset: _,
            task_success: _,
            schema_violation,
            tool_error: _,
            truncated,
            chars,
            input_tokens,
            output_tokens,
            latency: _,
        } = turn.outcome;
        let finish = StringValue::from(if *truncated { "length" } else { "stop" });
        let mut span = self
            .tracer
            .span_builder(format!("chat {}", self.identity.model))
            .with_kind(SpanKind::Client)
            .with_start_time(turn.began)
            .with_attributes([
                KeyValue::new("gen_ai.operation.name", "chat"),
                KeyValue::new("gen_ai.provider.name", self.identity.provider.clone()),
                KeyValue::new("gen_ai.request.model", self.identity.model.clone()),
                KeyValue::new("gen_ai.response.model", self.identity.model.clone()),
                KeyValue::new("gen_ai.response.id", turn.response_id.to_owned()),
                KeyValue::new("gen_ai.conversation.id", turn.conversation.to_owned()),
                KeyValue::new("gen_ai.response.finish_reasons", Value::Array(Array::String(vec![finish]))),
                KeyValue::new("gen_ai.usage.input_tokens", i64::from(*input_tokens)),
                KeyValue::new("gen_ai.usage.output_tokens", i64::from(*output_tokens)),
                KeyValue::new("rollpin.output.length", i64::try_from(*chars).unwrap_or(i64::MAX)),
                KeyValue::new("rollpin.output.empty", *chars == 0),
                KeyValue::new("rollpin.schema_violation", *schema_violation),
            ])
            .start_with_context(&self.tracer, &below(root));
        span.end_with_timestamp(turn.answered);
    }

    fn tool_span(&self, turn: &TurnReport<'_>, root: &SpanContext) {
        let mut span = self
            .tracer
            .span_builder(format!("execute_tool {TOOL}"))
            .with_kind(SpanKind::Internal)
            .with_start_time(turn.answered)
            .with_attributes([
                KeyValue::new("gen_ai.operation.name", "execute_tool"),
                KeyValue::new("gen_ai.tool.name", TOOL),
                KeyValue::new("gen_ai.tool.call.id", format!("call-{}", turn.response_id)),
                KeyValue::new("gen_ai.conversation.id", turn.conversation.to_owned()),
            ])
            .start_with_context(&self.tracer, &below(root));
        let failure = match (turn.outcome.tool_error, turn.outcome.schema_violation) {
            (true, _) => Some(("tool_failed", "the tool failed")),
            (false, true) => Some(("schema_violation", "the answer has not the demanded form")),
            (false, false) => None,
        };
        if let Some((kind, description)) = failure {
            span.set_attribute(KeyValue::new("error.type", kind));
            span.set_status(Status::error(description));
        }
        span.end_with_timestamp(SystemTime::now());
    }

    fn event(&self, name: &'static str, attributes: Vec<(&'static str, AnyValue)>) {
        let now = SystemTime::now();
        let mut record = self.logger.create_log_record();
        record.set_event_name(name);
        record.set_timestamp(now);
        record.set_observed_timestamp(now);
        record.set_severity_number(Severity::Info);
        record.add_attributes(attributes);
        self.logger.emit(record);
    }
}

fn below(parent: &SpanContext) -> Context {
    Context::new().with_remote_span_context(parent.clone())
}

/// The environment decides (`OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`); what it leaves out is filled in.
fn resource_of(identity: &Identity) -> Resource {
    let from_environment = Resource::builder().build();
    let mut builder = Resource::builder();
    if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
        builder = builder.with_service_name(identity.agent.clone());
    }
    if let Some(release) = identity.release
        && from_environment.get(&"service.version".into()).is_none()
    {
        builder = builder.with_attribute(KeyValue::new("service.version", release.oci()));
    }
    builder.build()
}

/// A client that looks for no certificates: an image made from nothing has none, and the exporter's own client would
/// stop the process. Telemetry goes to the cluster's receiver in plain HTTP. Made on a thread of its own, since a
/// blocking client must not be made inside of the asynchronous runtime.
fn client() -> Result<reqwest::blocking::Client, reqwest::Error> {
    let build = || {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::blocking::Client::builder().tls_certs_only([]).timeout(Duration::from_secs(10)).build()
    };
    match std::thread::spawn(build).join() {
        Ok(client) => client,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

fn span_processor() -> Result<BatchSpanProcessor, TelemetryError> {
    let config =
        trace::BatchConfigBuilder::default().with_scheduled_delay(EXPORT_DELAY).with_max_queue_size(QUEUE).build();
    let exporter = SpanExporter::builder().with_http().with_http_client(client()?).build()?;
    Ok(BatchSpanProcessor::builder(exporter).with_batch_config(config).build())
}

fn event_processor() -> Result<BatchLogProcessor, TelemetryError> {
    let config =
        logs::BatchConfigBuilder::default().with_scheduled_delay(EXPORT_DELAY).with_max_queue_size(QUEUE).build();
    let exporter = LogExporter::builder().with_http().with_http_client(client()?).build()?;
    Ok(BatchLogProcessor::builder(exporter).with_batch_config(config).build())
}
