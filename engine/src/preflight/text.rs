//! P03: characters that people do not see and models do. That is how prompts are smuggled.

use rollpin_crds::bundle::Bundle;
use serde_json::Value;
use unicode_normalization::is_nfc;

use super::{Finding, prompt};
use crate::digest::Contents;

pub fn check(bundle: &Bundle, contents: &Contents) -> Vec<Finding> {
    let mut found = Vec::new();
    for (field, text) in prompt::texts(bundle, contents) {
        found.extend(suspicious(&field, text));
    }
    let rest = Bundle {
        prompt: rollpin_crds::bundle::Prompt { messages: Vec::new(), ..bundle.prompt.clone() },
        ..bundle.clone()
    };
    walk("spec.bundle", &serde_json::to_value(rest).unwrap_or_default(), &mut found);
    found
}

fn walk(field: &str, value: &Value, found: &mut Vec<Finding>) {
    match value {
        Value::String(text) => found.extend(suspicious(field, text)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(&format!("{field}[{index}]"), item, found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                found.extend(suspicious(field, key));
                walk(&format!("{field}.{key}"), member, found);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn suspicious(field: &str, text: &str) -> Option<Finding> {
    let mut kinds: Vec<String> = Vec::new();
    for (name, is_kind) in KINDS {
        let mut hits = text.chars().filter(|it| is_kind(*it));
        if let Some(first) = hits.next() {
            kinds.push(format!("{} {name} (the first is U+{:04X})", 1 + hits.count(), u32::from(first)));
        }
    }
    if text.contains('\r') {
        kinds.push("a carriage return".to_owned());
    }
    if !is_nfc(text) {
        kinds.push("text that is not in Unicode's composed form (NFC)".to_owned());
    }
    (!kinds.is_empty()).then(|| {
        let message =
            format!("{}; people do not see it and the model does, so remove it unless it is meant", kinds.join(", "));
        Finding::warning("P03", field, message)
    })
}

type IsKind = fn(char) -> bool;

const KINDS: [(&str, IsKind); 3] =
    [("bidirectional controls", is_bidi), ("zero-width characters", is_zero_width), ("tag characters", is_tag)];

fn is_bidi(it: char) -> bool {
    matches!(it, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_zero_width(it: char) -> bool {
    matches!(it, '\u{00ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

fn is_tag(it: char) -> bool {
    matches!(it, '\u{e0000}'..='\u{e007f}')
}
