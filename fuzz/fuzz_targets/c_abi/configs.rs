//! Calls on configs and their builder, and numbers as words.

use std::ffi::CStr;
use std::ptr::null_mut;

use tidegate_c_abi::builder::*;
use tidegate_c_abi::config::*;
use tidegate_c_abi::names::*;
use tidegate_c_abi::scheduler::tidegate_scheduler_config;

use crate::block::Block;
use crate::caller::{Caller, to};

pub(crate) fn call(caller: &mut Caller<'_>) {
    match caller.bytes.below(6) {
        0 => read(caller),
        1 => find(caller),
        2 => write(caller),
        3 => set(caller),
        4 => build(caller),
        _ => words(caller),
    }
}

/// A config that was made is freed at once.
fn made(config: &(Block, bool)) {
    // SAFETY: it was written.
    unsafe { tidegate_config_free(*config.0.at()) };
}

fn read(caller: &mut Caller<'_>) {
    let (text, message) = (caller.text(), Block::untouched(caller.bytes.below(64)));
    let (len, config, scheduler) = (caller.room(8), caller.room(8), caller.scheduler());
    let (at, text_len) = (text.at(), text.bytes().len());
    let (buffer, capacity) = (message.at(), message.bytes().len());
    // SAFETY: a text, a buffer of that capacity, and room, or NULL.
    let status = unsafe {
        match caller.bytes.below(3) {
            0 => tidegate_config_from_toml(at, text_len, buffer, capacity, to(&len), to(&config)),
            1 => tidegate_config_from_json(at, text_len, buffer, capacity, to(&len), to(&config)),
            _ => tidegate_scheduler_config(scheduler, to(&config)),
        }
    };
    if caller.check(status, &[&config.0]) {
        made(&config);
    }
}

fn find(caller: &mut Caller<'_>) {
    let (config, name, number) = (caller.config(), caller.text(), caller.room(4));
    let (at, len) = (name.at(), name.bytes().len());
    // SAFETY: a text, and room, or NULL.
    let status = unsafe {
        match caller.bytes.below(3) {
            0 => tidegate_config_find_tier(config, at, len, to(&number)),
            1 => tidegate_config_find_pool(config, at, len, to(&number)),
            _ => tidegate_config_find_dimension(config, at, len, to(&number)),
        }
    };
    caller.check(status, &[&number.0]);
}

fn write(caller: &mut Caller<'_>) {
    let (config, number, len) = (caller.config(), caller.number(), caller.room(8));
    let text = Block::untouched(caller.bytes.below(256));
    let (buffer, capacity) = (text.at(), text.bytes().len());
    // SAFETY: a buffer of that capacity, and room, or NULL.
    let status = unsafe {
        match caller.bytes.below(5) {
            0 => tidegate_config_tier_name(config, number, buffer, capacity, to(&len)),
            1 => tidegate_config_pool_name(config, number, buffer, capacity, to(&len)),
            2 => tidegate_config_dimension_name(config, number, buffer, capacity, to(&len)),
            3 => tidegate_config_to_toml(config, buffer, capacity, to(&len)),
            _ => tidegate_config_to_json(config, buffer, capacity, to(&len)),
        }
    };
    caller.check(status, &[&text, &len.0]);
}

fn set(caller: &mut Caller<'_>) {
    let (builder, path, value) = (caller.builder(), caller.text(), caller.text());
    let (number, wide) = (caller.number(), caller.wide());
    let (at, len) = (path.at(), path.bytes().len());
    // SAFETY: texts.
    let status = unsafe {
        match caller.bytes.below(4) {
            0 => tidegate_config_builder_set_text(builder, at, len, value.at(), value.bytes().len()),
            1 => tidegate_config_builder_set_number(builder, at, len, wide),
            2 => tidegate_config_builder_set_duration(builder, at, len, wide),
            _ => tidegate_config_builder_set_truth(builder, at, len, number),
        }
    };
    caller.check(status, &[]);
}

fn build(caller: &mut Caller<'_>) {
    let (builder, config) = (caller.builder(), caller.room(8));
    let message = Block::untouched(caller.bytes.below(64));
    let (buffer, capacity) = (message.at(), message.bytes().len());
    // SAFETY: a buffer of that capacity, and room, or NULL.
    let status = unsafe { tidegate_config_builder_build(builder, buffer, capacity, null_mut(), to(&config)) };
    if caller.check(status, &[&config.0]) {
        made(&config);
    }
}

fn words(caller: &mut Caller<'_>) {
    let number = caller.number();
    for words in [
        tidegate_status_str(number),
        tidegate_reason_str(number),
        tidegate_gate_str(number),
        tidegate_state_str(number),
        tidegate_action_kind_str(number),
    ] {
        // SAFETY: never NULL, never freed.
        assert!(!unsafe { CStr::from_ptr(words) }.is_empty());
    }
}
