/* tidegate in C++17: the words: enums, ids, instants, resource vectors, lists. tidegate.hpp includes it.
 *
 * Each enum has the numbers of its C enum. A newer library may say numbers that are not listed here: a switch over
 * a Reason, a Status or a Gate needs a default.
 */
#ifndef TIDEGATE_WORDS_HPP
#define TIDEGATE_WORDS_HPP

#include "../tidegate.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <type_traits>
#include <utility>

/* Translation units that ask for exceptions and those that do not may be linked together: what differs between them
 * has two names. */
#ifdef TIDEGATE_EXCEPTIONS
#define TIDEGATE_HPP_FLAVOUR throwing
#define TIDEGATE_HPP_THROWS 1
#else
#define TIDEGATE_HPP_FLAVOUR aborting
#define TIDEGATE_HPP_THROWS 0
#endif

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

/// In which text format metrics are written: tidegate_metrics_format_t.
enum class MetricsFormat : std::uint32_t {
  open_metrics = TIDEGATE_METRICS_FORMAT_OPEN_METRICS,
  prometheus = TIDEGATE_METRICS_FORMAT_PROMETHEUS,
};

/// What to answer as the `Content-Type` of such a page.
inline const char *content_type(MetricsFormat format) noexcept {
  return tidegate_metrics_content_type(static_cast<std::uint32_t>(format));
}

/// What a call came to: tidegate_status_t.
enum class Status : std::uint32_t {
  ok = TIDEGATE_STATUS_OK,
  null_pointer = TIDEGATE_STATUS_NULL_POINTER,
  struct_size = TIDEGATE_STATUS_STRUCT_SIZE,
  out_of_range = TIDEGATE_STATUS_OUT_OF_RANGE,
  invalid_utf8 = TIDEGATE_STATUS_INVALID_UTF8,
  panic = TIDEGATE_STATUS_PANIC,
  poisoned = TIDEGATE_STATUS_POISONED,
  unlisted = TIDEGATE_STATUS_UNLISTED,
  bad_handle = TIDEGATE_STATUS_BAD_HANDLE,
  in_use = TIDEGATE_STATUS_IN_USE,
  shared = TIDEGATE_STATUS_SHARED,
  config_invalid = TIDEGATE_STATUS_CONFIG_INVALID,
  unknown_tenant = TIDEGATE_STATUS_UNKNOWN_TENANT,
  unknown_tier = TIDEGATE_STATUS_UNKNOWN_TIER,
  unknown_pool = TIDEGATE_STATUS_UNKNOWN_POOL,
  unknown_dimension = TIDEGATE_STATUS_UNKNOWN_DIMENSION,
  zero_demand = TIDEGATE_STATUS_ZERO_DEMAND,
  never_fits = TIDEGATE_STATUS_NEVER_FITS,
  queue_full = TIDEGATE_STATUS_QUEUE_FULL,
  tier_too_urgent = TIDEGATE_STATUS_TIER_TOO_URGENT,
  never_allowed = TIDEGATE_STATUS_NEVER_ALLOWED,
  over_quota = TIDEGATE_STATUS_OVER_QUOTA,
  unknown_request = TIDEGATE_STATUS_UNKNOWN_REQUEST,
  already_terminal = TIDEGATE_STATUS_ALREADY_TERMINAL,
  stale_attempt = TIDEGATE_STATUS_STALE_ATTEMPT,
  wrong_state = TIDEGATE_STATUS_WRONG_STATE,
  unknown_worker = TIDEGATE_STATUS_UNKNOWN_WORKER,
  zero_capacity = TIDEGATE_STATUS_ZERO_CAPACITY,
  worker_lost = TIDEGATE_STATUS_WORKER_LOST,
  unknown_device = TIDEGATE_STATUS_UNKNOWN_DEVICE,
  device_lost = TIDEGATE_STATUS_DEVICE_LOST,
  bad_part = TIDEGATE_STATUS_BAD_PART,
  shared_across_pools = TIDEGATE_STATUS_SHARED_ACROSS_POOLS,
  not_here = TIDEGATE_STATUS_NOT_HERE,
  not_lost = TIDEGATE_STATUS_NOT_LOST,
  bad_name = TIDEGATE_STATUS_BAD_NAME,
  tenant_cycle = TIDEGATE_STATUS_TENANT_CYCLE,
  tenant_too_deep = TIDEGATE_STATUS_TENANT_TOO_DEEP,
  tenant_too_much = TIDEGATE_STATUS_TENANT_TOO_MUCH,
  tenant_busy = TIDEGATE_STATUS_TENANT_BUSY,
  policy_invalid = TIDEGATE_STATUS_POLICY_INVALID,
  grant_too_large = TIDEGATE_STATUS_GRANT_TOO_LARGE,
  snapshot_damaged = TIDEGATE_STATUS_SNAPSHOT_DAMAGED,
  snapshot_shape = TIDEGATE_STATUS_SNAPSHOT_SHAPE,
  snapshot_format = TIDEGATE_STATUS_SNAPSHOT_FORMAT,
  limit_exceeded = TIDEGATE_STATUS_LIMIT_EXCEEDED,
  invariant_violated = TIDEGATE_STATUS_INVARIANT_VIOLATED,
  busy = TIDEGATE_STATUS_BUSY,
};

