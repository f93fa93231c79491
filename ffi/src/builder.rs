//! A config set field by field. It knows no field: what is set is written down by its path, and the core reads all of it
//! as it reads a config from JSON, so that a new setting is there at once and the words for what is wrong are the same.

use std::cell::UnsafeCell;
use std::ffi::c_char;

use serde_json::{Map, Value};
use tidegate_core::Config;

use crate::config::{ConfigHandle, made};
use crate::fault::Fault;
use crate::guard::{free, guard, status_of};
use crate::handle::{Handle, Turns, give, live};
use crate::memory::{Out, TextOut, text};
use crate::request::truth;
use crate::status::TidegateStatus as Status;

/// The most elements of a list, and the most steps of a path: more than any setting has.
const MAX_INDEX: usize = 1 << 10;
const MAX_STEPS: usize = 8;

/// A config in the making. Made by tidegate_config_builder_new, ended by tidegate_config_builder_free.
pub struct BuilderHandle {
    turns: Turns,
    settings: UnsafeCell<Value>,
}

// SAFETY: the header lets only calls run side by side that look at the settings, and values may be looked at so.
unsafe impl Sync for BuilderHandle where Value: Sync {}

impl Handle for BuilderHandle {
    const MARK: u64 = 0xC4F0_6E92_3D85_17AB;
    const ARGUMENT: &'static str = "builder";
}

const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<BuilderHandle>();
};

/// Begins a config with every setting at its default.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_builder_new(out_builder: *mut *mut BuilderHandle) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers").
        let out = unsafe { Out::new(out_builder, "out_builder") }?;
        let settings = UnsafeCell::new(Value::Object(Map::new()));
        out.set(give(BuilderHandle { turns: Turns::new(), settings }));
        Ok(())
    }))
}

/// Frees a builder; configs that it built stay. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_builder_free(builder: *mut BuilderHandle) {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { free(builder) };
}

/// Sets what is a text: a name, or a word such as an order. `path` says where, as the messages about configs do:
/// `dimensions[0]`, `tiers[1].name`, `tiers[1].order`, `default_policy.over_quota`. A list grows by one element when its
/// first free place is set. A path that cannot be is TIDEGATE_STATUS_OUT_OF_RANGE; whether there is such a setting, and
/// whether it is one of this kind, tidegate_config_builder_build says. What was set before at this path is replaced.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_builder_set_text(
    builder: *mut BuilderHandle,
    path: *const c_char,
    path_len: usize,
    value: *const c_char,
    value_len: usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe { set(builder, path, path_len, || Ok(text(value, value_len, "value")?.into())) }
}

/// Sets what is a number: `tiers[0].reserve_ppm`, `queue_limit`, and units by dimension, such as
/// `tiers[0].borrow_limit.slots`. A name with other characters than letters, digits, `_` and `-` stands in quotes, as
/// JSON has them: `tiers[0].borrow_limit."kv.blocks"`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_builder_set_number(
    builder: *mut BuilderHandle,
    path: *const c_char,
    path_len: usize,
    value: u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { set(builder, path, path_len, || Ok(value.into())) }
}

/// Sets what is a duration: `min_run`, `tiers[0].queue_timeout`, `step_time.decode`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_builder_set_duration(
    builder: *mut BuilderHandle,
    path: *const c_char,
    path_len: usize,
    value_ns: u64,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { set(builder, path, path_len, || Ok(format!("{value_ns}ns").into())) }
}

/// Sets what is so or not: `displace`, `default_policy.leased`. 1 is true, 0 is false.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_builder_set_truth(
    builder: *mut BuilderHandle,
    path: *const c_char,
    path_len: usize,
    value: u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { set(builder, path, path_len, || Ok(truth(value, "value")?.into())) }
}

/// Makes a config of what was set; the builder stays as it is. The status and the message are those of
/// tidegate_config_from_json.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_builder_build(
    builder: *const BuilderHandle,
    message: *mut c_char,
    message_capacity: usize,
    message_len: *mut usize,
    out_config: *mut *mut ConfigHandle,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise (header, "Pointers"), for all three.
        let (builder, message, out_config) = unsafe {
            (
                live(builder)?,
                TextOut::new(message, message_capacity, message_len)?,
                Out::new(out_config, "out_config")?,
            )
        };
        let _turn = builder.turns.beside()?;
        // SAFETY: nobody changes it, as the caller promised and the turn makes likely.
        let settings = unsafe { &*builder.settings.get() };
        made(Config::from_json(&settings.to_string()), message, out_config)
    }))
}

