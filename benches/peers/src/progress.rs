//! What is going on: bars where standard error is a terminal, a line now and then where it is not.

use std::io::{IsTerminal, stderr};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bars,
    Lines,
    Silent,
}

pub struct Progress(Kind);

impl Progress {
    pub fn new() -> Self {
        Self(if stderr().is_terminal() { Kind::Bars } else { Kind::Lines })
    }

    #[cfg(test)]
    pub fn silent() -> Self {
        Self(Kind::Silent)
    }

    /// Says something for good.
    pub fn note(&self, line: &str) {
        if self.0 != Kind::Silent {
            eprintln!("{line}");
        }
    }

    /// Something that takes an unknown time.
    pub fn during<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        if self.0 == Kind::Lines {
            eprintln!("{what}");
        }
        let bar = self.bar(ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})");
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        let result = work();
        bar.finish_and_clear();
        result
    }

    /// Many runs.
    pub fn runs(&self, count: usize) -> Runs {
        let bar = self.bar(ProgressBar::new(count as u64), "{bar:30} {pos}/{len} {msg} (still {eta})");
        Runs { bar, kind: self.0, task: String::new() }
    }

    fn bar(&self, bar: ProgressBar, style: &str) -> ProgressBar {
        if self.0 != Kind::Bars {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        bar.with_style(ProgressStyle::with_template(style).expect("the template is well-formed"))
    }
}

/// Runs, one after another.
pub struct Runs {
    bar: ProgressBar,
    kind: Kind,
    task: String,
}

impl Runs {
    pub fn next_task(&mut self, round: usize, task: &str) {
        self.task = format!("round {}, {task}", round + 1);
        if self.kind == Kind::Lines {
            eprintln!("{}", self.task);
        }
    }

    /// To be called before each run.
    pub fn next_run(&self, contender: &str) {
        self.bar.set_message(format!("{} on {contender}", self.task));
        self.bar.inc(1);
    }

    /// Says something for good.
    pub fn note(&self, line: &str) {
        if self.kind != Kind::Silent {
            self.bar.suspend(|| eprintln!("{line}"));
        }
    }

    pub fn end(&self) {
        self.bar.finish_and_clear();
    }
}