/// Why the scheduler wants what it wants: tidegate_reason_t.
enum class Reason : std::uint32_t {
  guaranteed = TIDEGATE_REASON_GUARANTEED,
  borrowed = TIDEGATE_REASON_BORROWED,
  reclaimed = TIDEGATE_REASON_RECLAIMED,
  reclaim = TIDEGATE_REASON_RECLAIM,
  urgent = TIDEGATE_REASON_URGENT,
  out_of_memory = TIDEGATE_REASON_OUT_OF_MEMORY,
  not_needed = TIDEGATE_REASON_NOT_NEEDED,
  queue_timeout = TIDEGATE_REASON_QUEUE_TIMEOUT,
  displaced = TIDEGATE_REASON_DISPLACED,
  declined = TIDEGATE_REASON_DECLINED,
  never_fits = TIDEGATE_REASON_NEVER_FITS,
  worker_lost = TIDEGATE_REASON_WORKER_LOST,
  unconfirmed = TIDEGATE_REASON_UNCONFIRMED,
  lease_needed = TIDEGATE_REASON_LEASE_NEEDED,
  lease_ahead = TIDEGATE_REASON_LEASE_AHEAD,
  lease_owed = TIDEGATE_REASON_LEASE_OWED,
  lease_idle = TIDEGATE_REASON_LEASE_IDLE,
  rebalance = TIDEGATE_REASON_REBALANCE,
};

/// What an engine can do with a request that has to yield: tidegate_yield_t.
enum class Yield : std::uint32_t {
  restart = TIDEGATE_YIELD_RESTART,
  checkpoint = TIDEGATE_YIELD_CHECKPOINT,
  never = TIDEGATE_YIELD_NEVER,
};

/// Why an engine did not take a request: tidegate_decline_t.
enum class Decline : std::uint32_t {
  other = TIDEGATE_DECLINE_OTHER,
  no_room = TIDEGATE_DECLINE_NO_ROOM,
  not_ready = TIDEGATE_DECLINE_NOT_READY,
};

/// Where a live request stands: tidegate_state_t.
enum class State : std::uint32_t {
  queued = TIDEGATE_STATE_QUEUED,
  parked = TIDEGATE_STATE_PARKED,
  starting = TIDEGATE_STATE_STARTING,
  running = TIDEGATE_STATE_RUNNING,
  preempting = TIDEGATE_STATE_PREEMPTING,
  releasing = TIDEGATE_STATE_RELEASING,
  aborting = TIDEGATE_STATE_ABORTING,
};

