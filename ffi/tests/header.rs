//! `include/tidegate.h` is what the sources say. `TIDEGATE_BLESS=1` writes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use cbindgen::{Builder, Config, ItemType};

/// Where the types come from, in the order of the header.
const TYPES: [&str; 8] = [
    "types.rs",
    "outcome.rs",
    "status.rs",
    "config.rs",
    "guard.rs",
    "builder.rs",
    "shared.rs",
    "snapshot.rs",
];

/// The enums and their names in C. cbindgen makes the names of the values from the first, which is why it
/// may not rename them itself.
const ENUMS: [(&str, &str); 16] = [
    ("TidegateStatus", "tidegate_status_t"),
    ("TidegateAction", "tidegate_action_kind_t"),
    ("TidegateReason", "tidegate_reason_t"),
    ("TidegateYield", "tidegate_yield_t"),
    ("TidegateDecline", "tidegate_decline_t"),
    ("TidegateState", "tidegate_state_t"),
    ("TidegateLimit", "tidegate_limit_t"),
    ("TidegateScope", "tidegate_scope_t"),
    ("TidegateUnit", "tidegate_unit_t"),
    ("TidegateShrink", "tidegate_shrink_t"),
    ("TidegateGate", "tidegate_gate_t"),
    ("TidegateOverQuota", "tidegate_over_quota_t"),
    ("TidegateQuota", "tidegate_quota_t"),
    ("TidegateOutcome", "tidegate_outcome_kind_t"),
    ("TidegateWorkerKind", "tidegate_worker_kind_t"),
    ("TidegateMetricsFormat", "tidegate_metrics_format_t"),
];

/// The functions, in the order of the header: a heading and the source that exports them.
const SECTIONS: [(&str, &str); 14] = [
    ("Version and names", "names.rs"),
    ("Config", "config.rs"),
    ("A config set field by field", "builder.rs"),
    ("A scheduler and its rounds", "scheduler.rs"),
    ("Tenants", "tenant.rs"),
    ("Devices and workers", "fleet.rs"),
    ("Requests, and what the engine reports of them", "request.rs"),
    ("Many requests at once", "batch.rs"),
    ("Questions; they change nothing", "observe.rs"),
    ("Answers as JSON", "json.rs"),
    ("Metrics", "metrics.rs"),
    ("The last error", "error.rs"),
    ("One scheduler for many threads", "shared.rs"),
    ("A restart", "snapshot.rs"),
];

fn ffi(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn text(path: &str) -> String {
    fs::read_to_string(ffi(path)).unwrap_or_else(|error| panic!("ffi/{path}: {error}"))
}

/// What cbindgen writes for these sources, without anything around it.
fn bindings(sources: &[&str], items: &[ItemType], cpp_compat: bool) -> String {
    let mut config = Config::from_file(ffi("cbindgen.toml")).expect("ffi/cbindgen.toml is valid");
    config.cpp_compat = cpp_compat;
    config.export.item_types = items.to_vec();
    let builder = sources.iter().fold(Builder::new().with_config(config), |builder, source| {
        builder.with_src(ffi("src").join(source))
    });
    let mut out = Vec::new();
    builder.generate().expect("cbindgen understands the sources").write(&mut out);
    String::from_utf8(out).expect("cbindgen writes UTF-8").trim().to_string()
}

fn types() -> String {
    let items =
        [ItemType::Constants, ItemType::Enums, ItemType::Structs, ItemType::OpaqueItems, ItemType::Typedefs];
    let types = bindings(&TYPES, &items, true);
    ENUMS.iter().fold(types, |types, (rust, c)| types.replace(rust, c))
}

/// That of the package, which cbindgen cannot ask cargo for.
fn version() -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "/**\n * The version of the package that this header is of.\n */\n#define TIDEGATE_VERSION \"{version}\""
    )
}

fn header() -> String {
    let mut parts = vec![
        text("header/top.h").trim().to_string(),
        "#ifndef TIDEGATE_H\n#define TIDEGATE_H\n\n#include <stddef.h>\n#include <stdint.h>".to_string(),
        version(),
        types(),
        text("header/init.h").trim().to_string(),
        "#ifdef __cplusplus\nextern \"C\" {\n#endif".to_string(),
    ];
    for (heading, source) in SECTIONS {
        parts.push(format!("/* {heading}. */"));
        // Where a source has the type too, cbindgen names it by its tag.
        parts.push(
            bindings(&[source], &[ItemType::Functions], false).replace("struct tidegate_", "tidegate_"),
        );
    }
    parts.push("#ifdef __cplusplus\n}\n#endif\n\n#endif /* TIDEGATE_H */\n".to_string());
    parts.join("\n\n")
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let path = ffi("../include/tidegate.h");
    let wanted = header();
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        fs::write(&path, &wanted).expect("include/ is writable");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == wanted, "include/tidegate.h is not what ffi/ says: TIDEGATE_BLESS=1 writes it anew");
}
