//! The Triton backend in `examples/triton_backend`, against our declarations of Triton's API and a stand-in for it:
//! requests yield, go on, are refused and cancelled, and a flood of them is served or told to come again.
#![cfg(target_os = "linux")]

mod support;

use std::process::Command;

use support::{Linkage, compile_by, succeed, valgrind};

#[test]
fn answers_every_request() {
    let sources = &["tests/triton.cpp", "examples/triton_backend/backend.cpp"];
    let compiled = |compiler: &str, intake: u32| {
        let options = "-std=c++17 -Wconversion -Wshadow -Iexamples/triton_backend/declarations";
        let command = format!("{compiler} {options} -DINTAKE={intake}");
        compile_by(&command, sources, &format!("triton-{compiler}-{intake}"), Linkage::Static)
    };
    // Of clang, whose debug information valgrind may not read. The intake is so small that reports find it full.
    succeed(&mut Command::new(compiled("clang++", 8)), "");
    succeed(&mut valgrind(&compiled("g++", 1024)), "valgrind");
}
