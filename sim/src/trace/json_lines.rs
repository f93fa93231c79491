//! JSON lines: one object per line, values given out by key. Keys that nobody asked for are left alone.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::TraceError;
use super::error::quoted;
use super::field::Field;
use super::text::Text;

/// The objects of `text`, each as the values of `keys` in that order: strings without their quotes, numbers
/// and lists as written.
pub(super) fn objects<'a, const N: usize>(
    text: &'a Text,
    keys: &'a [&'a str; N],
) -> impl Iterator<Item = Result<[Field<'a>; N], TraceError>> {
    let file = text.file();
    text.lines().map(move |(line, content)| {
        let object: BTreeMap<String, &RawValue> = serde_json::from_str(content)
            .map_err(|error| TraceError::in_line(file, line, not_an_object(content, &error)))?;
        let mut fields = Vec::with_capacity(N);
        for &key in keys {
            let value = object.get(key).map_or(Ok(None), |raw| value_text(raw.get()));
            let text = match value {
                Ok(Some(text)) => text,
                Ok(None) => {
                    let found: Vec<&str> = object.keys().map(String::as_str).collect();
                    let problem = format!(
                        "no such key: expected {}, found {}",
                        keys.join(","),
                        quoted(&found.join(","))
                    );
                    return Err(TraceError::in_field(file, line, key, problem));
                }
                Err(problem) => return Err(TraceError::in_field(file, line, key, problem)),
            };
            fields.push(Field { file, line, name: key, text });
        }
        Ok(fields.try_into().unwrap_or_else(|_| unreachable!("one field was pushed for each key")))
    })
}

/// A value as text; `None` for null, which says as much as leaving the key out.
fn value_text(raw: &str) -> Result<Option<Cow<'_, str>>, String> {
    match raw.as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => serde_json::from_str(raw)
            .map(|text: String| Some(Cow::Owned(text)))
            .map_err(|error| format!("{} is no text: {}", quoted(raw), without_place(&error))),
        Some(b't' | b'f' | b'{') => Err(format!("{} is neither a number nor text", quoted(raw))),
        _ => Ok(Some(Cow::Borrowed(raw))),
    }
}

fn not_an_object(content: &str, error: &serde_json::Error) -> String {
    if content.trim_start().starts_with('{') {
        format!("is not JSON: {} at column {}", without_place(error), error.column())
    } else {
        format!("{} is not a JSON object", quoted(content))
    }
}

/// The parser's words without its own line number, which counts inside one line.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or(&text).to_owned()
}
