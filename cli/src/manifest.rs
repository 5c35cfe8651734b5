//! From a file to agent releases: strict YAML, the schema, then the types. Offline.
//!
//! `ConfigMap`s in the same file stand in for those of the cluster. Other kinds are skipped, Secrets unread.

use std::io::Read;
use std::path::Path;

use rollpin_crds::AgentRelease;
use rollpin_engine::digest::{Content, Contents};
use rollpin_engine::validate::Problem;
use serde_json::Value;

use crate::failure::Failure;
use crate::schema;
use crate::yaml::{self, Document, Finding, Node};

/// What a file holds.
#[derive(Debug, Default)]
pub struct Manifest {
    /// The agent releases, in order.
    pub agents: Vec<Agent>,
    /// Contents of the `ConfigMap`s, with their namespaces.
    config_maps: Vec<ConfigMap>,
    /// What is wrong with any of it, in the order of the text.
    pub findings: Vec<Finding>,
    /// Kinds that were skipped.
    pub skipped: Vec<String>,
}

/// One agent release and where it was written.
#[derive(Debug)]
pub struct Agent {
    /// The release.
    pub release: AgentRelease,
    /// Its text, for places.
    pub node: Node,
}

#[derive(Debug)]
struct ConfigMap {
    namespace: Option<String>,
    name: String,
    immutable: bool,
    data: Vec<(String, String)>,
}

impl Agent {
    /// A problem of the engine, with its place.
    pub fn finding(&self, problem: &Problem) -> Finding {
        Finding {
            place: self.node.place_of(&problem.field),
            field: problem.field.clone(),
            message: problem.message.clone(),
        }
    }
}

impl Manifest {
    /// The texts that an agent may refer to: `ConfigMap`s of its namespace, or without one.
    pub fn contents(&self, agent: &AgentRelease) -> Contents {
        let same = |map: &&ConfigMap| match (&map.namespace, &agent.metadata.namespace) {
            (Some(a), Some(b)) => a == b,
            (None, _) | (_, None) => true,
        };
        let maps = self.config_maps.iter().filter(same);
        maps.flat_map(|map| {
            map.data.iter().map(|(key, text)| {
                ((map.name.clone(), key.clone()), Content { text: Some(text.clone()), immutable: map.immutable })
            })
        })
        .collect()
    }
}

/// The bytes of a file, or of standard input for `-`.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let mut bytes = vec![];
    let read = if is_stdin(path) {
        std::io::stdin().lock().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    read.map_err(|cause| Failure::ReadFile { path: shown(path), cause: cause.to_string() })?;
    let text = String::from_utf8(bytes).map_err(|cause| Failure::ReadFile {
        path: shown(path),
        cause: format!("not UTF-8 at byte {}", cause.utf8_error().valid_up_to()),
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// The name of a file in messages.
pub fn shown(path: &Path) -> String {
    if is_stdin(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Reads a manifest. What is wrong with its content is in `findings`.
pub fn read(text: &str) -> Manifest {
    let mut manifest = Manifest::default();
    match yaml::read(text) {
        Ok(documents) => documents.into_iter().for_each(|document| take(&mut manifest, document)),
        Err(finding) => manifest.findings.push(finding),
    }
    manifest.findings.sort_by_key(|finding| finding.place);
    manifest
}

fn take(manifest: &mut Manifest, document: Document) {
    let kind = document.root.text("kind").unwrap_or_default().to_owned();
    let group = document.root.text("apiVersion").unwrap_or_default().to_owned();
    match (group.as_str(), kind.as_str()) {
        ("rollpin.dev/v1alpha1", "AgentRelease") => take_agent(manifest, document),
        ("v1", "List") => take_list(manifest, document),
        ("v1", "ConfigMap") => take_config_map(manifest, document),
        ("", "") if document.root.text("kind").is_none() => manifest.findings.push(Finding {
            place: document.root.place,
            field: "kind".to_owned(),
            message: "missing: a manifest begins with apiVersion: rollpin.dev/v1alpha1 and kind: AgentRelease"
                .to_owned(),
        }),
        (group, _) if group.starts_with("rollpin.dev/") => take_other(manifest, document, group, &kind),
        (_, "AgentRelease") => manifest.findings.push(Finding {
            place: document.root.place_of("apiVersion"),
            field: "apiVersion".to_owned(),
            message: format!("{group:?} is not a version of AgentRelease: write rollpin.dev/v1alpha1"),
        }),
        _ => manifest.skipped.push(kind),
    }
}

fn take_list(manifest: &mut Manifest, document: Document) {
    manifest.findings.extend(document.findings);
    if let Some(Node { kind: yaml::Kind::List(items), .. }) = document.root.get("items") {
        for item in items {
            take(manifest, Document { root: item.clone(), findings: vec![] });
        }
    }
}

fn take_agent(manifest: &mut Manifest, document: Document) {
    let Document { root, mut findings } = document;
    if let Some(schema) = schema::of_kind("AgentRelease") {
        let more = schema::check(&root, &schema);
        // A trapped word has its remark already; its type does not matter any more.
        let new: Vec<Finding> =
            more.into_iter().filter(|one| findings.iter().all(|have| have.place != one.place)).collect();
        findings.extend(new);
    }
    if root.get("metadata").and_then(|metadata| metadata.text("name")).is_none() {
        findings.push(Finding { place: root.place, field: "metadata.name".to_owned(), message: "missing".to_owned() });
    }
    if findings.is_empty() {
        match typed(&root) {
            Ok(release) => manifest.agents.push(Agent { release, node: root }),
            Err(finding) => findings.push(finding),
        }
    }
    manifest.findings.extend(findings);
}

fn typed(root: &Node) -> Result<AgentRelease, Finding> {
    let mut value = root.to_json();
    // A status that was printed with the manifest says nothing about it.
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    schema::drop_nulls(&mut value);
    serde_json::from_value(value).map_err(|cause| Finding {
        place: root.place,
        field: "spec".to_owned(),
        message: cause.to_string(),
    })
}

fn take_config_map(manifest: &mut Manifest, document: Document) {
    let Document { root, findings } = document;
    manifest.findings.extend(findings);
    let value = root.to_json();
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let data = value.get("data").and_then(Value::as_object).into_iter().flatten();
    manifest.config_maps.push(ConfigMap {
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name").unwrap_or_default(),
        immutable: value.get("immutable").and_then(Value::as_bool).unwrap_or(false),
        data: data.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
    });
}

fn take_other(manifest: &mut Manifest, document: Document, group: &str, kind: &str) {
    manifest.findings.extend(document.findings);
    match schema::of_kind(kind) {
        Some(schema) if group == "rollpin.dev/v1alpha1" => manifest.findings.extend(schema::check(&document.root, &schema)),
        Some(_) | None => manifest.findings.push(Finding {
            place: document.root.place_of("kind"),
            field: "kind".to_owned(),
            message: format!("{group} has no kind {kind:?}: write apiVersion: rollpin.dev/v1alpha1 and a kind that it has, such as AgentRelease"),
        }),
    }
}

/// Findings as lines: `file:line:column: field: message`.
pub fn lines(path: &Path, findings: &[Finding]) -> String {
    let file = shown(path);
    let line = |finding: &Finding| {
        let field = if finding.field.is_empty() { String::new() } else { format!("{}: ", finding.field) };
        format!("{file}:{}: {field}{}", finding.place, finding.message)
    };
    findings.iter().map(line).collect::<Vec<_>>().join("\n")
}
