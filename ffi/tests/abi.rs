//! What `include/tidegate.h` promises is what the last release promised, and at most more.
//!
//! `ffi/abi/<version>.abi` is what abidw reads from the header of that release; abidiff compares. Both see the ABI as a
//! C program does: they read a library of empty functions that is compiled from the header, so that what is behind
//! the handles may change. `TIDEGATE_BLESS_ABI=1` writes the file anew: at a release, and when `TIDEGATE_ABI_VERSION`
//! rises.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))] // the committed file has the sizes and the name of this machine

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::{ffi, output, scratch, succeed};

/// abidiff could not compare, or was called wrongly.
const ABIDIFF_FAILED: i32 = 0b11;

fn header() -> String {
    fs::read_to_string(ffi("../include/tidegate.h")).expect("the header is there")
}

fn version(header: &str) -> &str {
    let (_, rest) = header.split_once("#define TIDEGATE_ABI_VERSION ").expect("the header has its version");
    rest.lines().next().expect("a line")
}

fn committed() -> PathBuf {
    ffi(&format!("abi/{}.abi", version(&header())))
}

/// What abidw says of a header.
fn dump(name: &str, header: &str) -> PathBuf {
    let (types, functions) = header.split_once("extern \"C\" {").expect("functions come last");
    let bodies = functions.replace(");\n", ") { for (;;); }\n");
    // Each in a folder of its own, and called from there: the dump has the name of the source as it was given.
    let folder = scratch(&format!("abi-{name}"));
    fs::create_dir_all(&folder).expect("a folder of our own");
    fs::write(folder.join("tidegate.c"), format!("{types}extern \"C\" {{{bodies}"))
        .expect("it can be written");
    let mut compiler = Command::new("gcc");
    compiler.args(["-std=c11", "-g", "-fPIC", "-shared", "-fno-eliminate-unused-debug-types"]);
    succeed(compiler.current_dir(&folder).args(["tidegate.c", "-o", "tidegate.so"]), "gcc");
    let mut abidw = Command::new("abidw");
    abidw.args(["--load-all-types", "--no-corpus-path", "--no-comp-dir-path", "--no-show-locs"]);
    succeed(abidw.current_dir(&folder).args(["tidegate.so", "--out-file", "tidegate.abi"]), "abigail-tools");
    folder.join("tidegate.abi")
}

/// The rule by which abidiff lets those structs grow at their end that say their size.
fn growth(name: &str, header: &str) -> PathBuf {
    let bodies = header.split("\ntypedef struct ").skip(1).filter_map(|rest| rest.split_once("\n} "));
    let sized = bodies.filter(|(body, _)| body.contains("uint32_t struct_size;"));
    let names: Vec<_> = sized.filter_map(|(body, _)| body.split_once(" {")).map(|(name, _)| name).collect();
    assert!(names.contains(&"tidegate_request_spec_t"), "{names:?}");
    let path = scratch(&format!("abi-{name}.abignore"));
    let rule = "[suppress_type]\n  has_data_member_inserted_at = end\n  name_regexp";
    fs::write(&path, format!("{rule} = ^({})$\n", names.join("|"))).expect("a folder of our own");
    path
}

