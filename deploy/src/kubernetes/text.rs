//! The file as text: settings first, then the tables, each with its name at the head.

use toml::{Table, Value};

/// Fields that stand before the others of their table.
const FIRST: [&str; 6] = ["name", "parent", "count", "pool", "config_map", "url"];

/// The tables in the order in which they are read best; others come behind them.
const TABLES: [&str; 4] = ["tiers", "tenants", "devices", "workers"];

/// Writes the file.
pub(super) fn write(file: &Table) -> String {
    let mut out = String::new();
    let place = |name: &str| TABLES.iter().position(|known| *known == name).unwrap_or(TABLES.len());
    let mut items: Vec<_> = file.iter().collect();
    items.sort_by_key(|(name, _)| place(name));
    let settings = items.iter().filter(|(_, value)| !has_header(value));
    for (name, value) in settings {
        line(&mut out, name, value);
    }
    for (name, value) in items {
        table(&mut out, name, value);
    }
    out
}

/// Whether a value is written below a line of its own.
fn has_header(value: &Value) -> bool {
    match value {
        Value::Table(_) => true,
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_table),
        _ => false,
    }
}

fn table(out: &mut String, path: &str, value: &Value) {
    let (inner, tables) = match value {
        Value::Table(inner) => (format!("[{path}]"), vec![inner]),
        Value::Array(items) if has_header(value) => {
            (format!("[[{path}]]"), items.iter().filter_map(Value::as_table).collect())
        }
        _ => return,
    };
    for table_ in tables {
        out.push_str(if out.is_empty() { "" } else { "\n" });
        out.push_str(&inner);
        out.push('\n');
        let mut items: Vec<_> = table_.iter().collect();
        items.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
        // One level of headers: what is deeper fits into a line, but lists of tables.
        let below = |value: &Value| value.is_array() && has_header(value);
        for (name, value) in items.iter().filter(|(_, value)| !below(value)) {
            line(out, name, value);
        }
        for (name, value) in items.iter().filter(|(_, value)| below(value)) {
            table(out, &format!("{path}.{}", key(name)), value);
        }
    }
}

fn line(out: &mut String, name: &str, value: &Value) {
    out.push_str(&format!("{} = {}\n", key(name), inline(value)));
}

/// A value within a line.
fn inline(value: &Value) -> String {
    match value {
        Value::Table(items) => {
            let items: Vec<_> =
                items.iter().map(|(name, value)| format!("{} = {}", key(name), inline(value))).collect();
            if items.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", items.join(", ")) }
        }
        Value::Array(items) => format!("[{}]", items.iter().map(inline).collect::<Vec<_>>().join(", ")),
        Value::String(text) => quoted(text),
        other => other.to_string(),
    }
}

fn key(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { quoted(name) }
}

/// A text on one line, as TOML, YAML and JSON all read it.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            // Breaks of lines for some readers, and what is no letter at all.
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