/// # Safety
/// The pointers are as the header's chapter says, and nobody else uses the builder.
unsafe fn set(
    builder: *mut BuilderHandle,
    path: *const c_char,
    path_len: usize,
    value: impl FnOnce() -> Result<Value, Fault>,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise.
        let _turn = unsafe { live(builder) }?.turns.alone()?;
        let wrong_path = || Fault::OutOfRange { argument: "path", got: path_len as u64 };
        // SAFETY: the caller's promise.
        let steps = unsafe { text(path, path_len, "path") }.map(steps)?.ok_or_else(wrong_path)?;
        // SAFETY: nobody else uses the builder, as the caller promised and the turn confirms.
        let settings = unsafe { &mut *live(builder)?.settings.get() };
        let mut changed = settings.clone();
        *place(&mut changed, &steps).ok_or_else(wrong_path)? = value()?;
        *settings = changed;
        Ok(())
    }))
}

/// One step of a path.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Element(usize),
}

/// The steps of a path, at least one; `None` if it is none.
fn steps(path: &str) -> Option<Vec<Step>> {
    let mut steps = Vec::new();
    let mut rest = path;
    loop {
        let (field, after) = field(rest)?;
        steps.push(Step::Field(field));
        rest = after;
        while let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']')?;
            let digits = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
            let index = index.parse().ok().filter(|&index| digits && index < MAX_INDEX)?;
            steps.push(Step::Element(index));
            rest = after;
        }
        if steps.len() > MAX_STEPS {
            return None;
        }
        if rest.is_empty() {
            return Some(steps);
        }
        rest = rest.strip_prefix('.')?;
    }
}

/// A name at the beginning, and what follows it.
fn field(path: &str) -> Option<(String, &str)> {
    if path.starts_with('"') {
        let mut quoted = serde_json::Deserializer::from_str(path).into_iter::<String>();
        let name = quoted.next()?.ok()?;
        return Some((name, &path[quoted.byte_offset()..]));
    }
    let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let len = path.find(|c| !plain(c)).unwrap_or(path.len());
    (len > 0).then(|| (path[..len].to_string(), &path[len..]))
}

/// Where the steps lead; what is not there yet is made. `None` if they lead through a value that is set otherwise, or
/// leave places of a list out.
fn place<'a>(settings: &'a mut Value, steps: &[Step]) -> Option<&'a mut Value> {
    let mut at = settings;
    for step in steps {
        at = match step {
            Step::Field(name) => {
                let fields = or_empty(at, Value::Object(Map::new())).as_object_mut()?;
                fields.entry(name.as_str()).or_insert(Value::Null)
            }
            Step::Element(index) => {
                let elements = or_empty(at, Value::Array(Vec::new())).as_array_mut()?;
                if *index == elements.len() {
                    elements.push(Value::Null);
                }
                elements.get_mut(*index)?
            }
        };
    }
    Some(at)
}

fn or_empty(at: &mut Value, empty: Value) -> &mut Value {
    if at.is_null() {
        *at = empty;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> Step {
        Step::Field(name.to_string())
    }

    #[test]
    fn paths_are_read_as_messages_write_them() {
        assert_eq!(steps("queue_limit"), Some(vec![field("queue_limit")]));
        assert_eq!(steps("tiers[12].name"), Some(vec![field("tiers"), Step::Element(12), field("name")]));
        assert_eq!(
            steps("a.\"kv.\\\"b\".Größe-1"),
            Some(vec![field("a"), field("kv.\"b"), field("Größe-1")])
        );
        for wrong in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[]",
            "a[x]",
            "a[+1]",
            "a[-1]",
            "a[1024]",
            "a[0]b",
            "a b",
            "\"a",
            "\"a\"b",
            "a]",
            "[0]",
            "a[99999999999999999999]",
            "a.b.c.d.e.f.g.h.i",
        ] {
            assert_eq!(steps(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn places_are_made_as_they_are_named() {
        let mut settings = Value::Null;
        let mut set = |path: &str, value: Value| {
            place(&mut settings, &steps(path).expect("a path")).map(|place| *place = value).is_some()
        };
        assert!(set("tiers[0].name", "a".into()));
        assert!(!set("tiers[2].name", "c".into()), "the second is missing");
        assert!(set("tiers[1].name", "b".into()));
        assert!(!set("tiers.name", "a".into()), "a list is no table");
        assert!(!set("tiers[0][0]", "a".into()), "a table is no list");
        assert!(!set("tiers[0].name.x", "a".into()), "a text is no table");
        assert!(set("tiers[0].name", 7.into()));
        assert_eq!(settings.to_string(), r#"{"tiers":[{"name":7},{"name":"b"}]}"#);
    }
}
