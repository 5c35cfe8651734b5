//! Whole manifests and what they hash to, under every recipe that was ever released.

use rollpin_engine::digest::{self, Built, DIGEST_VERSION};
use serde_json::{Value, json};

use crate::{contents, data, read, release};

const MANIFESTS: [(&str, &str); 2] = [
    ("manifests/newcomer.yaml", "digest/newcomer.golden.json"),
    ("digest/everything.yaml", "digest/everything.golden.json"),
];

fn golden(built: &Built) -> Value {
    json!({
        "digestVersion": DIGEST_VERSION,
        "digest": built.release.digest,
        "behaviorDigest": built.release.behavior_digest,
        "base32": digest::base32(&built.release.digest),
        "revision": built.release.revision,
        "manifest": built.manifest,
        "components": built.components,
        "template": built.template,
        "port": built.port,
        "contractLevel": built.contract_level,
    })
}

#[test]
fn every_golden_manifest_keeps_its_digest() {
    for (manifest, expected) in MANIFESTS {
        let release = release(manifest);
        let name = release.metadata.name.clone().unwrap();
        let made = golden(&digest::build(&name, &release.spec, &contents()).unwrap());
        let path = data(expected);
        if !path.exists() {
            let text = serde_json::to_string_pretty(&made).unwrap();
            std::fs::write(&path, format!("{text}\n")).unwrap();
            panic!("{expected} was missing and has been written: review it like code, then run the test again");
        }
        let stored: Value = serde_json::from_str(&read(expected)).unwrap();
        assert_eq!(made, stored, "{manifest}: another digest means another recipe; see tests/data/digest/README.md");
    }
}

#[test]
fn the_page_about_the_digest_shows_the_digest_of_the_smallest_example() {
    let page = read("../../docs/digest.md");
    let stored: Value = serde_json::from_str(&read("digest/newcomer.golden.json")).unwrap();
    for field in ["digest", "behaviorDigest", "revision", "base32"] {
        assert!(page.contains(stored[field].as_str().unwrap()), "{field}");
    }
}
