//! XML documents as trees: every element, attribute and text is a block of its own.

use crate::input::{Checksum, Words};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use quick_xml::XmlVersion;
use quick_xml::events::{BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

pub const WORKLOAD: Workload = Workload {
    name: "xml-tree",
    about: "parses XML documents of 100 KiB to trees, moves and removes elements and re-emits them (quick-xml)",
    threads: Threads::One,
    run,
};

const ROUNDS: usize = 500;

#[derive(Default)]
struct Element {
    name: String,
    attributes: Vec<(String, String)>,
    children: Vec<Node>,
}

enum Node {
    Element(Element),
    Text(String),
}

fn run(scale: &Scale) -> u64 {
    let words = Words::new(31, 2000);
    let mut random = Rng::with_seed(32);
    let documents: Vec<Vec<u8>> = (0..6)
        .map(|_| {
            let sections = (0..100).map(|_| Node::Element(section(&words, &mut random, 3))).collect();
            emit(&Element { name: "document".to_owned(), attributes: Vec::new(), children: sections })
        })
        .collect();
    let mut checksum = Checksum::new();
    for round in 0..scale.of(ROUNDS) {
        let text = std::str::from_utf8(&documents[round % documents.len()]).expect("the document is UTF-8");
        let mut root = parse(text);
        change(&mut root);
        root.children.rotate_left(round % 7);
        checksum.add(emit(&root));
    }
    checksum.value()
}

/// Elements of the name `aside` go, and the others learn how many children they have.
fn change(element: &mut Element) {
    element.children.retain(|child| !matches!(child, Node::Element(element) if element.name == "aside"));
    element.attributes.push(("children".to_owned(), element.children.len().to_string()));
    for child in &mut element.children {
        match child {
            Node::Element(element) => change(element),
            Node::Text(text) => text.push('.'),
        }
    }
}

fn parse(text: &str) -> Element {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().expect("the document is well-formed");
        let inner = open.last_mut().expect("the outermost element stays open");
        match event {
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(start) => inner.children.push(Node::Element(element(&start))),
            Event::End(_) => {
                let done = open.pop().expect("an element that ends was open");
                open.last_mut().expect("the document has one root").children.push(Node::Element(done));
            }
            Event::Text(text) => {
                inner.children.push(Node::Text(text.xml_content(XmlVersion::Explicit1_0).into_owned()))
            }
            Event::GeneralRef(name) => {
                inner.children.push(Node::Text(format!("&{};", &*name.xml_content(XmlVersion::Explicit1_0))))
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match open.remove(0).children.pop() {
        Some(Node::Element(root)) => root,
        _ => panic!("the document has no root"),
    }
}

fn element(start: &BytesStart) -> Element {
    let attributes = start.attributes().map(|attribute| {
        let attribute = attribute.expect("the attribute is well-formed");
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).expect("entities are known");
        (str_of(attribute.key.as_ref()), value.into_owned())
    });
    Element { name: str_of(start.name().as_ref()), attributes: attributes.collect(), children: Vec::new() }
}

fn str_of(text: &str) -> String {
    text.to_owned()
}

fn emit(root: &Element) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    write(root, &mut writer).expect("a vector takes all");
    writer.into_inner()
}

fn write(element: &Element, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
    let attributes = element.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let start = BytesStart::new(element.name.as_str()).with_attributes(attributes);
    if element.children.is_empty() {
        return writer.write_event(Event::Empty(start));
    }
    writer.write_event(Event::Start(start))?;
    for child in &element.children {
        match child {
            Node::Element(element) => write(element, writer)?,
            Node::Text(text) => writer.write_event(Event::Text(BytesText::new(text)))?,
        }
    }
    writer.write_event(Event::End(BytesEnd::new(element.name.as_str())))
}

fn section(words: &Words, random: &mut Rng, depth: u32) -> Element {
    let name = ["section", "list", "aside", "item"][random.usize(..4)].to_owned();
    let attributes = vec![
        ("id".to_owned(), random.u32(..).to_string()),
        ("title".to_owned(), format!("{} & \"{}\"", words.pick(random), words.pick(random))),
    ];
    let mut children = vec![Node::Text(words.text(random, 8))];
    if depth > 0 {
        children.extend((0..random.usize(..5)).map(|_| Node::Element(section(words, random, depth - 1))));
    }
    Element { name, attributes, children }
}
