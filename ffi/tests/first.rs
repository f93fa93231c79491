//! A program compiled against the first header of this ABI version runs with the library as it is, and with one whose
//! structs have grown by a field.
#![cfg(target_os = "linux")]

mod support;

use std::process::Command;

use support::{Linkage, compile_by, succeed, valgrind};

#[test]
fn runs_with_the_library_of_today_and_with_a_later_one() {
    for linkage in [Linkage::Static, Linkage::Grown] {
        let name = format!("first-{linkage:?}");
        let program = compile_by("cc -std=c99", &["tests/fixtures/first/host.c"], &name, linkage);
        succeed(&mut valgrind(&program), "valgrind");
    }
}

/// Else the test above would prove nothing of it.
#[test]
fn the_later_library_has_grown() {
    for (linkage, which) in [(Linkage::Static, "today"), (Linkage::Grown, "later")] {
        let name = format!("grown-{linkage:?}");
        let program = compile_by("cc -std=c99", &["tests/fixtures/first/grown.c"], &name, linkage);
        succeed(Command::new(program).arg(which), "");
    }
}
