//! The OCI image manifest of a release, as canonical JSON. Bytes in, bytes out: it knows no field of any component.

use serde_json::{Value, json};

use crate::hash;

/// Digest of `{}`, the empty descriptor of OCI.
pub const EMPTY_CONFIG: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// The manifest over components `(name, blob)`, in the order given. Its SHA-256 is the release digest.
///
/// The media type of a layer says which component it is, so that no blob can stand in for another.
#[must_use]
pub fn manifest<'a>(components: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let layers: Vec<Value> = components.into_iter().map(|(name, blob)| layer(name, blob)).collect();
    hash::canonical(&json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.rollpin.release.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": EMPTY_CONFIG,
            "size": 2,
            "data": "e30=",
        },
        "layers": layers,
    }))
}

fn layer(name: &str, blob: &str) -> Value {
    json!({
        "mediaType": format!("application/vnd.rollpin.release.{name}.v1+json"),
        "digest": hash::of_bytes(blob.as_bytes()),
        "size": blob.len(),
    })
}
