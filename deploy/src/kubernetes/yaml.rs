//! YAML as far as manifests use it, and JSON with it: a tree whose every node knows its line.
//!
//! Everything is bounded before it is built: how deep, and how large all texts of one [`Reader`] are together, each
//! with the copies that aliases make, so that a few lines cannot ask for all memory. An alias to something that it is
//! part of is a fault, as are merge keys, tags that are no plain type, and a key that stands twice. What a scalar
//! means is for who asks for it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

/// The most bytes of one text: a dump of a large cluster.
pub(crate) const MAX_TEXT: usize = 16 << 20;

/// How deep lists and maps may stand in one another: thrice what any manifest has.
const MAX_DEPTH: usize = 64;

/// What all nodes of a [`Reader`]'s texts may weigh, copies included: a node [`NODE`], and the bytes of its text.
const MAX_WEIGHT: usize = 128 << 20;
const NODE: usize = 64;

/// A value, and the line of its key or, without one, its own.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) line: usize,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub(crate) text: String,
    /// Whether it stands without quotes, and may mean a number, a flag or nothing.
    pub(crate) plain: bool,
    /// Whether each of its lines stands on a line of its own, the first below that of the key.
    pub(crate) block: bool,
}

/// Why a text cannot be read, and the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct YamlFault {
    pub(crate) line: usize,
    pub(crate) message: String,
}

impl From<ScanError> for YamlFault {
    fn from(error: ScanError) -> Self {
        Self { line: error.marker().line(), message: error.info().to_owned() }
    }
}

fn fault<T>(line: usize, message: impl Into<String>) -> Result<T, YamlFault> {
    Err(YamlFault { line, message: message.into() })
}

/// Reads texts that belong together, be it one within another, within one bound on what they weigh.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    weight: usize,
}

impl Reader {
    /// The documents of a text, without those that say nothing. Cost: linear in the text and the copies.
    pub(crate) fn documents(&mut self, text: &str) -> Result<Vec<Node>, YamlFault> {
        if text.len() > MAX_TEXT {
            return fault(1, format!("is longer than {MAX_TEXT} bytes"));
        }
        let mut loader = Loader {
            documents: Vec::new(),
            open: Vec::new(),
            anchors: BTreeMap::new(),
            weight: &mut self.weight,
        };
        for event in Parser::new_from_str(text) {
            let (event, span) = event?;
            loader.take(event, span)?;
        }
        Ok(loader.documents)
    }
}

struct Loader<'r> {
    documents: Vec<Node>,
    open: Vec<Open>,
    /// By the number of an anchor.
    anchors: BTreeMap<usize, Anchor>,
    weight: &'r mut usize,
}

/// What aliases copy.
struct Anchor {
    node: Node,
    size: Size,
}

/// Of a node with all below it.
#[derive(Clone, Copy)]
struct Size {
    weight: usize,
    /// How many lists and maps stand in one another there: of a scalar 0.
    depth: usize,
}

/// A list or a map that has not ended.
struct Open {
    node: Node,
    anchor: usize,
    /// The keys that there are, and the one that waits for its value.
    keys: BTreeSet<String>,
    key: Option<(String, usize)>,
    /// What there was before it.
    weight_before: usize,
    /// The deepest of what stands in it.
    depth_below: usize,
}

