//! The forms of a digest that people see and type: `sha256:` with hexadecimal digits, and base32 as in names and columns.

pub use rollpin_engine::digest::base32;

/// The beginning that columns show.
pub fn short(digest: &str) -> String {
    base32(digest).chars().take(6).collect()
}

/// Whether what a person typed is the beginning of a digest, in either form.
pub fn begins(digest: &str, typed: &str) -> bool {
    let typed = typed.trim().to_lowercase();
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    typed.len() >= 4
        && (digest.starts_with(&typed) && typed.len() > "sha256:".len()
            || hex.starts_with(&typed)
            || base32(digest).starts_with(&typed))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:1e5eecca759e06b8b5579d8373b3d9a8e51ae465cba2343478d291d2312076d5";

    #[test]
    fn the_published_vector_has_its_published_base32() {
        assert_eq!(base32(DIGEST), "dzpozstvtydlrnkxtwbxhm6zvdsrvzdfzordindy2ki5emjao3kq");
        assert_eq!(short(DIGEST), "dzpozs");
    }

    #[test]
    fn a_digest_is_recognised_by_its_beginning_in_both_forms_and_by_nothing_shorter() {
        for typed in ["dzpozs", "1e5eec", "sha256:1e5e", "DZPOZS", DIGEST] {
            assert!(begins(DIGEST, typed), "{typed}");
        }
        for typed in ["", "dzp", "sha256:", "2e5eec", "dzpozx"] {
            assert!(!begins(DIGEST, typed), "{typed}");
        }
    }
}
