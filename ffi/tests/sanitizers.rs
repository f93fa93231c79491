//! The C programs with a library that the sanitizers look into, line by line: wrong accesses and leaks of Rust's as well
//! as C's, and races between threads. Each needs a build of its own, which takes minutes: `make test-sanitizers`.
#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use support::{ffi, output, scratch, succeed};

/// Programs, from the one that checks the most to the one that runs the most threads.
const PROGRAMS: [&str; 9] = [
    "misuse_calls",
    "misuse_refused",
    "misuse_shared",
    "batches",
    "overlaps",
    "texts",
    "handles",
    "snapshot",
    "threads",
];

/// rustc's own answer to a question about itself.
fn rustc(question: &[&str]) -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    succeed(Command::new(rustc).args(question), "")
}

fn host() -> String {
    let version = rustc(&["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    host.expect("rustc names its host").to_string()
}

/// Builds the library with all it is made of, but for Rust's own, under a sanitizer.
fn library(sanitizer: &str) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--crate-type=staticlib", "--message-format=json", "--target", &host()]);
    cargo.arg("--manifest-path").arg(ffi("Cargo.toml")).arg("--target-dir").arg(scratch(sanitizer));
    // The flag is unstable; a toolchain that takes it from a stable compiler too spares another one.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.env("RUSTFLAGS", format!("-Zsanitizer={sanitizer} -Cunsafe-allow-abi-mismatch=sanitizer"));
    let messages = succeed(&mut cargo, "");
    let archive = messages.split('"').rfind(|text| text.ends_with("libtidegate.a"));
    PathBuf::from(archive.expect("cargo made a library"))
}

/// What Rust's sanitizer needs at run time, where C's own does not have it.
fn runtime(name: &str) -> PathBuf {
    let folder = Path::new(rustc(&["--print=sysroot"]).trim()).join("lib/rustlib").join(host()).join("lib");
    let files = fs::read_dir(&folder).expect("the toolchain has its libraries");
    let mut paths = files.filter_map(|file| file.ok().map(|file| file.path()));
    let is_it = |path: &PathBuf| path.to_string_lossy().ends_with(&format!("_rt.{name}.a"));
    paths.find(is_it).unwrap_or_else(|| panic!("{} has no runtime of {name}", folder.display()))
}

fn run(program: &str, sanitizer: &str, link: &[&str]) -> Output {
    let (object, file) =
        (scratch(&format!("{program}-{sanitizer}.o")), scratch(&format!("{program}-{sanitizer}")));
    let mut compiler = Command::new("gcc");
    compiler.args(["-std=c11", "-g", "-pthread", "-c", "-I"]).arg(ffi("../include"));
    compiler
        .arg(format!("-fsanitize={sanitizer}"))
        .arg(ffi(&format!("tests/{program}.c")))
        .arg("-o")
        .arg(&object);
    succeed(&mut compiler, "gcc");
    let mut linker = Command::new("gcc");
    linker.arg(&object).args(link).args(support::SYSTEM_LIBRARIES).arg("-lrt").arg("-o").arg(&file);
    succeed(&mut linker, "gcc");
    output(&mut Command::new(file), "")
}

fn words(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

#[test]
#[ignore = "a build of minutes: make test-sanitizers"]
fn no_access_is_wrong_and_nothing_leaks() {
    let library = library("address");
    let link = ["-fsanitize=address", library.to_str().expect("a path in UTF-8")];
    for program in PROGRAMS {
        let output = run(program, "address", &link);
        assert!(output.status.success(), "{program}: {}", words(&output));
    }
    // It looks into the library: the program uses handles after their end, which only the library reads.
    let output = run("undefined", "address", &link);
    let told = words(&output);
    assert!(!output.status.success() && told.contains("heap-use-after-free"), "{told}");
}

#[test]
#[ignore = "a build of minutes: make test-sanitizers"]
fn no_two_threads_race() {
    let (library, runtime) = (library("thread"), runtime("tsan"));
    let runtime = format!("-Wl,--whole-archive,{},--no-whole-archive", runtime.display());
    let link = [runtime.as_str(), library.to_str().expect("a path in UTF-8")];
    for _ in 0..5 {
        let output = run("threads", "thread", &link);
        assert!(output.status.success(), "{}", words(&output));
    }
}
