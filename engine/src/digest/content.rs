//! Replaces references by their content, so that the same text by any route has the same digest.
//!
//! Content that is missing or different is waited for; a reference that could change under our feet is refused.

use rollpin_crds::AgentReleaseSpec;
use rollpin_crds::bundle::{ConfigMapKeyRef, ContentSource, Message, Prompt};
use sha2::{Digest, Sha256};

use super::{Contents, strict};
use crate::validate::Problem;

/// A key of a `ConfigMap` that a spec refers to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    /// Name of the `ConfigMap`, in the release's namespace.
    pub config_map: String,
    /// Key in its `data`.
    pub key: String,
}

/// The keys of `ConfigMap`s that must be fetched before `build`, each once.
#[must_use]
pub fn references(spec: &AgentReleaseSpec) -> Vec<Reference> {
    let mut found: Vec<Reference> = spec
        .bundle
        .prompt
        .messages
        .iter()
        .filter_map(|message| message.content_from.as_ref()?.config_map_key_ref.as_ref())
        .map(|from| Reference { config_map: from.name.clone(), key: from.key.clone() })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What became of one message's text.
enum Text {
    Found(String),
    Waiting(String),
    Refused(Problem),
}

/// The texts of all messages, in order. Waits only if nothing is wrong with the spec itself.
pub fn resolve(prompt: &Prompt, contents: &Contents) -> Result<Vec<String>, Unresolved> {
    let mut texts = Vec::new();
    let mut waiting = Vec::new();
    let mut problems = Vec::new();
    for (index, message) in prompt.messages.iter().enumerate() {
        let field = format!("spec.bundle.prompt.messages[{index}]");
        match text_of(&field, message, contents) {
            Text::Found(text) => {
                strict::check_text(&field, &text, &mut problems);
                texts.push(text);
            }
            Text::Waiting(why) => waiting.push(why),
            Text::Refused(problem) => problems.push(problem),
        }
    }
    if waiting.is_empty() && problems.is_empty() { Ok(texts) } else { Err(Unresolved { waiting, problems }) }
}

/// Why a prompt has no text yet.
pub struct Unresolved {
    /// What is waited for, in words.
    pub waiting: Vec<String>,
    /// What can never be resolved.
    pub problems: Vec<Problem>,
}

fn text_of(field: &str, message: &Message, contents: &Contents) -> Text {
    match (&message.content, &message.content_from) {
        (Some(text), None) => Text::Found(text.clone()),
        (None, Some(from)) => from_source(&format!("{field}.contentFrom"), from, contents),
        (Some(_), Some(_)) | (None, None) => Text::Refused(Problem::new(
            field,
            "give exactly one of content (inline text) and contentFrom (a reference)",
        )),
    }
}

fn from_source(field: &str, from: &ContentSource, contents: &Contents) -> Text {
    match (&from.config_map_key_ref, &from.oci_ref) {
        (Some(key), None) => from_config_map(field, key, from.sha256.as_deref(), contents),
        (None, Some(_)) => Text::Refused(Problem::new(
            format!("{field}.ociRef"),
            "this version cannot fetch OCI artifacts; write content, or contentFrom.configMapKeyRef with its sha256",
        )),
        (Some(_), Some(_)) | (None, None) => {
            Text::Refused(Problem::new(field, "give exactly one of configMapKeyRef and ociRef"))
        }
    }
}

fn from_config_map(field: &str, key: &ConfigMapKeyRef, sha256: Option<&str>, contents: &Contents) -> Text {
    let ConfigMapKeyRef { name, key } = key;
    let found = contents.get(&(name.clone(), key.clone()));
    let Some(text) = found.and_then(|content| content.text.clone()) else {
        return Text::Waiting(format!("{field}: ConfigMap {name} with key {key} is not there yet"));
    };
    let immutable = found.is_some_and(|content| content.immutable);
    match sha256 {
        Some(wanted) if hex(&text) != wanted => Text::Waiting(format!(
            "{field}: key {key} of ConfigMap {name} has SHA-256 {}, the spec asks for {wanted}",
            hex(&text)
        )),
        Some(_) => Text::Found(text),
        None if immutable => Text::Found(text),
        None => Text::Refused(Problem::new(
            format!("{field}.sha256"),
            format!(
                "ConfigMap {name} can change under the release; write its sha256 ({}), or set immutable: true on it",
                hex(&text)
            ),
        )),
    }
}

fn hex(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}
