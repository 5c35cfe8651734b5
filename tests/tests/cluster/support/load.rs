//! Traffic of many sessions by the load generator, a process of its own that ends by itself and with its test.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Scene, gateway, programs};

/// No load lasts longer than this, whatever its test does.
const LONGEST_SECONDS: &str = "400";

/// What the load generator reports; its own README says what each number means.
#[derive(Clone, Debug, Deserialize)]
pub struct Report {
    pub sessions: u64,
    pub failed: u64,
    pub followups: u64,
    pub sticky_followups: u64,
    pub moved: u64,
    /// Each move: conversation, releases and times.
    pub moves: Vec<serde_json::Value>,
    pub errors: BTreeMap<String, u64>,
    pub assignments: BTreeMap<String, u64>,
    pub releases: BTreeMap<String, ByRelease>,
}

/// What one release answered.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ByRelease {
    pub new_sessions: u64,
    pub turns: u64,
    #[serde(default)]
    pub last_answer_us: Last,
}

/// Last answers in microseconds since 1970, to requests without and with a pin.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Last {
    pub new: Option<u64>,
    pub pinned: Option<u64>,
}

impl Report {
    /// What a release answered, by its base32; zeroes if it answered nothing.
    pub fn release(&self, b32: &str) -> ByRelease {
        self.releases.get(b32).cloned().unwrap_or_default()
    }
}

/// Sessions that arrive until somebody has seen enough.
pub struct Load {
    child: Option<Child>,
    report: PathBuf,
}

impl Scene {
    /// New sessions per second, with these further arguments of the load generator.
    pub fn load(&self, per_second: u32, arguments: &[&str]) -> Load {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("load-{}-{}-{}.json", std::process::id(), self.namespace, NUMBER.fetch_add(1, Ordering::Relaxed));
        let report = std::env::temp_dir().join(name);
        let child = Command::new(programs::program("loadgen"))
            .args(["--url", &format!("{}/v1/turn", gateway()), "--host", &self.host, "--duration", LONGEST_SECONDS])
            .args(["--sessions-per-second", &per_second.to_string(), "--report"])
            .arg(&report)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Load { child: Some(child), report }
    }
}

impl Load {
    /// Begins nothing more, waits for what is under way, and reads the report.
    pub async fn finish(mut self) -> Report {
        let mut child = self.child.take().unwrap();
        assert!(
            Command::new("kill").arg(child.id().to_string()).status().unwrap().success(),
            "the load generator ended before its time"
        );
        let limit = Instant::now() + Duration::from_secs(20);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > limit {
                child.kill().unwrap();
                panic!("the load generator did not end");
            }
            super::pause(0.05).await;
        }
        let text = std::fs::read_to_string(&self.report).unwrap();
        serde_json::from_str(&text).unwrap_or_else(|cause| panic!("{cause}: {text}"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(&self.report);
    }
}
