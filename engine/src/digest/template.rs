//! The pod template of the harness in two parts: what makes a new release, and operations, which are edited in place.
//!
//! A field is behaviour unless it is listed here. Nothing is filled in and nothing is interpreted.

use serde_json::{Map, Value};

/// Fields of a pod spec that say where and when pods run, never what they answer.
pub const POD_OPERATIONS: [&str; 15] = [
    "affinity",
    "imagePullSecrets",
    "nodeName",
    "nodeSelector",
    "overhead",
    "preemptionPolicy",
    "priority",
    "priorityClassName",
    "resources",
    "schedulerName",
    "schedulingGates",
    "terminationGracePeriodSeconds",
    "tolerations",
    "topologySpreadConstraints",
    "workloadRef",
];

/// Fields of a container that say what it may use, never what it answers.
pub const CONTAINER_OPERATIONS: [&str; 5] =
    ["imagePullPolicy", "resizePolicy", "resources", "terminationMessagePath", "terminationMessagePolicy"];

/// Lists of containers in a pod spec.
pub const CONTAINER_LISTS: [&str; 2] = ["containers", "initContainers"];

/// An image as content: its `@sha256:` alone, so that a mirror registry changes nothing. Without one, the whole text.
#[must_use]
pub fn image_content(image: &str) -> &str {
    image.rsplit_once('@').map(|(_, digest)| digest).filter(|digest| super::is_digest(digest)).unwrap_or(image)
}

/// A template without its operations fields, images in full; and the operations fields alone, containers by name.
#[must_use]
pub fn split_template(template: &Value) -> (Value, Value) {
    let (kept, operations) = split_spec(object_at(template, "spec"));
    let mut rest = Map::new();
    put(&mut rest, "metadata", Value::Object(labels_and_annotations(template)));
    rest.insert("spec".to_owned(), Value::Object(kept));
    let mut apart = Map::new();
    put(&mut apart, "spec", Value::Object(operations));
    (Value::Object(rest), Value::Object(apart))
}

/// A revision's template with the operations fields of the current one, and its image where that is the same content.
/// Containers that the revision does not have are left out; nothing of its behaviour changes.
#[must_use]
pub fn overlay_operations(behaviour_template: &Value, current_template: &Value) -> Value {
    let (mut result, _) = split_template(behaviour_template);
    let (_, mut operations) = split_spec(object_at(current_template, "spec"));
    if let Some(spec) = result.get_mut("spec").and_then(Value::as_object_mut) {
        for list in CONTAINER_LISTS {
            let apart = operations.remove(list);
            if let (Some(Value::Array(containers)), Some(Value::Array(apart))) = (spec.get_mut(list), apart) {
                for container in containers {
                    overlay_container(container, &apart);
                }
            }
        }
        spec.append(&mut operations);
    }
    result
}

/// The template as it is hashed: images by their digest alone.
pub fn hashed(kept: &Value) -> Value {
    let mut hashed = kept.clone();
    for list in CONTAINER_LISTS {
        let Some(containers) = hashed.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut) else {
            continue;
        };
        for container in containers {
            if let Some(Value::String(image)) = container.get_mut("image") {
                *image = image_content(image).to_owned();
            }
        }
    }
    hashed
}

fn overlay_container(container: &mut Value, current: &[Value]) {
    let Some(container) = container.as_object_mut() else {
        return;
    };
    let same = |other: &&Value| other.get("name") == container.get("name");
    let Some(Value::Object(fields)) = current.iter().find(same).cloned() else {
        return;
    };
    for (key, value) in fields {
        let mine = container.get(&key).and_then(Value::as_str).map(image_content);
        if key != "image" || mine == value.as_str().map(image_content) {
            container.insert(key, value);
        }
    }
}

fn split_spec(spec: Option<&Map<String, Value>>) -> (Map<String, Value>, Map<String, Value>) {
    let mut kept = Map::new();
    let mut operations = Map::new();
    for (key, value) in spec.into_iter().flatten() {
        match value {
            Value::Array(containers) if CONTAINER_LISTS.contains(&key.as_str()) => {
                let (rest, apart): (Vec<Value>, Vec<Value>) = containers.iter().map(split_container).unzip();
                put(&mut kept, key, Value::Array(rest));
                put(&mut operations, key, Value::Array(apart));
            }
            _ if POD_OPERATIONS.contains(&key.as_str()) => put(&mut operations, key, value.clone()),
            _ => put(&mut kept, key, value.clone()),
        }
    }
    (kept, operations)
}

/// The image is in both parts: its digest is behaviour, the registry that it comes from is operations.
fn split_container(container: &Value) -> (Value, Value) {
    let Some(fields) = container.as_object() else {
        return (container.clone(), Value::Object(Map::new()));
    };
    let mut kept = Map::new();
    let mut operations = Map::new();
    for (key, value) in fields {
        let apart = CONTAINER_OPERATIONS.contains(&key.as_str());
        if apart || key == "name" || key == "image" {
            put(&mut operations, key, value.clone());
        }
        if !apart {
            put(&mut kept, key, value.clone());
        }
    }
    (Value::Object(kept), Value::Object(operations))
}

fn labels_and_annotations(template: &Value) -> Map<String, Value> {
    let mut kept = Map::new();
    for key in ["annotations", "labels"] {
        if let Some(value) = template.pointer(&format!("/metadata/{key}")) {
            put(&mut kept, key, value.clone());
        }
    }
    kept
}

fn object_at<'a>(template: &'a Value, key: &str) -> Option<&'a Map<String, Value>> {
    template.get(key).and_then(Value::as_object)
}

/// An empty list or object equals an absent one; deeper inside it may mean something (`emptyDir: {}`), so only here.
fn put(map: &mut Map<String, Value>, key: &str, value: Value) {
    let empty = match &value {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    };
    if !empty {
        map.insert(key.to_owned(), value);
    }
}
