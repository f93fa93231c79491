//! Comma-separated tables: a header, then rows of as many values, given out by column name.
//!
//! A value may stand in double quotes, a quote inside doubled; it ends on its line. Columns come in any order,
//! and those that nobody asked for are left alone.

use std::borrow::Cow;

use super::TraceError;
use super::error::quoted;
use super::field::Field;
use super::text::Text;

/// The rows of `text`, each as the values of `columns` in that order.
pub(super) fn rows<'a, const N: usize>(
    text: &'a Text,
    columns: &'a [&'a str; N],
) -> Result<impl Iterator<Item = Result<[Field<'a>; N], TraceError>>, TraceError> {
    let file = text.file();
    let mut lines = text.lines();
    let (first, header) =
        lines.next().ok_or_else(|| TraceError::in_file(file, "has no line with column names"))?;
    let header = split(header).map_err(|problem| TraceError::in_line(file, first, problem))?;
    let positions = positions(file, first, &header, columns)?;
    let width = header.len();
    Ok(lines.map(move |(line, row)| {
        let mut values = split(row).map_err(|problem| TraceError::in_line(file, line, problem))?;
        if values.len() != width {
            let problem = format!("has {}, the header has {width}", values_text(values.len()));
            return Err(TraceError::in_line(file, line, problem));
        }
        Ok(std::array::from_fn(|i| Field {
            file,
            line,
            name: columns[i],
            text: std::mem::take(&mut values[positions[i]]),
        }))
    }))
}

/// Where each wanted column stands in the header.
fn positions<const N: usize>(
    file: &str,
    line: u64,
    header: &[Cow<'_, str>],
    columns: &[&str; N],
) -> Result<[usize; N], TraceError> {
    let mut positions = [0; N];
    for (position, column) in positions.iter_mut().zip(columns) {
        let mut found = header.iter().enumerate().filter(|(_, name)| *name == column).map(|(i, _)| i);
        *position = found.next().ok_or_else(|| {
            let problem = format!(
                "no such column: expected {}, found {}",
                columns.join(","),
                quoted(&header.join(","))
            );
            TraceError::in_field(file, line, column, problem)
        })?;
        if found.next().is_some() {
            return Err(TraceError::in_field(file, line, column, "is there twice, expected once"));
        }
    }
    Ok(positions)
}

fn values_text(count: usize) -> String {
    if count == 1 { "1 value".to_owned() } else { format!("{count} values") }
}

/// The values of one line, without the blanks around them.
fn split(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    if !line.contains('"') {
        return Ok(line.split(',').map(|value| Cow::Borrowed(value.trim())).collect());
    }
    let mut values = Vec::new();
    let mut rest = line;
    loop {
        let after;
        rest = rest.trim_start();
        if let Some(inner) = rest.strip_prefix('"') {
            let (value, behind) = unquote(inner)?;
            values.push(Cow::Owned(value));
            after = behind.trim_start();
            if !after.is_empty() && !after.starts_with(',') {
                return Err(format!("has {} behind a closing quote, expected a comma", quoted(after)));
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            values.push(Cow::Borrowed(rest[..end].trim_end()));
            after = &rest[end..];
        }
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return Ok(values),
        }
    }
}

/// The value up to its closing quote, and what stands behind that.
fn unquote(inner: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut rest = inner;
    while let Some(end) = rest.find('"') {
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None => return Ok((value, rest)),
        }
    }
    Err("has a quote that is not closed on its line".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_taken_off() {
        let line = r#" "a, b" ,c , "say ""so""",,"" "#;
        assert_eq!(split(line).expect("a well formed line"), ["a, b", "c", r#"say "so""#, "", ""]);
        assert_eq!(split("a,b,").expect("no quotes at all"), ["a", "b", ""]);
    }

    #[test]
    fn broken_quotes_are_refused() {
        assert_eq!(split("\"a,b").expect_err("open"), "has a quote that is not closed on its line");
        assert_eq!(
            split("\"a\"b,c").expect_err("junk"),
            "has \"b,c\" behind a closing quote, expected a comma"
        );
    }
}