impl Loader<'_> {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlFault> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.weigh(NODE + text.len(), line)?;
                let plain = style == ScalarStyle::Plain && !is_text(tag, line)?;
                let block = style == ScalarStyle::Literal;
                let weight = NODE + text.len();
                let scalar = Scalar { text: text.into_owned(), plain, block };
                self.put(Node { line, value: Value::Scalar(scalar) }, anchor, Size { weight, depth: 0 })
            }
            Event::SequenceStart(anchor, tag) => self.begin(Value::List(Vec::new()), anchor, tag, line),
            Event::MappingStart(anchor, tag) => self.begin(Value::Map(Vec::new()), anchor, tag, line),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return fault(line, "ends what did not begin") };
                let weight = *self.weight - open.weight_before;
                self.put(open.node, open.anchor, Size { weight, depth: open.depth_below + 1 })
            }
            Event::Alias(anchor) => {
                let Some(size) = self.anchors.get(&anchor).map(|found| found.size) else {
                    return fault(line, "an alias to something that it is part of");
                };
                if self.open.len() + size.depth > MAX_DEPTH {
                    return fault(line, too_deep());
                }
                self.weigh(size.weight, line)?; // before it is copied
                let node = Node { line, ..self.anchors[&anchor].node.clone() };
                self.put(node, 0, size)
            }
            Event::DocumentStart(_) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => Ok(()),
        }
    }

    fn weigh(&mut self, more: usize, line: usize) -> Result<(), YamlFault> {
        *self.weight += more;
        if *self.weight > MAX_WEIGHT { fault(line, TOO_LARGE) } else { Ok(()) }
    }

    fn begin(
        &mut self,
        value: Value,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        line: usize,
    ) -> Result<(), YamlFault> {
        if self.open.len() >= MAX_DEPTH {
            return fault(line, too_deep());
        }
        is_text(tag, line)?;
        let weight_before = *self.weight;
        self.weigh(NODE, line)?;
        self.open.push(Open {
            node: Node { line, value },
            anchor,
            keys: BTreeSet::new(),
            key: None,
            weight_before,
            depth_below: 0,
        });
        Ok(())
    }

    /// Puts a whole node where it belongs.
    fn put(&mut self, mut node: Node, anchor: usize, size: Size) -> Result<(), YamlFault> {
        if anchor > 0 {
            self.weigh(size.weight, node.line)?;
            self.anchors.insert(anchor, Anchor { node: node.clone(), size });
        }
        let Some(open) = self.open.last_mut() else {
            if !node.is_null() {
                self.documents.push(node);
            }
            return Ok(());
        };
        open.depth_below = open.depth_below.max(size.depth);
        match &mut open.node.value {
            Value::List(items) => items.push(node),
            Value::Map(items) => match open.key.take() {
                None => {
                    let Value::Scalar(key) = node.value else {
                        return fault(node.line, "a key that is no text");
                    };
                    if key.plain && key.text == "<<" {
                        return fault(node.line, "a merge key: write the fields out");
                    }
                    if !open.keys.insert(key.text.clone()) {
                        return fault(node.line, format!("the key {:?} stands twice", key.text));
                    }
                    open.key = Some((key.text, node.line));
                }
                Some((key, line)) => {
                    node.line = line;
                    items.push((key, node));
                }
            },
            Value::Scalar(_) => return fault(node.line, "a value within a text"),
        }
        Ok(())
    }
}

const TOO_LARGE: &str = "is too large with all that its aliases repeat, and with what was read before it";

fn too_deep() -> String {
    format!("more than {MAX_DEPTH} lists and maps in one another")
}

/// Whether a tag says that a scalar is text whatever it looks like. Tags that say more than YAML's own are not read.
fn is_text(tag: Option<Cow<'_, Tag>>, line: usize) -> Result<bool, YamlFault> {
    match tag {
        None => Ok(false),
        Some(tag) if tag.is_yaml_core_schema() && tag.suffix != "binary" => Ok(tag.suffix == "str"),
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => Ok(true),
        Some(tag) => fault(line, format!("the tag {}{} is not read", tag.handle, tag.suffix)),
    }
}

