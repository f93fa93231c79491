//! What Python pays, beside queues of its standard library: `benches/doors/rows.py` in an interpreter of the system.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use serde_json::Value;
use tidegate_benches::OneBatch;
use tidegate_benches::measure::{Figure, cpu_ns};

use crate::card::{Card, Failure};
use crate::programs::{built, in_scratch, run, source};

const TURNS: usize = 20_000;
/// As many items as `rows.py` has in a batch.
const BATCH: usize = 256;

/// What Python adds to an item of a batch, and the row of `rows.py` that tells it.
const ITEMS: [(&str, &str); 2] =
    [("py_item_ns", "py_completion_batched_ns"), ("py_column_item_ns", "py_completion_columns_ns")];
/// What `rows.py` prints, but for the [`ITEMS`]; what needs a package that the interpreter lacks is absent.
pub(crate) const KEYS: &[&str] = &[
    "py_call_ns",
    "py_item_ns",
    "py_column_item_ns",
    "py_completion_batched_ns",
    "py_completion_columns_ns",
    "py_completion_singly_ns",
    "py_cycle_ns_100k",
    "py_cycle_arrays_ns_100k",
    "peer_heapq_ns_100k",
    "peer_asyncio_pq_ns_100k",
    "peer_vllm_queue_ns_100k",
];
/// What the interpreter need not have.
const OPTIONAL: [&str; 2] = ["py_cycle_arrays_ns_100k", "peer_vllm_queue_ns_100k"];

pub(crate) fn rows(card: &mut Card) -> Result<(), Failure> {
    let extension = built("lib_tidegate.so", "tidegate-python")?;
    in_scratch("python", |folder| {
        lay_out(folder, &extension)?;
        let measured = measure(card, folder, card.scale.repeats(), None)?;
        for key in KEYS {
            if let Some((_, batch)) = ITEMS.iter().find(|(item, _)| item == key) {
                card.put(key, item(card, folder, batch)?);
            } else if measured.get(key).is_some() || !OPTIONAL.contains(key) {
                card.put(key, Figure::of(repeats(&measured, key)?));
            }
        }
        Ok(())
    })
}

/// What Python adds to an item of a batch: the difference to what the scheduler does for it from Rust, each time of one turn
/// of each.
fn item(card: &Card, folder: &Path, batch: &str) -> Result<Figure, Failure> {
    let mut machine = OneBatch::new(BATCH);
    let batches = card.scale.of(TURNS).div_ceil(BATCH);
    let mut from_rust = || {
        let timed = |_| {
            machine.start();
            cpu_ns(|| machine.complete())
        };
        (0..batches).map(timed).sum::<f64>() / (batches * BATCH) as f64
    };
    let mut differences = Vec::new();
    for _ in 0..card.scale.repeats() {
        let measured = measure(card, folder, 3, Some(batch))?;
        let from_python = Figure::of(repeats(&measured, batch)?);
        let from_rust = Figure::of((0..3).map(|_| from_rust()).collect());
        differences.push(from_python.median - from_rust.median);
    }
    Ok(Figure::of(differences))
}

fn repeats(measured: &Value, key: &str) -> Result<Vec<f64>, Failure> {
    let repeats = measured[key].as_array().map(|list| list.iter().filter_map(Value::as_f64).collect());
    repeats.ok_or_else(|| Failure::Failed(format!("rows.py prints no {key}")))
}

/// Lays the package out as a wheel would: its files, and the extension among them.
pub(crate) fn lay_out(folder: &Path, extension: &Path) -> Result<(), Failure> {
    let package = folder.join("tidegate");
    let copy = || {
        fs::create_dir_all(&package)?;
        for file in fs::read_dir(source("python/tidegate"))? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "py") {
                fs::copy(&file, package.join(file.file_name().expect("a file has a name")))?;
            }
        }
        fs::copy(extension, package.join("_tidegate.abi3.so"))
    };
    copy().map(drop).map_err(|error| Failure::Failed(format!("{}: {error}", package.display())))
}

fn measure(card: &Card, package: &Path, repeats: usize, only: Option<&str>) -> Result<Value, Failure> {
    let mut python = Command::new(interpreter());
    python.env("PYTHONPATH", package).arg("-B").arg(source("benches/doors/rows.py"));
    python.args([
        "--waiting",
        &card.scale.of(100_000).to_string(),
        "--turns",
        &card.scale.of(TURNS).to_string(),
    ]);
    python.args(["--repeats", &repeats.to_string()]);
    python.args(only.map(|key| ["--only", key]).into_iter().flatten());
    let output = run(&mut python, "Python 3.11 or newer")?;
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Failure::Failed(format!("what rows.py prints: {error}")))
}

/// The one that is asked for, or that of the system: others are often built without optimisation.
pub(crate) fn interpreter() -> PathBuf {
    let of_system = PathBuf::from("/usr/bin/python3");
    match env::var_os("SCORECARD_PYTHON") {
        Some(asked) => asked.into(),
        None if of_system.exists() => of_system,
        None => "python3".into(),
    }
}
