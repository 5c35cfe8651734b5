//! Strict YAML: reads a manifest only where every reader in use understands the same thing.
//!
//! kubectl's family reads YAML 1.1, Rust's YAML 1.2; where they differ, one manifest would have two digests. So what they
//! do not agree about is refused, with its place and what to write instead. Knows nothing of Kubernetes.

mod scalar;

use std::fmt;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Number, Value};

/// Deeper nesting is an attack or an accident.
const MAX_DEPTH: usize = 100;

/// Where something is in the text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.line, self.column)
    }
}

/// A value that knows where it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What it is.
    pub kind: Kind,
}

/// What a value is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `null`, or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number that a double holds exactly.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text.
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Where it begins.
    pub place: Place,
    /// Its text.
    pub name: String,
}

impl Node {
    /// The same as JSON.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(truth) => Value::Bool(*truth),
            Kind::Number(number) => Value::Number(number.clone()),
            Kind::Text(text) => Value::String(text.clone()),
            Kind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            Kind::Map(entries) => Value::Object(
                entries.iter().map(|(key, node)| (key.name.clone(), node.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// A direct child by its key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(entries) => entries.iter().find(|(have, _)| have.name == key).map(|(_, node)| node),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::Text(_) | Kind::List(_) => None,
        }
    }

    /// The text of a direct child.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.kind {
            Kind::Text(text) => Some(text),
            Kind::Null | Kind::Bool(_) | Kind::Number(_) | Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// Where a field such as `spec.bundle.tools.items[2]` is, or else what encloses it.
    pub fn place_of(&self, field: &str) -> Place {
        let mut here = self;
        for step in field.split(['.', '[']).filter(|step| !step.is_empty()) {
            let next = match step.strip_suffix(']') {
                Some(index) => here.item(index),
                None => here.get(step),
            };
            match next {
                Some(node) => here = node,
                None => break,
            }
        }
        here.place
    }

    fn item(&self, index: &str) -> Option<&Node> {
        let Kind::List(items) = &self.kind else {
            return None;
        };
        index
            .parse::<usize>()
            .map_or_else(|_| items.iter().find(|item| item.text("name") == Some(index)), |index| items.get(index))
    }
}

/// One thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where.
    pub place: Place,
    /// The field, such as `spec.bundle.model.version`; empty at the top.
    pub field: String,
    /// What is wrong, and what to write.
    pub message: String,
}

/// One document of a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Its value.
    pub root: Node,
    /// What readers do not agree about.
    pub findings: Vec<Finding>,
}

/// Reads every document that is not empty.
///
/// # Errors
/// Where the text is not YAML at all.
pub fn read(text: &str) -> Result<Vec<Document>, Finding> {
    if let Some(finding) = ambiguous_line_break(text) {
        return Err(finding);
    }
    let mut documents = vec![];
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Finding {
            place: Place { line: error.marker().line(), column: error.marker().col() + 1 },
            field: String::new(),
            message: format!("this is not YAML: {}", error.info()),
        })?;
        match event {
            Event::DocumentStart(_) => builder = Builder::default(),
            Event::DocumentEnd => documents.extend(std::mem::take(&mut builder).finish()),
            other => builder.take(other, span)?,
        }
    }
    Ok(documents)
}

/// YAML 1.1 breaks lines at characters that are ordinary in YAML 1.2.
fn ambiguous_line_break(text: &str) -> Option<Finding> {
    text.lines().zip(1..).find_map(|(line, number)| {
        let (column, character) = line.chars().zip(1..).find_map(|(character, column)| {
            matches!(character, '\u{85}' | '\u{2028}' | '\u{2029}').then_some((column, character))
        })?;
        let code = u32::from(character);
        Some(Finding {
            place: Place { line: number, column },
            field: String::new(),
            message: format!("the character U+{code:04X} is a line break for YAML 1.1 alone: write \"\\u{code:04X}\" in double quotes"),
        })
    })
}

/// Builds one document from its events.
#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    findings: Vec<Finding>,
}

/// A list or map that is not complete.
struct Open {
    place: Place,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, key: Option<Key> },
}

