//! Content hashes of values: SHA-256 over canonical JSON (RFC 8785).

use serde::Serialize;
use sha2::{Digest, Sha256};

/// `sha256:` and 64 hexadecimal digits of some bytes.
#[must_use]
pub fn of_bytes(bytes: &[u8]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)))
}

/// Canonical JSON of a value of ours.
///
/// Values of ours have string keys and finite numbers, so that nothing can fail; should it ever, the text is empty and
/// every hash over it differs from the stored one, which stops a replay instead of forging one.
#[must_use]
pub fn canonical<T: Serialize>(value: &T) -> String {
    serde_json_canonicalizer::to_string(value).unwrap_or_default()
}

/// The hash of a value's canonical JSON.
#[must_use]
pub fn of_value<T: Serialize>(value: &T) -> String {
    of_bytes(canonical(value).as_bytes())
}
