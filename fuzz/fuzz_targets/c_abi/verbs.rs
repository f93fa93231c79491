//! Calls on a scheduler: verbs and questions.

use std::ptr::null_mut;

use tidegate_c_abi::batch::{tidegate_scheduler_complete_many, tidegate_scheduler_submit_many};
use tidegate_c_abi::error::{tidegate_scheduler_last_error, tidegate_scheduler_last_error_message};
use tidegate_c_abi::fleet::*;
use tidegate_c_abi::json::*;
use tidegate_c_abi::metrics::tidegate_scheduler_metrics;
use tidegate_c_abi::observe::*;
use tidegate_c_abi::request::*;
use tidegate_c_abi::scheduler::*;
use tidegate_c_abi::snapshot::tidegate_scheduler_now;
use tidegate_c_abi::tenant::*;
use tidegate_c_abi::types::*;

use crate::block::Block;
use crate::caller::{Caller, at, to};

/// A struct's words: its size, and 0 but for those given.
pub(crate) fn words<T>(given: &[(usize, u32)]) -> Vec<u32> {
    let mut words = vec![0; size_of::<T>() / 4];
    words[0] = size_of::<T>() as u32;
    for &(index, value) in given {
        words[index] = value;
    }
    words
}

/// What a request asks for that can start.
pub(crate) fn request_words(caller: &mut Caller<'_>) -> Vec<u32> {
    let tier = caller.bytes.below(2) as u32;
    words::<RequestInput>(&[(2, tier), (6, 1), (8, 2)])
}

pub(crate) fn verb(caller: &mut Caller<'_>) {
    match caller.bytes.below(16) {
        0..4 => poll(caller),
        4..6 => submit(caller),
        6 => submit_many(caller),
        7..11 => report(caller),
        11 => complete_many(caller),
        12 => tenant(caller),
        13 => machine(caller),
        14 => size(caller),
        _ => step(caller),
    }
}

fn poll(caller: &mut Caller<'_>) {
    let (scheduler, now) = (caller.scheduler(), caller.now());
    let capacity = caller.bytes.below(4);
    let (actions, count) = (Block::untouched(capacity * size_of::<ActionRecord>()), caller.room(8));
    // SAFETY: room for as many, or NULL.
    let status = unsafe { tidegate_scheduler_poll(scheduler, now, actions.at(), capacity, to(&count)) };
    if caller.check(status, &[&actions, &count.0]) {
        // SAFETY: it was written.
        let count = unsafe { *count.0.at::<usize>() };
        for index in 0..count {
            // SAFETY: as many were written.
            let action = unsafe { *actions.at::<ActionRecord>().add(index) };
            started(caller, &action);
        }
    }
}

/// Remembers the attempt that reports have to name.
pub(crate) fn started(caller: &mut Caller<'_>, action: &ActionRecord) {
    for (request, attempt) in &mut caller.requests {
        if *request == action.request && action.attempt != 0 {
            *attempt = action.attempt;
        }
    }
}

fn submit(caller: &mut Caller<'_>) {
    let (scheduler, now, given) = (caller.scheduler(), caller.now(), request_words(caller));
    let (spec, out) = (caller.structure(&given), caller.room(8));
    // SAFETY: a struct of the size it states, and room.
    let status = unsafe { tidegate_scheduler_submit(scheduler, now, at(&spec), to(&out)) };
    if caller.check(status, &[&out.0]) {
        // SAFETY: it was written.
        caller.requests.push((unsafe { *out.0.at::<u64>() }, 0));
    }
}

