//! M01: models are pinned to a snapshot. M02: parameters are in range and do not exclude each other.

use rollpin_crds::bundle::{Bundle, Model, Parameters};
use serde_json::Value;

use super::{Finding, schema};

/// Words that name a moving target, whoever serves the model.
const ALIASES: [&str; 9] = ["latest", "default", "auto", "current", "stable", "newest", "preview", "main", "live"];

pub fn check(bundle: &Bundle) -> Vec<Finding> {
    let model = &bundle.model;
    let mut found = Vec::new();
    found.extend(pinned("spec.bundle.model.version", &model.name, &model.version));
    for (index, fallback) in model.fallbacks.iter().enumerate() {
        found.extend(pinned(
            &format!("spec.bundle.model.fallbacks[{index}].version"),
            &fallback.name,
            &fallback.version,
        ));
    }
    if let Some(parameters) = &model.parameters {
        found.extend(out_of_range(parameters));
        found.extend(exclusive(model, parameters));
    }
    if let Some(format) = &model.response_format {
        let field = "spec.bundle.model.responseFormat";
        found.extend(
            schema::problems(&Value::Object(format.clone())).map(|message| Finding::error("M02", field, message)),
        );
    }
    found
}

/// M01 for one model; also used for the summariser of a compaction.
pub fn pinned(field: &str, name: &str, version: &str) -> Option<Finding> {
    let word = version.trim().to_ascii_lowercase();
    if word.is_empty() {
        return Some(Finding::error("M01", field, "the version is empty; write the snapshot, such as \"20251001\""));
    }
    if ALIASES.contains(&word.as_str()) || word == name.to_ascii_lowercase() || word.ends_with("-latest") {
        return Some(Finding::error(
            "M01",
            field,
            format!(
                "{version:?} is an alias whose model can change without you; write the snapshot, such as \"20251001\""
            ),
        ));
    }
    (!word.bytes().any(|byte| byte.is_ascii_digit())).then(|| {
        Finding::warning(
            "M01",
            field,
            format!("{version:?} does not look like a snapshot; make sure that it never moves"),
        )
    })
}

fn out_of_range(parameters: &Parameters) -> Vec<Finding> {
    let ranges = [
        ("temperature", parameters.temperature, 0.0, 2.0),
        ("topP", parameters.top_p, 0.0, 1.0),
        ("frequencyPenalty", parameters.frequency_penalty, -2.0, 2.0),
        ("presencePenalty", parameters.presence_penalty, -2.0, 2.0),
    ];
    ranges
        .into_iter()
        .filter(|(_, value, low, high)| value.is_some_and(|value| !(*low..=*high).contains(&value)))
        .map(|(name, value, low, high)| {
            let field = format!("spec.bundle.model.parameters.{name}");
            Finding::error(
                "M02",
                field,
                format!("{} is out of range; write a number from {low} to {high}", value.unwrap_or_default()),
            )
        })
        .collect()
}

fn exclusive(model: &Model, parameters: &Parameters) -> Vec<Finding> {
    let field = |name: &str| format!("spec.bundle.model.parameters.{name}");
    let mut found = Vec::new();
    if parameters.reasoning_effort.is_some() && parameters.reasoning_tokens.is_some() {
        let message = "reasoningEffort and reasoningTokens exclude each other; keep the one that your provider knows";
        found.push(Finding::error("M02", field("reasoningTokens"), message));
    }
    if let (Some(reasoning), Some(output)) = (parameters.reasoning_tokens, parameters.max_output_tokens)
        && model.provider == "anthropic"
        && reasoning >= output
    {
        let message = format!(
            "reasoningTokens {reasoning} leave nothing of maxOutputTokens {output}; this provider counts them in, so write less"
        );
        found.push(Finding::error("M02", field("reasoningTokens"), message));
    }
    if parameters.temperature.is_some() && parameters.top_p.is_some_and(|top_p| top_p < 1.0) {
        let message = "temperature and topP both narrow the sampling, and some providers refuse both; keep one";
        found.push(Finding::warning("M02", field("topP"), message));
    }
    found
}
