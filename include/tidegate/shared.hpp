/* tidegate in C++17: one scheduler for many threads. tidegate.hpp includes it. */
#ifndef TIDEGATE_SHARED_HPP
#define TIDEGATE_SHARED_HPP

#include "scheduler.hpp"

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

/// A request was accepted; its Start or Drop comes later.
struct Accepted {
  Ticket ticket;
  RequestId request;
  /// Of its spec.
  std::uint64_t tag;
};

/// What was left in the intake was refused, and changed nothing.
struct Refused {
  Ticket ticket;
  /// Of the spec, if it was a submit.
  std::uint64_t tag;
  Status status;
  /// As Scheduler::last_error would tell them.
  ErrorNumbers numbers;
};

/// A request that waited was cancelled by its ticket; it has ended.
struct Cancelled {
  Ticket ticket;
  RequestId request;
};

/// A request was cancelled by its ticket while an engine has it: stop it there, then report cancel_request. If its
/// Start is still to come, do not start it.
struct StopFirst {
  Ticket ticket;
  RequestId request;
};

/// What a newer library tells and this header does not know: to be ignored.
struct UnknownOutcome {
  tidegate_outcome_t c;
};

/// One thing that a poll of a Shared tells.
using Outcome = std::variant<Action, Accepted, Refused, Cancelled, StopFirst, UnknownOutcome>;

/// The outcome that a C record tells.
inline Outcome outcome_from(const tidegate_outcome_t &c) noexcept {
  switch (c.kind) {
  case TIDEGATE_OUTCOME_ACTION:
    return action_from(c.action);
  case TIDEGATE_OUTCOME_ACCEPTED:
    return Accepted{{c.ticket}, {c.request}, c.tag};
  case TIDEGATE_OUTCOME_REFUSED: {
    ErrorNumbers numbers = TIDEGATE_ERROR_INIT;
    numbers.status = c.status;
    numbers.request = c.request;
    numbers.attempt = c.attempt;
    numbers.current_attempt = c.current_attempt;
    numbers.state = c.state;
    numbers.limit = c.limit;
    numbers.scope = c.scope;
    numbers.subject = c.subject;
    numbers.unit = c.unit;
    numbers.pool = c.pool;
    numbers.need = c.need;
    numbers.max = c.max;
    numbers.retry_at_ns = c.retry_at_ns;
    return Refused{{c.ticket}, c.tag, static_cast<Status>(c.status), numbers};
  }
  case TIDEGATE_OUTCOME_CANCELLED:
    return Cancelled{{c.ticket}, {c.request}};
  case TIDEGATE_OUTCOME_STOP_FIRST:
    return StopFirst{{c.ticket}, {c.request}};
  default:
    return UnknownOutcome{c};
  }
}

/// A scheduler that any number of threads use at once. What they leave in its intake never waits for a poll;
/// Status::busy says that there is no room now. One thread, the engine's, polls and sleeps in between:
///
///     while (running) {
///       outcomes.clear();
///       shared.poll_into(now(), outcomes).value();
///       for (const auto &outcome : outcomes) tidegate::match(outcome, ...);
///       shared.wait(now(), *mine.poll_timeout()).value(); // mine: a handle of its own, from open()
///     }
class Shared {
public:
  /// The most that an intake has room for.
  static constexpr std::size_t max_intake = TIDEGATE_MAX_INTAKE;
  /// Makes a scheduler one for many threads; so many calls can lie in its intake at a time. If that does not work, the
  /// scheduler stays as it is.
  static Result<Shared> create(Scheduler &&scheduler, std::size_t intake_capacity = 1024) {
    tidegate_shared_t *handle = nullptr;
    const auto status = tidegate_shared_new(scheduler.c(), intake_capacity, &handle);
    if (status != TIDEGATE_STATUS_OK) return scheduler.failed_with(status);
    static_cast<void>(scheduler.handle_.release()); // the C handle has ended with the call
    return Shared(handle);
  }

  /// For calls of tidegate.h; it stays this object's.
  const tidegate_shared_t *c() const noexcept { return handle_.get(); }

  /// A handle for one thread, with which all of Scheduler but poll works on the spot; calls wait for the lock. What
  /// changes something is applied after what lies in the intake; questions do not look there.
  Result<Scheduler> open() const {
    tidegate_scheduler_t *handle = nullptr;
    const auto status = tidegate_shared_open(c(), &handle);
    if (status != TIDEGATE_STATUS_OK) return detail::error_of(status);
    return Scheduler(handle);
  }

  // What threads leave in the intake. Accepted or Refused follows a submit; Refused, or nothing, follows the others.