fn submit_many(caller: &mut Caller<'_>) {
    let (scheduler, now) = (caller.scheduler(), caller.now());
    let mut specs = Vec::new();
    let count = caller.bytes.below(4);
    // The first states its size.
    for _ in 0..count {
        let given = request_words(caller);
        let mut spec: Vec<u8> = given.iter().flat_map(|word| word.to_ne_bytes()).collect();
        for _ in 0..caller.bytes.below(4) {
            let (word, value) = (caller.bytes.below(given.len()) * 4, caller.number().to_ne_bytes());
            if word > 0 || !specs.is_empty() {
                spec[word..word + 4].copy_from_slice(&value);
            }
        }
        specs.extend(spec);
    }
    let specs = Block::of(&specs);
    let (requests, statuses) = (caller.room(count * 8), caller.room(count * 4));
    let claimed = if caller.bytes.below(32) == 0 && count > 0 { usize::MAX / 2 } else { count };
    // SAFETY: as many structs, and room for as many answers.
    let status = unsafe {
        tidegate_scheduler_submit_many(scheduler, now, specs.at(), claimed, to(&requests), to(&statuses))
    };
    if caller.check(status, &[&requests.0, &statuses.0]) && count > 0 {
        for index in 0..count {
            // SAFETY: as many were written.
            let request = unsafe { *requests.0.at::<u64>().add(index) };
            caller.requests.extend((request != 0).then_some((request, 0)));
        }
    }
}

fn complete_many(caller: &mut Caller<'_>) {
    let (scheduler, now) = (caller.scheduler(), caller.now());
    let (completions, count) = caller.records(size_of::<CompletionInput>());
    let statuses = caller.room(count.min(4) * 4);
    // SAFETY: as many records, or more than there can be, and room for as many answers.
    let status =
        unsafe { tidegate_scheduler_complete_many(scheduler, now, completions.at(), count, to(&statuses)) };
    caller.check(status, &[&statuses.0]);
}

fn report(caller: &mut Caller<'_>) {
    let (scheduler, now, (request, attempt)) = (caller.scheduler(), caller.now(), caller.request());
    let (tokens, units) = (caller.wide(), caller.units());
    let flag = caller.bytes.one_of(&[0, 1, 2, 3, u32::MAX]);
    let which = caller.bytes.below(12);
    let usage = words::<UsageInput>(&[(2, 5)]);
    let given =
        if which == 5 { caller.structure(&usage) } else { caller.structure(&words::<AmendmentInput>(&[])) };
    // SAFETY: vectors and structs of the size they state, or NULL.
    let status = unsafe {
        match which {
            0 | 1 => tidegate_scheduler_started(scheduler, now, request, attempt, tokens, at(&units)),
            2 => tidegate_scheduler_declined(scheduler, now, request, attempt, flag),
            3 | 4 => tidegate_scheduler_progress(scheduler, now, request, attempt, tokens, at(&units)),
            5 => tidegate_scheduler_complete(scheduler, now, request, attempt, at(&given)),
            6 | 7 => tidegate_scheduler_preempted(scheduler, now, request, attempt, tokens, flag),
            8 => tidegate_scheduler_released(scheduler, now, request, attempt),
            9 => tidegate_scheduler_failed(scheduler, now, request, attempt),
            10 => tidegate_scheduler_amend(scheduler, now, request, at(&given)),
            _ => tidegate_scheduler_cancel(scheduler, now, request),
        }
    };
    caller.check(status, &[]);
}

fn tenant(caller: &mut Caller<'_>) {
    let (scheduler, now, tenant) = (caller.scheduler(), caller.now(), caller.number());
    let (name, out) = (caller.text(), caller.room(4));
    let policy = caller.structure(&words::<TenantPolicyInput>(&[(3, 1)]));
    let (limit, [seq, tokens, span]) = (caller.number(), [(); 3].map(|()| caller.wide()));
    // SAFETY: a text, a struct of the size it states, and room.
    let status = unsafe {
        match caller.bytes.below(5) {
            0 | 1 => tidegate_scheduler_tenant_configure(scheduler, now, tenant, at(&policy)),
            2 => tidegate_scheduler_tenant_remove(scheduler, now, tenant),
            3 => tidegate_scheduler_lease_granted(scheduler, now, tenant, limit, seq, tokens, span),
            _ => tidegate_scheduler_tenant_set(scheduler, now, name.at(), name.bytes().len(), to(&out)),
        }
    };
    caller.check(status, &[&out.0]);
}

