//! What a small compiler does to its trees: one boxed node per term, parsed, folded into a new tree, and dropped.

use crate::input::Checksum;
use crate::{Scale, Threads, Workload};
use fastrand::Rng;

pub const WORKLOAD: Workload = Workload {
    name: "ast-fold",
    about: "parses expressions to trees of boxed nodes, folds constants into new trees, prints and drops them (own code)",
    threads: Threads::One,
    run,
};

const ROUNDS: usize = 15_000;

fn run(scale: &Scale) -> u64 {
    let mut random = Rng::with_seed(5);
    let sources: Vec<String> = (0..20)
        .map(|_| {
            let mut source = String::new();
            write_source(&mut random, 13, &mut source);
            source
        })
        .collect();
    let mut checksum = Checksum::new();
    for round in 0..scale.of(ROUNDS) {
        let tree = Parser { source: sources[round % sources.len()].as_bytes(), position: 0 }.sum();
        let folded = fold(&tree);
        let mut printed = String::new();
        print(&folded, &mut printed);
        checksum.add((count(&tree), count(&folded), printed));
    }
    checksum.value()
}

enum Node {
    Number(i64),
    Name(String),
    Negation(Box<Node>),
    Binary(u8, Box<Node>, Box<Node>),
    Call(String, Vec<Node>),
}

fn write_source(random: &mut Rng, depth: u32, source: &mut String) {
    let kind = if depth == 0 { random.u8(..3) } else { random.u8(..14) };
    match kind {
        0 | 1 => source.push_str(&random.u8(..).to_string()),
        2 => source.push(char::from(b'a' + random.u8(..26))),
        3 => {
            source.push('-');
            write_source(random, depth - 1, source);
        }
        4 => {
            source.push_str("call_");
            source.push(char::from(b'a' + random.u8(..26)));
            source.push('(');
            for argument in 0..random.u8(1..4) {
                if argument > 0 {
                    source.push(',');
                }
                write_source(random, depth - 1, source);
            }
            source.push(')');
        }
        _ => {
            source.push('(');
            write_source(random, depth - 1, source);
            source.push(if random.bool() { '+' } else { '*' });
            write_source(random, depth - 1, source);
            source.push(')');
        }
    }
}

/// Recursive descent. The sources are well-formed: they were written by [`write_source`].
struct Parser<'s> {
    source: &'s [u8],
    position: usize,
}

impl Parser<'_> {
    fn peek(&self) -> u8 {
        self.source.get(self.position).copied().unwrap_or(b')')
    }

    fn take_while(&mut self, belongs: impl Fn(u8) -> bool) -> &str {
        let start = self.position;
        while self.position < self.source.len() && belongs(self.peek()) {
            self.position += 1;
        }
        std::str::from_utf8(&self.source[start..self.position]).expect("the source is ASCII")
    }

    fn binary(&mut self, operator: u8, operand: fn(&mut Self) -> Node) -> Node {
        let mut left = operand(self);
        while self.peek() == operator {
            self.position += 1;
            left = Node::Binary(operator, Box::new(left), Box::new(operand(self)));
        }
        left
    }

    fn sum(&mut self) -> Node {
        self.binary(b'+', Self::product)
    }

    fn product(&mut self) -> Node {
        self.binary(b'*', Self::term)
    }

    fn term(&mut self) -> Node {
        match self.peek() {
            b'-' => {
                self.position += 1;
                Node::Negation(Box::new(self.term()))
            }
            b'(' => {
                self.position += 1;
                let inner = self.sum();
                self.position += 1;
                inner
            }
            b'0'..=b'9' => {
                Node::Number(self.take_while(|byte| byte.is_ascii_digit()).parse().expect("digits are a number"))
            }
            _ => self.name(),
        }
    }

    fn name(&mut self) -> Node {
        let name = self.take_while(|byte| byte == b'_' || byte.is_ascii_lowercase()).to_owned();
        if self.peek() != b'(' {
            return Node::Name(name);
        }
        let mut arguments = Vec::new();
        while self.peek() != b')' {
            self.position += 1;
            arguments.push(self.sum());
        }
        self.position += 1;
        Node::Call(name, arguments)
    }
}

/// A new tree in which what can be computed is a number.
fn fold(node: &Node) -> Node {
    match node {
        Node::Number(number) => Node::Number(*number),
        Node::Name(name) => Node::Name(name.clone()),
        Node::Negation(inner) => match fold(inner) {
            Node::Number(number) => Node::Number(number.wrapping_neg()),
            inner => Node::Negation(Box::new(inner)),
        },
        Node::Binary(operator, left, right) => match (*operator, fold(left), fold(right)) {
            (b'+', Node::Number(left), Node::Number(right)) => Node::Number(left.wrapping_add(right)),
            (_, Node::Number(left), Node::Number(right)) => Node::Number(left.wrapping_mul(right)),
            (b'+', Node::Number(0), other) | (b'+', other, Node::Number(0)) => other,
            (operator, left, right) => Node::Binary(operator, Box::new(left), Box::new(right)),
        },
        Node::Call(name, arguments) => Node::Call(name.clone(), arguments.iter().map(fold).collect()),
    }
}

fn count(node: &Node) -> usize {
    1 + match node {
        Node::Number(_) | Node::Name(_) => 0,
        Node::Negation(inner) => count(inner),
        Node::Binary(_, left, right) => count(left) + count(right),
        Node::Call(_, arguments) => arguments.iter().map(count).sum(),
    }
}

fn print(node: &Node, printed: &mut String) {
    match node {
        Node::Number(number) => printed.push_str(&number.to_string()),
        Node::Name(name) => printed.push_str(name),
        Node::Negation(inner) => {
            printed.push('-');
            print(inner, printed);
        }
        Node::Binary(operator, left, right) => {
            printed.push('(');
            print(left, printed);
            printed.push(char::from(*operator));
            print(right, printed);
            printed.push(')');
        }
        Node::Call(name, arguments) => {
            printed.push_str(name);
            for argument in arguments {
                printed.push(' ');
                print(argument, printed);
            }
        }
    }
}