/// What holds a waiting request back: tidegate_gate_t.
enum class Gate : std::uint32_t {
  none = TIDEGATE_GATE_NONE,
  no_worker = TIDEGATE_GATE_NO_WORKER,
  claim = TIDEGATE_GATE_CLAIM,
  round = TIDEGATE_GATE_ROUND,
  borrow_limit = TIDEGATE_GATE_BORROW_LIMIT,
  never_yields = TIDEGATE_GATE_NEVER_YIELDS,
  held = TIDEGATE_GATE_HELD,
  room = TIDEGATE_GATE_ROOM,
  excluded = TIDEGATE_GATE_EXCLUDED,
  quota = TIDEGATE_GATE_QUOTA,
  warmth = TIDEGATE_GATE_WARMTH,
  kept_out = TIDEGATE_GATE_KEPT_OUT,
};

/// How a worker shares its devices with others: tidegate_worker_kind_t.
enum class WorkerKind : std::uint32_t {
  dedicated = TIDEGATE_WORKER_KIND_DEDICATED,
  time_slice = TIDEGATE_WORKER_KIND_TIME_SLICE,
  mps = TIDEGATE_WORKER_KIND_MPS,
  mig = TIDEGATE_WORKER_KIND_MIG,
};

/// What becomes of use beyond the capacity when a worker or a device shrinks: tidegate_shrink_t.
enum class Shrink : std::uint32_t {
  drain = TIDEGATE_SHRINK_DRAIN,
  preempt = TIDEGATE_SHRINK_PREEMPT,
};

/// What becomes of a request whose tenant is over its quota when it is submitted: tidegate_over_quota_t.
enum class OverQuota : std::uint32_t {
  wait = TIDEGATE_OVER_QUOTA_WAIT,
  reject = TIDEGATE_OVER_QUOTA_REJECT,
  demote = TIDEGATE_OVER_QUOTA_DEMOTE,
};

/// Which limit of a tenant: tidegate_quota_t.
enum class Quota : std::uint32_t {
  requests = TIDEGATE_QUOTA_REQUESTS,
  tokens = TIDEGATE_QUOTA_TOKENS,
  running = TIDEGATE_QUOTA_RUNNING,
  units = TIDEGATE_QUOTA_UNITS,
};

/// ErrorNumbers::limit of Status::limit_exceeded: tidegate_limit_t.
enum class Limit : std::uint32_t {
  units = TIDEGATE_LIMIT_UNITS,
  tokens = TIDEGATE_LIMIT_TOKENS,
  requests = TIDEGATE_LIMIT_REQUESTS,
  workers = TIDEGATE_LIMIT_WORKERS,
  tenants = TIDEGATE_LIMIT_TENANTS,
  name_bytes = TIDEGATE_LIMIT_NAME_BYTES,
  attempts = TIDEGATE_LIMIT_ATTEMPTS,
  devices = TIDEGATE_LIMIT_DEVICES,
  devices_per_worker = TIDEGATE_LIMIT_DEVICES_PER_WORKER,
};

/// ErrorNumbers::scope of Status::queue_full: tidegate_scope_t.
enum class Scope : std::uint32_t {
  tier = TIDEGATE_SCOPE_TIER,
  tenant = TIDEGATE_SCOPE_TENANT,
  total = TIDEGATE_SCOPE_TOTAL,
};

/// ErrorNumbers::unit of Status::queue_full: tidegate_unit_t.
enum class Unit : std::uint32_t {
  requests = TIDEGATE_UNIT_REQUESTS,
  tokens = TIDEGATE_UNIT_TOKENS,
};

/// The C number of a word.
template <class Word> constexpr std::uint32_t number(Word word) noexcept {
  static_assert(std::is_enum_v<Word> && sizeof(Word) == sizeof(std::uint32_t));
  return static_cast<std::uint32_t>(word);
}

/// The words for a status, a reason, a gate or a state. They live as long as the program.
inline const char *words(Status status) noexcept { return tidegate_status_str(number(status)); }
inline const char *words(Reason reason) noexcept { return tidegate_reason_str(number(reason)); }
inline const char *words(Gate gate) noexcept { return tidegate_gate_str(number(gate)); }
inline const char *words(State state) noexcept { return tidegate_state_str(number(state)); }

