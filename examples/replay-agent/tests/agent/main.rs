//! Tests of the real binary on loopback. One crate, so that it is linked once.

// A test that cannot go on should panic; clippy's exemption for tests does not reach helpers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod contract;
mod mcp;
mod support;
