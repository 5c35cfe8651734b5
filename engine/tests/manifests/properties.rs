//! What must never matter to a digest, and what always must.

use proptest::prelude::*;
use rollpin_crds::AgentReleaseSpec;
use rollpin_engine::digest::{Built, build};
use serde_json::{Map, Value, json};

use crate::{contents, value};

/// A small generator of our own, so that one number in the failure message repeats the case.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.roll(index + 1));
        }
    }
}

fn everything() -> Value {
    value("digest/everything.yaml")["spec"].take()
}

fn built(text: &str) -> Built {
    let spec: AgentReleaseSpec = serde_json::from_str(text).unwrap();
    build("everything", &spec, &contents()).unwrap()
}

fn digests(spec: &Value) -> (String, String) {
    let release = built(&spec.to_string()).release;
    (release.digest, release.behavior_digest)
}

/// JSON text with keys in any order, blanks, escapes and other spellings of the same numbers.
fn scribble(value: &Value, dice: &mut Dice) -> String {
    let blank = [" ", "\n", "\t", ""][dice.roll(4)];
    let text = match value {
        Value::Null | Value::Bool(_) => value.to_string(),
        Value::Number(number) if number.is_f64() => number_text(number.as_f64().unwrap(), dice),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string_text(text, dice),
        Value::Array(items) => {
            format!("[{}]", items.iter().map(|item| scribble(item, dice)).collect::<Vec<_>>().join(","))
        }
        Value::Object(members) => object_text(members, dice),
    };
    format!("{blank}{text}{blank}")
}

fn number_text(number: f64, dice: &mut Dice) -> String {
    match dice.roll(3) {
        0 => format!("{number}"),
        1 => format!("{number:e}"),
        _ => format!("{number:?}"),
    }
}

fn string_text(text: &str, dice: &mut Dice) -> String {
    if dice.roll(3) > 0 {
        return Value::from(text).to_string();
    }
    let escaped: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
    format!("\"{escaped}\"")
}

fn object_text(members: &Map<String, Value>, dice: &mut Dice) -> String {
    let mut members: Vec<(&String, &Value)> = members.iter().collect();
    dice.shuffle(&mut members);
    let members: Vec<String> = members
        .into_iter()
        .map(|(key, value)| format!("{}:{}", string_text(key, dice), scribble(value, dice)))
        .collect();
    format!("{{{}}}", members.join(","))
}

/// Lists whose order means nothing.
const SETS: [&str; 4] =
    ["/bundle/tools/items", "/bundle/tools/effects", "/bundle/prompt/variables", "/bundle/state/readableFrom"];
