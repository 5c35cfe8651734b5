//! Refuses JSON whose digest could differ between two honest readers: `null`, unsafe integers, U+0000.
//!
//! Lone surrogates cannot get here (no Rust string holds one; the JSON reader refuses them), nor can duplicate keys.

use serde_json::{Number, Value};

use crate::validate::Problem;

/// The largest integer that every reader of JSON keeps: 2^53 - 1.
pub const MAX_SAFE: i64 = 9_007_199_254_740_991;

/// Finds what must not be hashed below `field`.
pub fn check(field: &str, value: &Value, found: &mut Vec<Problem>) {
    match value {
        Value::Null => found.push(Problem::new(
            field,
            "null is not allowed here, because kubectl drops it on one path and keeps it on another; leave the field out",
        )),
        Value::Bool(_) => {}
        Value::Number(number) => check_number(field, number, found),
        Value::String(text) => check_text(field, text, found),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check(&format!("{field}[{index}]"), item, found);
            }
        }
        Value::Object(members) => {
            for (key, member) in members {
                check_text(field, key, found);
                check(&format!("{field}.{key}"), member, found);
            }
        }
    }
}

/// Refuses U+0000, which C strings, environments and some stores end at.
pub fn check_text(field: &str, text: &str, found: &mut Vec<Problem>) {
    if text.contains('\0') {
        found.push(Problem::new(field, "the text contains U+0000; remove that character"));
    }
}

fn check_number(field: &str, number: &Number, found: &mut Vec<Problem>) {
    let unsafe_integer = match (number.as_i64(), number.as_f64()) {
        (Some(integer), _) => integer.unsigned_abs() > MAX_SAFE.unsigned_abs(),
        // An integer is an integer in whichever notation: the API server writes 1e17 back as 100000000000000000.
        (None, Some(float)) => number.is_u64() || (libm::trunc(float) - float == 0.0 && float.abs() > MAX_SAFE as f64),
        (None, None) => true,
    };
    if unsafe_integer {
        found.push(Problem::new(
            field,
            format!("{number} is beyond {MAX_SAFE}, where readers of JSON round differently; write it as a string"),
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(value: &Value) -> Vec<String> {
        let mut found = Vec::new();
        check("x", value, &mut found);
        found.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn two_integers_that_collide_in_other_libraries_are_both_refused() {
        assert_eq!(problems(&json!({"a": 9_007_199_254_740_993_u64, "b": 9_007_199_254_740_992_u64})), ["x.a", "x.b"]);
        assert!(problems(&json!({"a": 9_007_199_254_740_991_u64, "b": -9_007_199_254_740_991_i64})).is_empty());
        assert_eq!(problems(&json!([-9_007_199_254_740_992_i64, u64::MAX, 1e20, -1e300])).len(), 4);
    }

    #[test]
    fn fractions_and_small_floats_pass() {
        assert!(problems(&json!([0.2, 1.0, -0.0, 1e-7, 5e-324])).is_empty());
    }

    #[test]
    fn null_is_refused_at_any_depth_and_its_field_is_named() {
        assert_eq!(problems(&json!({"a": [{"b": null}]})), ["x.a[0].b"]);
    }

    #[test]
    fn nul_is_refused_in_values_and_in_keys() {
        assert_eq!(problems(&json!({"a": "\0", "b\0": 1})).len(), 2);
    }

    #[test]
    fn the_reader_of_json_refuses_lone_surrogates() {
        assert!(serde_json::from_str::<Value>(r#""\ud800""#).is_err());
        assert!(serde_json::from_str::<Value>(r#""\udc00\ud800""#).is_err());
        assert!(serde_json::from_str::<Value>(r#""\ud83d\ude02""#).is_ok());
    }
}
