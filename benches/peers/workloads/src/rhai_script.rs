//! An interpreter that walks syntax trees: its values, scopes and strings are small blocks.

use crate::input::Checksum;
use crate::{Scale, Threads, Workload};
use rhai::{Engine, Scope};

pub const WORKLOAD: Workload = Workload {
    name: "rhai-script",
    about: "compiles and runs scripts with arrays, object maps, strings and closures (rhai)",
    threads: Threads::One,
    run,
};

const ROUNDS: i64 = 200;

/// A queue of orders, as a game or a configuration language would handle it.
const ORDERS: &str = r#"
    fn price(order) {
        let sum = 0;
        for line in order.lines { sum += line.pieces * line.price; }
        if order.customer.len() % 2 == 0 { sum * 9 / 10 } else { sum }
    }
    let orders = [];
    for number in 0..60 {
        let lines = [];
        for place in 0..(number % 5 + 1) {
            lines.push(#{ article: `article ${place}/${seed}`, pieces: place + seed % 7, price: number * 3 + 1 });
        }
        orders.push(#{ number: number, customer: "customer " + (number * seed % 100), lines: lines });
    }
    let large = orders.filter(|order| price(order) > 500);
    large.sort(|a, b| if price(a) == price(b) { a.number - b.number } else { price(a) - price(b) });
    large.map(|order| `${order.customer}: ${price(order)}`).reduce(|text, line| if text == () { line } else { text + "\n" + line }, ())
"#;

/// Words of a text that is made on the spot, counted.
const WORDS: &str = r#"
    let text = "";
    let state = seed;
    for number in 0..200 {
        state = (state * 1103515245 + 12345) % 2147483648;
        text += ["ba", "ri", "to", "mel", "son"][state / 65536 % 5];
        if state / 1024 % 3 == 0 { text += " "; }
    }
    let counts = #{};
    for word in text.split(" ") {
        if word in counts { counts[word] += 1; } else { counts[word] = 1; }
    }
    let lines = counts.keys();
    lines.sort();
    let result = "";
    for word in lines { result += `${word.to_upper()}=${counts[word]};`; }
    result
"#;

fn run(scale: &Scale) -> u64 {
    let mut engine = Engine::new();
    engine.set_max_expr_depths(100, 100);
    let mut checksum = Checksum::new();
    for seed in 0..scale.of(ROUNDS as usize) as i64 {
        for source in [ORDERS, WORDS] {
            let script = engine.compile(source).expect("the script is well-formed");
            let mut scope = Scope::new();
            scope.push_constant("seed", seed);
            let result: String = engine.eval_ast_with_scope(&mut scope, &script).expect("the script does not fail");
            checksum.add(result);
        }
    }
    checksum.value()
}
