//! T01: tool schemas can be read by anybody. T05: no retry repeats a side effect.

use rollpin_crds::bundle::{Bundle, Effect, Idempotency, Tool};
use serde_json::{Map, Value};

use super::{Finding, schema};

pub fn check(bundle: &Bundle) -> Vec<Finding> {
    let Some(tools) = &bundle.tools else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (index, tool) in tools.items.iter().enumerate() {
        let field = format!("spec.bundle.tools.items[{index}]");
        found.extend(tool_schema(&format!("{field}.inputSchema"), &tool.input_schema));
        if let Some(output) = &tool.output_schema {
            found.extend(tool_schema(&format!("{field}.outputSchema"), output));
        }
        found.extend(repeated_write(bundle, &field, tool));
    }
    for (index, effect) in tools.effects.iter().enumerate() {
        if !tools.items.iter().any(|tool| tool.name == effect.name) {
            let message = format!("{:?} is no tool of tools.items; correct the name", effect.name);
            found.push(Finding::error("T05", format!("spec.bundle.tools.effects[{index}].name"), message));
        }
    }
    found
}

fn tool_schema(field: &str, schema: &Map<String, Value>) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    if schema.get("type").and_then(Value::as_str) != Some("object") {
        found.push(Finding::error("T01", field, "the root of a tool schema is an object; write type: object"));
    }
    found.extend(schema::problems(&Value::Object(schema.clone())).map(|message| Finding::error("T01", field, message)));
    found
}

fn repeated_write(bundle: &Bundle, field: &str, tool: &Tool) -> Option<Finding> {
    let runtime = bundle.runtime.as_ref()?;
    let attempts = runtime.retry.as_ref()?.max_attempts;
    let keyed = matches!(runtime.idempotency, Some(Idempotency::WritesOnly | Idempotency::All));
    (attempts > 1 && !keyed && writes(bundle, tool)).then(|| {
        let message = format!(
            "{:?} writes, and retry.maxAttempts is {attempts}: a retry would write twice; write runtime.idempotency: WritesOnly, or maxAttempts: 1",
            tool.name
        );
        Finding::error("T05", field, message)
    })
}

/// A tool writes if its effect says so or, without one, if MCP's hints do.
fn writes(bundle: &Bundle, tool: &Tool) -> bool {
    let effects = bundle.tools.iter().flat_map(|tools| &tools.effects);
    if let Some(declared) = effects.into_iter().find(|effect| effect.name == tool.name) {
        return declared.effect == Effect::Write;
    }
    let hint = |name: &str| tool.annotations.as_ref().and_then(|hints| hints.get(name)).and_then(Value::as_bool);
    let said = hint("readOnlyHint") == Some(false) || hint("destructiveHint") == Some(true);
    said && hint("idempotentHint") != Some(true)
}
