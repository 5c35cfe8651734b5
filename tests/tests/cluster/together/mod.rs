//! Tests with a namespace each, which may run side by side.

mod api;
mod attestation;
mod commands;
mod digest;
mod manifests;
mod promotion;
mod regression;
mod signals;
mod spoofing;
mod stickiness;
