//! `MetricSource`: where evidence comes from. Tenants name one; only a platform team writes one.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::schema::Duration;

/// Where evidence comes from. Exactly one of `otlp`, `prometheus` and `clickHouse`.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[kube(
    group = "rollpin.dev",
    version = "v1alpha1",
    kind = "MetricSource",
    status = "MetricSourceStatus",
    shortname = "msrc",
    category = "rollpin",
    doc = "Where evidence comes from, and which namespaces may use it. Written by the platform team; tenants name it and never a URL.",
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[schemars(extend("x-kubernetes-validations" = [{
    "rule": "(has(self.otlp) ? 1 : 0) + (has(self.prometheus) ? 1 : 0) + (has(self.clickHouse) ? 1 : 0) == 1",
    "message": "give exactly one of otlp, prometheus and clickHouse"
}]))]
pub struct MetricSourceSpec {
    /// The built-in OTLP receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub otlp: Option<OtlpSource>,
    /// A server that speaks Prometheus's query API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<HttpSource>,
    /// A `ClickHouse` server with the `OpenTelemetry` exporter's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub click_house: Option<HttpSource>,
    /// Namespaces whose releases may use it. Absent: none; `*`: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(min = 1, max = 63)), extend("x-kubernetes-list-type" = "set"))]
    pub namespaces: Vec<String>,
}

/// The built-in OTLP receiver.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtlpSource {
    /// Secrets in the operator's namespace whose key `token` lets a collector speak for the pods behind it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253)))]
    pub token_secrets: Vec<String>,
    /// What arrives here has passed a sampler, so that every rate is biased: its gates read Insufficient.
    #[serde(default)]
    pub sampled: bool,
}

/// A server that is asked over HTTP.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpSource {
    /// Base URL.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^https?://"))]
    pub url: String,
    /// Secret in the operator's namespace with a key `token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub token_secret: Option<String>,
    /// How often it is asked while a canary runs. Absent: 30 s.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<Duration>,
}

/// Whether the source answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MetricSourceStatus {
    /// In words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}
