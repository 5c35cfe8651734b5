//! Prints: tables, objects, colours. The only place that writes to standard output.
//!
//! A closed pipe ends the program quietly; it never panics.

use std::io::{ErrorKind, Write};

use anstyle::{AnsiColor, Style};
use comfy_table::{CellAlignment, Table};
use jiff::Timestamp;
use serde::Serialize;

use crate::args::Form;
use crate::failure::Failure;

/// Green.
pub const GOOD: Style = AnsiColor::Green.on_default();
/// Red.
pub const BAD: Style = AnsiColor::Red.on_default();
/// Yellow.
pub const WAIT: Style = AnsiColor::Yellow.on_default();
/// Bold.
pub const STRONG: Style = Style::new().bold();
/// Dim.
pub const FAINT: Style = Style::new().dimmed();

/// Text in a style, ended; the stream strips it where no terminal shows it.
pub fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes text and a line feed to standard output, at once.
pub fn say(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush()).map_err(|cause| match cause.kind() {
        ErrorKind::BrokenPipe => Failure::OutputClosed,
        _ => Failure::Print(cause.to_string()),
    })
}

/// Writes an error to standard error.
pub fn complain(failure: &Failure) {
    remark(&format!("{} {failure}", styled(BAD.bold(), "error:")));
}

/// Writes a line to standard error; nobody is left to tell when that fails.
pub fn remark(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Prints a value as JSON or YAML; `Ok(false)` when the form is neither.
pub fn say_value<T: Serialize>(form: Option<Form>, value: &T) -> Result<bool, Failure> {
    let text = match form {
        Some(Form::Json) => serde_json::to_string_pretty(value).map_err(|cause| Failure::Print(cause.to_string()))?,
        Some(Form::Yaml) => serde_yaml::to_string(value).map_err(|cause| Failure::Print(cause.to_string()))?,
        Some(Form::Wide | Form::Name) | None => return Ok(false),
    };
    say(&text)?;
    Ok(true)
}

/// Padded columns without lines, three spaces apart.
pub fn table<S: AsRef<str>>(heading: &[&str], rows: &[Vec<S>]) -> String {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    if !heading.is_empty() {
        table.add_row(heading.iter().copied());
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| cell.as_ref().to_owned()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
        column.set_cell_alignment(CellAlignment::Left);
    }
    let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.join("\n")
}

/// How long ago, as kubectl says it: two units at most.
pub fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).as_secs().max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 if seconds % 60 != 0 => format!("{minutes}m{}s", seconds % 60),
        120..10_800 => format!("{}m", seconds / 60),
        10_800..28_800 if minutes != 0 => format!("{hours}h{minutes}m"),
        10_800..172_800 => format!("{}h", seconds / 3600),
        172_800..691_200 if hours != 0 => format!("{days}d{hours}h"),
        _ => format!("{days}d"),
    }
}

/// A count with its noun.
pub fn count(number: i64, noun: &str) -> String {
    if number == 1 { format!("{number} {noun}") } else { format!("{number} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_read_like_those_of_kubectl() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (150, "2m30s"),
            (600, "10m"),
            (10_800, "3h"),
            (12_000, "3h20m"),
            (100_000, "27h"),
            (180_000, "2d2h"),
            (3_542_400, "41d"),
        ] {
            let since = now - jiff::SignedDuration::from_secs(seconds);
            assert_eq!(age(since, now), text, "{seconds} s");
        }
    }

    #[test]
    fn columns_are_padded_and_lines_have_no_trailing_blanks() {
        let text = table(&["NAME", "PHASE"], &[vec!["support", "Healthy"], vec!["é", "x"]]);
        assert_eq!(text, "NAME      PHASE\nsupport   Healthy\né         x");
    }
}
