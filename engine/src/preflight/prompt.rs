//! P01: every variable is declared and has a source. P02: the prompt names no tool that is not there.

use std::collections::BTreeSet;

use rollpin_crds::bundle::{Bundle, Message, TemplateEngine, Variable};

use super::Finding;
use crate::digest::Contents;

pub fn check(bundle: &Bundle, contents: &Contents) -> Vec<Finding> {
    let texts = texts(bundle, contents);
    let mut found = Vec::new();
    if bundle.prompt.template_engine != Some(TemplateEngine::None) {
        found.extend(variables(bundle, &texts));
    }
    let complete = texts.len() == bundle.prompt.messages.len();
    for (field, text) in &texts {
        found.extend(missing_tools(bundle, field, text));
    }
    found.extend(missing_choice(bundle));
    if !complete {
        // A text that is not here yet may use any variable.
        found.retain(|finding| !finding.message.starts_with(UNUSED));
    }
    found
}

const UNUSED: &str = "no message uses";

/// Field and text of each message whose text is known.
pub fn texts<'a>(bundle: &'a Bundle, contents: &'a Contents) -> Vec<(String, &'a str)> {
    let text = |message: &'a Message| -> Option<&'a str> {
        if let Some(content) = &message.content {
            return Some(content);
        }
        let key = message.content_from.as_ref()?.config_map_key_ref.as_ref()?;
        contents.get(&(key.name.clone(), key.key.clone()))?.text.as_deref()
    };
    let messages = bundle.prompt.messages.iter().enumerate();
    messages
        .filter_map(|(index, message)| Some((format!("spec.bundle.prompt.messages[{index}].content"), text(message)?)))
        .collect()
}

fn variables(bundle: &Bundle, texts: &[(String, &str)]) -> Vec<Finding> {
    let declared = &bundle.prompt.variables;
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    for (field, text) in texts {
        for tag in tags(text) {
            match name_in(tag) {
                Tag::Name(name) => {
                    let root = name.split('.').next().unwrap_or(name);
                    let known = declared.iter().find(|it| it.name == name || it.name == root);
                    match known {
                        Some(variable) => drop(used.insert(variable.name.as_str())),
                        None => found.push(undeclared(field, name)),
                    }
                }
                Tag::Nothing => {}
                Tag::Other => found.push(Finding::error(
                    "P01",
                    field.clone(),
                    format!("{{{{{tag}}}}} is no variable; if the braces are meant literally, write prompt.templateEngine: None"),
                )),
            }
        }
    }
    found.dedup();
    for (index, variable) in declared.iter().enumerate() {
        found.extend(unsourced(index, variable));
        if !used.contains(variable.name.as_str()) {
            let field = format!("spec.bundle.prompt.variables[{index}]");
            found.push(Finding::warning(
                "P01",
                field,
                format!("{UNUSED} {{{{{}}}}}; remove it or use it", variable.name),
            ));
        }
    }
    found
}

fn undeclared(field: &str, name: &str) -> Finding {
    let message = format!("{{{{{name}}}}} is not declared; add it to prompt.variables, or correct the name");
    Finding::error("P01", field, message)
}

fn unsourced(index: usize, variable: &Variable) -> Option<Finding> {
    let missing = variable.required == Some(true) && variable.source.as_deref().is_none_or(str::is_empty);
    missing.then(|| {
        let field = format!("spec.bundle.prompt.variables[{index}].source");
        let message = format!(
            "{:?} is required and nothing says where it comes from; write source, such as session",
            variable.name
        );
        Finding::error("P01", field, message)
    })
}

/// What a Mustache tag holds.
enum Tag<'a> {
    Name(&'a str),
    Nothing,
    Other,
}

/// The insides of `{{...}}`, triple braces included.
fn tags(text: &str) -> impl Iterator<Item = &str> {
    text.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0))
}

fn name_in(tag: &str) -> Tag<'_> {
    let tag = tag.trim_start_matches('{').trim();
    if tag.starts_with('!') || tag == "." {
        return Tag::Nothing;
    }
    let name = tag.trim_start_matches(['#', '^', '/', '&']).trim();
    let mut characters = name.chars();
    let head = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    let tail = characters.all(|other| other.is_ascii_alphanumeric() || matches!(other, '_' | '-' | '.'));
    if head && tail { Tag::Name(name) } else { Tag::Other }
}

/// Names in backticks right beside the word tool or function: an explicit naming, not a guess about prose.
fn missing_tools(bundle: &Bundle, field: &str, text: &str) -> Vec<Finding> {
    let parts: Vec<&str> = text.split('`').collect();
    let mut found = Vec::new();
    for window in parts.windows(3).step_by(2) {
        let [before, name, after] = window else {
            continue;
        };
        let called = ends_with_word(before) || starts_with_word(after);
        let name = name.trim_end_matches("()");
        if called && is_identifier(name) && !has_tool(bundle, name) {
            let message = format!(
                "the prompt names the tool `{name}`, which tools.items does not have; add it, or correct the name"
            );
            found.push(Finding::error("P02", field, message));
        }
    }
    found
}

fn ends_with_word(before: &str) -> bool {
    let word = before.trim_end().rsplit(|it: char| !it.is_alphabetic()).next().unwrap_or_default();
    is_tool_word(word)
}

fn starts_with_word(after: &str) -> bool {
    let word = after.trim_start().split(|it: char| !it.is_alphabetic()).next().unwrap_or_default();
    is_tool_word(word)
}

fn is_tool_word(word: &str) -> bool {
    matches!(word.to_ascii_lowercase().as_str(), "tool" | "function")
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-' | '.'))
}

fn has_tool(bundle: &Bundle, name: &str) -> bool {
    bundle.tools.as_ref().is_some_and(|tools| tools.items.iter().any(|tool| tool.name == name))
}

fn missing_choice(bundle: &Bundle) -> Option<Finding> {
    let choice = bundle.tools.as_ref()?.choice.as_deref()?;
    let known = matches!(choice, "auto" | "none" | "required") || has_tool(bundle, choice);
    (!known).then(|| {
        let message =
            format!("{choice:?} is none of auto, none, required and no tool of tools.items; correct the name");
        Finding::error("P02", "spec.bundle.tools.choice", message)
    })
}
