//! `include/tidegate.hpp` compiles without a warning by gcc and clang, with and without exceptions, has everything that
//! `include/tidegate.h` has, and does what that does.
#![cfg(target_os = "linux")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use support::{Linkage, compile_by, ffi, output, scratch, succeed, valgrind};

const PROGRAM: &[&str] = &["tests/hpp.cpp"];
const WITH_THROWS: &[&str] = &["tests/hpp.cpp", "tests/hpp_throws.cpp"];

/// What stands in tidegate.h and has no word of its own in C++: the header's guard.
const OF_C_ALONE: [&str; 1] = ["TIDEGATE_H"];

#[test]
fn runs_however_it_is_compiled() {
    for (number, (compiler, sources)) in [
        ("g++ -std=c++17 -DWITH_THROWS", WITH_THROWS),
        ("g++ -std=c++17 -fno-exceptions -fno-rtti", PROGRAM),
        ("g++ -std=c++20 -O2 -Wconversion -Wshadow", PROGRAM),
        ("clang++ -std=c++17 -fno-exceptions -fno-rtti", PROGRAM),
        ("clang++ -std=c++20 -Wconversion -Wshadow -DWITH_THROWS", WITH_THROWS),
    ]
    .into_iter()
    .enumerate()
    {
        let program = compile_by(compiler, sources, &format!("hpp-{number}"), Linkage::Shared);
        succeed(&mut Command::new(program), "");
    }
}

#[test]
fn runs_under_valgrind() {
    let program = compile_by("c++ -std=c++17", PROGRAM, "hpp-static", Linkage::Static);
    succeed(&mut valgrind(&program), "valgrind");
}

#[test]
fn taking_the_value_of_an_error_ends_the_program_and_says_which() {
    let program = compile_by("c++ -std=c++17 -fno-exceptions", PROGRAM, "hpp-abort", Linkage::Static);
    let output = output(Command::new(program).arg("take"), "");
    assert!(!output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "tidegate: tenant 77 is not known\n");
}

/// What a compiler, to which warnings are errors, says of a program; nothing where it takes it.
fn complaint(name: &str, program: &str, compiler: &str) -> Option<String> {
    let source = scratch(name);
    fs::write(&source, program).expect("the folder of tests is writable");
    let mut command = Command::new(compiler);
    command.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I"]);
    let told = output(command.arg(ffi("../include")).arg(source), "g++ clang");
    (!told.status.success()).then(|| String::from_utf8_lossy(&told.stderr).into_owned())
}

/// Else one program would have two of what differs under one name.
#[test]
fn exceptions_asked_for_between_two_headers_are_an_error() {
    let program = "#include \"tidegate/words.hpp\"\n#define TIDEGATE_EXCEPTIONS\n#include \"tidegate.hpp\"\n";
    let words = complaint("between.cpp", program, "g++").expect("it is no program");
    assert!(words.contains("before the first header of tidegate"), "{words}");
}

#[test]
fn a_result_that_nobody_looks_at_does_not_compile() {
    for compiler in ["g++", "clang++"] {
        for call in ["scheduler.poll({0})", "scheduler.step({0}, {0}, 1)"] {
            let program = |line: &str| {
                format!(
                    "#include <tidegate.hpp>\nvoid step(tidegate::Scheduler &scheduler);\n\
                     void step(tidegate::Scheduler &scheduler) {{ {line} }}\n"
                )
            };
            let (looked_at, dropped) = (format!("{call}.value();"), format!("{call};"));
            assert_eq!(complaint("result.cpp", &program(&looked_at), compiler), None, "{compiler}");
            assert!(complaint("result.cpp", &program(&dropped), compiler).is_some(), "{compiler}: {dropped}");
        }
    }
}

/// The program calls every member, and what it calls stands in its object file.
#[test]
fn reaches_every_function() {
    let object = scratch("hpp.o");
    let mut compiler = Command::new("c++");
    compiler
        .args(["-std=c++17", "-c", "-I"])
        .arg(ffi("../include"))
        .arg(ffi(PROGRAM[0]))
        .arg("-o")
        .arg(&object);
    succeed(&mut compiler, "g++");
    let listing = succeed(Command::new("nm").args(["-u"]).arg(&object), "binutils");
    let called: BTreeSet<_> =
        listing.split_whitespace().filter(|word| word.starts_with("tidegate_")).collect();
    let exported = include_str!("symbols.txt").lines().collect();
    assert_eq!(called, exported, "tidegate.hpp lacks a function, or its test does");
}

#[test]
fn names_every_constant() {
    let text = |path: &str| fs::read_to_string(ffi(path)).expect("it is readable");
    let words = |text: &str| -> BTreeSet<String> {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '.');
        words
            .filter(|word| word.starts_with("TIDEGATE_") && !word.contains("..."))
            .map(str::to_owned)
            .collect()
    };
    let parts = fs::read_dir(ffi("../include/tidegate")).expect("a folder of parts");
    let parts: String =
        parts.map(|part| fs::read_to_string(part.expect("a file").path()).expect("a text")).collect();
    let named = words(&(parts + &text("../include/tidegate.hpp")));
    let declared: BTreeSet<String> = words(&text("../include/tidegate.h"))
        .into_iter()
        .map(|word| word.trim_end_matches('.').to_owned())
        .filter(|word| !word.ends_with('_') && !OF_C_ALONE.contains(&word.as_str()))
        .collect();
    let missing: Vec<_> = declared.difference(&named).collect();
    assert!(missing.is_empty(), "in tidegate.h and not in tidegate.hpp: {missing:?}");
}
