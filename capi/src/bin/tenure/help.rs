//! What `--help` says beyond the options. The table of the environment is the library's, which `docs/c-abi.md` has too.

pub const COMMAND: &str = "\
Examples:
  tenure run -- ls -l
  tenure run --stats -- sqlite3 shop.db 'select count(*) from orders'
  tenure run --python --stats=stats.%p.json --format json --children -- python3 -m http.server
  tenure run --python --profile heap.svg -- python3 script.py

See `tenure run --help` for the options, the environment and the exit statuses. Each subcommand has
such a page.";

#[cfg(feature = "view")]
pub const REPORT: &str = "\
One file is enough, of whatever kind.

Exit status: 0, or 1 where a file cannot be read, is not what it should be, or cannot be written, or
2 where the command line is wrong.

Examples:
  TENURE_STATS_EVERY=100ms TENURE_STATS_FILE=shop.json \\
    tenure run -- sqlite3 shop.db 'select count(*) from orders'
  tenure report shop.json -o shop.html
  tenure report shop.json shop.svg -o - > shop.html";

#[cfg(feature = "view")]
pub const TOP: &str = "\
A program that writes over its environment, as redis-server and nginx do for their titles, is not
found by its process id: name the file.

Exit status: 0, or 1 where there is no such process, it writes no statistics, the file cannot be
read, or the text not written, or 2 where the command line is wrong.

Examples:
  TENURE_STATS_EVERY=1s TENURE_STATS_FILE=/tmp/stats.%p \\
    tenure run --python -- python3 -m http.server &
  tenure top $!
  tenure top --once /tmp/stats.4711";

pub const RUN: &str = "\
Environment, read by the library in every process that it is preloaded into; the options above set
it for the program:
  TENURE_STATS         0, 1, text, json or prom: print statistics when the process ends; 1 is text
                       (default 0)
  TENURE_STATS_EVERY   10ms to 24h: print them at intervals, too, as json unless TENURE_STATS says
                       otherwise
  TENURE_STATS_SIGNAL  USR1, USR2, HUP, 12, ...: print them whenever the process gets this signal,
                       too, and write a heap profile
  TENURE_STATS_FILE    append them to this file instead of standard error; prom replaces it; %p
                       stands for the process id
  TENURE_STATS_PID     print and write all this in the process of this id alone (default: in the
                       program, and with --children in every process)
  TENURE_PROFILE       FILE[:RATE]: write a heap profile when the process ends, as --profile says,
                       and numbered ones on the signal
  TENURE_LEAKS         0 or 1: print what is still in use when the process ends (default 0)
  TENURE_COMMAND       this command, which writes profiles (default: beside the library, or in
                       ../bin)
  TENURE_GUARD         N: one in N small allocations stands beside a guard page; a misuse of it
                       prints where it was made, allocated and freed
  TENURE_EXACT         0 or 1: count exact bytes, for what rounding costs (default 0)
  TENURE_PURGE_DELAY   milliseconds that unused memory is kept before it goes back to the system, 0
                       to 3600000 (default 1000)
  TENURE_LIMIT         committed memory at most, such as 512M, or 400M:512M (soft and hard), or
                       cgroup (default: no limit)
  TENURE_PURGER        0 or 1: a thread of the library gives unused memory back, also in an idle
                       process (default 0)
  A wrong value is reported on standard error and ignored.
  --profile and --leaks set what is theirs; --stats replaces TENURE_STATS and TENURE_STATS_FILE. Each
  of the three sets TENURE_STATS_PID, and so does this command where the environment asks for
  reports and has none. LD_PRELOAD keeps what it holds, behind the library.

Exit status: the program's own, and otherwise
  2    the command line is wrong
  126  the program cannot be run, or the library is not found or cannot be preloaded
  127  there is no such program

A program that ends by a fatal signal prints no statistics and writes no profile; a forked child
that ends by _exit writes one where the file's name has %p in it. A program that is statically
linked, or that gains rights on being run (set-user-id), ignores the library.

Examples:
  tenure run -- ls -l
  tenure run --stats -- sqlite3 shop.db 'select count(*) from orders'
  tenure run --python --stats=stats.%p.json --format json --children -- python3 -m http.server
  TENURE_PURGE_DELAY=0 tenure run --lib ./libtenure_malloc.so -- redis-server";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_has_every_variable_that_the_help_has() {
        let manual = include_str!("../../../../docs/c-abi.md");
        let words = RUN.split_whitespace().map(|word| word.trim_end_matches([',', '.', ':']));
        let names: Vec<_> = words.filter(|word| word.starts_with("TENURE_") && !word.contains('=')).collect();
        assert!(names.len() >= 9);
        for name in names {
            assert!(manual.contains(&format!("`{name}`")), "docs/c-abi.md does not name {name}");
        }
    }
}
