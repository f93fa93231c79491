//! Many requests at once: submitted, or reported complete.

use tidegate_core::{Attempt, Completion, Instant, ReportError, RequestId, RequestSpec, SubmitError, Usage};

use crate::fault::Fault;
use crate::guard::mutate_many;
use crate::memory::{self, ListOut, Structs};
use crate::request::{any_tier, request_spec};
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;
use crate::types::{CompletionInput, RequestInput};

/// What stands between the caller's lists and the core's. Nothing is in them between two calls but room.
pub(crate) struct Lists {
    specs: Vec<RequestSpec>,
    submitted: Vec<Result<RequestId, SubmitError>>,
    completions: Vec<Completion>,
    completed: Vec<Result<(), ReportError>>,
}

impl Lists {
    pub(crate) const fn new() -> Self {
        Self { specs: Vec::new(), submitted: Vec::new(), completions: Vec::new(), completed: Vec::new() }
    }
}

/// Queues many requests, as tidegate_scheduler_submit for each in turn would, and gives their ids: 0 for one that
/// was refused, which keeps none of the others back. `out_statuses`, which may be NULL, gets the
/// tidegate_status_t of each. TIDEGATE_STATUS_OK says that the scheduler answered for all of them, by whatever
/// statuses, and the last error is that of the last one refused; else something is wrong with the call itself, with
/// some number or size in it, and none was queued. All have the struct_size of the first. A count of 0 is no call: not even
/// the time goes on. All is read before anything is written, so that the ids may take the place of the specs. A journal has
/// them one by one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_submit_many(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    specs: *const RequestInput,
    spec_count: usize,
    out_requests: *mut u64,
    out_statuses: *mut u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate_many(scheduler, |scheduler, lists| {
            let specs = Structs::new(specs, spec_count, "specs")?;
            let out_requests = ListOut::new(out_requests, spec_count, "out_requests")?;
            let out_statuses = ListOut::optional(out_statuses, spec_count, "out_statuses")?;
            lists.specs.clear();
            for spec in specs.read_all() {
                let spec = spec?;
                lists.specs.push(request_spec(any_tier(spec.tier), &spec)?);
            }
            lists.submitted.clear();
            scheduler.submit_many(Instant::from_nanos(now_ns), &lists.specs, &mut lists.submitted);
            let id_of = |submitted: &Result<RequestId, _>| submitted.as_ref().map_or(0, |id| id.to_bits());
            out_requests.set(lists.submitted.iter().map(id_of));
            out_statuses.set(lists.submitted.iter().map(status_of));
            Ok(last_refused(&lists.submitted))
        })
    }
}

/// Reports that many requests completed, as tidegate_scheduler_complete for each in turn would; one that is refused
/// keeps none of the others back. `out_statuses`, the statuses and the last error are those of
/// tidegate_scheduler_submit_many. A count of 0 is no call: not even the time goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_complete_many(
    scheduler: *mut SchedulerHandle,
    now_ns: u64,
    completions: *const CompletionInput,
    completion_count: usize,
    out_statuses: *mut u32,
) -> Status {
    // SAFETY: the caller's promise (header, "Pointers"), here and in the body.
    unsafe {
        mutate_many(scheduler, |scheduler, lists| {
            let completions = memory::list(completions, completion_count, "completions")?;
            let out_statuses = ListOut::optional(out_statuses, completion_count, "out_statuses")?;
            lists.completions.clear();
            for completion in completions {
                lists.completions.push(completion_of(completion)?);
            }
            lists.completed.clear();
            scheduler.complete_many(Instant::from_nanos(now_ns), &lists.completions, &mut lists.completed);
            out_statuses.set(lists.completed.iter().map(status_of));
            Ok(last_refused(&lists.completed))
        })
    }
}

fn completion_of(input: &CompletionInput) -> Result<Completion, Fault> {
    input.reserved.iter().try_for_each(|&reserved| memory::zero(reserved, "completions[].reserved"))?;
    let CompletionInput { prompt_tokens, cached_tokens, output_tokens, .. } = *input;
    Ok(Completion {
        request: RequestId::from_bits(input.request),
        attempt: Attempt::new(input.attempt),
        usage: Usage { prompt_tokens, cached_tokens, output_tokens },
    })
}

fn status_of<T, E: Clone + Into<Fault>>(result: &Result<T, E>) -> u32 {
    let status = match result {
        Ok(_) => Status::Ok,
        Err(error) => Into::<Fault>::into(error.clone()).status(),
    };
    status as u32
}

fn last_refused<T, E: Clone + Into<Fault>>(results: &[Result<T, E>]) -> Option<Fault> {
    let mut newest_first = results.iter().rev();
    newest_first.find_map(|result| result.as_ref().err()).map(|error| error.clone().into())
}
