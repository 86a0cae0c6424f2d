//! The library as C and C++ programs see it: each program in `tests/c` tries one behaviour, under the library as it
//! ships.
//!
//! Where a behaviour is the standard's or glibc's, the program runs without the library too, which shows that it asks
//! for the right thing.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Run, archive, compile, has_compiler, library};

/// A behaviour that the system's allocator has too.
fn standard(source: &'static str) {
    let program = compile(source, &[]);
    Run::on_system(&program).succeeds();
    Run::on_tenure(&program).succeeds();
    Run::on_hardened(&program).succeeds();
}

/// A behaviour of this library's.
fn own(source: &'static str) {
    Run::on_tenure(&linked(source)).succeeds();
}

/// Compiles a program that calls functions which only the library has.
fn linked(source: &'static str) -> PathBuf {
    compile(source, &[library().as_os_str()])
}

#[test]
fn malloc_aligns_to_16_gives_zero_bytes_an_address_and_refuses_what_no_object_can_be() {
    standard("malloc_edges.c");
}

#[test]
fn calloc_clears_used_memory_and_refuses_products_that_overflow() {
    standard("calloc_edges.c");
}

#[test]
fn realloc_keeps_contents_between_all_kinds_of_memory_and_a_failure_changes_nothing() {
    standard("realloc_edges.c");
}

#[test]
fn blocks_of_every_alignment_can_be_resized_again_and_again() {
    standard("realloc_of_aligned_blocks.c");
}

#[test]
fn reallocarray_refuses_products_that_overflow_and_keeps_the_block() {
    standard("reallocarray_edges.c");
}

#[test]
fn reallocarr_returns_the_error_and_keeps_errno() {
    own("reallocarr_edges.c");
}

#[test]
fn aligned_blocks_are_aligned_and_bad_alignments_are_refused() {
    standard("aligned_edges.c");
}

#[test]
fn aligned_alloc_refuses_what_is_no_power_of_two() {
    own("aligned_alloc_refuses_what_is_no_alignment.c");
}

#[test]
fn valloc_and_pvalloc_give_whole_pages() {
    standard("whole_pages.c");
}

#[test]
fn every_usable_byte_can_be_written_and_realloc_keeps_what_was_asked_for() {
    standard("usable_size.c");
}

#[test]
fn malloc_good_size_tells_the_usable_size_beforehand() {
    own("good_size.c");
}

#[test]
fn null_is_nothing_to_free_whatever_the_size() {
    own("nothing_to_free.c");
}

#[test]
fn frees_that_tell_a_size_free() {
    own("sized_frees.c");
}

#[test]
fn free_and_successful_allocations_keep_errno() {
    standard("errno_is_kept.c");
}

#[test]
fn free_keeps_errno_when_the_system_has_no_mapping_left() {
    standard("free_keeps_errno_when_unmapping_fails.c");
}

#[test]
fn children_of_a_fork_allocate_while_other_threads_were_inside_the_allocator() {
    standard("fork_under_load.c");
}

#[test]
fn spawned_processes_start_while_another_thread_allocates() {
    standard("spawned_processes.c");
}

#[test]
fn destructors_of_thread_specific_data_that_allocate_and_set_their_key_again_leak_nothing() {
    standard("thread_specific_destructors.c");
}

#[test]
fn threads_allocate_when_the_program_has_taken_every_key() {
    standard("keys_exhausted.c");
}

#[test]
fn ten_thousand_threads_of_which_five_thousand_live_at_once() {
    standard("ten_thousand_threads.c");
}

#[test]
fn every_path_fits_the_smallest_stack_a_thread_can_have() {
    standard("small_stacks.c");
}

#[test]
fn memory_that_ran_out_under_a_limit_of_addresses_can_be_had_again() {
    let program = compile("address_space_limit.c", &[]);
    for mebibytes in ["96", "400"] {
        Run::on_tenure(&program).arg("address-space").arg(mebibytes).succeeds();
    }
}

#[test]
fn memory_that_ran_out_under_a_limit_of_data_can_be_had_again() {
    let program = compile("address_space_limit.c", &[]);
    Run::on_tenure(&program).arg("data").arg("64").succeeds();
}

#[test]
fn the_library_can_be_loaded_late_and_closed() {
    let program = compile("dlopen_of_the_library.c", &[]);
    Run::on_system(&program).arg(library()).succeeds();
}

#[test]
fn the_library_can_be_loaded_when_the_program_has_taken_every_key() {
    let program = compile("dlopen_of_the_library.c", &[]);
    Run::on_system(&program).arg(library()).arg("keys").succeeds();
}

