//! Tasks that send each other messages and wait for answers.

use crate::input::{Words, checksum_of};
use crate::{Scale, Threads, Workload};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};

pub const WORKLOAD: Workload = Workload {
    name: "tokio-actors",
    about: "starts 250 000 tasks that ask 32 actors through channels and wait for their answers (tokio)",
    threads: Threads::Many,
    run,
};

const TASKS: usize = 250_000;
const ACTORS: usize = 32;

/// Tasks at a time.
const BATCH: usize = 2000;

struct Question {
    text: String,
    answer: oneshot::Sender<BTreeMap<String, usize>>,
}

fn run(scale: &Scale) -> u64 {
    let words = Arc::new(Words::new(48, 4000));
    let runtime = Builder::new_multi_thread().worker_threads(scale.threads).build().expect("threads can be started");
    runtime.block_on(async {
        let actors: Arc<[mpsc::Sender<Question>]> = (0..ACTORS).map(|_| start_actor()).collect();
        let mut sum = 0u64;
        let tasks = scale.of(TASKS);
        for first in (0..tasks).step_by(BATCH) {
            let batch: Vec<_> = (first..tasks.min(first + BATCH))
                .map(|number| tokio::spawn(ask(Arc::clone(&words), Arc::clone(&actors), number)))
                .collect();
            for task in batch {
                sum = sum.wrapping_add(task.await.expect("a task does not panic"));
            }
        }
        sum
    })
}

/// An actor that counts the words of each question. It ends with the last sender.
fn start_actor() -> mpsc::Sender<Question> {
    let (sender, mut questions) = mpsc::channel::<Question>(64);
    tokio::spawn(async move {
        while let Some(question) = questions.recv().await {
            let mut counts = BTreeMap::new();
            for word in question.text.split(' ') {
                *counts.entry(word.to_owned()).or_default() += 1;
            }
            question.answer.send(counts).expect("whoever asks waits for the answer");
        }
    });
    sender
}

/// Asks three actors, one after another.
async fn ask(words: Arc<Words>, actors: Arc<[mpsc::Sender<Question>]>, number: usize) -> u64 {
    let mut random = Rng::with_seed(number as u64);
    let mut sum = 0u64;
    for _ in 0..3 {
        let (answer, answered) = oneshot::channel();
        let text = words.text(&mut random, 8);
        let actor = &actors[random.usize(..ACTORS)];
        assert!(actor.send(Question { text, answer }).await.is_ok(), "actors run as long as there are senders");
        sum = sum.wrapping_add(checksum_of(answered.await.expect("an actor answers every question")));
    }
    sum
}
