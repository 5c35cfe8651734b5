//! An independent witness: every version of the release, its route and its Deployments, in the order of the API server.
//!
//! Resource versions of one API server are comparable across kinds, so order is read off them and no clock is trusted.

use std::sync::{Arc, Mutex};

use futures::StreamExt;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::Value;

use super::at;

/// One version of one object.
#[derive(Clone, Debug)]
pub struct Version {
    /// Kind, such as `HTTPRoute`.
    pub kind: &'static str,
    /// Name of the object.
    pub name: String,
    /// Its resource version: the order of all writes.
    pub number: u64,
    /// The whole object.
    pub object: Value,
}

/// What is watched.
const KINDS: [(&str, &str, &str); 3] = [
    ("rollpin.dev", "v1alpha1", "AgentRelease"),
    ("gateway.networking.k8s.io", "v1", "HTTPRoute"),
    ("apps", "v1", "Deployment"),
];

/// Every version that was seen in one namespace so far.
#[derive(Clone, Default)]
pub struct Watched {
    versions: Arc<Mutex<Vec<Version>>>,
}

impl Watched {
    /// Begins to watch a namespace; ends with the runtime of the test.
    pub fn begin(client: &Client, namespace: &str) -> Self {
        let watched = Self::default();
        for (group, version, kind) in KINDS {
            let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
            let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
            tokio::spawn(watched.clone().follow(api, kind));
        }
        watched
    }

    async fn follow(self, api: Api<DynamicObject>, kind: &'static str) {
        let mut stream = watcher(api, watcher::Config::default()).default_backoff().touched_objects().boxed();
        while let Some(seen) = stream.next().await {
            // A watch that broke begins again by itself.
            let Ok(object) = seen else { continue };
            let number = object.resource_version().and_then(|number| number.parse().ok()).unwrap_or_default();
            let version =
                Version { kind, name: object.name_any(), number, object: serde_json::to_value(&object).unwrap() };
            self.versions.lock().unwrap().push(version);
        }
    }

    /// Every version of a kind, in order.
    pub fn all(&self, kind: &str) -> Vec<Version> {
        let mut versions: Vec<Version> =
            self.versions.lock().unwrap().iter().filter(|version| version.kind == kind).cloned().collect();
        versions.sort_by_key(|version| version.number);
        versions.dedup_by_key(|version| version.number);
        versions
    }

    /// The first version of a kind after `number` of which something is true.
    #[track_caller]
    pub fn first(&self, kind: &str, after: u64, what: &str, is: impl Fn(&Version) -> bool) -> Version {
        let found = self.all(kind).into_iter().find(|version| version.number > after && is(version));
        found.unwrap_or_else(|| panic!("no {kind} {what} was seen after {after}"))
    }

    /// At every version of every route the weights sum to 100.
    pub fn weights_always_sum_to_100(&self) {
        let routes = self.all("HTTPRoute");
        assert!(!routes.is_empty(), "no route was seen");
        for route in routes {
            let sum: i64 = weights(&route.object).iter().map(|(_, weight)| weight).sum();
            assert_eq!(sum, 100, "at {}: {:?}", route.number, weights(&route.object));
        }
    }

    /// The different weights that a backend had, in order, with the number of the version that brought each.
    pub fn weights_of(&self, backend: &str) -> Vec<(u64, i64)> {
        let all = self.all("HTTPRoute");
        let mut changes: Vec<(u64, i64)> =
            all.iter().map(|route| (route.number, weight_of(&route.object, backend))).collect();
        changes.dedup_by_key(|(_, weight)| *weight);
        changes
    }

    /// Phases in order, without repetition.
    pub fn phases(&self) -> Vec<String> {
        let all = self.all("AgentRelease");
        let mut phases: Vec<String> =
            all.iter().filter_map(|version| at(&version.object, "/status/phase").as_str().map(str::to_owned)).collect();
        phases.dedup();
        phases
    }
}

/// Backends of the weighted rule of a route: the one that asks for no header, wherever it stands.
pub fn weights(route: &Value) -> Vec<(String, i64)> {
    let rules = at(route, "/spec/rules").as_array().cloned().unwrap_or_default();
    let weighted = rules.iter().find(|rule| {
        let matches = at(rule, "/matches").as_array().cloned().unwrap_or_default();
        matches.iter().all(|one| one.get("headers").is_none())
    });
    let backends = weighted.and_then(|rule| rule.get("backendRefs")?.as_array().cloned()).unwrap_or_default();
    let one = |backend: &Value| {
        (at(backend, "/name").as_str().unwrap_or_default().to_owned(), at(backend, "/weight").as_i64().unwrap_or(1))
    };
    backends.iter().map(one).collect()
}

/// The weight of one backend; 0 where it is none.
pub fn weight_of(route: &Value, backend: &str) -> i64 {
    weights(route).iter().filter(|(name, _)| name == backend).map(|(_, weight)| *weight).sum()
}

/// Where sessions that are pinned to a release go: the backend of the rule that matches its header.
pub fn pin_target(route: &Value, b32: &str) -> Option<String> {
    let rules = at(route, "/spec/rules").as_array()?;
    let rule = rules.iter().find(|rule| {
        let matches = at(rule, "/matches").as_array().cloned().unwrap_or_default();
        matches.iter().any(|one| at(one, "/headers/0/value").as_str() == Some(b32))
    })?;
    at(rule, "/backendRefs/0/name").as_str().map(str::to_owned)
}

/// Now.
pub fn now() -> Timestamp {
    Timestamp::now()
}
