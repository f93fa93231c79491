//! The Triton backend in `examples/triton_backend`, against our declarations of Triton's API and a stand-in for it:
//! requests yield, go on, are refused and cancelled, and a flood of them is served or told to come again.
#![cfg(target_os = "linux")]

mod support;

use std::path::PathBuf;
use std::process::Command;

use support::{Linkage, compile_by, succeed, valgrind};

/// A server with the backend, whose intake holds so many reports.
fn server(compiler: &str, intake: u32) -> PathBuf {
    let sources = &["tests/triton.cpp", "examples/triton_backend/backend.cpp"];
    let options = "-std=c++17 -Wconversion -Wshadow -Iexamples/triton_backend/declarations";
    let command = format!("{compiler} {options} -DINTAKE={intake}");
    compile_by(&command, sources, &format!("triton-{compiler}-{intake}"), Linkage::Static)
}

#[test]
fn answers_every_request_where_reports_find_the_intake_full() {
    // Of clang, whose debug information valgrind may not read.
    succeed(&mut Command::new(server("clang++", 8)), "");
}

#[test]
fn answers_every_request_under_valgrind() {
    succeed(&mut valgrind(&server("g++", 1024)), "valgrind");
}