/// What abidiff has against programs of the older ABI running with the newer one; nothing if it only has more.
fn broken(older: &PathBuf, newer: &PathBuf, growth: &PathBuf) -> Option<String> {
    let mut abidiff = Command::new("abidiff");
    abidiff
        .args(["--no-added-syms", "--non-reachable-types", "--no-show-locs", "--suppressions"])
        .arg(growth);
    let output = output(abidiff.arg(older).arg(newer), "abigail-tools");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = output.status.code().expect("abidiff ends by itself");
    assert!(
        code & ABIDIFF_FAILED == 0,
        "abidiff: {code}\n{report}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    // A new type that no function takes is a difference without being a change.
    let mut summaries = report.lines().filter_map(|line| line.split_once("summary: "));
    let only_more = summaries.all(|(_, counts)| {
        let mut counts = counts.split(", ").map(|count| count.split_whitespace().next());
        counts.next() == Some(Some("0")) && counts.next() == Some(Some("0"))
    });
    (code != 0 && !only_more).then_some(report)
}

#[test]
fn programs_of_the_last_release_run_with_this_library() {
    let header = header();
    let now = dump("now", &header);
    if std::env::var_os("TIDEGATE_BLESS_ABI").is_some() {
        fs::copy(&now, committed()).expect("ffi/abi is writable");
    }
    if let Some(report) = broken(&committed(), &now, &growth("now", &header)) {
        panic!(
            "an incompatible change, which needs another TIDEGATE_ABI_VERSION and its own file in ffi/abi:\n{report}"
        );
    }
}

#[test]
fn the_file_of_the_release_has_every_function_that_it_exported() {
    let dump = fs::read_to_string(committed()).expect("a committed file");
    let functions = dump.lines().filter(|line| line.contains("<function-decl name='tidegate_")).count();
    let symbols = dump.lines().filter(|line| line.contains("<elf-symbol name='tidegate_")).count();
    assert_eq!(functions, symbols);
    assert!(functions >= 80 && functions <= include_str!("symbols.txt").lines().count());
}

/// The header with `new` in the place of the first `old` after `mark`.
fn changed(header: &str, mark: &str, old: &str, new: &str) -> String {
    let (before, after) = header.split_once(mark).unwrap_or_else(|| panic!("no {mark}"));
    assert!(after.contains(old), "no {old} after {mark}");
    format!("{before}{mark}{}", after.replacen(old, new, 1))
}

#[test]
fn abidiff_lets_additions_pass_and_nothing_else() {
    let header = header();
    let cancel = "tidegate_status_t tidegate_scheduler_cancel(";
    let (before, after) = header.split_once(cancel).expect("it can be cancelled");
    let (_, rest) = after.split_once(");\n").expect("a declaration ends");
    let change = |mark, old, new| changed(&header, mark, old, new);
    let cases = [
        ("nothing", false, header.clone()),
        ("a function gone", true, format!("{before}{rest}")),
        ("a parameter's type", true, change(cancel, "uint64_t request", "uint32_t request")),
        ("one more parameter", true, change(cancel, "uint64_t request", "uint64_t request, uint32_t why")),
        (
            "a result's type",
            true,
            change(
                "/* Version and names. */",
                "uint32_t tidegate_abi_version",
                "uint64_t tidegate_abi_version",
            ),
        ),
        (
            "a field in the middle",
            true,
            change("struct tidegate_usage_t {", "uint64_t cached", "uint64_t x; uint64_t cached"),
        ),
        (
            "a field's type",
            true,
            change("struct tidegate_request_spec_t {", "uint64_t tag;", "uint32_t tag, more;"),
        ),
        (
            "a record of one size grown",
            true,
            change("struct tidegate_completion_t {", "\n}", "\nuint64_t more;\n}"),
        ),
        (
            "a number's meaning",
            true,
            change("enum tidegate_status_t", "NEVER_FITS = 205", "NEVER_FITS = 299"),
        ),
        ("a number of fields alone", true, change("enum tidegate_reason_t", "BORROWED = 2", "BORROWED = 99")),
        ("a number gone", true, change("enum tidegate_gate_t", "TIDEGATE_GATE_ROUND = 3,", "")),
        (
            "another function",
            false,
            change("extern \"C\" {\n#endif\n", "\n", "\nint tidegate_more(int x);\n"),
        ),
        (
            "another number",
            false,
            change("enum tidegate_reason_t", "BORROWED = 2,", "BORROWED = 2, TIDEGATE_MORE = 999,"),
        ),
        (
            "another type",
            false,
            change("#include <stdint.h>", "\n", "\ntypedef struct { int x; } tidegate_more_t;\n"),
        ),
        ("a struct grown", false, change("struct tidegate_request_spec_t {", "\n}", "\nuint64_t more;\n}")),
    ];
    let (older, growth) = (dump("older", &header), growth("older", &header));
    for (what, breaks, header) in cases {
        let report = broken(&older, &dump("changed", &header), &growth);
        assert_eq!(report.is_some(), breaks, "{what}: {report:?}");
    }
}
