//! The config: read from TOML or JSON, looked up by name, written back.

use std::ffi::c_char;

use tidegate_core::{Config, ConfigError};

use crate::fault::Fault;
use crate::guard::{free, guard, status_of};
use crate::handle::{Handle, give, live};
use crate::memory::{Out, TextOut, text};
use crate::status::TidegateStatus as Status;

/// A config, read and validated; it never changes. Made by tidegate_config_from_toml, tidegate_config_from_json or
/// tidegate_config_builder_build, ended by tidegate_config_free.
pub struct ConfigHandle(pub(crate) Config);

impl Handle for ConfigHandle {
    const MARK: u64 = 0x7D6B_21F0_93C4_A5E1;
    const ARGUMENT: &'static str = "config";
}

const _: () = {
    const fn shareable<T: Send + Sync>() {}
    shareable::<ConfigHandle>();
};

/// Reads a config from TOML text. If it cannot be used, the status is TIDEGATE_STATUS_CONFIG_INVALID and the
/// message names every field at fault; the message is written then, and not otherwise. It is cut to
/// `message_capacity` bytes with a NUL at its end; `message_len` gets its whole length. `message` may be
/// NULL if its capacity is 0, `message_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_from_toml(
    toml: *const c_char,
    toml_len: usize,
    message: *mut c_char,
    message_capacity: usize,
    message_len: *mut usize,
    out_config: *mut *mut ConfigHandle,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        read(
            (toml, toml_len, "toml"),
            Config::from_toml,
            (message, message_capacity, message_len),
            out_config,
        )
    }
}

/// As tidegate_config_from_toml, from JSON text: one object with the same fields. A field that is null is at its
/// default, as if it were left out.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_from_json(
    json: *const c_char,
    json_len: usize,
    message: *mut c_char,
    message_capacity: usize,
    message_len: *mut usize,
    out_config: *mut *mut ConfigHandle,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe {
        read(
            (json, json_len, "json"),
            Config::from_json,
            (message, message_capacity, message_len),
            out_config,
        )
    }
}

/// Frees a config; schedulers made from it keep their own copy. NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_free(config: *mut ConfigHandle) {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { free(config) };
}

/// The config as TOML that reads back as the same config. It is cut to `capacity` bytes with a NUL at its
/// end; `out_len` gets its whole length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_to_toml(
    config: *const ConfigHandle,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { write(config, Config::to_toml, (buffer, capacity, out_len)) }
}

/// As tidegate_config_to_toml, as JSON.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_to_json(
    config: *const ConfigHandle,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { write(config, Config::to_json, (buffer, capacity, out_len)) }
}

/// The name of a tier; TIDEGATE_STATUS_UNKNOWN_TIER if there are fewer. Here and below it is cut to `capacity` bytes with
/// a NUL at its end; `out_len` gets its whole length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_tier_name(
    config: *const ConfigHandle,
    tier: u32,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    let of = |config: &Config| config.tiers().get(tier as usize).map(|tier| tier.name().to_string());
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { name(config, of, (buffer, capacity, out_len), ("tier", Status::UnknownTier)) }
}

/// The name of a pool; TIDEGATE_STATUS_UNKNOWN_POOL if there are fewer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_pool_name(
    config: *const ConfigHandle,
    pool: u32,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    let of = |config: &Config| config.pools().nth(pool as usize).map(str::to_string);
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { name(config, of, (buffer, capacity, out_len), ("pool", Status::UnknownPool)) }
}

/// The name of a dimension; TIDEGATE_STATUS_UNKNOWN_DIMENSION if there are fewer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_dimension_name(
    config: *const ConfigHandle,
    dimension: u32,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    let of = |config: &Config| config.dimensions().nth(dimension as usize).map(str::to_string);
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { name(config, of, (buffer, capacity, out_len), ("dimension", Status::UnknownDimension)) }
}

/// The number of the tier of this name: 0 is the most urgent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_find_tier(
    config: *const ConfigHandle,
    name: *const c_char,
    name_len: usize,
    out_tier: *mut u32,
) -> Status {
    let of = |config: &Config, name: &str| config.tier(name).map(|tier| tier.get().into());
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { find(config, name, name_len, out_tier, ("tier", Status::UnknownTier), of) }
}