/// Lists whose order is behaviour.
const SEQUENCES: [&str; 5] = [
    "/bundle/model/fallbacks",
    "/bundle/model/parameters/stopSequences",
    "/bundle/prompt/messages",
    "/bundle/context/segments",
    "/template/spec/containers",
];
/// Empty spellings of fields that `everything.yaml` does not have, and of those that are taken away first.
const EMPTY: [(&str, &str); 12] = [
    ("/bundle/model", "fallbacks"),
    ("/bundle/model", "responseFormat"),
    ("/bundle/model", "parameters"),
    ("/bundle/prompt", "variables"),
    ("/bundle/tools", "effects"),
    ("/bundle", "tools"),
    ("/bundle", "context"),
    ("/bundle/runtime", "deadline"),
    ("/bundle", "runtime"),
    ("/template/spec", "volumes"),
    ("/template/spec/containers/0", "env"),
    ("/template/metadata", "labels"),
];
const LISTS: [&str; 6] = ["fallbacks", "variables", "effects", "volumes", "env", "items"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_spelling_of_a_manifest_does_not_matter(seed: u64) {
        let spec = everything();
        let scribbled = scribble(&spec, &mut Dice(seed));
        prop_assert_eq!(built(&scribbled), built(&spec.to_string()));
    }

    #[test]
    fn the_order_of_tools_effects_variables_and_readable_versions_does_not_matter(seed: u64) {
        let (spec, mut other) = (everything(), everything());
        let extra = json!({"name": "another", "inputSchema": {"type": "object"}});
        let (mut dice, mut with_extra) = (Dice(seed), spec.clone());
        with_extra["bundle"]["tools"]["items"].as_array_mut().unwrap().push(extra.clone());
        other["bundle"]["tools"]["items"].as_array_mut().unwrap().push(extra);
        for set in SETS {
            dice.shuffle(other.pointer_mut(set).unwrap().as_array_mut().unwrap());
        }
        prop_assert_eq!(digests(&other), digests(&with_extra));
    }

    #[test]
    fn an_empty_list_or_object_equals_an_absent_one(chosen in prop::sample::subsequence(EMPTY.to_vec(), 0..=EMPTY.len())) {
        let mut absent = everything();
        let mut empty = absent.clone();
        for (parent, name) in chosen {
            let blank = if LISTS.contains(&name) { json!([]) } else { json!({}) };
            if let Some(at) = absent.pointer_mut(parent).and_then(Value::as_object_mut) {
                at.remove(name);
            }
            if let Some(at) = empty.pointer_mut(parent).and_then(Value::as_object_mut) {
                at.insert(name.to_owned(), blank);
            }
        }
        prop_assert_eq!(digests(&empty), digests(&absent));
    }

    #[test]
    fn operations_fields_never_change_a_digest(cpu in "[1-9][0-9]{0,3}m", pool in "[a-z]{1,8}", grace in 0_i64..600, registry in "[a-z]{1,8}\\.example") {
        let (spec, mut other) = (everything(), everything());
        let pod = &mut other["template"]["spec"];
        pod["nodeSelector"] = json!({"pool": pool});
        pod["terminationGracePeriodSeconds"] = json!(grace);
        pod["priorityClassName"] = json!(pool);
        pod["tolerations"] = json!([]);
        pod["containers"][0]["resources"] = json!({"limits": {"cpu": cpu}});
        pod["containers"][0]["imagePullPolicy"] = json!("Always");
        let image = pod["containers"][0]["image"].as_str().unwrap().rsplit_once('@').unwrap().1.to_owned();
        pod["containers"][0]["image"] = json!(format!("{registry}/mirror/agent@{image}"));
        other["replicas"] = json!(grace);
        prop_assert_eq!(digests(&other), digests(&spec));
    }

    #[test]
    fn provenance_changes_the_release_and_not_the_behaviour(text in "[a-z]{1,12}") {
        let (spec, mut other) = (everything(), everything());
        other["bundle"]["description"] = json!(text);
        other["bundle"]["tools"]["items"][0]["title"] = json!(text);
        other["template"]["metadata"]["labels"]["x"] = json!(text);
        let (before, after) = (digests(&spec), digests(&other));
        prop_assert_ne!(&before.0, &after.0);
        prop_assert_eq!(&before.1, &after.1);
    }

    #[test]
    fn any_other_prompt_is_another_behaviour(text in "\\PC{0,40}") {
        let (spec, mut other) = (everything(), everything());
        other["bundle"]["prompt"]["messages"][0]["content"] = json!(text);
        prop_assert_ne!(digests(&spec).1, digests(&other).1);
    }
}

#[test]
fn the_order_of_messages_segments_fallbacks_stops_and_containers_is_behaviour() {
    let spec = everything();
    for sequence in SEQUENCES {
        let mut other = spec.clone();
        other.pointer_mut(sequence).unwrap().as_array_mut().unwrap().reverse();
        assert_ne!(digests(&spec).1, digests(&other).1, "{sequence}");
    }
}

#[test]
fn absent_is_not_zero_and_false_is_not_absent() {
    let spec = everything();
    for (parent, name, value) in [
        ("/bundle/model/parameters", "temperature", json!(0)),
        ("/bundle/model/parameters", "seed", json!(0)),
        ("/bundle/tools", "parallelCalls", json!(false)),
        ("/bundle/prompt/variables/0", "required", json!(false)),
    ] {
        let (mut zero, mut absent) = (spec.clone(), spec.clone());
        zero.pointer_mut(parent).unwrap()[name] = value;
        absent.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        assert_ne!(digests(&zero).1, digests(&absent).1, "{parent}/{name}");
    }
}

#[test]
fn a_contract_of_level_0_is_an_absent_contract() {
    let (mut zero, mut absent) = (everything(), everything());
    zero["contract"] = json!({"level": 0});
    absent.as_object_mut().unwrap().remove("contract");
    assert_eq!(digests(&zero), digests(&absent));
}

#[test]
fn an_api_server_that_writes_numbers_its_own_way_changes_nothing() {
    let mut spec = everything();
    spec["bundle"]["tools"]["items"][0]["inputSchema"]["maximum"] = json!(10.0);
    let sent = spec.to_string();
    assert!(sent.contains("\"topP\":1.0") && sent.contains("\"maximum\":10.0"));
    let stored = sent.replace("\"topP\":1.0", "\"topP\":1").replace("\"maximum\":10.0", "\"maximum\":10");
    assert_eq!(built(&sent), built(&stored));
}
