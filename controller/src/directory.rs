//! Which pod speaks for a release: pods by their address, from the watched copies.
//!
//! It only keeps the list; the receiver applies it.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use kube::runtime::watcher::Event;
use rollpin_crds::{NAME_LABEL, RELEASE_LABEL};

use crate::evidence::Speaker;

/// Pods of releases by their address.
#[derive(Clone, Default)]
pub struct Pods {
    by_address: Arc<RwLock<HashMap<IpAddr, (String, Speaker)>>>,
}

impl Pods {
    /// The release of the pod with this address.
    pub fn release_of(&self, address: IpAddr) -> Option<Speaker> {
        self.by_address.read().unwrap_or_else(PoisonError::into_inner).get(&address).map(|(_, speaker)| speaker.clone())
    }

    /// Follows the watch of pods. After a new list, pods that are no longer in it are gone.
    pub fn follow(&self, event: &Event<Pod>, pods: &Store<Pod>) {
        let mut by_address = self.by_address.write().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Apply(pod) | Event::InitApply(pod) => note(&mut by_address, pod),
            Event::Delete(pod) => drop_pod(&mut by_address, &pod.uid().unwrap_or_default()),
            Event::Init => {}
            Event::InitDone => {
                by_address.clear();
                pods.state().iter().for_each(|pod| note(&mut by_address, pod));
            }
        }
    }
}

fn note(by_address: &mut HashMap<IpAddr, (String, Speaker)>, pod: &Pod) {
    let uid = pod.uid().unwrap_or_default();
    let over = matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
    // A pod on the host's network shares its address with others: nobody can be told by it.
    let shared = pod.spec.as_ref().and_then(|spec| spec.host_network) == Some(true);
    let addresses = addresses(pod);
    if over || shared || addresses.is_empty() {
        drop_pod(by_address, &uid);
        return;
    }
    let Some(speaker) = speaker(pod) else { return };
    for address in addresses {
        by_address.insert(address, (uid.clone(), speaker.clone()));
    }
}

fn drop_pod(by_address: &mut HashMap<IpAddr, (String, Speaker)>, uid: &str) {
    by_address.retain(|_, (known, _)| known != uid);
}

fn addresses(pod: &Pod) -> Vec<IpAddr> {
    let Some(status) = &pod.status else {
        return vec![];
    };
    let all = status.pod_ips.iter().flatten().map(|one| one.ip.as_str()).chain(status.pod_ip.as_deref());
    all.filter_map(|address| address.parse().ok()).collect()
}

fn speaker(pod: &Pod) -> Option<Speaker> {
    Some(Speaker {
        namespace: pod.namespace()?,
        name: pod.labels().get(NAME_LABEL)?.clone(),
        digest: pod.labels().get(RELEASE_LABEL)?.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(uid: &str, address: &str, phase: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"uid": uid, "name": uid, "namespace": "agents", "labels": {NAME_LABEL: "support", RELEASE_LABEL: "abc"}},
            "spec": {"containers": []},
            "status": {"phase": phase, "podIP": address},
        }))
        .unwrap()
    }

    #[test]
    fn a_pod_speaks_while_it_runs() {
        let (pods, store) = (Pods::default(), kube::runtime::reflector::store::<Pod>().0);
        let address = "10.0.0.7".parse().unwrap();
        pods.follow(&Event::Apply(pod("one", "10.0.0.7", "Running")), &store);
        assert_eq!(pods.release_of(address).map(|speaker| speaker.digest), Some("abc".to_owned()));
        pods.follow(&Event::Apply(pod("one", "10.0.0.7", "Failed")), &store);
        assert_eq!(pods.release_of(address), None);
    }

    #[test]
    fn an_address_that_went_to_another_pod_stays_with_that_one() {
        let (pods, store) = (Pods::default(), kube::runtime::reflector::store::<Pod>().0);
        pods.follow(&Event::Apply(pod("one", "10.0.0.7", "Running")), &store);
        pods.follow(&Event::Apply(pod("two", "10.0.0.7", "Running")), &store);
        pods.follow(&Event::Delete(pod("one", "10.0.0.7", "Running")), &store);
        assert!(pods.release_of("10.0.0.7".parse().unwrap()).is_some());
    }
}