  Result<Ticket> submit(Instant now, const RequestSpec &spec) const {
    Ticket ticket;
    return detail::asked(tidegate_shared_submit(c(), now.ns, &spec.c(), &ticket.value), ticket);
  }
  /// Cancels what was submitted with this ticket, whether it was applied yet or not. Cancelled follows, or StopFirst;
  /// nothing, if it has ended.
  Result<void> cancel(Instant now, Ticket ticket) const {
    return detail::asked(tidegate_shared_cancel(c(), now.ns, ticket.value));
  }
  Result<Ticket> cancel_request(Instant now, RequestId request) const {
    Ticket ticket;
    return detail::asked(tidegate_shared_cancel_request(c(), now.ns, request.value, &ticket.value), ticket);
  }
  Result<Ticket> started(Instant now, RequestId request, Attempt attempt, std::uint64_t cached_tokens,
                         const Resources &in_use) const {
    Ticket ticket;
    const auto status = tidegate_shared_started(c(), now.ns, request.value, attempt.value, cached_tokens,
                                                in_use.data(), &ticket.value);
    return detail::asked(status, ticket);
  }
  Result<Ticket> declined(Instant now, RequestId request, Attempt attempt, Decline why) const {
    Ticket ticket;
    const auto status =
        tidegate_shared_declined(c(), now.ns, request.value, attempt.value, number(why), &ticket.value);
    return detail::asked(status, ticket);
  }
  Result<Ticket> progress(Instant now, RequestId request, Attempt attempt, std::uint64_t output_tokens,
                          const Resources &in_use) const {
    Ticket ticket;
    const auto status = tidegate_shared_progress(c(), now.ns, request.value, attempt.value, output_tokens,
                                                 in_use.data(), &ticket.value);
    return detail::asked(status, ticket);
  }
  Result<Ticket> step(Instant now, WorkerId worker, std::uint64_t tokens_each,
                      Span<const StepException> exceptions = {}) const {
    Ticket ticket;
    const auto *list = detail::as_c<const tidegate_step_exception_t>(exceptions.data());
    const auto status =
        tidegate_shared_step(c(), now.ns, worker.value, tokens_each, list, exceptions.size(), &ticket.value);
    return detail::asked(status, ticket);
  }
  Result<Ticket> preempted(Instant now, RequestId request, Attempt attempt, std::uint64_t tokens_kept = 0) const {
    return stopped(now, request, attempt, tokens_kept, 0);
  }
  Result<Ticket> preempted_and_releasing(Instant now, RequestId request, Attempt attempt,
                                         std::uint64_t tokens_kept = 0) const {
    return stopped(now, request, attempt, tokens_kept, 1);
  }
  Result<Ticket> released(Instant now, RequestId request, Attempt attempt) const {
    Ticket ticket;
    return detail::asked(tidegate_shared_released(c(), now.ns, request.value, attempt.value, &ticket.value), ticket);
  }
  Result<Ticket> complete(Instant now, RequestId request, Attempt attempt, const Usage &usage) const {
    Ticket ticket;
    const auto used = usage.c();
    const auto status = tidegate_shared_complete(c(), now.ns, request.value, attempt.value, &used, &ticket.value);
    return detail::asked(status, ticket);
  }
  Result<Ticket> failed(Instant now, RequestId request, Attempt attempt) const {
    Ticket ticket;
    return detail::asked(tidegate_shared_failed(c(), now.ns, request.value, attempt.value, &ticket.value), ticket);
  }

  // What the engine's thread does.

  /// Applies what lies in the intake, and appends what came of it and what the scheduler wants: a whole round.
  Result<void> poll_into(Instant now, std::vector<Outcome> &outcomes) const {
    std::array<tidegate_outcome_t, 32> batch;
    std::uint32_t more = 0;
    do {
      std::size_t count = 0;
      const auto status = tidegate_shared_poll(c(), now.ns, batch.data(), batch.size(), &count, &more);
      if (status != TIDEGATE_STATUS_OK) return detail::error_of(status);
      for (std::size_t outcome = 0; outcome < count; ++outcome) outcomes.push_back(outcome_from(batch[outcome]));
    } while (more != 0);
    return {};
  }
  /// Sleeps until there is something to poll, or the host's clock, which shows `now`, shows `until`; sometimes not as
  /// long. Whether there is something to poll.
  Result<bool> wait(Instant now, std::optional<Instant> until) const {
    std::uint32_t work = 0;
    const auto status = tidegate_shared_wait(c(), now.ns, until ? until->ns : TIDEGATE_NEVER, &work);
    return detail::asked(status, work != 0);
  }
  /// Wakes who sleeps in wait.
  Result<void> wake() const { return detail::asked(tidegate_shared_wake(c())); }

private:
  explicit Shared(tidegate_shared_t *handle) noexcept : handle_(handle) {}

  Result<Ticket> stopped(Instant now, RequestId request, Attempt attempt, std::uint64_t tokens_kept,
                         std::uint32_t releasing) const {
    Ticket ticket;
    const auto status = tidegate_shared_preempted(c(), now.ns, request.value, attempt.value, tokens_kept, releasing,
                                                  &ticket.value);
    return detail::asked(status, ticket);
  }

  std::unique_ptr<tidegate_shared_t, detail::Free> handle_;
};

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

#endif /* TIDEGATE_SHARED_HPP */
