//! What every test on the cluster shares: where things are, a namespace per test, traffic, and what was seen and written.
//!
//! It asserts nothing about rollpin beyond "this happened in time"; what must be true stands in the tests.

pub mod audit;
pub mod history;
pub mod load;
pub mod manifest;
pub mod programs;
pub mod scene;

pub use history::Watched;
pub use load::Load;
pub use programs::{Output, kubectl, kubectl_with};
pub use scene::Scene;

use serde_json::Value;

/// A setting that `tests/cluster/test.sh` gives.
pub fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests by tests/cluster/test.sh"))
}

/// The gateway, such as `http://198.18.1.1:8000`.
pub fn gateway() -> String {
    setting("ROLLPIN_GATEWAY")
}

/// The image of the example agent, by digest.
pub fn agent_image() -> String {
    setting("ROLLPIN_AGENT_IMAGE")
}

/// The namespace of the operator.
pub fn operator_namespace() -> String {
    setting("ROLLPIN_OPERATOR_NAMESPACE")
}

/// The user name of the operator begins so.
pub fn operator_user() -> String {
    format!("system:serviceaccount:{}:", operator_namespace())
}

/// A file of the repository.
pub fn repository(path: &str) -> String {
    format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))
}

/// The value at a JSON pointer; `null` where there is none.
pub fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

/// Seconds, asynchronously.
pub async fn pause(seconds: f64) {
    tokio::time::sleep(std::time::Duration::from_secs_f64(seconds)).await;
}

/// The `p`th percentile, a value that occurred.
pub fn percentile(values: &[f64], p: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * p).div_ceil(100).max(1);
    sorted[rank - 1]
}
