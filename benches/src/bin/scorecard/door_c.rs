//! What the C ABI adds to a call: the same cheap question through `libtidegate.so` from C, and from Rust, by turns.

use std::env;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;

use tidegate::Tier;
use tidegate_benches::SteadyState;
use tidegate_benches::measure::{Figure, cpu_ns};

use crate::card::{Card, Failure};
use crate::programs::{built, in_scratch, run, source};

const CALLS: usize = 10_000_000;

pub(crate) fn calls(card: &mut Card) -> Result<(), Failure> {
    let library = built("libtidegate.so", "tidegate-ffi")?;
    let measured = in_scratch("c", |folder| measure(card, &compile(folder, &library)?))?;
    card.put("c_call_ns", measured);
    Ok(())
}

fn compile(folder: &Path, library: &Path) -> Result<PathBuf, Failure> {
    let program = folder.join("calls");
    let beside = library.parent().expect("a file lies in a folder");
    let mut compiler = Command::new(env::var_os("CC").unwrap_or_else(|| "cc".into()));
    compiler.args(["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-I"]).arg(source("include"));
    compiler.arg("-o").arg(&program).arg(source("benches/doors/calls.c")).arg(library);
    compiler.arg(format!("-Wl,-rpath,{}", beside.display()));
    run(&mut compiler, "on Debian and Ubuntu: apt-get install gcc")?;
    Ok(program)
}

/// The difference, each time of one turn of each.
fn measure(card: &Card, program: &Path) -> Result<Figure, Failure> {
    let calls = card.scale.of(CALLS);
    let state = SteadyState::new(0);
    let from_rust = || {
        let ask = || {
            for _ in 0..calls {
                black_box(black_box(state.scheduler()).queue_depth(black_box(Tier::P0)));
            }
        };
        cpu_ns(ask) / calls as f64
    };
    let mut differences = Vec::new();
    for _ in 0..card.scale.repeats() {
        let output = run(Command::new(program).arg(calls.to_string()), "")?;
        let from_c: f64 = String::from_utf8_lossy(&output.stdout)
            .trim()
            .parse()
            .map_err(|error| Failure::Failed(format!("the program in C prints no number: {error}")))?;
        differences.push(from_c - from_rust());
    }
    Ok(Figure::of(differences))
}
