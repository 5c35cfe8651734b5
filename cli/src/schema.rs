//! Checks a manifest against the schema of its kind, as the API server will, but with places and suggestions.
//!
//! Unknown fields above all: kubectl refuses them, server-side apply fails on them, a plain POST drops them silently.
//! Rules written in CEL and patterns are left to the API server.

use serde_json::Value;

use crate::yaml::{Finding, Key, Kind, Node};

/// Fields of `metadata` that people write.
const METADATA: [&str; 7] =
    ["name", "generateName", "namespace", "labels", "annotations", "finalizers", "ownerReferences"];

/// Fields in which an object value `null` would make two digests of one manifest: client-side apply drops it, server-side keeps it.
const HASHED: [&str; 2] = ["spec.bundle", "spec.template.spec"];

/// The schema of a kind, or nothing when it is not one of ours.
pub fn of_kind(kind: &str) -> Option<Value> {
    let definitions = rollpin_crds::custom_resource_definitions().ok()?;
    let definition = definitions.into_iter().find(|definition| definition.spec.names.kind == kind)?;
    let version = definition.spec.versions.into_iter().next()?;
    serde_json::to_value(version.schema?.open_api_v3_schema?).ok()
}

/// Everything in which a manifest is not what its schema says.
pub fn check(root: &Node, schema: &Value) -> Vec<Finding> {
    let mut walk = Walk { findings: vec![] };
    walk.root(root, schema);
    walk.findings
}

/// Whether a JSON value may be there: fields with `null` are dropped, as the API server does.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

struct Walk {
    findings: Vec<Finding>,
}

impl Walk {
    fn root(&mut self, root: &Node, schema: &Value) {
        let Kind::Map(entries) = &root.kind else {
            self.find(root, "", "not an object: a manifest begins with apiVersion and kind".to_owned());
            return;
        };
        let known = ["apiVersion", "kind", "metadata", "spec", "status"];
        for (key, node) in entries {
            match key.name.as_str() {
                "apiVersion" | "kind" | "status" => {}
                "metadata" => self.metadata(node),
                "spec" => {
                    if let Some(spec) = schema.pointer("/properties/spec") {
                        self.value(node, spec, "spec");
                    }
                }
                _ => self.unknown(key, "", &known),
            }
        }
        if root.get("spec").is_none() {
            self.find(root, "spec", "missing".to_owned());
        }
    }

    fn metadata(&mut self, node: &Node) {
        if let Kind::Map(entries) = &node.kind {
            for (key, _) in entries.iter().filter(|(key, _)| !METADATA.contains(&key.name.as_str())) {
                // What the API server adds by itself comes back in a manifest that was printed from the cluster.
                if !["uid", "resourceVersion", "generation", "creationTimestamp", "managedFields", "selfLink"]
                    .contains(&key.name.as_str())
                {
                    self.unknown(key, "metadata", &METADATA);
                }
            }
        }
    }

    fn value(&mut self, node: &Node, schema: &Value, field: &str) {
        if node.kind == Kind::Null {
            self.null(node, field);
            return;
        }
        let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        match (wanted, &node.kind) {
            ("object", Kind::Map(entries)) => self.object(node, entries, schema, field),
            ("array", Kind::List(items)) => self.list(node, items, schema, field),
            ("string", Kind::Text(text)) => self.text(node, text, schema, field),
            ("integer", Kind::Number(number)) if number.is_i64() => {
                self.number(node, number, schema, field);
            }
            ("number", Kind::Number(number)) => self.number(node, number, schema, field),
            ("boolean", Kind::Bool(_)) => {}
            ("", _) => self.free(node, field),
            (wanted, _) => self.find(node, field, wrong_type(wanted, node)),
        }
    }

    fn null(&mut self, node: &Node, field: &str) {
        let inside = |root: &str| field.strip_prefix(root).is_some_and(|rest| rest.starts_with(['.', '[']));
        if HASHED.into_iter().any(inside) {
            self.find(
                node,
                field,
                "null is dropped by some ways to apply a manifest and kept by others: leave the field out".to_owned(),
            );
        }
    }