impl Builder {
    fn finish(self) -> Option<Document> {
        let root = self.root.filter(|root| root.kind != Kind::Null || !self.findings.is_empty())?;
        Some(Document { root, findings: self.findings })
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Finding> {
        let place = Place { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.properties(place, anchor, tag.is_some());
                self.scalar(place, &text, style);
            }
            Event::SequenceStart(anchor, tag) => {
                self.properties(place, anchor, tag.is_some());
                self.begin(place, Content::List(vec![]))?;
            }
            Event::MappingStart(anchor, tag) => {
                self.properties(place, anchor, tag.is_some());
                self.begin(place, Content::Map { entries: vec![], key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(_) => {
                self.find(place, "an alias: write the value out again, since anchors do not survive in the cluster");
                self.put(Node { place, kind: Kind::Null });
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn properties(&mut self, place: Place, anchor: usize, tagged: bool) {
        if anchor > 0 {
            self.find(place, "an anchor: write the value out where it is needed");
        }
        if tagged {
            self.find(place, "a tag: leave it out, and write text in quotes");
        }
    }

    fn scalar(&mut self, place: Place, text: &str, style: ScalarStyle) {
        let plain = style == ScalarStyle::Plain;
        if self.awaits_key() {
            self.key(place, text, plain);
            return;
        }
        let kind = if plain {
            scalar::plain(text).unwrap_or_else(|trap| {
                self.find(place, &trap.to_string());
                Kind::Text(text.to_owned())
            })
        } else {
            Kind::Text(text.to_owned())
        };
        self.put(Node { place, kind });
    }

    fn key(&mut self, place: Place, text: &str, plain: bool) {
        if plain && text == "<<" {
            self.find(place, "a merge key: write the fields out");
        } else if plain && !matches!(scalar::plain(text), Ok(Kind::Text(_))) {
            self.find(place, &format!("the key {text} is not text for every reader: write \"{text}\""));
        }
        if let Some(Open { content: Content::Map { entries, key }, .. }) = self.open.last_mut() {
            let first = entries.iter().find(|(have, _)| have.name == text).map(|(have, _)| have.place);
            *key = Some(Key { place, name: text.to_owned() });
            if let Some(first) = first {
                self.find(place, &format!("a second {text:?}, the first one is at {first}: keep one of them"));
            }
        }
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. }))
    }

    fn begin(&mut self, place: Place, content: Content) -> Result<(), Finding> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Finding {
                place,
                field: String::new(),
                message: format!("nested more than {MAX_DEPTH} levels deep"),
            });
        }
        if self.awaits_key() {
            self.find(place, "a list or map as a key: keys are text");
        }
        self.open.push(Open { place, content });
        Ok(())
    }

