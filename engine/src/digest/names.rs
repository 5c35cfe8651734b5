//! The two spellings of a digest: `sha256:<hex>` in specs and environments, base32 in labels, pins and paths.
//!
//! Hexadecimal does not fit a label of 63 characters; base32 without padding is 52.

use data_encoding::{BASE32_NOPAD, HEXLOWER};

use crate::hash;

const PREFIX: &str = "sha256:";
/// Characters of the base32 name in names of objects.
const SHORT: usize = 12;

/// Whether a text is `sha256:` and 64 lowercase hexadecimal digits.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    bytes_of(text).is_some()
}

/// The 52 characters of a digest, lowercase base32 without padding.
///
/// A text that is not a digest gets the name of its own hash: a valid label that no release has.
#[must_use]
pub fn base32(digest: &str) -> String {
    let bytes = bytes_of(digest).or_else(|| bytes_of(&hash::of_bytes(digest.as_bytes())));
    BASE32_NOPAD.encode(&bytes.unwrap_or_default()).to_ascii_lowercase()
}

/// The digest behind 52 characters of lowercase base32; `None` for every other text.
#[must_use]
pub fn from_base32(name: &str) -> Option<String> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return None;
    }
    let bytes = BASE32_NOPAD.decode(name.to_ascii_uppercase().as_bytes()).ok()?;
    (bytes.len() == 32).then(|| format!("{PREFIX}{}", HEXLOWER.encode(&bytes)))
}

/// The name of the objects of a release: `<agent>-<first 12 of base32>`.
#[must_use]
pub fn object_name(agent: &str, digest: &str) -> String {
    let short: String = base32(digest).chars().take(SHORT).collect();
    format!("{agent}-{short}")
}

fn bytes_of(digest: &str) -> Option<Vec<u8>> {
    let bytes = HEXLOWER.decode(digest.strip_prefix(PREFIX)?.as_bytes()).ok()?;
    (bytes.len() == 32).then_some(bytes)
}
