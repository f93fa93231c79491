//! What a poll of a shared scheduler tells, as the header lays it out.

use tidegate_core::{Outcome, RequestId, Ticket};

use crate::fault::{Fault, no_error};
use crate::scheduler::action_record;
use crate::types::{ActionRecord, ErrorRecord};

/// What an outcome tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateOutcome {
    /// A wish of the scheduler: action.
    Action = 1,
    /// A request was accepted; its START or DROP comes later.
    Accepted = 2,
    /// What was left in the intake was refused, and changed nothing.
    Refused = 3,
    /// A request that waited was cancelled by its ticket; it has ended.
    Cancelled = 4,
    /// A request was cancelled by its ticket while an engine has it: stop it there, then report
    /// tidegate_shared_cancel_request. If its START is still to come, do not start it.
    StopFirst = 5,
}

/// One thing that a poll of a shared scheduler tells: 192 bytes in every version. Fields that its kind, or the status of
/// REFUSED, does not use are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct OutcomeRecord {
    /// What it tells: a tidegate_outcome_kind_t. Ignore kinds that you do not know.
    pub kind: u32,
    /// REFUSED: why, a tidegate_status_t.
    pub status: u32,
    /// The call that it comes of; 0 of ACTION. CANCELLED and STOP_FIRST: of the submit.
    pub ticket: u64,
    /// ACCEPTED, and REFUSED of a submit: the tag of the spec.
    pub tag: u64,
    /// The request; 0 of ACTION. REFUSED: the one that the error is about.
    pub request: u64,
    /// ACTION: what is wished.
    pub action: ActionRecord,
    /// REFUSED: as of tidegate_error_t.
    pub need: u64,
    /// REFUSED: as of tidegate_error_t.
    pub max: u64,
    /// REFUSED: as of tidegate_error_t.
    pub retry_at_ns: u64,
    /// REFUSED: as of tidegate_error_t.
    pub attempt: u32,
    /// REFUSED: as of tidegate_error_t.
    pub current_attempt: u32,
    /// REFUSED: as of tidegate_error_t.
    pub state: u32,
    /// REFUSED: as of tidegate_error_t.
    pub limit: u32,
    /// REFUSED: as of tidegate_error_t.
    pub scope: u32,
    /// REFUSED: as of tidegate_error_t.
    pub subject: u32,
    /// REFUSED: as of tidegate_error_t.
    pub unit: u32,
    /// REFUSED: as of tidegate_error_t.
    pub pool: u32,
    /// 0.
    pub reserved: [u64; 5],
}

impl OutcomeRecord {
    fn new(kind: TidegateOutcome, ticket: u64, request: u64, error: &ErrorRecord) -> Self {
        Self {
            kind: kind as u32,
            status: error.status,
            ticket,
            tag: 0,
            request,
            action: ActionRecord::default(),
            need: error.need,
            max: error.max,
            retry_at_ns: error.retry_at_ns,
            attempt: error.attempt,
            current_attempt: error.current_attempt,
            state: error.state,
            limit: error.limit,
            scope: error.scope,
            subject: error.subject,
            unit: error.unit,
            pool: error.pool,
            reserved: [0; 5],
        }
    }

    /// Of an outcome that refuses nothing.
    fn of(kind: TidegateOutcome, ticket: Ticket, request: RequestId) -> Self {
        Self::new(kind, ticket.get(), request.to_bits(), &no_error())
    }
}

/// An outcome as the header lays it out; `None` of one that comes of nothing that C can leave in an intake.
pub(crate) fn outcome_record(outcome: &Outcome) -> Option<OutcomeRecord> {
    use TidegateOutcome as Kind;
    Some(match *outcome {
        Outcome::Action(action) => OutcomeRecord {
            action: action_record(action),
            ..OutcomeRecord::new(Kind::Action, 0, 0, &no_error())
        },
        Outcome::Accepted { ticket, tag, request } => {
            OutcomeRecord { tag, ..OutcomeRecord::of(Kind::Accepted, ticket, request) }
        }
        Outcome::Refused { ticket, tag, ref error } => {
            let error = Fault::Input(error.clone()).record();
            OutcomeRecord { tag, ..OutcomeRecord::new(Kind::Refused, ticket.get(), error.request, &error) }
        }
        Outcome::Cancelled { ticket, request } => OutcomeRecord::of(Kind::Cancelled, ticket, request),
        Outcome::StopFirst { ticket, request } => OutcomeRecord::of(Kind::StopFirst, ticket, request),
        Outcome::Created { .. } => return None,
    })
}
