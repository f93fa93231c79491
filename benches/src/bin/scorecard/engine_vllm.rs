//! What the adapter adds to a step of vLLM's scheduler: `tests/engines/vllm/overhead.py`, where vLLM is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tidegate_benches::measure::Figure;

use crate::card::{Card, Failure};
use crate::door_python::{interpreter, lay_out};
use crate::programs::{built, in_scratch, run, source};

const TURNS: usize = 200;

/// What `overhead.py` prints.
pub(crate) const KEYS: &[&str] = &["vllm_step_us_256", "vllm_step_with_tidegate_us_256"];

pub(crate) fn steps(card: &mut Card) -> Result<(), Failure> {
    let extension = built("lib_tidegate.so", "tidegate-python")?;
    let find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('vllm') is None)";
    let found = Command::new(interpreter()).args(["-c", find]).status();
    if !found.is_ok_and(|status| status.success()) {
        let hint = "no vLLM in the interpreter: SCORECARD_PYTHON names one that `make test-engines` made";
        return Err(Failure::Missing(hint.into()));
    }
    in_scratch("vllm", |folder| {
        lay_out(folder, &extension)?;
        lay_out_adapter(folder)?;
        let mut python = Command::new(interpreter());
        python.env("PYTHONPATH", folder).arg("-B").arg(source("tests/engines/vllm/overhead.py"));
        python.args(["--turns", &card.scale.of(TURNS).max(1).to_string()]);
        python.args(["--repeats", &card.scale.repeats().to_string()]);
        let output = run(&mut python, "Python 3.11 or newer")?;
        let last = output.stdout.split(|&byte| byte == b'\n').rfind(|line| !line.is_empty());
        let measured: Value = serde_json::from_slice(last.unwrap_or_default())
            .map_err(|error| Failure::Failed(format!("what overhead.py prints: {error}")))?;
        for &key in KEYS {
            let list = measured[key].as_array();
            let repeats = list.map(|list| list.iter().filter_map(Value::as_f64).collect());
            let missing = || Failure::Failed(format!("overhead.py prints no {key}"));
            card.put(key, Figure::of(repeats.ok_or_else(missing)?));
        }
        Ok(())
    })
}

/// The adapter beside the package's own files.
fn lay_out_adapter(folder: &Path) -> Result<(), Failure> {
    let package = folder.join("tidegate/vllm");
    let copy = || {
        fs::create_dir_all(&package)?;
        for file in fs::read_dir(source("python/tidegate/vllm"))? {
            let file = file?.path();
            if file.extension().is_some_and(|extension| extension == "py") {
                fs::copy(&file, package.join(file.file_name().expect("a file has a name")))?;
            }
        }
        Ok(())
    };
    copy().map_err(|error: std::io::Error| Failure::Failed(format!("{}: {error}", package.display())))
}
