//! From a typed bundle to the JSON of each component, field by field.
//!
//! Every struct is taken apart without `..`: a new field of the API does not compile until it is placed here, and the
//! order and the skipping of a serialiser decide nothing. No default is filled in; absent is not zero; an empty list or
//! object equals an absent one, and lists whose order means nothing are sorted.

use rollpin_crds::bundle::{
    Bundle, Compaction, Context, Deadlines, Effect, FallbackModel, Idempotency, Memory, Model, Overflow, Parameters,
    Prompt, Retrieval, Retry, Runtime, Segment, SegmentSource, SessionState, TemplateEngine, Tool, ToolEffect, Tools,
    Variable,
};
use rollpin_crds::release::Contract;
use rollpin_crds::schema::Duration;
use serde_json::{Map, Number, Value};

use crate::validate::{Problem, duration_millis};

/// The components of a release that are not empty, in the order of the manifest's layers.
pub fn components(
    bundle: &Bundle,
    texts: &[String],
    contract: Option<&Contract>,
    hashed_template: Value,
) -> Result<Vec<(&'static str, Value)>, Vec<Problem>> {
    let Bundle { description, model, prompt, tools, context, runtime, state } = bundle;
    let mut times = Times::default();
    let all = [
        ("model", self::model(model)),
        ("prompt", self::prompt(prompt, texts)),
        ("tools", tools.as_ref().map_or(Value::Null, self::tools)),
        ("context", context.as_ref().map_or(Value::Null, |it| self::context(it, &mut times))),
        ("harness", harness(description.as_deref(), contract, hashed_template)),
        ("runtime", runtime.as_ref().map_or(Value::Null, |it| self::runtime(it, &mut times))),
        ("state", state.as_ref().map_or(Value::Null, self::state)),
    ];
    if times.problems.is_empty() {
        Ok(all.into_iter().filter(|(_, value)| !is_empty(value)).collect())
    } else {
        Err(times.problems)
    }
}

/// A component without its provenance fields: what can change behaviour.
pub fn behavior_of(name: &str, component: &Value) -> Value {
    let mut behavior = component.clone();
    match name {
        "tools" => {
            for tool in behavior.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
                remove(tool, "title");
            }
        }
        "harness" => {
            remove(&mut behavior, "description");
            if let Some(template) = behavior.get_mut("template") {
                remove(template, "metadata");
            }
        }
        _ => {}
    }
    behavior
}

fn remove(value: &mut Value, key: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(key);
    }
}

fn model(model: &Model) -> Value {
    let Model { provider, name, version, endpoint_ref, context_window, parameters, response_format, fallbacks } = model;
    object([
        ("provider", text(provider)),
        ("name", text(name)),
        ("version", text(version)),
        ("endpointRef", optional(endpoint_ref.as_deref(), text)),
        ("contextWindow", optional(*context_window, Value::from)),
        ("parameters", optional(parameters.as_ref(), self::parameters)),
        ("responseFormat", optional(response_format.as_ref(), verbatim)),
        ("fallbacks", list(fallbacks, fallback)),
    ])
}

fn fallback(fallback: &FallbackModel) -> Value {
    let FallbackModel { provider, name, version } = fallback;
    object([("provider", text(provider)), ("name", text(name)), ("version", text(version))])
}

fn parameters(parameters: &Parameters) -> Value {
    let Parameters {
        temperature,
        top_p,
        top_k,
        max_output_tokens,
        frequency_penalty,
        presence_penalty,
        seed,
        reasoning_effort,
        reasoning_tokens,
        stop_sequences,
    } = parameters;
    object([
        ("temperature", optional(*temperature, float)),
        ("topP", optional(*top_p, float)),
        ("topK", optional(*top_k, Value::from)),
        ("maxOutputTokens", optional(*max_output_tokens, Value::from)),
        ("frequencyPenalty", optional(*frequency_penalty, float)),
        ("presencePenalty", optional(*presence_penalty, float)),
        ("seed", optional(*seed, Value::from)),
        ("reasoningEffort", optional(reasoning_effort.as_deref(), text)),
        ("reasoningTokens", optional(*reasoning_tokens, Value::from)),
        ("stopSequences", list(stop_sequences, |it| text(it))),
    ])
}

