//! Calls on a shared scheduler, all from one thread.

use tidegate_c_abi::shared::*;
use tidegate_c_abi::types::{RequestInput, StepExceptionInput, UsageInput};

use crate::block::Block;
use crate::caller::{Caller, at, to};
use crate::verbs::{request_words, started, words};

pub(crate) fn call(caller: &mut Caller<'_>) {
    match caller.bytes.below(8) {
        0..3 => poll(caller),
        3 | 4 => submit(caller),
        5 => wait(caller),
        _ => report(caller),
    }
}

fn poll(caller: &mut Caller<'_>) {
    let (shared, now, capacity) = (caller.shared(), caller.now(), caller.bytes.below(4));
    let outcomes = Block::untouched(capacity * size_of::<OutcomeRecord>());
    let (count, more) = (caller.room(8), caller.room(4));
    // SAFETY: room for as many, or NULL.
    let status = unsafe { tidegate_shared_poll(shared, now, outcomes.at(), capacity, to(&count), to(&more)) };
    if caller.check(status, &[&outcomes, &count.0, &more.0]) {
        // SAFETY: it was written.
        let count = unsafe { *count.0.at::<usize>() };
        assert!(count <= capacity);
        for index in 0..count {
            // SAFETY: as many were written.
            let told = unsafe { *outcomes.at::<OutcomeRecord>().add(index) };
            if told.request != 0 && told.status == 0 {
                caller.requests.push((told.request, 0));
            }
            started(caller, &told.action);
        }
    }
}

fn submit(caller: &mut Caller<'_>) {
    let (shared, now, given) = (caller.shared(), caller.now(), request_words(caller));
    assert_eq!(given.len() * 4, size_of::<RequestInput>());
    let (spec, ticket) = (caller.structure(&given), caller.room(8));
    // SAFETY: a struct of the size it states, and room.
    let status = unsafe { tidegate_shared_submit(shared, now, at(&spec), to(&ticket)) };
    if caller.check(status, &[&ticket.0]) && !ticket.0.is_untouched() {
        // SAFETY: it was written.
        caller.tickets.push(unsafe { *ticket.0.at() });
    }
}

/// For no longer than nothing: nobody would wake it.
fn wait(caller: &mut Caller<'_>) {
    let (shared, now, work) = (caller.shared(), caller.now(), caller.room(4));
    // SAFETY: room, or NULL.
    let status = unsafe {
        match caller.bytes.below(2) {
            0 => tidegate_shared_wait(shared, now, 0, to(&work)),
            _ => tidegate_shared_wake(shared),
        }
    };
    caller.check(status, &[&work.0]);
}

fn report(caller: &mut Caller<'_>) {
    let (shared, now, (request, attempt)) = (caller.shared(), caller.now(), caller.request());
    let (worker, tokens, units) = (caller.number(), caller.wide(), caller.units());
    let (flag, earlier) = (caller.bytes.one_of(&[0, 1, 2, 3, u32::MAX]), caller.ticket());
    let (exceptions, count) = caller.records(size_of::<StepExceptionInput>());
    let (usage, ticket) = (caller.structure(&words::<UsageInput>(&[(2, 5)])), caller.room(8));
    let out = to(&ticket);
    // SAFETY: vectors, records and structs of the size they state, room, or NULL.
    let status = unsafe {
        match caller.bytes.below(10) {
            0 => tidegate_shared_cancel(shared, now, earlier),
            1 => tidegate_shared_cancel_request(shared, now, request, out),
            2 => tidegate_shared_started(shared, now, request, attempt, tokens, at(&units), out),
            3 => tidegate_shared_declined(shared, now, request, attempt, flag, out),
            4 => tidegate_shared_progress(shared, now, request, attempt, tokens, at(&units), out),
            5 => tidegate_shared_step(shared, now, worker, tokens, exceptions.at(), count, out),
            6 => tidegate_shared_preempted(shared, now, request, attempt, tokens, flag, out),
            7 => tidegate_shared_released(shared, now, request, attempt, out),
            8 => tidegate_shared_complete(shared, now, request, attempt, at(&usage), out),
            _ => tidegate_shared_failed(shared, now, request, attempt, out),
        }
    };
    caller.check(status, &[&ticket.0]);
}
