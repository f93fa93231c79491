//! The versions of the package and of the ABI, and numbers as words.

use std::ffi::{CStr, c_char};

use crate::status;
use crate::types::{
    TIDEGATE_ABI_VERSION, TidegateAction as A, TidegateGate as G, TidegateReason as R, TidegateState as S,
};

const VERSION: &CStr = match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
    Ok(version) => version,
    Err(_) => panic!("a version has no NUL"),
};

/// Every reason with its words, those of `Reason::as_str` in the core.
const REASONS: [(R, &CStr); 18] = [
    (R::Guaranteed, c"guaranteed"),
    (R::Borrowed, c"borrowed"),
    (R::Reclaimed, c"reclaimed"),
    (R::Reclaim, c"reclaim"),
    (R::Urgent, c"urgent"),
    (R::OutOfMemory, c"out-of-memory"),
    (R::NotNeeded, c"not-needed"),
    (R::QueueTimeout, c"queue-timeout"),
    (R::Displaced, c"displaced"),
    (R::Declined, c"declined"),
    (R::NeverFits, c"never-fits"),
    (R::WorkerLost, c"worker-lost"),
    (R::Unconfirmed, c"unconfirmed"),
    (R::LeaseNeeded, c"lease-needed"),
    (R::LeaseAhead, c"lease-ahead"),
    (R::LeaseOwed, c"lease-owed"),
    (R::LeaseIdle, c"lease-idle"),
    (R::Rebalance, c"rebalance"),
];

/// Every gate with its words, those of `Gate::as_str` in the core.
const GATES: [(G, &CStr); 12] = [
    (G::None, c"none"),
    (G::NoWorker, c"no-worker"),
    (G::Claim, c"claim"),
    (G::Round, c"round"),
    (G::BorrowLimit, c"borrow-limit"),
    (G::NeverYields, c"never-yields"),
    (G::Held, c"held"),
    (G::Room, c"room"),
    (G::Excluded, c"excluded"),
    (G::Quota, c"quota"),
    (G::Warmth, c"warmth"),
    (G::KeptOut, c"kept-out"),
];

/// Every state with its words, those of `RequestState` in the core.
const STATES: [(S, &CStr); 7] = [
    (S::Queued, c"queued"),
    (S::Parked, c"parked"),
    (S::Starting, c"starting"),
    (S::Running, c"running"),
    (S::Preempting, c"preempting"),
    (S::Releasing, c"releasing"),
    (S::Aborting, c"aborting"),
];

/// Every kind of action with its words.
const ACTIONS: [(A, &CStr); 8] = [
    (A::Start, c"start"),
    (A::Preempt, c"preempt"),
    (A::Spare, c"spare"),
    (A::Abort, c"abort"),
    (A::Drop, c"drop"),
    (A::Stuck, c"stuck"),
    (A::LeaseWanted, c"lease-wanted"),
    (A::AlsoLost, c"also-lost"),
];

fn state_words(state: u32) -> &'static CStr {
    STATES.iter().find(|(known, _)| *known as u32 == state).map_or(c"unknown state", |(_, words)| words)
}

fn action_words(kind: u32) -> &'static CStr {
    ACTIONS.iter().find(|(known, _)| *known as u32 == kind).map_or(c"unknown action", |(_, words)| words)
}

fn gate_words(gate: u32) -> &'static CStr {
    GATES.iter().find(|(known, _)| *known as u32 == gate).map_or(c"unknown gate", |(_, words)| words)
}

fn reason_words(reason: u32) -> &'static CStr {
    REASONS.iter().find(|(known, _)| *known as u32 == reason).map_or(c"unknown reason", |(_, words)| words)
}

/// The version of the package that the library at hand is of, as "0.1.0"; that of this header is TIDEGATE_VERSION. To be shown
/// and logged: what works together is said by tidegate_abi_version(). Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tidegate_version() -> *const c_char {
    VERSION.as_ptr()
}

/// The version of the ABI that the library at hand has. Compare it with TIDEGATE_ABI_VERSION once, at the
/// start: they differ when a program runs with a library that it was not compiled for.
#[unsafe(no_mangle)]
pub extern "C" fn tidegate_abi_version() -> u32 {
    TIDEGATE_ABI_VERSION
}

