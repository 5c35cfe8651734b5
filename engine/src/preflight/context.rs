//! C01 to C04: the context window adds up, is cached where it is stable, is compacted in time, and every part has a source.

use std::collections::BTreeSet;

use rollpin_crds::bundle::{Bundle, Compaction, Context, Segment, SegmentSource};

use super::{Finding, model};
use crate::digest::source_word;

/// Part of the window that should stay free: tokenizers differ. In percent.
const MARGIN_PERCENT: i64 = 5;
/// Cache breakpoints that providers with such a limit allow.
const MAX_BREAKPOINTS: usize = 4;

pub fn check(bundle: &Bundle) -> Vec<Finding> {
    let Some(context) = &bundle.context else {
        return Vec::new();
    };
    let mut found = Vec::new();
    found.extend(window(bundle, &context.segments));
    found.extend(breakpoints(&context.segments));
    if let Some(compaction) = &context.compaction {
        found.extend(self::compaction(compaction, &context.segments));
    }
    found.extend(sources(bundle, context));
    found
}

/// C01.
fn window(bundle: &Bundle, segments: &[Segment]) -> Option<Finding> {
    let window = bundle.model.context_window?;
    let parameters = bundle.model.parameters.clone().unwrap_or_default();
    let budgets: i64 = segments.iter().fold(0, |sum, segment| sum.saturating_add(segment.max_tokens));
    let answer = parameters.max_output_tokens.unwrap_or(0).saturating_add(parameters.reasoning_tokens.unwrap_or(0));
    let needed = budgets.saturating_add(answer);
    let field = "spec.bundle.context.segments";
    let sum =
        format!("segments take {budgets} tokens and the answer {answer}, together {needed}; the window has {window}");
    if needed > window {
        return Some(Finding::error("C01", field, format!("{sum}; lower maxTokens by {}", needed - window)));
    }
    let margin = window.saturating_mul(MARGIN_PERCENT) / 100;
    (needed > window - margin).then(|| {
        Finding::warning(
            "C01",
            field,
            format!("{sum}, which leaves less than {MARGIN_PERCENT} % for what tokenizers count differently"),
        )
    })
}

/// C02.
fn breakpoints(segments: &[Segment]) -> Vec<Finding> {
    let breaks: Vec<usize> = segments
        .iter()
        .enumerate()
        .filter(|(_, it)| it.cache_breakpoint == Some(true))
        .map(|(index, _)| index)
        .collect();
    let mut found = Vec::new();
    if breaks.len() > MAX_BREAKPOINTS {
        let message = format!(
            "{} cache breakpoints, and providers allow {MAX_BREAKPOINTS}; keep those after the longest stable segments",
            breaks.len()
        );
        found.push(Finding::warning("C02", "spec.bundle.context.segments", message));
    }
    let volatile = segments.iter().position(|it| is_volatile(it.source));
    for index in breaks.into_iter().filter(|index| volatile.is_some_and(|volatile| *index >= volatile)) {
        let field = format!("spec.bundle.context.segments[{index}].cacheBreakpoint");
        found.push(Finding::warning("C02", field, "what comes before this breakpoint changes at every turn, so nothing is ever read from the cache; move it up"));
    }
    found
}

/// Segments that are new at every turn; a history only grows at its end.
fn is_volatile(source: SegmentSource) -> bool {
    match source {
        SegmentSource::Retrieval | SegmentSource::Input => true,
        SegmentSource::Prompt | SegmentSource::Tools | SegmentSource::History | SegmentSource::Memory => false,
    }
}

/// C03.
fn compaction(compaction: &Compaction, segments: &[Segment]) -> Vec<Finding> {
    let field = "spec.bundle.context.compaction.triggerTokens";
    let mut found = Vec::new();
    match segments.iter().find(|it| it.source == SegmentSource::History) {
        None => found.push(Finding::error(
            "C03",
            field,
            "there is no segment with source History to compact; add one, or remove compaction",
        )),
        Some(history) if compaction.trigger_tokens >= history.max_tokens => {
            let message = format!(
                "compaction begins at {} tokens, and the history is cut at {}; write a trigger below the segment's maxTokens",
                compaction.trigger_tokens, history.max_tokens
            );
            found.push(Finding::error("C03", field, message));
        }
        Some(_) => {}
    }
    if let Some(summarizer) = &compaction.summarizer {
        let field = "spec.bundle.context.compaction.summarizer.version";
        found.extend(
            model::pinned(field, &summarizer.name, &summarizer.version)
                .map(|finding| Finding { code: "C03", ..finding }),
        );
    }
    found
}

/// C04.
fn sources(bundle: &Bundle, context: &Context) -> Vec<Finding> {
    let mut names = BTreeSet::new();
    let mut used = BTreeSet::new();
    let mut found = Vec::new();
    for (index, segment) in context.segments.iter().enumerate() {
        let field = format!("spec.bundle.context.segments[{index}]");
        if !names.insert(segment.name.as_str()) {
            found.push(Finding::error(
                "C04",
                format!("{field}.name"),
                format!("another segment is already called {:?}; rename one", segment.name),
            ));
        }
        let word = source_word(segment.source);
        if !used.insert(word) {
            found.push(Finding::error(
                "C04",
                format!("{field}.source"),
                format!("source {word} is used twice; keep one segment"),
            ));
        }
        found.extend(
            missing(bundle, context, segment.source)
                .map(|message| Finding::error("C04", format!("{field}.source"), message)),
        );
    }
    if !context.segments.is_empty() && !used.contains("Prompt") {
        found.push(Finding::error(
            "C04",
            "spec.bundle.context.segments",
            "no segment has source Prompt, so the prompt reaches nobody; add one",
        ));
    }
    found
}

fn missing(bundle: &Bundle, context: &Context, source: SegmentSource) -> Option<&'static str> {
    match source {
        SegmentSource::Tools if bundle.tools.as_ref().is_none_or(|tools| tools.items.is_empty()) => {
            Some("source Tools, and bundle.tools has no items; add tools, or remove the segment")
        }
        SegmentSource::Retrieval if context.retrieval.is_none() => {
            Some("source Retrieval, and context.retrieval is absent; write its indexSnapshot, or remove the segment")
        }
        SegmentSource::Memory if context.memory.is_none() => {
            Some("source Memory, and context.memory is absent; write its schemaVersion, or remove the segment")
        }
        SegmentSource::Prompt
        | SegmentSource::Tools
        | SegmentSource::History
        | SegmentSource::Retrieval
        | SegmentSource::Memory
        | SegmentSource::Input => None,
    }
}