    fn end(&mut self) {
        let Some(Open { place, content }) = self.open.pop() else {
            return;
        };
        let kind = match content {
            Content::List(items) => Kind::List(items),
            Content::Map { entries, .. } => Kind::Map(entries),
        };
        self.put(Node { place, kind });
    }

    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { content: Content::List(items), .. }) => items.push(node),
            Some(Open { content: Content::Map { entries, key }, .. }) => match key.take() {
                Some(key) => entries.push((key, node)),
                // A complex key or an alias as a key: found already; its text stands for it.
                None => {
                    *key = Some(Key { place: node.place, name: "?".to_owned() });
                }
            },
        }
    }

    fn find(&mut self, place: Place, message: &str) {
        let field = self.field();
        self.findings.push(Finding { place, field, message: message.to_owned() });
    }

    /// The field that is being read.
    fn field(&self) -> String {
        self.open.iter().fold(String::new(), |field, open| match &open.content {
            Content::List(items) => format!("{field}[{}]", items.len()),
            Content::Map { key: Some(key), .. } if field.is_empty() => key.name.clone(),
            Content::Map { key: Some(key), .. } => format!("{field}.{}", key.name),
            Content::Map { key: None, .. } => field,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The findings of a text, as `line:column field: message`.
    fn findings(text: &str) -> Vec<String> {
        match read(text) {
            Ok(documents) => documents
                .into_iter()
                .flat_map(|document| document.findings)
                .map(|finding| format!("{} {}: {}", finding.place, finding.field, finding.message))
                .collect(),
            Err(finding) => vec![format!("{} {}: {}", finding.place, finding.field, finding.message)],
        }
    }

    #[test]
    fn what_readers_do_not_agree_about_is_refused_with_its_place_and_a_way_out() {
        let spellings = |word: &str, value: &str| {
            format!("{word} is {value} for YAML 1.1 and text for YAML 1.2: write \"{word}\" for text, or {value}")
        };
        let cases: Vec<(&str, &str, String)> = vec![
            ("a: yes", "1:4 a", spellings("yes", "true")),
            ("a: on", "1:4 a", spellings("on", "true")),
            ("a:\n  b: [x, NO]", "2:10 a.b[1]", spellings("NO", "false")),
            ("a: Off", "1:4 a", spellings("Off", "false")),
            ("a: y", "1:4 a", spellings("y", "true")),
            ("a: 0123", "1:4 a", "0123 is octal for YAML 1.1 and decimal for YAML 1.2: write \"0123\" for text, or the decimal number".into()),
            ("a: -007", "1:4 a", "-007 is octal for YAML 1.1 and decimal for YAML 1.2: write \"-007\" for text, or the decimal number".into()),
            ("a: 0o14", "1:4 a", "0o14 is a number for some readers and text for others: write \"0o14\" for text, or the decimal number".into()),
            ("a: 0b11", "1:4 a", "0b11 is a number for some readers and text for others: write \"0b11\" for text, or the decimal number".into()),
            ("a: 0X1F", "1:4 a", "0X1F is a number for some readers and text for others: write \"0X1F\" for text, or the decimal number".into()),
            ("a: 1_000", "1:4 a", "1_000 is a number for YAML 1.1 and text for YAML 1.2: write \"1_000\" for text, or 1000".into()),
            ("a: 12:30:45", "1:4 a", "12:30:45 is a number in base 60 for YAML 1.1 and text for YAML 1.2: write \"12:30:45\"".into()),
            ("a: .inf", "1:4 a", ".inf has no place in JSON: write a finite number, or \".inf\" for text".into()),
            ("a: -.INF", "1:4 a", "-.INF has no place in JSON: write a finite number, or \"-.INF\" for text".into()),
            ("a: .nan", "1:4 a", ".nan has no place in JSON: write a finite number, or \".nan\" for text".into()),
            ("a: 1e999", "1:4 a", "1e999 has no place in JSON: write a finite number, or \"1e999\" for text".into()),
            ("a: 9007199254740992", "1:4 a", "9007199254740992 is beyond 2^53-1, where readers round: write \"9007199254740992\" for text, or a smaller number".into()),
            ("a: -9007199254740993", "1:4 a", "-9007199254740993 is beyond 2^53-1, where readers round: write \"-9007199254740993\" for text, or a smaller number".into()),
            ("a: &x 1", "1:4 a", "an anchor: write the value out where it is needed".into()),
            ("a: !!str 1", "1:4 a", "a tag: leave it out, and write text in quotes".into()),
            ("a: !mine {b: 1}", "1:4 a", "a tag: leave it out, and write text in quotes".into()),
            ("a: 1\nb: 2\na: 3", "3:1 a", "a second \"a\", the first one is at 1:1: keep one of them".into()),
            ("on: 1", "1:1 ", "the key on is not text for every reader: write \"on\"".into()),
            ("1: 1", "1:1 ", "the key 1 is not text for every reader: write \"1\"".into()),
            ("[a]: 1", "1:1 ", "a list or map as a key: keys are text".into()),
            ("a: \"x\u{2028}y\"", "1:6 ", "the character U+2028 is a line break for YAML 1.1 alone: write \"\\u2028\" in double quotes".into()),
            ("a: [1", "2:1 ", "this is not YAML: ".into()),
        ];
        for (text, place, message) in cases {
            let found = findings(text);
            let wanted = format!("{place}: {message}");
            assert!(
                found.len() == 1 && found[0].starts_with(&wanted),
                "{text:?}\n  wanted {wanted}\n  found  {found:#?}"
            );
        }
    }

    #[test]
    fn aliases_and_merge_keys_are_refused_besides_their_anchor() {
        let found = findings("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n");
        assert_eq!(found.len(), 4, "{found:#?}");
        assert!(found[1].starts_with("2:4 c: an alias"), "{found:#?}");
        assert!(found[2].starts_with("4:3 d: a merge key"), "{found:#?}");
    }

    #[test]
    fn what_every_reader_understands_alike_is_read() {
        let text = "text: \"yes\"\nalso: 'NO'\nblock: |\n  0123\nint: 12\nneg: -3\nzero: 0\nfloat: 0.2\nwhole: 1.0\nexp: 1e3\nhex: 0x1F\n\
            truth: true\nnothing: null\nempty:\ndate: 2025-10-01\nport: 8080:80\nimage: a@sha256:12ab\nname: 4_turbo\nlist: [1, {a: b}]\n";
        let documents = read(text).unwrap();
        assert_eq!(documents[0].findings, vec![]);
        assert_eq!(
            documents[0].root.to_json(),
            serde_json::json!({"text": "yes", "also": "NO", "block": "0123\n", "int": 12, "neg": -3, "zero": 0, "float": 0.2, "whole": 1,
                "exp": 1000, "hex": 31, "truth": true, "nothing": null, "empty": null, "date": "2025-10-01", "port": "8080:80",
                "image": "a@sha256:12ab", "name": "4_turbo", "list": [1, {"a": "b"}]})
        );
    }

    #[test]
    fn documents_are_read_apart_and_empty_ones_are_left_out() {
        let documents = read("---\na: 1\n---\n# nothing\n---\nb: 2\n...\n").unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[1].root.place.line, 6);
    }

    #[test]
    fn json_is_yaml() {
        let documents = read("{\"a\": [1, \"\\u00e9\", null, {\"b\": false}]}").unwrap();
        assert_eq!(documents[0].root.to_json(), serde_json::json!({"a": [1, "é", null, {"b": false}]}));
    }

    #[test]
    fn a_bomb_of_brackets_is_refused_and_not_obeyed() {
        let found = findings(&"[".repeat(100_000));
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("levels deep") || found[0].contains("not YAML"), "{found:?}");
    }

    #[test]
    fn a_field_is_found_again_by_its_path() {
        let documents = read("spec:\n  tools:\n    items:\n      - name: a\n      - name: b\n        x: 1\n").unwrap();
        let root = &documents[0].root;
        assert_eq!(root.place_of("spec.tools.items[1].x"), Place { line: 6, column: 12 });
        assert_eq!(root.place_of("spec.tools.items[1].missing"), Place { line: 5, column: 9 });
    }
}