    /// Content that no schema describes: only nulls matter.
    fn free(&mut self, node: &Node, field: &str) {
        match &node.kind {
            Kind::Null => self.null(node, field),
            Kind::List(items) => {
                for (item, index) in items.iter().zip(0..) {
                    self.free(item, &format!("{field}[{index}]"));
                }
            }
            Kind::Map(entries) => {
                for (key, node) in entries {
                    self.free(node, &join(field, &key.name));
                }
            }
            Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) => {}
        }
    }

    fn object(&mut self, node: &Node, entries: &[(Key, Node)], schema: &Value, field: &str) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let open = schema.get("x-kubernetes-preserve-unknown-fields").and_then(Value::as_bool).unwrap_or(false);
        for (key, child) in entries {
            let here = join(field, &key.name);
            match properties.and_then(|properties| properties.get(&key.name)).or(others) {
                Some(schema) => self.value(child, schema, &here),
                None if open => self.free(child, &here),
                None => {
                    let known: Vec<&str> =
                        properties.map(|known| known.keys().map(String::as_str).collect()).unwrap_or_default();
                    self.unknown(key, field, &known);
                }
            }
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !entries.iter().any(|(key, child)| key.name == required && child.kind != Kind::Null) {
                self.find(node, &join(field, required), "missing".to_owned());
            }
        }
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &Value, field: &str) {
        self.length(node, items.len(), ("minItems", "maxItems"), "items", schema, field);
        if let Some(inner) = schema.get("items") {
            for (item, index) in items.iter().zip(0..) {
                self.value(item, inner, &format!("{field}[{index}]"));
            }
        }
        self.same_key_twice(items, schema, field);
    }

    /// A `list-type: map` holds each key once.
    fn same_key_twice(&mut self, items: &[Node], schema: &Value, field: &str) {
        let Some([Value::String(key)]) =
            schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array).map(Vec::as_slice)
        else {
            return;
        };
        for (item, index) in items.iter().zip(0_usize..) {
            let Some(name) = item.text(key) else { continue };
            if items.iter().take(index).any(|before| before.text(key) == Some(name)) {
                self.find(
                    item,
                    &format!("{field}[{index}].{key}"),
                    format!("a second item with the {key} {name:?}: keep one of them"),
                );
            }
        }
    }

    fn text(&mut self, node: &Node, text: &str, schema: &Value, field: &str) {
        self.length(node, text.chars().count(), ("minLength", "maxLength"), "characters", schema, field);
        let Some(words) = schema.get("enum").and_then(Value::as_array) else {
            return;
        };
        if !words.iter().any(|word| word.as_str() == Some(text)) {
            let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
            let hint = nearest(text, &words)
                .map_or_else(|| format!("write one of {}", words.join(", ")), |near| format!("did you mean {near:?}?"));
            self.find(node, field, format!("{text:?} is not known here; {hint}"));
        }
    }

    fn number(&mut self, node: &Node, number: &serde_json::Number, schema: &Value, field: &str) {
        let Some(value) = number.as_f64() else { return };
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        if let Some(least) = bound("minimum").filter(|least| value < *least) {
            self.find(node, field, format!("{number} is too small: the least is {least}"));
        }
        if let Some(most) = bound("maximum").filter(|most| value > *most) {
            self.find(node, field, format!("{number} is too large: the most is {most}"));
        }
    }

    fn length(&mut self, node: &Node, length: usize, bounds: (&str, &str), unit: &str, schema: &Value, field: &str) {
        let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
        let length = length as u64;
        if let Some(least) = bound(bounds.0).filter(|least| length < *least) {
            self.find(node, field, format!("has {length} {unit}: the least is {least}"));
        }
        if let Some(most) = bound(bounds.1).filter(|most| length > *most) {
            self.find(node, field, format!("has {length} {unit}: the most is {most}"));
        }
    }

    fn unknown(&mut self, key: &Key, field: &str, known: &[&str]) {
        let hint = nearest(&key.name, known)
            .map_or_else(|| format!("known here: {}", known.join(", ")), |near| format!("did you mean {near:?}?"));
        self.findings.push(Finding {
            place: key.place,
            field: join(field, &key.name),
            message: format!("unknown field; {hint}"),
        });
    }

    fn find(&mut self, node: &Node, field: &str, message: String) {
        self.findings.push(Finding { place: node.place, field: field.to_owned(), message });
    }
}

fn join(field: &str, key: &str) -> String {
    if field.is_empty() { key.to_owned() } else { format!("{field}.{key}") }
}

fn wrong_type(wanted: &str, node: &Node) -> String {
    let article = |kind: &'static str| match kind {
        "object" => "a map",
        "array" => "a list",
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        other => other,
    };
    let wanted = match wanted {
        "object" => article("object"),
        "array" => article("array"),
        "string" => article("string"),
        "integer" => article("integer"),
        "number" => article("number"),
        _ => article("boolean"),
    };
    match &node.kind {
        Kind::Number(number) if wanted == "text" => {
            format!("{number} is a number, text is needed: write \"{number}\"")
        }
        Kind::Bool(truth) if wanted == "text" => {
            format!("{truth} is a truth value, text is needed: write \"{truth}\"")
        }
        Kind::Text(_) => format!("is text, {wanted} is needed: leave out the quotes"),
        Kind::Number(number) => format!("{number} is a number, {wanted} is needed"),
        Kind::Bool(truth) => format!("{truth} is a truth value, {wanted} is needed"),
        Kind::List(_) => format!("is a list, {wanted} is needed"),
        Kind::Map(_) => format!("is a map, {wanted} is needed"),
        Kind::Null => format!("is null, {wanted} is needed"),
    }
}

/// The known word that is nearly the same, ignoring case.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let near = |candidate: &str| strsim::jaro_winkler(&word.to_lowercase(), &candidate.to_lowercase());
    known.iter().copied().filter(|candidate| near(candidate) > 0.85).max_by(|a, b| near(a).total_cmp(&near(b)))
}
