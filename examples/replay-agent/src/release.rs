//! Loads the mounted release and hashes exactly the bytes that were read, so that what is attested is what is used.
//! Never takes a digest from the environment as its own: the declared one is only compared.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

const MEDIA_PREFIX: &str = "application/vnd.rollpin.release.";
const MEDIA_SUFFIX: &str = ".v1+json";

/// A SHA-256 digest, with the two spellings that the contract uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// `sha256:<hex>`, as in `AGENT_RELEASE_DIGEST` and `service.version`.
    pub fn oci(&self) -> String {
        format!("sha256:{}", HEXLOWER.encode(&self.0))
    }

    /// 52 characters of lowercase base32 without padding, as in pins and the well-known path.
    pub fn base32(&self) -> String {
        BASE32_NOPAD.encode(&self.0).to_ascii_lowercase()
    }
}

/// What was read from the mounted directory.
#[derive(Debug)]
pub struct Release {
    /// The digest of the manifest's bytes.
    pub digest: Digest,
    /// The components by name: `model`, `prompt`, `tools`, and so on.
    pub components: BTreeMap<String, Value>,
    /// Components whose bytes are not those that the manifest names. Such a release must never be attested.
    pub mismatches: Vec<BlobMismatch>,
}

/// A blob that is not the one which the manifest names.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("{component}.json is {found} ({found_size} bytes), the manifest names {named} ({named_size} bytes)")]
pub struct BlobMismatch {
    component: String,
    named: String,
    named_size: usize,
    found: String,
    found_size: usize,
}

/// Why nothing could be loaded at all.
#[derive(Debug, Error)]
pub enum LoadError {
    /// A file is missing or unreadable.
    #[error("cannot read {path}: is the release mounted there?")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        cause: std::io::Error,
    },
    /// A file is no JSON, or the manifest has another shape.
    #[error("{path} is not what the release format demands")]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        #[source]
        cause: serde_json::Error,
    },
    /// The manifest holds a layer that is no component.
    #[error("layer of media type {media_type:?} in manifest.json is no release component")]
    ForeignLayer {
        /// The unknown media type.
        media_type: String,
    },
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
    size: usize,
}

/// Reads `manifest.json` and one `<component>.json` per layer. `stale_copy` hashes one byte more than was read.
pub fn load(dir: &Path, stale_copy: bool) -> Result<Release, LoadError> {
    let path = dir.join("manifest.json");
    let mut bytes = read(&path)?;
    let manifest: Manifest = parse(&path, &bytes)?;
    if stale_copy {
        bytes.push(b'\n');
    }
    let mut release = Release { digest: Digest::of(&bytes), components: BTreeMap::new(), mismatches: Vec::new() };
    for layer in manifest.layers {
        load_layer(dir, &layer, &mut release)?;
    }
    Ok(release)
}

fn load_layer(dir: &Path, layer: &Layer, release: &mut Release) -> Result<(), LoadError> {
    let component = component_of(&layer.media_type)?;
    let path = dir.join(format!("{component}.json"));
    let bytes = read(&path)?;
    let found = Digest::of(&bytes).oci();
    if found != layer.digest || bytes.len() != layer.size {
        release.mismatches.push(BlobMismatch {
            component: component.to_owned(),
            named: layer.digest.clone(),
            named_size: layer.size,
            found,
            found_size: bytes.len(),
        });
    }
    release.components.insert(component.to_owned(), parse(&path, &bytes)?);
    Ok(())
}

/// `application/vnd.rollpin.release.<component>.v1+json`; a component is a word, so a path cannot be smuggled in.
fn component_of(media_type: &str) -> Result<&str, LoadError> {
    media_type
        .strip_prefix(MEDIA_PREFIX)
        .and_then(|rest| rest.strip_suffix(MEDIA_SUFFIX))
        .filter(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
        .ok_or_else(|| LoadError::ForeignLayer { media_type: media_type.to_owned() })
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|cause| LoadError::Read { path: path.to_owned(), cause })
}

fn parse<T: serde::de::DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<T, LoadError> {
    serde_json::from_slice(bytes).map_err(|cause| LoadError::Parse { path: path.to_owned(), cause })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The worked release of the digest format: four components and a manifest of 936 bytes.
    const WORKED: [(&str, &str); 4] = [
        (
            "model",
            r#"{"name":"claude-haiku-4-5","parameters":{"maxOutputTokens":1024,"temperature":0.2,"topP":1},"provider":"anthropic","version":"20251001"}"#,
        ),
        (
            "prompt",
            "{\"messages\":[{\"role\":\"system\",\"template\":\"You are Ada\u{2019}s caf\u{e9} helper. {{tone}}\\n\"}],\"variables\":[{\"name\":\"tone\",\"required\":true}]}",
        ),
        (
            "tools",
            r#"{"tools":[{"annotations":{"readOnlyHint":true},"description":"Find an order.","inputSchema":{"properties":{"id":{"type":"string"}},"required":["id"],"type":"object"},"name":"lookup_order"}]}"#,
        ),
        (
            "context",
            r#"{"segments":[{"cache":true,"maxTokens":2000,"name":"system","source":"prompt"},{"cache":true,"maxTokens":1000,"name":"tools","source":"tools"},{"maxTokens":150000,"name":"history","source":"history"}],"window":200000}"#,
        ),
    ];

    fn write_worked(dir: &Path) {
        let layers: Vec<String> = WORKED
            .iter()
            .map(|(component, blob)| {
                fs::write(dir.join(format!("{component}.json")), blob).unwrap();
                format!(
                    r#"{{"digest":"{}","mediaType":"application/vnd.rollpin.release.{component}.v1+json","size":{}}}"#,
                    Digest::of(blob.as_bytes()).oci(),
                    blob.len()
                )
            })
            .collect();
        let manifest = format!(
            r#"{{"artifactType":"application/vnd.rollpin.release.v1+json","config":{{"data":"e30=","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","mediaType":"application/vnd.oci.empty.v1+json","size":2}},"layers":[{}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#,
            layers.join(",")
        );
        fs::write(dir.join("manifest.json"), manifest).unwrap();
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("replay-agent-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn the_worked_release_hashes_to_its_published_digest() {
        let dir = scratch("worked");
        write_worked(&dir);
        let release = load(&dir, false).unwrap();
        assert!(release.mismatches.is_empty());
        assert_eq!(release.digest.oci(), "sha256:1e5eecca759e06b8b5579d8373b3d9a8e51ae465cba2343478d291d2312076d5");
        assert_eq!(release.digest.base32(), "dzpozstvtydlrnkxtwbxhm6zvdsrvzdfzordindy2ki5emjao3kq");
        assert_eq!(release.components["model"]["version"], "20251001");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_changed_blob_is_named_even_though_the_manifest_is_right() {
        let dir = scratch("changed");
        write_worked(&dir);
        fs::write(dir.join("prompt.json"), r#"{"messages":[]}"#).unwrap();
        let release = load(&dir, false).unwrap();
        assert_eq!(release.mismatches.len(), 1);
        assert!(release.mismatches[0].to_string().starts_with("prompt.json is sha256:"));
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_stale_copy_has_another_digest() {
        let dir = scratch("stale");
        write_worked(&dir);
        assert_ne!(load(&dir, true).unwrap().digest, load(&dir, false).unwrap().digest);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_layer_that_names_a_path_is_refused() {
        for media_type in [
            "application/vnd.rollpin.release.../../etc/x.v1+json",
            "application/vnd.rollpin.release..v1+json",
            "application/json",
        ] {
            assert!(component_of(media_type).is_err(), "{media_type}");
        }
    }
}
