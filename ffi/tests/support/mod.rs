//! Builds the library, compiles C programs against it, and runs them.
#![allow(dead_code)] // each test needs a part

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// The flags under which the header and every program have to be silent.
const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// What a Rust static library needs of the system.
pub(crate) const SYSTEM_LIBRARIES: [&str; 5] = ["-lgcc_s", "-lpthread", "-ldl", "-lm", "-lc"];

/// Which library a program is linked with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Linkage {
    Static,
    Shared,
    /// A later one: static, and its structs have grown by a field.
    Grown,
}

/// By what every C program compiles without a warning.
pub(crate) const COMPILERS: [(&str, Linkage); 6] = [
    ("gcc -std=c99", Linkage::Static),
    ("gcc -std=c11", Linkage::Shared),
    ("g++ -x c++ -std=c++17", Linkage::Shared),
    ("clang -std=c99", Linkage::Shared),
    ("clang -std=c11", Linkage::Shared),
    ("clang++ -x c++ -std=c++17", Linkage::Shared),
];

pub(crate) struct Library {
    pub(crate) archive: PathBuf,
    pub(crate) shared: PathBuf,
    /// Of the crates that it is made of, as rustc wants to be told.
    parts: Vec<String>,
}

/// A path of this package.
pub(crate) fn ffi(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A file of the tests' own.
pub(crate) fn scratch(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Builds the library once and asks cargo where it lies: a test is not linked with a cdylib, so that nothing
/// else sees to it. With the whole workspace, and an example: built alone it asks for a core with features of its own, and this
/// finds the one that all tests are linked with.
pub(crate) fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--message-format=json", "--workspace", "--lib", "--example=redis_leases"]);
        cargo.arg("--manifest-path").arg(ffi("Cargo.toml"));
        let messages = succeed(&mut cargo, "cargo");
        let file = |name: &str| {
            let of_messages = messages.split('"').rfind(|text| text.ends_with(name));
            PathBuf::from(of_messages.unwrap_or_else(|| panic!("cargo build made no {name}")))
        };
        let part = |name: &str, file_begins: &str| {
            let paths = messages.split('"').filter(|path| path.ends_with(".rlib"));
            let of_name =
                |path: &&str| path.rsplit('/').next().is_some_and(|file| file.starts_with(file_begins));
            format!(
                "{name}={}",
                paths.rev().find(of_name).unwrap_or_else(|| panic!("cargo build made no {name}"))
            )
        };
        let parts = vec![
            part("tidegate_core", "libtidegate."),
            part("serde_json", "libserde_json-"),
            part("thiserror", "libthiserror-"),
        ];
        Library { archive: file("libtidegate.a"), shared: file("libtidegate.so"), parts }
    })
}

/// Builds the library as a later one whose structs have grown by a field: `Known` in `src/memory.rs`.
fn grown_library() -> &'static Path {
    static GROWN: OnceLock<PathBuf> = OnceLock::new();
    GROWN.get_or_init(|| {
        let archive = scratch("libtidegate-grown.a");
        let fresh = archive.with_extension(std::process::id().to_string());
        let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args([
            "--edition=2024",
            "--crate-name=tidegate",
            "--crate-type=staticlib",
            "--cfg=tidegate_grown",
        ]);
        rustc.args(["-Cdebug-assertions", "-Cdebuginfo=line-tables-only", "-o"]).arg(&fresh);
        for part in &library().parts {
            rustc.args(["--extern", part]);
        }
        let dependencies = library().archive.with_file_name("deps");
        rustc.arg(format!("-Ldependency={}", dependencies.display())).arg(ffi("src/lib.rs"));
        succeed(&mut rustc, "");
        fs::rename(&fresh, &archive).expect("rustc made a library");
        archive
    })
}

/// Compiles a program of this package by a compiler and its options, and calls it `name`.
pub(crate) fn compile_by(compiler: &str, sources: &[&str], name: &str, linkage: Linkage) -> PathBuf {
    let program = scratch(name);
    let fresh = program.with_extension(std::process::id().to_string());
    let mut words = compiler.split(' ');
    let mut compiler = with(Command::new(words.next().expect("a command")), words);
    compiler.current_dir(ffi("")); // paths among its options are this package's
    compiler.args(STRICT).args(["-g", "-pthread", "-I"]).arg(ffi("../include"));
    compiler.args(sources.iter().map(|source| ffi(source))).args(["-x", "none"]).arg("-o").arg(&fresh);
    match linkage {
        Linkage::Static => compiler.arg(&library().archive).args(SYSTEM_LIBRARIES),
        Linkage::Grown => compiler.arg(grown_library()).args(SYSTEM_LIBRARIES),
        Linkage::Shared => {
            let folder = library().shared.parent().expect("a file lies in a folder");
            compiler.arg(&library().shared).arg(format!("-Wl,-rpath,{}", folder.display()))
        }
    };
    succeed(&mut compiler, "gcc g++ clang");
    // A test in another process may be running the old one, which cannot be written over.
    fs::rename(&fresh, &program).expect("the compiler made a program");
    program
}

/// `program` under valgrind: a wrong access or a leak ends it with status 9.
pub(crate) fn valgrind(program: &Path) -> Command {
    let flags = ["--quiet", "--error-exitcode=9", "--leak-check=full", "--show-leak-kinds=all"];
    let known = format!("--suppressions={}", ffi("tests/valgrind.supp").display());
    let mut valgrind = with(Command::new("valgrind"), flags);
    valgrind.args(["--errors-for-leak-kinds=all", &known]).arg(program);
    valgrind
}

fn with<S: AsRef<OsStr>>(mut command: Command, args: impl IntoIterator<Item = S>) -> Command {
    command.args(args);
    command
}

/// Runs a command; `package` is what Debian calls it.
pub(crate) fn output(command: &mut Command, package: &str) -> Output {
    command.output().unwrap_or_else(|error| {
        let program = command.get_program().display().to_string();
        panic!("{program} does not run ({error}); if it is missing: apt-get install {package}")
    })
}

/// Runs a command that has to succeed, and returns what it printed.
pub(crate) fn succeed(command: &mut Command, package: &str) -> String {
    let output = output(command, package);
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}