#[test]
fn a_library_that_allocates_can_be_loaded_and_closed() {
    let plugin = compile("plugin.c", &["-shared".as_ref(), "-fPIC".as_ref()]);
    let program = compile("dlopen_of_a_library_that_allocates.c", &[]);
    Run::on_system(&program).arg(&plugin).succeeds();
    Run::on_tenure(&program).arg(&plugin).succeeds();
}

#[test]
fn a_library_opened_with_deepbind_and_the_program_free_each_others_memory() {
    let plugin = compile("deep_plugin.c", &["-shared".as_ref(), "-fPIC".as_ref()]);
    let program = compile("dlopen_with_deepbind.c", &[]);
    Run::on_system(&program).arg(&plugin).succeeds();
    Run::on_tenure(&program).arg(&plugin).succeeds();
    Run::on_hardened(&program).arg(&plugin).succeeds();
}

#[test]
fn a_library_finds_others_where_its_own_runpath_says() {
    let neighbour = compile("plugin.c", &["-shared".as_ref(), "-fPIC".as_ref()]);
    let opener =
        compile("opens_its_neighbour.c", &["-shared".as_ref(), "-fPIC".as_ref(), "-Wl,-rpath,$ORIGIN".as_ref()]);
    let program = compile("dlopen_from_a_library_with_a_runpath.c", &[]);
    let name = neighbour.file_name().expect("it is a file");
    Run::on_system(&program).arg(&opener).arg(name).succeeds();
    Run::on_tenure(&program).arg(&opener).arg(name).succeeds();
    Run::on_hardened(&program).arg(&opener).arg(name).succeeds();
}

#[test]
fn memory_can_be_had_before_main_and_after_it() {
    standard("before_and_after_main.c");
}

#[test]
fn a_signal_handler_that_only_frees_does_not_deadlock() {
    own("signal_handler_frees.c");
}

#[test]
fn what_the_program_has_blocked_stays_so_where_a_filter_refuses_to_block_more() {
    let program = compile("signals_may_not_be_blocked.c", &[]);
    for run in [Run::on_tenure(&program), Run::on_hardened(&program)] {
        let output = run.env("TENURE_LIMIT", "64M").output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", output.status);
        assert!(stderr.starts_with("tenure: TENURE_LIMIT: the hard limit"), "{stderr}");
    }
}

#[test]
fn glibc_figures_and_parameters_are_answered() {
    let program = compile("introspection.c", &[]);
    let output = Run::on_tenure(&program).output();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.starts_with("memory"), "what malloc_stats writes: {stderr}");
    assert!(Run::on_system(&program).output().status.success());
}