fn machine(caller: &mut Caller<'_>) {
    let (scheduler, now, number, out) = (caller.scheduler(), caller.now(), caller.number(), caller.room(4));
    let pool = caller.bytes.below(3) as u32;
    let device = caller.structure(&words::<DeviceInput>(&[(2, 4)]));
    let standing = [5, 4, 4].map(|most| caller.bytes.below(most) as u32);
    let [kind, flags, replaces] = standing;
    let told = [(1, pool), (2, 4), (4, 8), (10, kind), (11, flags), (12, replaces)];
    let worker = caller.structure(&words::<WorkerInput>(&told));
    let (parts, count) = caller.records(size_of::<DevicePartInput>());
    let config = caller.config();
    // SAFETY: structs of the size they state, as many records, and room.
    let status = unsafe {
        match caller.bytes.below(8) {
            0..3 => tidegate_scheduler_worker_add(scheduler, now, at(&worker), parts.at(), count, to(&out)),
            3 => tidegate_scheduler_device_add(scheduler, now, at(&device), to(&out)),
            4 => tidegate_scheduler_worker_drain(scheduler, now, number),
            5 => tidegate_scheduler_worker_lost(scheduler, now, number),
            6 => tidegate_scheduler_device_lost(scheduler, now, number),
            _ => tidegate_scheduler_reconfigure(scheduler, now, config),
        }
    };
    caller.check(status, &[&out.0]);
}

fn size(caller: &mut Caller<'_>) {
    let (scheduler, now, number, units) = (caller.scheduler(), caller.now(), caller.number(), caller.units());
    let (shrink, span, request) = (caller.number(), caller.wide(), caller.request().0);
    let (blocks, count) = caller.records(size_of::<u64>());
    // SAFETY: a vector, or NULL.
    let status = unsafe {
        match caller.bytes.below(6) {
            1 => tidegate_scheduler_cache_stored(scheduler, now, number, blocks.at(), count),
            2 => tidegate_scheduler_cache_evicted(scheduler, now, number, blocks.at(), count),
            3 => tidegate_scheduler_prefix_set(scheduler, now, request, blocks.at(), count),
            0 => tidegate_scheduler_worker_resize(scheduler, now, number, at(&units), shrink, span),
            4 => tidegate_scheduler_device_resize(scheduler, now, number, at(&units), shrink, span),
            _ => tidegate_scheduler_worker_usage(scheduler, now, number, at(&units)),
        }
    };
    caller.check(status, &[]);
}

fn step(caller: &mut Caller<'_>) {
    let (scheduler, now, number, tokens) = (caller.scheduler(), caller.now(), caller.number(), caller.wide());
    let (exceptions, count) = caller.records(size_of::<StepExceptionInput>());
    // SAFETY: as many records, or more than there can be.
    let status = unsafe { tidegate_scheduler_step(scheduler, now, number, tokens, exceptions.at(), count) };
    caller.check(status, &[]);
}

pub(crate) fn question(caller: &mut Caller<'_>) {
    match caller.bytes.below(5) {
        0 => number_question(caller),
        1 => units_question(caller),
        2 => struct_question(caller),
        3 => list_question(caller),
        _ => text_question(caller),
    }
}

fn number_question(caller: &mut Caller<'_>) {
    let (scheduler, (request, _), number, out) =
        (caller.scheduler(), caller.request(), caller.number(), caller.room(8));
    // SAFETY: room, or NULL.
    let status = unsafe {
        match caller.bytes.below(5) {
            0 => tidegate_scheduler_state(scheduler, request, to(&out)),
            1 => tidegate_scheduler_queue_depth(scheduler, number, to(&out)),
            2 => tidegate_scheduler_now(scheduler, to(&out)),
            3 => tidegate_scheduler_kept_out_until(scheduler, number, to(&out)),
            _ => tidegate_scheduler_poll_timeout(scheduler, to(&out)),
        }
    };
    caller.check(status, &[&out.0]);
}

fn units_question(caller: &mut Caller<'_>) {
    let (scheduler, pool, tier, out) =
        (caller.scheduler(), caller.number(), caller.number(), caller.room(32));
    // SAFETY: room, or NULL.
    let status = unsafe {
        match caller.bytes.below(3) {
            0 => tidegate_scheduler_effective_reserve(scheduler, pool, tier, to(&out)),
            1 => tidegate_scheduler_in_use(scheduler, pool, tier, to(&out)),
            _ => tidegate_scheduler_waiting_demand(scheduler, pool, tier, to(&out)),
        }
    };
    caller.check(status, &[&out.0]);
}