/// A number that means one kind of thing only: a worker is not taken where a tenant belongs.
template <class Kind, class Number> struct Id {
  Number value = 0;

  friend constexpr bool operator==(Id a, Id b) noexcept { return a.value == b.value; }
  friend constexpr bool operator!=(Id a, Id b) noexcept { return a.value != b.value; }
  friend constexpr bool operator<(Id a, Id b) noexcept { return a.value < b.value; }
};

/// From Scheduler::submit; never 0.
using RequestId = Id<struct RequestKind, std::uint64_t>;
/// The number of a start, of its action; reports carry it. Never 0.
using Attempt = Id<struct AttemptKind, std::uint32_t>;
/// From Scheduler::tenant_set.
using TenantId = Id<struct TenantKind, std::uint32_t>;
/// Tiers of the config in their order: 0 is the most urgent.
using TierId = Id<struct TierKind, std::uint32_t>;
/// Pools of the config in their order.
using PoolId = Id<struct PoolKind, std::uint32_t>;
/// From Scheduler::worker_add.
using WorkerId = Id<struct WorkerIdKind, std::uint32_t>;
/// From Scheduler::device_add.
using DeviceId = Id<struct DeviceKind, std::uint32_t>;
/// The number of a call on a Shared: never 0, and higher for a later call of the same thread.
using Ticket = Id<struct TicketKind, std::uint64_t>;
/// The place of a dimension in Resources.
using DimensionId = Id<struct DimensionKind, std::uint32_t>;

/// A span of time in nanoseconds, never negative: std::chrono::seconds(2) is one, and so is 2s with
/// std::chrono_literals. A negative number would be a very long time.
using Duration = std::chrono::duration<std::uint64_t, std::nano>;

/// An instant of the host's monotonic clock: nanoseconds since an origin of its choice, the same in every call.
struct Instant {
  std::uint64_t ns = 0;

  /// An instant of the steady clock, for hosts that have no clock of their own.
  static Instant of(std::chrono::steady_clock::time_point time) noexcept {
    return {static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(time.time_since_epoch()).count())};
  }

  friend constexpr bool operator==(Instant a, Instant b) noexcept { return a.ns == b.ns; }
  friend constexpr bool operator!=(Instant a, Instant b) noexcept { return a.ns != b.ns; }
  friend constexpr bool operator<(Instant a, Instant b) noexcept { return a.ns < b.ns; }
  friend constexpr bool operator<=(Instant a, Instant b) noexcept { return a.ns <= b.ns; }
  friend constexpr Instant operator+(Instant a, Duration b) noexcept { return {a.ns + b.count()}; }
};

/// How much of each dimension of the config, in its order; the rest is 0. `{1, 40}` is one slot and forty blocks.
using Resources = std::array<std::uint64_t, TIDEGATE_DIMENSIONS>;

/// A list that somebody else owns, as std::span in C++20: a vector, an array, or `{{a, b}}` for the length of a call.
template <class T> class Span {
public:
  constexpr Span() noexcept = default;
  constexpr Span(T *data, std::size_t size) noexcept : data_(data), size_(size) {}
  // Compared as arrays: a list of what is derived from T is as long as its own elements make it.
  template <class List, class = std::enable_if_t<std::is_convertible_v<
                            std::remove_pointer_t<decltype(std::declval<List &>().data())> (*)[], T (*)[]>>>
  constexpr Span(List &&list) noexcept : data_(list.data()), size_(list.size()) {}
  template <std::size_t Size> constexpr Span(T (&array)[Size]) noexcept : data_(array), size_(Size) {}

  constexpr T *data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T *begin() const noexcept { return data_; }
  constexpr T *end() const noexcept { return data_ + size_; }
  constexpr T &operator[](std::size_t index) const noexcept { return data_[index]; }

private:
  T *data_ = nullptr;
  std::size_t size_ = 0;
};

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

/// Ids are keys of hash maps.
template <class Kind, class Number> struct std::hash<tidegate::Id<Kind, Number>> {
  std::size_t operator()(tidegate::Id<Kind, Number> id) const noexcept { return std::hash<Number>{}(id.value); }
};

#endif /* TIDEGATE_WORDS_HPP */