/// The words for a tidegate_status_t; "unknown status" for any other number. Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tidegate_status_str(status: u32) -> *const c_char {
    status::words(status).as_ptr()
}

/// The words for a tidegate_reason_t; "unknown reason" for any other number. Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tidegate_reason_str(reason: u32) -> *const c_char {
    reason_words(reason).as_ptr()
}

/// The words for a tidegate_gate_t; "unknown gate" for any other number. Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tidegate_gate_str(gate: u32) -> *const c_char {
    gate_words(gate).as_ptr()
}

/// The words for a tidegate_state_t; "unknown state" for any other number. Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tidegate_state_str(state: u32) -> *const c_char {
    state_words(state).as_ptr()
}

/// The words for a tidegate_action_kind_t; "unknown action" for any other number. Never NULL, never to be freed.
#[unsafe(no_mangle)]
pub extern "C" fn tidegate_action_kind_str(kind: u32) -> *const c_char {
    action_words(kind).as_ptr()
}

#[cfg(test)]
mod tests {
    use tidegate_core::{Decline, Gate, OverQuota, Reason, RequestState, YieldMode, Yielding};

    use super::*;
    use crate::fault::state_number;
    use crate::types::{
        TIDEGATE_DIMENSIONS, TIDEGATE_STATS_REASONS, TidegateAction, TidegateDecline, TidegateOverQuota,
        TidegateYield,
    };

    #[test]
    fn reasons_are_those_of_the_core() {
        assert_eq!(REASONS.len(), Reason::ALL.len());
        for (&reason, (number, words)) in Reason::ALL.iter().zip(REASONS) {
            assert_eq!((reason as u32, reason.as_str()), (number as u32, words.to_str().expect("ASCII")));
        }
        assert_eq!(reason_words(0), c"unknown reason");
        const { assert!(Reason::ALL.len() < TIDEGATE_STATS_REASONS) };
    }

    #[test]
    fn gates_are_those_of_the_core() {
        assert_eq!(GATES.len(), 1 + Gate::ALL.len());
        for (&gate, (number, words)) in Gate::ALL.iter().zip(&GATES[1..]) {
            assert_eq!((gate as u32, gate.as_str()), (*number as u32, words.to_str().expect("ASCII")));
        }
        assert_eq!(gate_words(GATES.len() as u32), c"unknown gate");
    }

    #[test]
    fn states_are_those_of_the_core() {
        use RequestState::{Aborting, Parked, Preempting, Queued, Releasing, Running, Starting};
        for state in [Queued, Parked, Starting, Running, Preempting, Releasing, Aborting] {
            let words = state_words(state_number(state) as u32).to_str().expect("ASCII");
            assert_eq!(words, state.to_string());
        }
        assert_eq!(state_words(0), c"unknown state");
        assert_eq!(action_words(TidegateAction::LeaseWanted as u32), c"lease-wanted");
        assert_eq!(action_words(ACTIONS.len() as u32 + 1), c"unknown action");
    }

    #[test]
    fn small_enums_have_the_numbers_of_the_core() {
        assert_eq!(TidegateYield::Restart as u8, Yielding::Restart as u8);
        assert_eq!(TidegateYield::Checkpoint as u8, Yielding::Checkpoint as u8);
        assert_eq!(TidegateYield::Never as u8, Yielding::Never as u8);
        assert_eq!(TidegateYield::Restart as u8, YieldMode::Restart as u8);
        assert_eq!(TidegateYield::Checkpoint as u8, YieldMode::Checkpoint as u8);
        assert_eq!(TidegateDecline::Other as u8, Decline::Other as u8);
        assert_eq!(TidegateDecline::NoRoom as u8, Decline::NoRoom as u8);
        assert_eq!(TidegateDecline::NotReady as u8, Decline::NotReady as u8);
        assert_eq!(TidegateOverQuota::Wait as u8, OverQuota::Wait as u8);
        assert_eq!(TidegateOverQuota::Reject as u8, OverQuota::Reject as u8);
        assert_eq!(TidegateOverQuota::Demote as u8, OverQuota::Demote as u8);
        assert_eq!(TIDEGATE_DIMENSIONS, tidegate_core::MAX_DIMENSIONS);
    }
}
