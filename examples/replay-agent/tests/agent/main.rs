//! Tests of the real binary on loopback. One crate, so that it is linked once.

// A test that cannot go on should panic; clippy's exemption for tests does not reach helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod contract;
mod mcp;
mod support;

/// A client for plain HTTP, with any mix of features in the build.
fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().tls_certs_only([]).build().unwrap()
}