fn prompt(prompt: &Prompt, texts: &[String]) -> Value {
    let Prompt { template_engine, messages, variables } = prompt;
    let messages = messages.iter().zip(texts).map(|(message, content)| {
        // `content` and `contentFrom` have become `texts`: the same text by any route.
        object([("role", text(&message.role)), ("content", text(content))])
    });
    let mut variables: Vec<&Variable> = variables.iter().collect();
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    object([
        ("templateEngine", optional(*template_engine, |it| text(engine_word(it)))),
        ("messages", Value::Array(messages.collect())),
        ("variables", list(variables, variable)),
    ])
}

fn engine_word(engine: TemplateEngine) -> &'static str {
    match engine {
        TemplateEngine::Mustache => "Mustache",
        TemplateEngine::None => "None",
    }
}

fn variable(variable: &Variable) -> Value {
    let Variable { name, required, source } = variable;
    object([
        ("name", text(name)),
        ("required", optional(*required, Value::from)),
        ("source", optional(source.as_deref(), text)),
    ])
}

fn tools(tools: &Tools) -> Value {
    let Tools { items, effects, choice, parallel_calls } = tools;
    let mut items: Vec<&Tool> = items.iter().collect();
    items.sort_by(|a, b| (&a.server, &a.name).cmp(&(&b.server, &b.name)));
    let mut effects: Vec<&ToolEffect> = effects.iter().collect();
    effects.sort_by(|a, b| a.name.cmp(&b.name));
    object([
        ("items", list(items, tool)),
        ("effects", list(effects, effect)),
        ("choice", optional(choice.as_deref(), text)),
        ("parallelCalls", optional(*parallel_calls, Value::from)),
    ])
}

fn tool(tool: &Tool) -> Value {
    let Tool { server, name, title, description, input_schema, output_schema, annotations } = tool;
    object([
        ("server", optional(server.as_deref(), text)),
        ("name", text(name)),
        ("title", optional(title.as_deref(), text)),
        ("description", optional(description.as_deref(), text)),
        ("inputSchema", verbatim(input_schema)),
        ("outputSchema", optional(output_schema.as_ref(), verbatim)),
        ("annotations", optional(annotations.as_ref(), verbatim)),
    ])
}

fn effect(effect: &ToolEffect) -> Value {
    let ToolEffect { name, effect } = effect;
    let word = match effect {
        Effect::Read => "Read",
        Effect::IdempotentWrite => "IdempotentWrite",
        Effect::Write => "Write",
    };
    object([("name", text(name)), ("effect", text(word))])
}

fn context(context: &Context, times: &mut Times) -> Value {
    let Context { segments, retrieval, memory, compaction } = context;
    object([
        ("segments", list(segments, segment)),
        ("retrieval", optional(retrieval.as_ref(), self::retrieval)),
        ("memory", optional(memory.as_ref(), |it| self::memory(it, times))),
        ("compaction", optional(compaction.as_ref(), self::compaction)),
    ])
}

fn segment(segment: &Segment) -> Value {
    let Segment { name, source, max_tokens, overflow, cache_breakpoint } = segment;
    object([
        ("name", text(name)),
        ("source", text(source_word(*source))),
        ("maxTokens", Value::from(*max_tokens)),
        ("overflow", optional(*overflow, |it| text(overflow_word(it)))),
        ("cacheBreakpoint", optional(*cache_breakpoint, Value::from)),
    ])
}

/// The API's word for a segment's source.
#[must_use]
pub fn source_word(source: SegmentSource) -> &'static str {
    match source {
        SegmentSource::Prompt => "Prompt",
        SegmentSource::Tools => "Tools",
        SegmentSource::History => "History",
        SegmentSource::Retrieval => "Retrieval",
        SegmentSource::Memory => "Memory",
        SegmentSource::Input => "Input",
    }
}

fn overflow_word(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::TruncateOldest => "TruncateOldest",
        Overflow::TruncateNewest => "TruncateNewest",
        Overflow::Summarize => "Summarize",
        Overflow::Refuse => "Refuse",
    }
}

