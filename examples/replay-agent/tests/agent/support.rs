//! Runs the real binary on loopback, with a release on disk and a collector that keeps what it is sent.
//! Asserts nothing about the contract; the tests do.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use data_encoding::{BASE32_NOPAD, HEXLOWER};
use opentelemetry_proto::tonic::{
    collector::{logs::v1::ExportLogsServiceRequest, trace::v1::ExportTraceServiceRequest},
    common::v1::{AnyValue, KeyValue, any_value::Value},
    logs::v1::LogRecord,
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message as _;
use sha2::{Digest as _, Sha256};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A release on disk.
pub struct Mounted {
    pub dir: PathBuf,
    pub digest: String,
    pub pin: String,
}

impl Mounted {
    /// A release with a model and a prompt.
    pub fn of(provider: &str, name: &str, version: &str) -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("replay-agent-it-{}-{number}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let blobs = [
            ("model", format!(r#"{{"name":"{name}","provider":"{provider}","version":"{version}"}}"#)),
            ("prompt", r#"{"messages":[{"content":"Is it prime?","role":"system"}]}"#.to_owned()),
        ];
        let layers: Vec<String> = blobs
            .iter()
            .map(|(component, blob)| {
                fs::write(dir.join(format!("{component}.json")), blob).unwrap();
                format!(
                    r#"{{"digest":"sha256:{}","mediaType":"application/vnd.rollpin.release.{component}.v1+json","size":{}}}"#,
                    HEXLOWER.encode(&Sha256::digest(blob)),
                    blob.len()
                )
            })
            .collect();
        let manifest = format!(r#"{{"layers":[{}],"schemaVersion":2}}"#, layers.join(","));
        fs::write(dir.join("manifest.json"), &manifest).unwrap();
        let hash = Sha256::digest(&manifest);
        Self {
            dir,
            digest: format!("sha256:{}", HEXLOWER.encode(&hash)),
            pin: BASE32_NOPAD.encode(&hash).to_ascii_lowercase(),
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A running agent; killed when dropped.
pub struct Running {
    child: Child,
    pub address: SocketAddr,
}

impl Running {
    /// Starts the binary and waits until it serves.
    pub fn start(release: Option<&Mounted>, extra: &[(&str, &str)]) -> Self {
        let mut child = command(release, extra).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| {
                let rest = line.split_once("serving address=")?.1;
                rest.split(' ').next()?.parse().ok()
            })
            .expect("the agent ended before it served");
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        Self { child, address }
    }

    /// The URL of `path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Asks the agent to end.
    pub fn terminate(&self) {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end, while the collector goes on: how long it took, and whether the agent reported success.
    pub async fn wait(mut self) -> (Duration, bool) {
        let began = Instant::now();
        let ended = tokio::task::spawn_blocking(move || self.child.wait().unwrap().success());
        let success = ended.await.unwrap();
        (began.elapsed(), success)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The binary with a clean environment.
pub fn command(release: Option<&Mounted>, extra: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_replay-agent"));
    command
        .env_clear()
        .env("REPLAY_LISTEN", "127.0.0.1:0")
        .env("AGENT_RELEASE_NAME", "support")
        .env("AGENT_RELEASE_DIR", "/nonexistent");
    if let Some(release) = release {
        command.env("AGENT_RELEASE_DIR", &release.dir).env("AGENT_RELEASE_DIGEST", &release.digest);
    }
    command.envs(extra.iter().copied());
    command
}

/// Everything that a collector was sent.
#[derive(Default)]
pub struct Received {
    pub spans: Vec<Span>,
    pub events: Vec<LogRecord>,
    pub resources: Vec<Resource>,
}

/// A collector on loopback.
#[derive(Clone, Default)]
pub struct Collector(Arc<Mutex<Received>>);

impl Collector {
    /// Starts one; returns it with its endpoint.
    pub async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router =
            Router::new().route("/v1/traces", post(traces)).route("/v1/logs", post(logs)).with_state(collector.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, endpoint)
    }

    /// Reads what has come.
    pub fn read<T>(&self, act: impl FnOnce(&Received) -> T) -> T {
        act(&self.0.lock().unwrap())
    }
}

async fn traces(State(collector): State<Collector>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let mut received = collector.0.lock().unwrap();
    for group in request.resource_spans {
        received.resources.extend(group.resource);
        received.spans.extend(group.scope_spans.into_iter().flat_map(|scope| scope.spans));
    }
}

async fn logs(State(collector): State<Collector>, body: Bytes) {
    let request = ExportLogsServiceRequest::decode(body).unwrap();
    let mut received = collector.0.lock().unwrap();
    for group in request.resource_logs {
        received.resources.extend(group.resource);
        received.events.extend(group.scope_logs.into_iter().flat_map(|scope| scope.log_records));
    }
}

/// An attribute as text; `None` if it is absent.
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|pair| pair.key == key)?;
    text(found.value.as_ref()?)
}

fn text(value: &AnyValue) -> Option<String> {
    match value.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::BoolValue(flag) => Some(flag.to_string()),
        Value::IntValue(number) => Some(number.to_string()),
        Value::DoubleValue(number) => Some(number.to_string()),
        Value::ArrayValue(array) => Some(array.values.iter().filter_map(text).collect::<Vec<_>>().join(",")),
        _ => None,
    }
}
