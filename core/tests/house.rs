//! How large the parts of the house may be, in every crate: what does not fit on a screen is not read.

mod source;

use std::path::Path;

use source::{Token, tokens};

const CRATES: [&str; 8] = ["core", "ffi", "deploy", "sim", "python", "benches", "playground", "docs/book"];
const MAX_FILE_LINES: usize = 800;
const MAX_FUNCTION_LINES: usize = 70;

/// A function and the lines from its `fn` to its last brace.
#[derive(Debug, PartialEq, Eq)]
struct Function {
    name: String,
    line: usize,
    lines: usize,
}

/// Every function with a body, those within others too.
fn functions(source: &str) -> Vec<Function> {
    let tokens = tokens(source);
    let named = (1..tokens.len()).filter(|&at| tokens[at - 1].text == "fn" && is_name(&tokens[at]));
    named
        .filter_map(|at| {
            let (line, last) = (tokens[at - 1].line, body_end(&tokens[at..])?);
            Some(Function { name: tokens[at].text.clone(), line, lines: last - line + 1 })
        })
        .collect()
}

/// The type `fn(u32)` has no name.
fn is_name(token: &Token) -> bool {
    token.text.starts_with(|letter: char| letter.is_alphabetic() || letter == '_')
}

/// The line of the brace that ends the body; none for a function that is only declared.
fn body_end(tokens: &[Token]) -> Option<usize> {
    let (mut brackets, mut braces) = (0, 0);
    for token in tokens {
        match token.text.as_str() {
            "(" | "[" => brackets += 1,
            ")" | "]" => brackets -= 1,
            ";" if brackets == 0 && braces == 0 => return None,
            "{" => braces += 1,
            "}" => {
                braces -= 1;
                if braces == 0 && brackets == 0 {
                    return Some(token.line);
                }
            }
            _ => {}
        }
    }
    None
}

fn too_long(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_FILE_LINES {
        faults.push(format!("{name}: {lines} lines, at most {MAX_FILE_LINES}"));
    }
    for Function { name: function, line, lines } in functions(text) {
        if lines > MAX_FUNCTION_LINES {
            faults
                .push(format!("{name}:{line}: `{function}` has {lines} lines, at most {MAX_FUNCTION_LINES}"));
        }
    }
    faults
}

#[test]
fn files_and_functions_fit_where_they_are_read() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace");
    let mut faults = Vec::new();
    for path in CRATES.iter().flat_map(|name| source::files(&root.join(name).join("src"))) {
        let name = path.strip_prefix(root).expect("it lies there").display().to_string();
        faults.extend(too_long(&name, &source::read(&path)));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn a_function_is_measured_from_its_name_to_its_last_brace() {
    let source = "\
trait T {
    fn declared(&self, x: [u8; 4]) -> u8;
    fn defaulted(&self) -> fn(u8) { // }
        \"}\";
        '}';
    }
}
fn outer<'a>(
    x: &'a str,
) {
    fn inner() {}
    if x.is_empty() {
        {}
    }
}
";
    let of = |name: &str, line, lines| Function { name: name.to_string(), line, lines };
    assert_eq!(functions(source), [of("defaulted", 3, 4), of("outer", 8, 8), of("inner", 11, 1)]);
}

#[test]
fn one_line_too_many_is_found() {
    let function = |lines: usize| format!("fn f() {{\n{}}}\n", "    g();\n".repeat(lines - 2));
    assert!(too_long("a.rs", &function(MAX_FUNCTION_LINES)).is_empty());
    let long = format!("\n{}", function(MAX_FUNCTION_LINES + 1));
    assert_eq!(too_long("a.rs", &long), ["a.rs:2: `f` has 71 lines, at most 70"]);
    assert!(too_long("a.rs", &"\n".repeat(MAX_FILE_LINES)).is_empty());
    assert_eq!(too_long("a.rs", &"\n".repeat(MAX_FILE_LINES + 1)), ["a.rs: 801 lines, at most 800"]);
}