impl Node {
    pub(crate) fn is_null(&self) -> bool {
        match &self.value {
            Value::Scalar(scalar) => {
                scalar.plain && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// Of a map, the value at a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(items) => items.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) if !self.is_null() => Some(&scalar.text),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Self]> {
        match &self.value {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// A flag; of the older words that Kubernetes' reader takes too.
    pub(crate) fn flag(&self) -> Option<bool> {
        let Value::Scalar(Scalar { text, plain: true, .. }) = &self.value else { return None };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    pub(crate) fn whole(&self) -> Option<i64> {
        let Value::Scalar(Scalar { text, plain: true, .. }) = &self.value else { return None };
        text.parse().ok()
    }

    /// A quantity as Kubernetes writes it, if it is a whole number from 0.
    pub(crate) fn quantity(&self) -> Option<u64> {
        let text = self.text()?;
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 || fraction.contains('.') {
            return None;
        }
        let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
        let (factor, divisor): (u128, u128) = match suffix {
            "" => (1, 1),
            "m" => (1, 1_000),
            _ => (*SUFFIXES.iter().find(|(name, _)| *name == suffix).map(|(_, factor)| factor)?, 1),
        };
        let divisor = divisor * 10u128.pow(u32::try_from(fraction.len()).ok()?);
        let scaled = digits.checked_mul(factor)?;
        scaled.is_multiple_of(divisor).then(|| u64::try_from(scaled / divisor).ok()).flatten()
    }
}

const SUFFIXES: [(&str, u128); 12] = [
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn documents(text: &str) -> Result<Vec<Node>, YamlFault> {
        Reader::default().documents(text)
    }

    fn one(text: &str) -> Node {
        let mut found = documents(text).expect("YAML");
        assert_eq!(found.len(), 1);
        found.remove(0)
    }

    fn refused(text: &str) -> YamlFault {
        documents(text).expect_err("not readable")
    }

    #[test]
    fn nodes_know_their_lines() {
        let node = one("---\na: 1\nb:\n  - x: yes\n    y: |\n      one\n      two\n");
        assert_eq!(node.get("a").and_then(Node::whole), Some(1));
        let item = &node.get("b").and_then(Node::list).expect("a list")[0];
        assert_eq!((item.get("x").expect("x").line, item.get("x").and_then(Node::flag)), (4, Some(true)));
        let Value::Scalar(text) = &item.get("y").expect("y").value else { panic!("a text") };
        assert_eq!((text.text.as_str(), text.block, item.get("y").expect("y").line), ("one\ntwo\n", true, 5));
        let json = one("{\"a\": {\"b\": [1, \"2\"]}}");
        assert_eq!(json.get("a").and_then(|a| a.get("b")).and_then(Node::list).map(<[Node]>::len), Some(2));
    }

    #[test]
    fn documents_that_say_nothing_are_none() {
        assert_eq!(documents("").expect("YAML").len(), 0);
        assert_eq!(documents("---\n---\n# x\n---\na: 1\n...\n").expect("YAML").len(), 1);
    }

    #[test]
    fn aliases_are_copies_that_are_counted() {
        let node = one("a: &x [1, 2]\nb: *x\n");
        assert_eq!(node.get("b").and_then(Node::list).map(<[Node]>::len), Some(2));
        let mut laughs =
            "a0: &a0 [\"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\", \"lol\"]\n"
                .to_owned();
        for level in 1..20 {
            let before = format!("*a{}", level - 1);
            laughs += &format!("a{level}: &a{level} [{}]\n", [before.as_str(); 9].join(", "));
        }
        let fault = refused(&laughs);
        assert_eq!(fault.message, TOO_LARGE);
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 1_000].join(", "));
        assert_eq!(refused(&long).message, TOO_LARGE, "texts count too");
        assert_eq!(
            refused("a: &a [1, *a]\n"),
            YamlFault { line: 1, message: "an alias to something that it is part of".into() }
        );
        assert_eq!(refused("x: 1\na: &a\n  b: *a\n").line, 3);
        assert_eq!(refused("a: *nobody\n").line, 1);
    }

    #[test]
    fn what_is_not_read_says_so() {
        for (text, line, message) in [
            ("a: 1\n<<: {b: 2}\n", 2, "a merge key: write the fields out"),
            ("a: 1\n\na: 2\n", 3, "the key \"a\" stands twice"),
            ("a: !secret x\n", 1, "the tag !secret is not read"),
            ("? [1]\n: 2\n", 1, "a key that is no text"),
        ] {
            assert_eq!(refused(text), YamlFault { line, message: message.into() }, "{text}");
        }
        assert_eq!(refused(&"[".repeat(1 << 16)).line, 1);
        assert_eq!(refused(&"{a: ".repeat(100_000)).line, 1);
        assert!(refused(&format!("a: {}", "x".repeat(MAX_TEXT))).message.starts_with("is longer than"));
    }

    #[test]
    fn quantities() {
        let quantity = |text: &str| one(&format!("q: {text}")).get("q").and_then(Node::quantity);
        assert_eq!(
            ["8", "\"8\"", "1k", "2Ki", "3000m", "1.5k"].map(quantity),
            [Some(8), Some(8), Some(1_000), Some(2_048), Some(3), Some(1_500)]
        );
        for bad in
            ["-1", "1500m", "1.5", "x", "\"\"", "~", "[1]", "9999999999999999999999E", "1x", ".", "1.2.3"]
        {
            assert_eq!(quantity(bad), None, "{bad}");
        }
    }
}