#[test]
fn statistics_may_be_asked_for_while_they_are_written_and_who_writes_them_may_be_cancelled() {
    let output = Run::on_tenure(&linked("statistics_within_a_stream.c")).output_in_time();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_thread_is_cancelled_by_no_allocation_and_no_free_and_a_misuse_ends_the_process_all_the_same() {
    standard("cancellation.c");
    let program = compile("cancellation.c", &[]);
    let output = Run::on_tenure(&program).env("TENURE_LIMIT", "64M").arg("limit").output();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    Run::on_tenure(&program).arg("misuse").assert_stopped("double free");
}

#[test]
fn old_mallinfo_never_turns_negative() {
    own("old_mallinfo.c");
}

#[test]
fn the_version_says_whether_the_library_is_hardened() {
    let program = compile("version.c", &[]);
    for (run, version) in [(Run::on_tenure(&program), "0.1.0"), (Run::on_hardened(&program), "0.1.0 hardened")] {
        let output = run.env("TENURE_STATS", "text").output();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{version}\n"));
        let report = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(report.starts_with(&format!("tenure {version}, process ")), "{report}");
    }
}

#[test]
fn own_functions_do_what_the_header_says() {
    own("own_functions.c");
}

#[test]
fn limits_are_kept_and_the_program_is_called_before_a_request_fails() {
    own("limits.c");
}

#[test]
fn a_purger_gives_memory_back_while_the_program_does_nothing_and_a_child_has_none() {
    own("purger.c");
}

#[test]
fn glibc_other_names_are_the_same_allocator() {
    own("glibc_names.c");
}

#[test]
fn a_program_with_an_allocator_of_its_own_keeps_it() {
    let program = compile("own_allocator.c", &[]);
    Run::on_tenure(&program).succeeds();
}

#[test]
fn a_statically_linked_program_is_not_disturbed() {
    let program = compile("statically_linked.c", &["-static".as_ref()]);
    Run::on_tenure(&program).succeeds();
}

#[test]
fn a_program_can_be_linked_with_the_archive() {
    let program = compile("linked_with_the_archive.c", &[archive().as_os_str()]);
    Run::on_system(&program).succeeds();
}

#[test]
fn invalid_frees_stop_the_process_with_one_line() {
    let program = compile("misuse.c", &[]);
    let no_memory_of_ours = "no memory of this allocator";
    let (inside, use_its_start) = ("bytes inside a block of", "use its start");
    let no_block = "no block starts there";
    for (what, reason) in [
        ("stack", no_memory_of_ours),
        ("static", no_memory_of_ours),
        ("foreign-mapping", no_memory_of_ours),
        ("above", no_memory_of_ours),
        ("far-above", no_memory_of_ours),
        ("small-number", no_memory_of_ours),
        ("tagged", "invalid free"),
        ("inside-a-block", "invalid free"),
        ("inside-a-span", inside),
        ("inside-a-span-at-last", "invalid free"),
        ("later-in-a-span", inside),
        ("inside-a-mapping", inside),
        ("later-in-a-mapping", "lies inside a block of some MiB"),
        ("segment-head", no_block),
        ("twice", "double free"),
        ("span-twice", "double free"),
        ("write-to-a-freed-span", "at byte 5000: find who has written there"),
        ("realloc-of-a-freed-span", "free already"),
        ("usable-size-of-a-freed-span", "free already"),
        ("mapping-twice", "freed already"),
        ("on-another-thread-twice", "double free"),
        ("realloc-inside-a-block", use_its_start),
        ("realloc-stack", no_memory_of_ours),
        ("usable-size-inside-a-block", use_its_start),
        ("usable-size-inside-a-mapping", use_its_start),
        ("usable-size-in-a-segment-s-head", no_block),
        ("usable-size-far-above", no_memory_of_ours),
    ] {
        println!("{what}");
        Run::on_tenure(&program).arg(what).assert_stopped(reason);
    }
    Run::on_hardened(&program).arg("tagged").assert_stopped("invalid free");
}

#[test]
fn an_invalid_free_before_the_first_allocation_stops_the_process_with_one_line() {
    let program = compile("invalid_free_before_the_first_allocation.c", &[]);
    Run::on_system(&program).arg(library()).assert_stopped("no memory of this allocator");
}

/// Does nothing where there is no compiler for C++.
fn cxx(test: impl FnOnce()) {
    if has_compiler("g++") {
        test();
    }
}

#[test]
fn every_form_of_new_and_delete_works() {
    cxx(|| own("new_in_every_form.cpp"));
}

#[test]
fn new_without_memory_throws_bad_alloc_or_returns_null_where_it_must_not_throw() {
    cxx(|| standard("new_without_memory.cpp"));
}

#[test]
fn new_calls_the_handler_until_there_is_memory_or_it_throws() {
    cxx(|| standard("new_handler.cpp"));
}

#[test]
fn the_header_can_be_used_from_cxx() {
    cxx(|| own("header_from_cxx.cpp"));
}

#[test]
fn new_throws_in_a_library_that_a_program_in_c_has_loaded() {
    cxx(|| {
        let plugin = compile("cxx_plugin.cpp", &["-shared".as_ref(), "-fPIC".as_ref()]);
        let program = compile("new_from_a_library_loaded_late.c", &[]);
        Run::on_system(&program).arg(&plugin).succeeds();
        Run::on_tenure(&program).arg(&plugin).succeeds();
    });
}

/// The names of the libraries that a file asks the loader for.
fn needed(library: &Path) -> Vec<String> {
    let output = Command::new("readelf").args(["--dynamic", "--wide"]).arg(library).output().expect("readelf starts");
    let text = String::from_utf8(output.stdout).expect("readelf prints text");
    let names = text.lines().filter(|line| line.contains("(NEEDED)")).filter_map(|line| line.split(['[', ']']).nth(1));
    names.map(str::to_owned).collect()
}

#[test]
fn the_library_asks_for_the_c_library_and_for_nothing_that_the_command_uses() {
    if !has_compiler("readelf") {
        return;
    }
    let needed = needed(&library());
    assert!(needed.iter().any(|name| name.starts_with("libc.so")), "{needed:?}");
    let of_c = ["libc.so", "libpthread.so", "libdl.so", "ld-linux"];
    assert!(needed.iter().all(|name| of_c.iter().any(|own| name.starts_with(own))), "{needed:?}");
}
