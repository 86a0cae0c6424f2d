//! A ring, compared with a list.

use super::super::list::{Linked, Ring};
use crate::os::mock::random::Random;
use crate::sync::Cell;
use std::ptr;
use std::vec::Vec;

struct Item {
    number: usize,
    next: Cell<*const Item>,
    previous: Cell<*const Item>,
}

impl Item {
    fn new(number: usize) -> Self {
        Self { number, next: Cell::new(ptr::null()), previous: Cell::new(ptr::null()) }
    }
}

impl Linked for Item {
    fn links(&self) -> (&Cell<*const Self>, &Cell<*const Self>) {
        (&self.next, &self.previous)
    }
}

#[test]
fn a_ring_agrees_with_a_list_after_every_random_step() {
    let mut random = Random::new(5);
    let items: Vec<Item> = (0..12).map(Item::new).collect();
    let (mut ring, mut list) = (Ring::new(), Vec::new());
    for _ in 0..20_000 {
        let item = &items[random.within(0..items.len())];
        match (Ring::is_linked(item), random.once_in(2)) {
            (true, _) => {
                ring.remove(item);
                list.retain(|&number| number != item.number);
            }
            (false, true) => {
                ring.push_back(item);
                list.push(item.number);
            }
            (false, false) => {
                ring.push_front(item);
                list.insert(0, item.number);
            }
        }
        assert!(ring.iter().map(|item| item.number).eq(list.iter().copied()));
        assert_eq!(ring.first().map(|item| item.number), list.first().copied());
        assert!(items.iter().all(|item| Ring::is_linked(item) == list.contains(&item.number)));
    }
}
