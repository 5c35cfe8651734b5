//! What the operator is told when it starts: arguments as typed, each with an environment variable for charts.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// The rollpin operator: canaries for LLM agents.
#[derive(Clone, Debug, Parser)]
#[command(name = "rollpin-controller", version)]
pub struct Args {
    /// Namespaces to look after, separated by commas. Absent: all of them.
    #[arg(long, env = "ROLLPIN_WATCH_NAMESPACES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Name of the Lease by which replicas agree on a leader.
    #[arg(long, env = "ROLLPIN_LEASE_NAME", default_value = "rollpin-controller")]
    pub lease_name: String,
    /// Namespace of that Lease and of the operator.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// Name of this replica in the Lease. Absent: the name of the pod, else of the host and process.
    #[arg(long, env = "ROLLPIN_IDENTITY")]
    pub identity: Option<String>,
    /// Name of the operator's own pod, which gets the label that the OTLP Service selects while it leads.
    #[arg(long, env = "POD_NAME")]
    pub pod_name: Option<String>,
    /// Address of the OTLP receiver, HTTP.
    #[arg(long, env = "ROLLPIN_OTLP_HTTP", default_value = "0.0.0.0:4318")]
    pub otlp_http: SocketAddr,
    /// Address of the OTLP receiver, gRPC.
    #[arg(long, env = "ROLLPIN_OTLP_GRPC", default_value = "0.0.0.0:4317")]
    pub otlp_grpc: SocketAddr,
    /// URL of the OTLP receiver as pods see it, given to harnesses that have none of their own.
    #[arg(long, env = "ROLLPIN_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,
    /// Address of metrics and health.
    #[arg(long, env = "ROLLPIN_METRICS", default_value = "0.0.0.0:8080")]
    pub metrics: SocketAddr,
    /// How logs are written.
    #[arg(long, env = "ROLLPIN_LOG_FORMAT", value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object per line.
    Json,
    /// For people.
    Text,
}

impl Args {
    /// The name of this replica in the Lease, another one at each start: a restarted process must not believe that it still leads.
    pub fn holder(&self) -> String {
        let base = self
            .identity
            .clone()
            .or_else(|| self.pod_name.clone())
            .unwrap_or_else(|| std::env::var("HOSTNAME").unwrap_or_else(|_| "rollpin".to_owned()));
        format!("{base}_{:x}_{}", jiff::Timestamp::now().as_millisecond(), std::process::id())
    }

    /// What to watch: `None` for the whole cluster, else one scope per namespace.
    pub fn scopes(&self) -> Vec<Option<String>> {
        let named: Vec<Option<String>> = self
            .watch_namespaces
            .iter()
            .map(|name| name.trim())
            .filter(|name| !name.is_empty())
            .map(|name| Some(name.to_owned()))
            .collect();
        if named.is_empty() { vec![None] } else { named }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespaces_means_all_of_them() {
        assert_eq!(Args::parse_from(["rollpin-controller"]).scopes(), vec![None]);
        assert_eq!(Args::parse_from(["rollpin-controller", "--watch-namespaces", ""]).scopes(), vec![None]);
        assert_eq!(
            Args::parse_from(["rollpin-controller", "--watch-namespaces", "a,b"]).scopes(),
            vec![Some("a".to_owned()), Some("b".to_owned())]
        );
    }
}