fn retrieval(retrieval: &Retrieval) -> Value {
    let Retrieval { index_snapshot, embedding_model, top_k } = retrieval;
    object([
        ("indexSnapshot", text(index_snapshot)),
        ("embeddingModel", text(embedding_model)),
        ("topK", Value::from(*top_k)),
    ])
}

fn memory(memory: &Memory, times: &mut Times) -> Value {
    let Memory { schema_version, ttl } = memory;
    object([
        ("schemaVersion", text(schema_version)),
        ("ttl", times.millis("spec.bundle.context.memory.ttl", ttl.as_ref())),
    ])
}

fn compaction(compaction: &Compaction) -> Value {
    let Compaction { trigger_tokens, summarizer } = compaction;
    object([("triggerTokens", Value::from(*trigger_tokens)), ("summarizer", optional(summarizer.as_ref(), fallback))])
}

fn harness(description: Option<&str>, contract: Option<&Contract>, hashed_template: Value) -> Value {
    object([
        ("contract", optional(contract, self::contract)),
        ("description", optional(description, text)),
        ("template", hashed_template),
    ])
}

/// Level 0 is what an absent contract says, so it is written as one.
fn contract(contract: &Contract) -> Value {
    let Contract { level, port } = contract;
    let level = (*level != 0).then_some(*level);
    object([("level", optional(level, Value::from)), ("port", optional(*port, Value::from))])
}

fn runtime(runtime: &Runtime, times: &mut Times) -> Value {
    let Runtime { deadline, retry, idempotency, max_iterations } = runtime;
    object([
        ("deadline", optional(deadline.as_ref(), |it| deadlines(it, times))),
        ("retry", optional(retry.as_ref(), self::retry)),
        ("idempotency", optional(*idempotency, |it| text(idempotency_word(it)))),
        ("maxIterations", optional(*max_iterations, Value::from)),
    ])
}

fn deadlines(deadlines: &Deadlines, times: &mut Times) -> Value {
    let Deadlines { request, turn, tool_call } = deadlines;
    object([
        ("request", times.millis("spec.bundle.runtime.deadline.request", request.as_ref())),
        ("turn", times.millis("spec.bundle.runtime.deadline.turn", turn.as_ref())),
        ("toolCall", times.millis("spec.bundle.runtime.deadline.toolCall", tool_call.as_ref())),
    ])
}

fn retry(retry: &Retry) -> Value {
    let Retry { max_attempts, budget_percent } = retry;
    object([("maxAttempts", Value::from(*max_attempts)), ("budgetPercent", optional(*budget_percent, Value::from))])
}

fn idempotency_word(idempotency: Idempotency) -> &'static str {
    match idempotency {
        Idempotency::None => "None",
        Idempotency::WritesOnly => "WritesOnly",
        Idempotency::All => "All",
    }
}

fn state(state: &SessionState) -> Value {
    let SessionState { session_schema_version, readable_from } = state;
    let mut readable_from: Vec<&String> = readable_from.iter().collect();
    readable_from.sort();
    object([
        ("sessionSchemaVersion", text(session_schema_version)),
        ("readableFrom", list(readable_from, |it| text(it))),
    ])
}

/// Durations, hashed as integers of milliseconds; those that cannot be read are collected.
#[derive(Default)]
struct Times {
    problems: Vec<Problem>,
}

impl Times {
    fn millis(&mut self, field: &str, duration: Option<&Duration>) -> Value {
        match duration.map(|duration| duration_millis(field, duration)) {
            None => Value::Null,
            Some(Ok(millis)) => Value::from(millis),
            Some(Err(problem)) => {
                self.problems.push(problem);
                Value::Null
            }
        }
    }
}

/// An object of the members that are there.
fn object<const N: usize>(members: [(&str, Value); N]) -> Value {
    let kept = members.into_iter().filter(|(_, value)| !is_empty(value));
    Value::Object(kept.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

fn optional<T>(value: Option<T>, project: impl FnOnce(T) -> Value) -> Value {
    value.map_or(Value::Null, project)
}

fn list<T>(items: impl IntoIterator<Item = T>, project: impl Fn(T) -> Value) -> Value {
    Value::Array(items.into_iter().map(project).collect())
}

fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

fn verbatim(object: &Map<String, Value>) -> Value {
    Value::Object(object.clone())
}

/// A number that is not finite has been refused before.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
