//! What an unquoted word is, where YAML 1.1, YAML 1.2 and JSON agree; a trap where they do not.

use serde_json::Number;
use thiserror::Error;

use super::Kind;

/// Largest integer that every JSON reader keeps.
const MAX_SAFE: i64 = 9_007_199_254_740_991;

/// A word that readers do not agree about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Trap {
    /// `yes`, `on`, `NO` ...
    #[error("{word} is {value} for YAML 1.1 and text for YAML 1.2: write \"{word}\" for text, or {value}")]
    Boolean {
        /// As written.
        word: String,
        /// What YAML 1.1 makes of it.
        value: bool,
    },
    /// `0123`.
    #[error("{0} is octal for YAML 1.1 and decimal for YAML 1.2: write \"{0}\" for text, or the decimal number")]
    Octal(String),
    /// `0o14`, `0b11` ...
    #[error("{0} is a number for some readers and text for others: write \"{0}\" for text, or the decimal number")]
    Radix(String),
    /// `1_000`.
    #[error("{word} is a number for YAML 1.1 and text for YAML 1.2: write \"{word}\" for text, or {without}")]
    Underscores {
        /// As written.
        word: String,
        /// Without underscores.
        without: String,
    },
    /// `12:30:45`.
    #[error("{0} is a number in base 60 for YAML 1.1 and text for YAML 1.2: write \"{0}\"")]
    Sexagesimal(String),
    /// `.inf`, `.nan`, `1e999`.
    #[error("{0} has no place in JSON: write a finite number, or \"{0}\" for text")]
    NotFinite(String),
    /// Beyond 2^53-1.
    #[error("{0} is beyond 2^53-1, where readers round: write \"{0}\" for text, or a smaller number")]
    TooLarge(String),
}

/// The value of an unquoted word.
pub fn plain(word: &str) -> Result<Kind, Trap> {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => Ok(Kind::Null),
        "true" | "True" | "TRUE" => Ok(Kind::Bool(true)),
        "false" | "False" | "FALSE" => Ok(Kind::Bool(false)),
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            Err(Trap::Boolean { word: word.to_owned(), value: true })
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            Err(Trap::Boolean { word: word.to_owned(), value: false })
        }
        _ if word.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) => number(word),
        _ => Ok(Kind::Text(word.to_owned())),
    }
}

fn number(word: &str) -> Result<Kind, Trap> {
    let owned = || word.to_owned();
    let digits = word.trim_start_matches(['+', '-']);
    if word.len() - digits.len() > 1 {
        return Ok(Kind::Text(owned()));
    }
    if is_word_for_infinity(digits) {
        return Err(Trap::NotFinite(owned()));
    }
    if is_sexagesimal(digits) {
        return Err(Trap::Sexagesimal(owned()));
    }
    if word.contains('_') {
        let without = word.replace('_', "");
        return match number(&without) {
            Ok(Kind::Text(_)) => Ok(Kind::Text(owned())),
            _ => Err(Trap::Underscores { word: owned(), without }),
        };
    }
    if let Some(parsed) = other_radix(word, digits) {
        return parsed;
    }
    if is_all(digits, |digit| digit.is_ascii_digit()) {
        return decimal(word, digits);
    }
    if is_float(digits) { float(word) } else { Ok(Kind::Text(owned())) }
}

fn is_all(text: &str, holds: impl Fn(char) -> bool) -> bool {
    !text.is_empty() && text.chars().all(holds)
}

fn is_word_for_infinity(digits: &str) -> bool {
    matches!(digits, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

/// `12:30:45`, `1:02`, `190:20:30.15`.
fn is_sexagesimal(digits: &str) -> bool {
    let mut parts = digits.split(':');
    let whole = parts.next().is_some_and(|first| is_all(first, |digit| digit.is_ascii_digit() || digit == '_'));
    let rest: Vec<&str> = parts.collect();
    whole && !rest.is_empty() && rest.iter().all(|part| is_sixtieth(part.split('.').next().unwrap_or_default()))
}

fn is_sixtieth(part: &str) -> bool {
    part.len() <= 2
        && is_all(part, |digit| digit.is_ascii_digit())
        && part.parse::<u8>().is_ok_and(|number| number < 60)
}

/// `0x1F` is one number everywhere; `0o14`, `0b11` and signed ones are not.
fn other_radix(word: &str, digits: &str) -> Option<Result<Kind, Trap>> {
    let mut letters = digits.chars();
    let (zero, letter, rest) = (letters.next()?, letters.next()?, letters.as_str());
    let radix = match (zero, letter.to_ascii_lowercase()) {
        ('0', 'x') => 16,
        ('0', 'o') => 8,
        ('0', 'b') => 2,
        _ => return None,
    };
    if !is_all(rest, |digit| digit.is_digit(radix)) {
        return None;
    }
    Some(match i64::from_str_radix(rest, 16) {
        Ok(number) if letter == 'x' && word == digits && number <= MAX_SAFE => Ok(Kind::Number(number.into())),
        Ok(_) | Err(_) => Err(Trap::Radix(word.to_owned())),
    })
}

fn decimal(word: &str, digits: &str) -> Result<Kind, Trap> {
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(Trap::Octal(word.to_owned()));
    }
    match word.parse::<i64>() {
        Ok(number) if number.abs() <= MAX_SAFE => Ok(Kind::Number(number.into())),
        Ok(_) | Err(_) => Err(Trap::TooLarge(word.to_owned())),
    }
}

/// `[0-9]+(\.[0-9]*)?([eE][-+]?[0-9]+)?` or the same with a leading point.
fn is_float(digits: &str) -> bool {
    let (mantissa, exponent) =
        digits.split_once(['e', 'E']).map_or((digits, None), |(before, after)| (before, Some(after)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digit = |letter: char| letter.is_ascii_digit();
    let mantissa_fits =
        whole.chars().all(digit) && fraction.chars().all(digit) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits =
        exponent.is_none_or(|exponent| is_all(exponent.strip_prefix(['+', '-']).unwrap_or(exponent), digit));
    mantissa_fits && exponent_fits
}

/// A whole number is an integer, as it is once JSON has been through the API server.
fn float(word: &str) -> Result<Kind, Trap> {
    let value: f64 = word.parse().map_err(|_| Trap::NotFinite(word.to_owned()))?;
    if value.fract() == 0.0 && value.abs() <= MAX_SAFE as f64 {
        #[allow(clippy::cast_possible_truncation)] // whole, and within 2^53
        return Ok(Kind::Number((value as i64).into()));
    }
    Number::from_f64(value).map(Kind::Number).ok_or_else(|| Trap::NotFinite(word.to_owned()))
}