/// The number of the pool of this name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_find_pool(
    config: *const ConfigHandle,
    name: *const c_char,
    name_len: usize,
    out_pool: *mut u32,
) -> Status {
    let of = |config: &Config, name: &str| config.pool(name).map(|pool| pool.get());
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { find(config, name, name_len, out_pool, ("pool", Status::UnknownPool), of) }
}

/// The place of the dimension of this name in every resource vector.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_config_find_dimension(
    config: *const ConfigHandle,
    name: *const c_char,
    name_len: usize,
    out_dimension: *mut u32,
) -> Status {
    let of = |config: &Config, name: &str| {
        let index = config.dimensions().position(|dimension| dimension == name)?;
        u32::try_from(index).ok()
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { find(config, name, name_len, out_dimension, ("dimension", Status::UnknownDimension), of) }
}

/// # Safety
/// The pointers are as the header's chapter says.
unsafe fn read(
    (at, len, argument): (*const c_char, usize, &'static str),
    parse: fn(&str) -> Result<Config, ConfigError>,
    (message, message_capacity, message_len): (*mut c_char, usize, *mut usize),
    out_config: *mut *mut ConfigHandle,
) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise, for all three.
        let (text, message, out_config) = unsafe {
            (
                text(at, len, argument)?,
                TextOut::new(message, message_capacity, message_len)?,
                Out::new(out_config, "out_config")?,
            )
        };
        made(parse(text), message, out_config)
    }))
}

/// Hands out a config, or says why there is none.
pub(crate) fn made(
    config: Result<Config, ConfigError>,
    message: TextOut,
    out_config: Out<*mut ConfigHandle>,
) -> Result<(), Fault> {
    match config {
        Ok(config) => out_config.set(give(ConfigHandle(config))),
        Err(error) => {
            message.set(&error.to_string());
            return Err(error.into());
        }
    }
    Ok(())
}

/// # Safety
/// The pointers are as the header's chapter says.
unsafe fn write(
    config: *const ConfigHandle,
    text: fn(&Config) -> String,
    (buffer, capacity, out_len): (*mut c_char, usize, *mut usize),
) -> Status {
    let body = |config: &Config| {
        // SAFETY: the caller's promise.
        unsafe { TextOut::new(buffer, capacity, out_len) }?.set(&text(config));
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { look(config, body) }
}

/// # Safety
/// The pointers are as the header's chapter says.
unsafe fn name(
    config: *const ConfigHandle,
    of: impl FnOnce(&Config) -> Option<String>,
    (buffer, capacity, out_len): (*mut c_char, usize, *mut usize),
    (what, status): (&'static str, Status),
) -> Status {
    let body = |config: &Config| {
        // SAFETY: the caller's promise.
        let out = unsafe { TextOut::new(buffer, capacity, out_len) }?;
        out.set(&of(config).ok_or(Fault::NoSuch { what, status })?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { look(config, body) }
}

/// Runs a body that looks at a config.
///
/// # Safety
/// `config` is NULL or a live handle.
unsafe fn look(config: *const ConfigHandle, body: impl FnOnce(&Config) -> Result<(), Fault>) -> Status {
    status_of(&guard(|| {
        // SAFETY: the caller's promise.
        body(&unsafe { live(config) }?.0)
    }))
}

/// # Safety
/// The pointers are as the header's chapter says.
unsafe fn find(
    config: *const ConfigHandle,
    name: *const c_char,
    name_len: usize,
    out: *mut u32,
    (what, status): (&'static str, Status),
    of: impl FnOnce(&Config, &str) -> Option<u32>,
) -> Status {
    let body = |config: &Config| {
        // SAFETY: the caller's promise, for both.
        let (name, out) = unsafe { (text(name, name_len, "name")?, Out::new(out, "the output")?) };
        out.set(of(config, name).ok_or(Fault::UnknownName { what, status })?);
        Ok(())
    };
    // SAFETY: the caller's promise.
    unsafe { look(config, body) }
}
