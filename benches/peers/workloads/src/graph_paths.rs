//! A road map as a graph: built, searched for shortest ways and parts, changed, and built again.

use crate::input::Checksum;
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use petgraph::algo::{astar, dijkstra, kosaraju_scc};
use petgraph::graph::{NodeIndex, UnGraph};

pub const WORKLOAD: Workload = Workload {
    name: "graph-paths",
    about: "builds road graphs of 10 000 places with names, finds shortest ways and connected parts (petgraph)",
    threads: Threads::One,
    run,
};

const GRAPHS: usize = 80;
const SIDE: usize = 100;

struct Place {
    name: String,
    position: (i32, i32),
}

fn run(scale: &Scale) -> u64 {
    let mut random = Rng::with_seed(41);
    let mut checksum = Checksum::new();
    for _ in 0..scale.of(GRAPHS) {
        let mut roads = roads(&mut random);
        for _ in 0..6 {
            let (from, to) = (place(&mut random), place(&mut random));
            // Maps have a random order, sums have none.
            checksum.add(dijkstra(&roads, from, None, |road| *road.weight()).into_values().map(u64::from).sum::<u64>());
            let goal = roads[to].position;
            let way = astar(
                &roads,
                from,
                |place| place == to,
                |road| *road.weight(),
                |place| distance(roads[place].position, goal),
            );
            checksum.add(way.map(|(length, _)| length));
        }
        roads.retain_edges(|roads, road| roads[road] % 3 > 0);
        checksum.add(kosaraju_scc(&roads).len());
        checksum.add(roads.node_weights().map(|place| place.name.len()).sum::<usize>());
    }
    checksum.value()
}

fn place(random: &mut Rng) -> NodeIndex {
    NodeIndex::new(random.usize(..SIDE * SIDE))
}

fn distance(from: (i32, i32), to: (i32, i32)) -> u32 {
    from.0.abs_diff(to.0) + from.1.abs_diff(to.1)
}

/// A grid from which some roads are missing, with some long ones.
fn roads(random: &mut Rng) -> UnGraph<Place, u32> {
    let mut roads = UnGraph::default();
    for number in 0..SIDE * SIDE {
        let (x, y) = (number % SIDE, number / SIDE);
        roads.add_node(Place { name: format!("{x}th street, {y}"), position: (x as i32 * 10, y as i32 * 10) });
    }
    for number in 0..SIDE * SIDE {
        for (next, is_there) in [(number + 1, number % SIDE + 1 < SIDE), (number + SIDE, number / SIDE + 1 < SIDE)] {
            if is_there && random.u8(..10) > 0 {
                roads.add_edge(NodeIndex::new(number), NodeIndex::new(next), random.u32(10..30));
            }
        }
        if random.u8(..20) == 0 {
            let (from, to) = (NodeIndex::new(number), place(random));
            let length = distance(roads[from].position, roads[to].position);
            roads.add_edge(from, to, length);
        }
    }
    roads
}
