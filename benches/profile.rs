//! A heap profile that is armed: what it costs the workloads of `fast_path`, at the default rate.
//!
//! ```text
//! cargo bench --features profile --bench profile             # criterion, then the table; under 3 minutes
//! cargo bench --features profile --bench profile -- churn    # the rows whose name contains `churn`
//! cargo bench --features profile --bench profile -- --test   # every row once
//! ```
//!
//! Each row runs without and with the profile, in turns. What a turn has armed, it disarms.

#![warn(clippy::undocumented_unsafe_blocks)]

mod support;

use std::rc::Rc;
use support::block::{Block, Bytes};
use support::contest::{Contest, Contestant, print_table};
use support::{Effort, Routine, Row};
use tenure::{Tenure, profile};

fn main() {
    let effort = Effort::from_args();
    let mut criterion = support::criterion();
    let contests = support::one_thread::rows().into_iter().map(contest);
    let outcomes: Vec<_> = contests.filter_map(|contest| contest.run(&mut criterion, effort)).collect();
    criterion.final_summary();
    print_table("profile", &outcomes);
}

fn contest(row: Row) -> Contest {
    let Row { name, operations, tenure, .. } = row;
    let contestants = vec![
        Contestant::new("not armed", {
            let tenure = Rc::clone(&tenure);
            move || tenure()
        }),
        Contestant::new("armed", move || armed(tenure())),
    ];
    Contest { task: name, operations, contestants }
}

/// What is armed for each of its turns.
fn armed(mut routine: Routine) -> Routine {
    Box::new(move |rounds| {
        profile::arm(profile::DEFAULT_RATE).expect("memory for the tables");
        notice();
        let time = routine(rounds);
        profile::disarm();
        notice();
        time
    })
}

/// Has the thread see what was armed or disarmed, which it does when it comes to a slow path: so large a block has no
/// other.
fn notice() {
    drop(Block::<Tenure, _>::new(Bytes::new(16 << 20)));
}
