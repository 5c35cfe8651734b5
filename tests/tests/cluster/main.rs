//! rollpin on a real cluster: real API server, kubelet, pods, gateway and load; no mock of any of them.
//!
//! Run by `tests/cluster/test.sh`, which builds and installs everything first. Tests in `together` have a namespace each
//! and run side by side; those in `alone` measure times or disturb the operator, and run one after the other.

// A test fails by panicking, and its helpers with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod alone;
mod support;
mod together;
