//! Every C program compiles without a warning as C99, C11 and C++17, does what it says, and does it without a
//! wrong access or a leak.
#![cfg(target_os = "linux")]

mod support;

use std::process::Command;

use support::{Dialect, Linkage, compile, succeed, valgrind};

const PROGRAMS: [&str; 6] = [
    "tests/header.c",
    "tests/misuse_calls.c",
    "tests/misuse_refused.c",
    "tests/batches.c",
    "examples/mixed.c",
    "examples/pool.c",
];

#[test]
fn run_as_c99_c11_and_cpp17() {
    for source in PROGRAMS {
        for (dialect, linkage) in [
            (Dialect::C99, Linkage::Static),
            (Dialect::C11, Linkage::Shared),
            (Dialect::Cpp17, Linkage::Shared),
        ] {
            succeed(&mut Command::new(compile(source, dialect, linkage)), "");
        }
    }
}

#[test]
fn run_under_valgrind() {
    for source in PROGRAMS {
        succeed(&mut valgrind(&compile(source, Dialect::C11, Linkage::Static)), "valgrind");
    }
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
