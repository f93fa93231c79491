//! Every C program compiles without a warning as C99, C11 and C++17 by gcc and clang, does what it says, and does it
//! without a wrong access or a leak.
#![cfg(target_os = "linux")]

mod support;

use std::ffi::OsStr;
use std::fmt::Display;
use std::path::Path;
use std::process::Command;

use support::{COMPILERS, Linkage, compile_by, succeed, valgrind};

const PROGRAMS: [&str; 12] = [
    "tests/header.c",
    "tests/misuse_calls.c",
    "tests/misuse_refused.c",
    "tests/misuse_shared.c",
    "tests/batches.c",
    "tests/overlaps.c",
    "tests/texts.c",
    "tests/handles.c",
    "tests/snapshot.c",
    "tests/threads.c",
    "examples/mixed.c",
    "examples/pool.c",
];

/// What a memory checker would rightly end.
const UNDEFINED: &str = "tests/undefined.c";

#[test]
fn run_as_c99_c11_and_cpp17_by_gcc_and_clang() {
    for source in PROGRAMS {
        for (number, (compiler, linkage)) in COMPILERS.into_iter().enumerate() {
            succeed(&mut Command::new(compile_by(compiler, &[source], &name(source, number), linkage)), "");
        }
    }
}

#[test]
fn run_under_valgrind() {
    for source in PROGRAMS {
        let program = compile_by("cc -std=c11", &[source], &name(source, "valgrind"), Linkage::Shared);
        succeed(&mut valgrind(&program), "valgrind");
    }
}

/// Here the programs' own accesses are looked at, what the library copies, and what was never freed;
/// `tests/sanitizers.rs` looks into the library too.
#[test]
fn run_under_address_sanitizer() {
    let compiler = "gcc -std=c11 -fsanitize=address,undefined -fno-sanitize-recover=all";
    for source in PROGRAMS.into_iter().chain([UNDEFINED]) {
        let program = compile_by(compiler, &[source], &name(source, "address"), Linkage::Shared);
        succeed(&mut Command::new(program), "");
    }
}

#[test]
fn what_no_program_may_do_is_told_where_it_shows() {
    let program = compile_by("cc -std=c11", &[UNDEFINED], &name(UNDEFINED, "plain"), Linkage::Shared);
    succeed(&mut Command::new(program), "");
}

fn name(source: &str, how: impl Display) -> String {
    let stem = Path::new(source).file_stem().and_then(OsStr::to_str).expect("a named source");
    format!("{stem}-{how}")
}

/// Only our names leave the library: the linker would take any other for the host's own.
#[test]
fn the_library_exports_what_the_golden_list_says() {
    let mut nm = Command::new("nm");
    let listing = succeed(nm.args(["-D", "--defined-only"]).arg(&support::library().shared), "binutils");
    let names: Vec<_> = listing.lines().filter_map(|line| line.split_whitespace().last()).collect();
    let golden = include_str!("symbols.txt");
    assert_eq!(names, golden.lines().collect::<Vec<_>>(), "tests/symbols.txt lists the exported names");
    let declared = include_str!("../../include/tidegate.h");
    for name in names {
        assert!(declared.contains(&format!("{name}(")), "{name} is exported, and the header lacks it");
    }
}