fn struct_question(caller: &mut Caller<'_>) {
    let (scheduler, (request, _), number) = (caller.scheduler(), caller.request(), caller.number());
    let (which, at_ns) = (caller.bytes.below(5), caller.wide());
    let given = match which {
        0 => words::<ExplanationRecord>(&[]),
        1 | 4 => words::<TenantUsageRecord>(&[]),
        2 => words::<StatsRecord>(&[]),
        _ => words::<ErrorRecord>(&[]),
    };
    let out = caller.structure(&given);
    let before = out.as_ref().map(|out| out.bytes().to_vec());
    // SAFETY: a struct of the size it states, or NULL.
    let status = unsafe {
        match which {
            0 => tidegate_scheduler_explain(scheduler, request, at(&out)),
            1 => tidegate_scheduler_usage(scheduler, number, at(&out)),
            2 => tidegate_scheduler_stats(scheduler, at(&out)),
            4 => tidegate_scheduler_usage_by_tier(scheduler, number, number % 4, at_ns, at(&out)),
            _ => tidegate_scheduler_last_error(scheduler, at(&out)),
        }
    };
    if caller.check(status, &[]) {
        let (before, after) = (before.expect("not NULL"), out.expect("not NULL"));
        assert_eq!(before[..4], after.bytes()[..4], "the caller's size stays");
    } else {
        assert_eq!(before.as_deref(), out.as_ref().map(Block::bytes), "nothing is written");
    }
}

fn list_question(caller: &mut Caller<'_>) {
    let scheduler = caller.scheduler();
    if caller.bytes.below(2) == 0 {
        let capacity = caller.bytes.below(4);
        let (warnings, count) =
            (Block::untouched(capacity * size_of::<ShareWarningRecord>()), caller.room(8));
        // SAFETY: room for as many, or NULL.
        let status =
            unsafe { tidegate_scheduler_share_warnings(scheduler, warnings.at(), capacity, to(&count)) };
        caller.check(status, &[&warnings, &count.0]);
        return;
    }
    let (worker, tokens, count) = (caller.number(), caller.wide(), caller.room(8));
    let (prompts, given) = caller.records(size_of::<PromptRecord>());
    let plan = Block::untouched(prompts.bytes().len());
    let in_place = caller.bytes.below(2) == 0;
    let out = if in_place { prompts.at() } else { plan.at() };
    // SAFETY: as many records, or more than there can be, and room for as many.
    let status = unsafe {
        tidegate_scheduler_step_plan(scheduler, worker, tokens, prompts.at(), given, out, to(&count))
    };
    caller.check(status, &[&plan, &count.0]);
}

fn text_question(caller: &mut Caller<'_>) {
    let (scheduler, (request, _), tenant) = (caller.scheduler(), caller.request(), caller.number());
    let (text, len) = (Block::untouched(caller.bytes.below(256)), caller.room(8));
    let (buffer, capacity) = (text.at(), text.bytes().len());
    let buffer = if caller.bytes.below(16) == 0 { null_mut() } else { buffer };
    // SAFETY: a buffer of that capacity, and room, or NULL.
    let status = unsafe {
        match caller.bytes.below(6) {
            5 => tidegate_scheduler_metrics(scheduler, tenant % 3, capacity, buffer, capacity, to(&len)),
            0 => tidegate_scheduler_explain_json(scheduler, request, buffer, capacity, to(&len)),
            1 => tidegate_scheduler_usage_json(scheduler, tenant, buffer, capacity, to(&len)),
            2 => tidegate_scheduler_stats_json(scheduler, buffer, capacity, to(&len)),
            3 => tidegate_scheduler_check_invariants(scheduler, buffer, capacity, to(&len)),
            _ => tidegate_scheduler_last_error_message(scheduler, buffer, capacity, to(&len)),
        }
    };
    caller.check(status, &[&text, &len.0]);
}
