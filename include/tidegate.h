/* tidegate: which LLM inference request runs now, which waits, and which yields.
 *
 * This file is written by `ffi/tests/header.rs` from the sources in `ffi/`; change it there.
 *
 * A scheduler is a state machine without IO, clock, threads or randomness. The host tells it what happens,
 * asks what to do, and passes the time with every call:
 *
 *     submit -> poll: START on a worker -> started, progress -> complete
 *                     PREEMPT a victim  -> preempted
 *
 * Threads
 *
 *   Nothing here starts a thread or reads a clock. A handle may move between threads. Functions that take
 *   `const T *` may be called on one handle from several threads at the same time; a function that takes `T *`
 *   needs the handle for itself alone: no other call on that handle, of either kind, may run beside it. Different
 *   handles are independent. The functions without a handle may be called from anywhere at any time. Whoever
 *   calls from two threads what needs the handle for itself is told TIDEGATE_STATUS_IN_USE where it shows; that is
 *   no lock.
 *
 *   A host with several threads puts its own lock around a tidegate_scheduler_t, or makes it a tidegate_shared_t,
 *   which all threads use at once: all its functions but _free take `const tidegate_shared_t *`. What threads
 *   leave in its intake (submit, cancel, reports) never waits for a poll; one thread, the engine's, polls and
 *   sleeps in between. For an answer on the spot, and for all that is not a request's, a thread opens a
 *   tidegate_scheduler_t of its own on it: calls on that take the lock. What one thread says is heard in its order,
 *   whichever way it says it. No lock is held when a call has returned.
 *
 *     in the engine's thread, with a handle of its own from tidegate_shared_open:
 *       tidegate_shared_poll until *out_more is 0; do what the outcomes say
 *       tidegate_scheduler_poll_timeout(its handle, &at)
 *       tidegate_shared_wait(shared, now, at, &work)
 *
 * Pointers
 *
 *   Handles come from a function whose last argument is `T **`, and end with `_free`; `_free(NULL)` does
 *   nothing. There is nothing else to free. A pointer to what is no handle of the kind, or was freed, is
 *   told TIDEGATE_STATUS_BAD_HANDLE where it shows, and `_free` leaves it alone; it is wrong all the same.
 *   Every pointer is aligned and, unless its function says otherwise, must not be NULL: that is
 *   TIDEGATE_STATUS_NULL_POINTER. What is passed in is borrowed for the call. A text is a pointer and a
 *   length in bytes, UTF-8, without a NUL; NULL is a text of length 0. A list is a pointer and a count of
 *   records; NULL is a list of count 0. Outputs are the last arguments. They are written only if the status
 *   is TIDEGATE_STATUS_OK; where a message is written on failure instead, its function says so. Everything
 *   is read before anything is written: an output may overlap an input. Of outputs that overlap each other
 *   the later argument is right.
 *
 * Numbers
 *
 *   Time is in nanoseconds of the host's monotonic clock, from an origin of its choice; a `now_ns` earlier
 *   than one before counts as no time passed. A resource vector is four numbers in the order of the config's
 *   dimensions. Enums are passed as uint32_t and checked. 0 is never a request, an attempt, an action or a
 *   reason.
 *
 * Structs
 *
 *   A struct that begins with `struct_size` grows at its end in later versions. Begin with its
 *   TIDEGATE_..._INIT macro and set fields by name: a program compiled with an older header then works with a
 *   newer library. With an older library it works as long as fields which that does not know are 0.
 *
 * Errors
 *
 *   A call that does not return TIDEGATE_STATUS_OK changed nothing, but for the time, which goes on. NEVER_FITS,
 *   NEVER_ALLOWED and LIMIT_EXCEEDED are for ever, QUEUE_FULL, OVER_QUOTA and BUSY pass. tidegate_scheduler_last_error
 *   has the numbers, tidegate_scheduler_last_error_message the words. After TIDEGATE_STATUS_PANIC, a bug in the library, the
 *   handle is poisoned: all it does is to tell the last error and to be freed.
 */

#ifndef TIDEGATE_H
#define TIDEGATE_H

#include <stddef.h>
#include <stdint.h>

/**
 * The version of the package that this header is of.
 */
#define TIDEGATE_VERSION "0.1.0"

/**
 * The version of the ABI that this header describes; tidegate_abi_version() says what the library is. It
 * rises when something that compiled and ran before would not any more.
 */
#define TIDEGATE_ABI_VERSION 1

/**
 * Numbers of a resource vector, in the order of the config's dimensions; the last ones are 0 where the
 * config names fewer.
 */
#define TIDEGATE_DIMENSIONS 4

/**
 * Pools that a request may name besides the one it prefers.
 */
#define TIDEGATE_OTHER_POOLS 3

/**
 * Counters in tidegate_tenant_usage_t.queue_delays.
 */
#define TIDEGATE_QUEUE_DELAY_BUCKETS 24

/**
 * Counters in tidegate_stats_t.by_reason: more than there are reasons today.
 */
#define TIDEGATE_STATS_REASONS 64

/**
 * The most calls that the intake of a shared scheduler may have room for; chosen arbitrarily.
 */
#define TIDEGATE_MAX_INTAKE 65536

/**
 * An instant that never comes: there is nothing to wake up for.
 */
#define TIDEGATE_NEVER UINT64_MAX

/**
 * tidegate_request_spec_t.flags: output_tokens is set.
 */
#define TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS 1

/**
 * tidegate_request_spec_t.flags: queue_timeout_ns is set; without it the tier's holds.
 */
#define TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT 2

/**
 * tidegate_request_spec_t.flags: deadline_ns is set.
 */
#define TIDEGATE_REQUEST_HAS_DEADLINE 4

/**
 * tidegate_device_spec_t.flags: checkpoint_mib is set; without it checkpoints may take any amount.
 */
#define TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB 1

/**
 * tidegate_worker_spec_t.flags: it stands by until another of its pool is lost by a fault, and then takes that
 * one's place for good; who replaces that one stands by.
 */
#define TIDEGATE_WORKER_IS_SPARE 1

/**
 * tidegate_worker_spec_t.flags: replaces is set.
 */
#define TIDEGATE_WORKER_REPLACES 2

/**
 * tidegate_amendment_t.flags: demand is set.
 */
#define TIDEGATE_AMEND_DEMAND 1

/**
 * tidegate_amendment_t.flags: peak is set.
 */
#define TIDEGATE_AMEND_PEAK 2

/**
 * tidegate_amendment_t.flags: tier is set.
 */
#define TIDEGATE_AMEND_TIER 4

/**
 * tidegate_amendment_t.flags: deadline_ns is set.
 */
#define TIDEGATE_AMEND_DEADLINE 8

/**
 * tidegate_tenant_policy_t.flags: parent is set; without it the tenant stands at the top.
 */
#define TIDEGATE_TENANT_HAS_PARENT 1

/**
 * tidegate_tenant_policy_t.flags: requests is set.
 */
#define TIDEGATE_TENANT_HAS_REQUESTS 2

/**
 * tidegate_tenant_policy_t.flags: tokens is set.
 */
#define TIDEGATE_TENANT_HAS_TOKENS 4

/**
 * tidegate_tenant_policy_t.flags: what comes in a period is shared with other replicas: it begins with nothing,
 * and gets what their common store grants.
 */
#define TIDEGATE_TENANT_LEASED 8

/**
 * tidegate_tenant_policy_t.flags: max_running is set.
 */
#define TIDEGATE_TENANT_HAS_MAX_RUNNING 16

/**
 * tidegate_tenant_policy_t.flags: queue_limit is set.
 */
#define TIDEGATE_TENANT_HAS_QUEUE_LIMIT 32

/**
 * tidegate_tenant_policy_t.flags: queue_token_limit is set.
 */
#define TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT 64

/**
 * tidegate_tenant_policy_t.flags: a request that needs more than a whole burst may start when the burst is full,
 * and leave a debt; without, it is refused for ever.
 */
#define TIDEGATE_TENANT_ALLOW_WHEN_FULL 128

/**
 * What a function returns. 0 is success; the numbers stand in blocks: 1 to 99 the call itself, 100 config,
 * 200 submission, 300 reports, 400 workers and devices, 500 tenants, 600 snapshots, 900 the whole scheduler.
 */
enum tidegate_status_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Done; the outputs are written.
   */
  TIDEGATE_STATUS_OK = 0,
  /**
   * A pointer that must not be NULL is NULL.
   */
  TIDEGATE_STATUS_NULL_POINTER = 1,
  /**
   * The struct_size of a struct is smaller than any version of it, or larger than this library knows and
   * not zero there. Use the struct's TIDEGATE_..._INIT macro.
   */
  TIDEGATE_STATUS_STRUCT_SIZE = 2,
  /**
   * A number is not one of its enum, a reserved field or an unknown flag is not 0, or a capacity is 0.
   */
  TIDEGATE_STATUS_OUT_OF_RANGE = 3,
  /**
   * A text is not UTF-8.
   */
  TIDEGATE_STATUS_INVALID_UTF8 = 4,
  /**
   * A bug in the library. The handle is poisoned: free it.
   */
  TIDEGATE_STATUS_PANIC = 5,
  /**
   * An earlier call on this handle returned TIDEGATE_STATUS_PANIC: free it.
   */
  TIDEGATE_STATUS_POISONED = 6,
  /**
   * An error that this version of the header has no number for; the message says which.
   */
  TIDEGATE_STATUS_UNLISTED = 7,
  /**
   * The pointer is of no handle of this kind, or of one that was freed. It is told where it shows, which it need not.
   */
  TIDEGATE_STATUS_BAD_HANDLE = 8,
  /**
   * Another thread uses the handle, which this call needs for itself. It is told where it shows, which it need not.
   */
  TIDEGATE_STATUS_IN_USE = 9,
  /**
   * Other handles have the scheduler too: tidegate_shared_poll polls it, and nobody can take it.
   */
  TIDEGATE_STATUS_SHARED = 10,
  /**
   * The config cannot be used; the message names each field at fault.
   */
  TIDEGATE_STATUS_CONFIG_INVALID = 100,
  /**
   * No such tenant: tidegate_scheduler_tenant_set comes first.
   */
  TIDEGATE_STATUS_UNKNOWN_TENANT = 200,
  /**
   * The config has fewer tiers, or none of that name.
   */
  TIDEGATE_STATUS_UNKNOWN_TIER = 201,
  /**
   * The config has fewer pools, or none of that name.
   */
  TIDEGATE_STATUS_UNKNOWN_POOL = 202,
  /**
   * The config has no dimension of that name.
   */
  TIDEGATE_STATUS_UNKNOWN_DIMENSION = 203,
  /**
   * The demand is zero in every dimension.
   */
  TIDEGATE_STATUS_ZERO_DEMAND = 204,
  /**
   * Never: no configured worker, or no share that its tier may use, can hold the request.
   */
  TIDEGATE_STATUS_NEVER_FITS = 205,
  /**
   * Not now: a queue is full.
   */
  TIDEGATE_STATUS_QUEUE_FULL = 206,
  /**
   * The tenant may use less urgent tiers only.
   */
  TIDEGATE_STATUS_TIER_TOO_URGENT = 207,
  /**
   * Never, as the limits are: the request needs more than a limit of its tenant, or of one above.
   */
  TIDEGATE_STATUS_NEVER_ALLOWED = 208,
  /**
   * Not now: its tenant does not wait for quota, and there is none.
   */
  TIDEGATE_STATUS_OVER_QUOTA = 209,
  /**
   * No request ever had this id.
   */
  TIDEGATE_STATUS_UNKNOWN_REQUEST = 300,
  /**
   * The request has ended already.
   */
  TIDEGATE_STATUS_ALREADY_TERMINAL = 301,
  /**
   * The report is of an earlier start, or of one that was not made.
   */
  TIDEGATE_STATUS_STALE_ATTEMPT = 302,
  /**
   * The report does not follow from where the request stands.
   */
  TIDEGATE_STATUS_WRONG_STATE = 303,
  /**
   * No worker has this number.
   */
  TIDEGATE_STATUS_UNKNOWN_WORKER = 400,
  /**
   * The capacity is zero in every dimension.
   */
  TIDEGATE_STATUS_ZERO_CAPACITY = 401,
  /**
   * The worker was reported lost already.
   */
  TIDEGATE_STATUS_WORKER_LOST = 402,
  /**
   * No device has this number.
   */
  TIDEGATE_STATUS_UNKNOWN_DEVICE = 403,
  /**
   * The device was reported lost already.
   */
  TIDEGATE_STATUS_DEVICE_LOST = 404,
  /**
   * A part of a device is 0, more than 1000000, or of a device that is named before.
   */
  TIDEGATE_STATUS_BAD_PART = 405,
  /**
   * A device with less than its workers can be shared by workers of one pool only.
   */
  TIDEGATE_STATUS_SHARED_ACROSS_POOLS = 406,
  /**
   * The request is on another worker, or on none.
   */
  TIDEGATE_STATUS_NOT_HERE = 407,
  /**
   * Who is to be replaced is no lost worker of the pool.
   */
  TIDEGATE_STATUS_NOT_LOST = 408,
  /**
   * A tenant's name is empty, or has a control character.
   */
  TIDEGATE_STATUS_BAD_NAME = 500,
  /**
   * The tenant would stand below itself.
   */
  TIDEGATE_STATUS_TENANT_CYCLE = 501,
  /**
   * The tree of tenants would be too deep.
   */
  TIDEGATE_STATUS_TENANT_TOO_DEEP = 502,
  /**
   * What the tenant has open is more than the books of those above can hold.
   */
  TIDEGATE_STATUS_TENANT_TOO_MUCH = 503,
  /**
   * The tenant has live requests, or tenants below it.
   */
  TIDEGATE_STATUS_TENANT_BUSY = 504,
  /**
   * The policy cannot be used; the message names each field at fault.
   */
  TIDEGATE_STATUS_POLICY_INVALID = 505,
  /**
   * A grant is more than was wanted.
   */
  TIDEGATE_STATUS_GRANT_TOO_LARGE = 506,
  /**
   * The bytes are no snapshot, or not those that were written.
   */
  TIDEGATE_STATUS_SNAPSHOT_DAMAGED = 600,
  /**
   * The config has other dimensions, pools or tiers than that of the snapshot; the message names each that differs.
   */
  TIDEGATE_STATUS_SNAPSHOT_SHAPE = 601,
  /**
   * The snapshot is of another build of tidegate, which writes another format; the message names both.
   */
  TIDEGATE_STATUS_SNAPSHOT_FORMAT = 602,
  /**
   * A number is beyond what the scheduler takes.
   */
  TIDEGATE_STATUS_LIMIT_EXCEEDED = 900,
  /**
   * tidegate_scheduler_check_invariants found a bug in the scheduler.
   */
  TIDEGATE_STATUS_INVARIANT_VIOLATED = 901,
  /**
   * Not now: the intake of a shared scheduler is full, or what came of it was not polled.
   */
  TIDEGATE_STATUS_BUSY = 902,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_status_t tidegate_status_t;
#else
typedef uint32_t tidegate_status_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an action asks for.
 */
enum tidegate_action_kind_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Start the request on the worker. Answer with started, progress, declined, or an end.
   */
  TIDEGATE_ACTION_START = 1,
  /**
   * Stop the request. Answer with preempted, or with its end if it ended first.
   */
  TIDEGATE_ACTION_PREEMPT = 2,
  /**
   * A PREEMPT is taken back: go on if it has not stopped yet, else answer as to the PREEMPT.
   */
  TIDEGATE_ACTION_SPARE = 3,
  /**
   * Stop the running request and answer its client with an error; report failed when it stopped.
   */
  TIDEGATE_ACTION_ABORT = 4,
  /**
   * The request has ended and runs nowhere; answer its client. Nothing is to be reported.
   */
  TIDEGATE_ACTION_DROP = 5,
  /**
   * The victim was not reported stopped in time; its units stay counted as used.
   */
  TIDEGATE_ACTION_STUCK = 6,
  /**
   * Ask the store that replicas share, and answer with lease_granted. The same seq is the same wish, said again
   * because it was not answered.
   */
  TIDEGATE_ACTION_LEASE_WANTED = 7,
  /**
   * The worker went with another that the host said is lost: nothing runs there any more, end what is left of it. Nothing
   * is to be reported.
   */
  TIDEGATE_ACTION_ALSO_LOST = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_action_kind_t tidegate_action_kind_t;
#else
typedef uint32_t tidegate_action_kind_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Why the scheduler wants what it wants.
 */
enum tidegate_reason_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * START: within the tier's reserve.
   */
  TIDEGATE_REASON_GUARANTEED = 1,
  /**
   * START: beyond the tier's reserve, on what nobody holds.
   */
  TIDEGATE_REASON_BORROWED = 2,
  /**
   * START: on units that were reclaimed for it.
   */
  TIDEGATE_REASON_RECLAIMED = 3,
  /**
   * PREEMPT: the beneficiary is within its tier's reserve.
   */
  TIDEGATE_REASON_RECLAIM = 4,
  /**
   * PREEMPT: the beneficiary's tier may preempt while it borrows.
   */
  TIDEGATE_REASON_URGENT = 5,
  /**
   * PREEMPT or ABORT: the worker has less memory than its requests use.
   */
  TIDEGATE_REASON_OUT_OF_MEMORY = 6,
  /**
   * SPARE: the units are no longer needed.
   */
  TIDEGATE_REASON_NOT_NEEDED = 7,
  /**
   * DROP: it waited longer than its queue timeout.
   */
  TIDEGATE_REASON_QUEUE_TIMEOUT = 8,
  /**
   * DROP: a more urgent request needed its place in the queue.
   */
  TIDEGATE_REASON_DISPLACED = 9,
  /**
   * DROP: engines declined it three times in a row.
   */
  TIDEGATE_REASON_DECLINED = 10,
  /**
   * DROP or ABORT: it has outgrown every worker there is, or the one that it has to itself.
   */
  TIDEGATE_REASON_NEVER_FITS = 11,
  /**
   * DROP: its worker was lost, and it cannot run twice. ALSO_LOST: another on its devices was.
   */
  TIDEGATE_REASON_WORKER_LOST = 12,
  /**
   * STUCK: the victim was not reported stopped in time.
   */
  TIDEGATE_REASON_UNCONFIRMED = 13,
  /**
   * LEASE_WANTED: somebody waits for it, or was refused it a while ago.
   */
  TIDEGATE_REASON_LEASE_NEEDED = 14,
  /**
   * LEASE_WANTED: what is used in a while is half gone.
   */
  TIDEGATE_REASON_LEASE_AHEAD = 15,
  /**
   * LEASE_WANTED: more was used than was granted.
   */
  TIDEGATE_REASON_LEASE_OWED = 16,
  /**
   * LEASE_WANTED: what nobody uses goes back.
   */
  TIDEGATE_REASON_LEASE_IDLE = 17,
  /**
   * PREEMPT: its worker is saturated and another idle, where it goes on.
   */
  TIDEGATE_REASON_REBALANCE = 18,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_reason_t tidegate_reason_t;
#else
typedef uint32_t tidegate_reason_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What the engine can do with a request that has to yield; and, in an action, how it is to yield.
 */
enum tidegate_yield_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Throw away what was computed.
   */
  TIDEGATE_YIELD_RESTART = 0,
  /**
   * Keep what was computed, as far as the engine can.
   */
  TIDEGATE_YIELD_CHECKPOINT = 1,
  /**
   * Nothing: once started it runs to its end. Never in an action.
   */
  TIDEGATE_YIELD_NEVER = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_yield_t tidegate_yield_t;
#else
typedef uint32_t tidegate_yield_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Why an engine did not take a request that it was told to start.
 */
enum tidegate_decline_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Anything that the others do not name.
   */
  TIDEGATE_DECLINE_OTHER = 0,
  /**
   * It had no room after all.
   */
  TIDEGATE_DECLINE_NO_ROOM = 1,
  /**
   * It is not ready (loading, reloading, draining).
   */
  TIDEGATE_DECLINE_NOT_READY = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_decline_t tidegate_decline_t;
#else
typedef uint32_t tidegate_decline_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Where a live request stands.
 */
enum tidegate_state_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It waits for a start.
   */
  TIDEGATE_STATE_QUEUED = 1,
  /**
   * It waits, and no worker that is up could hold it.
   */
  TIDEGATE_STATE_PARKED = 2,
  /**
   * START was given, and the engine has not reported yet.
   */
  TIDEGATE_STATE_STARTING = 3,
  /**
   * The engine runs it.
   */
  TIDEGATE_STATE_RUNNING = 4,
  /**
   * PREEMPT was given; its units count as used until the engine reports it stopped.
   */
  TIDEGATE_STATE_PREEMPTING = 5,
  /**
   * It stopped, and its units are still to be released.
   */
  TIDEGATE_STATE_RELEASING = 6,
  /**
   * ABORT was given; its units count as used until the engine reports it stopped.
   */
  TIDEGATE_STATE_ABORTING = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_state_t tidegate_state_t;
#else
typedef uint32_t tidegate_state_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What TIDEGATE_STATUS_LIMIT_EXCEEDED is about.
 */
enum tidegate_limit_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Units of one dimension.
   */
  TIDEGATE_LIMIT_UNITS = 1,
  /**
   * Tokens of one request.
   */
  TIDEGATE_LIMIT_TOKENS = 2,
  /**
   * Live requests.
   */
  TIDEGATE_LIMIT_REQUESTS = 3,
  /**
   * Workers ever added.
   */
  TIDEGATE_LIMIT_WORKERS = 4,
  /**
   * Tenants known.
   */
  TIDEGATE_LIMIT_TENANTS = 5,
  /**
   * Bytes of a name.
   */
  TIDEGATE_LIMIT_NAME_BYTES = 6,
  /**
   * Starts of one request.
   */
  TIDEGATE_LIMIT_ATTEMPTS = 7,
  /**
   * Devices ever added.
   */
  TIDEGATE_LIMIT_DEVICES = 8,
  /**
   * Devices of one worker.
   */
  TIDEGATE_LIMIT_DEVICES_PER_WORKER = 9,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_limit_t tidegate_limit_t;
#else
typedef uint32_t tidegate_limit_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Whose queue TIDEGATE_STATUS_QUEUE_FULL is about.
 */
enum tidegate_scope_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * The tier's.
   */
  TIDEGATE_SCOPE_TIER = 1,
  /**
   * The tenant's.
   */
  TIDEGATE_SCOPE_TENANT = 2,
  /**
   * The scheduler's.
   */
  TIDEGATE_SCOPE_TOTAL = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_scope_t tidegate_scope_t;
#else
typedef uint32_t tidegate_scope_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What TIDEGATE_STATUS_QUEUE_FULL counts.
 */
enum tidegate_unit_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Requests.
   */
  TIDEGATE_UNIT_REQUESTS = 1,
  /**
   * Prompt and expected output tokens.
   */
  TIDEGATE_UNIT_TOKENS = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_unit_t tidegate_unit_t;
#else
typedef uint32_t tidegate_unit_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What becomes of use beyond the capacity when a worker or a device shrinks.
 */
enum tidegate_shrink_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing is stopped; nothing more starts until there is room.
   */
  TIDEGATE_SHRINK_DRAIN = 0,
  /**
   * What is still too much after some time is stopped.
   */
  TIDEGATE_SHRINK_PREEMPT = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_shrink_t tidegate_shrink_t;
#else
typedef uint32_t tidegate_shrink_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What holds a waiting request back: the first that applies.
 */
enum tidegate_gate_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Nothing: it runs, or starts when polled.
   */
  TIDEGATE_GATE_NONE = 0,
  /**
   * It is parked: no worker that is up, or no share of what is up, can hold it.
   */
  TIDEGATE_GATE_NO_WORKER = 1,
  /**
   * Its claim waits for victims to give back their units.
   */
  TIDEGATE_GATE_CLAIM = 2,
  /**
   * It stopped or was declined in this round, and is offered again in the next.
   */
  TIDEGATE_GATE_ROUND = 3,
  /**
   * Its tier would be beyond its reserve and its borrow limit.
   */
  TIDEGATE_GATE_BORROW_LIMIT = 4,
  /**
   * It never yields, and would put reserves out of reach.
   */
  TIDEGATE_GATE_NEVER_YIELDS = 5,
  /**
   * What is free is held for other tiers, or is not there.
   */
  TIDEGATE_GATE_HELD = 6,
  /**
   * No worker has room for it.
   */
  TIDEGATE_GATE_ROOM = 7,
  /**
   * The workers that have room are kept clear of it: declined by them, or drained for others.
   */
  TIDEGATE_GATE_EXCLUDED = 8,
  /**
   * Its tenant, or one above, has no quota for it now, or others wait for it before.
   */
  TIDEGATE_GATE_QUOTA = 9,
  /**
   * It waits a while for a worker that has its prompt in the cache and no room now.
   */
  TIDEGATE_GATE_WARMTH = 10,
  /**
   * It is parked, and the workers that could hold it are kept out for a while: they were lost again and again.
   */
  TIDEGATE_GATE_KEPT_OUT = 11,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_gate_t tidegate_gate_t;
#else
typedef uint32_t tidegate_gate_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What becomes of a request whose tenant is over its quota when it is submitted.
 */
enum tidegate_over_quota_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It waits until there is quota.
   */
  TIDEGATE_OVER_QUOTA_WAIT = 0,
  /**
   * It is refused, and told when to come again.
   */
  TIDEGATE_OVER_QUOTA_REJECT = 1,
  /**
   * It goes to the next less urgent tier, and waits there for quota, which is the tenant's and not the tier's.
   */
  TIDEGATE_OVER_QUOTA_DEMOTE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_over_quota_t tidegate_over_quota_t;
#else
typedef uint32_t tidegate_over_quota_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The limit of a tenant that TIDEGATE_STATUS_NEVER_ALLOWED or TIDEGATE_STATUS_OVER_QUOTA is about.
 */
enum tidegate_quota_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * Requests started per period.
   */
  TIDEGATE_QUOTA_REQUESTS = 1,
  /**
   * Tokens per period.
   */
  TIDEGATE_QUOTA_TOKENS = 2,
  /**
   * Requests that run at once.
   */
  TIDEGATE_QUOTA_RUNNING = 3,
  /**
   * Units that are in use at once.
   */
  TIDEGATE_QUOTA_UNITS = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_quota_t tidegate_quota_t;
#else
typedef uint32_t tidegate_quota_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What an outcome tells.
 */
enum tidegate_outcome_kind_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * A wish of the scheduler: action.
   */
  TIDEGATE_OUTCOME_ACTION = 1,
  /**
   * A request was accepted; its START or DROP comes later.
   */
  TIDEGATE_OUTCOME_ACCEPTED = 2,
  /**
   * What was left in the intake was refused, and changed nothing.
   */
  TIDEGATE_OUTCOME_REFUSED = 3,
  /**
   * A request that waited was cancelled by its ticket; it has ended.
   */
  TIDEGATE_OUTCOME_CANCELLED = 4,
  /**
   * A request was cancelled by its ticket while an engine has it: stop it there, then report
   * tidegate_shared_cancel_request. If its START is still to come, do not start it.
   */
  TIDEGATE_OUTCOME_STOP_FIRST = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_outcome_kind_t tidegate_outcome_kind_t;
#else
typedef uint32_t tidegate_outcome_kind_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * In which text format metrics are written.
 */
enum tidegate_metrics_format_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * OpenMetrics 1.0.
   */
  TIDEGATE_METRICS_FORMAT_OPEN_METRICS = 0,
  /**
   * Prometheus' own, version 0.0.4.
   */
  TIDEGATE_METRICS_FORMAT_PROMETHEUS = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_metrics_format_t tidegate_metrics_format_t;
#else
typedef uint32_t tidegate_metrics_format_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How a worker shares its devices with others: what is its own, and what the others feel of it.
 */
enum tidegate_worker_kind_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It has its devices to itself, or nothing is said of how it shares them.
   */
  TIDEGATE_WORKER_KIND_DEDICATED = 0,
  /**
   * A replica of a device whose processes take turns: compute and memory are shared.
   */
  TIDEGATE_WORKER_KIND_TIME_SLICE = 1,
  /**
   * A client of a device's Multi-Process Service: compute, memory and faults are shared. One that is lost takes
   * the others on its devices along.
   */
  TIDEGATE_WORKER_KIND_MPS = 2,
  /**
   * An instance that the hardware cut off: nothing is shared.
   */
  TIDEGATE_WORKER_KIND_MIG = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum tidegate_worker_kind_t tidegate_worker_kind_t;
#else
typedef uint32_t tidegate_worker_kind_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A config in the making. Made by tidegate_config_builder_new, ended by tidegate_config_builder_free.
 */
typedef struct tidegate_config_builder_t tidegate_config_builder_t;

/**
 * A config, read and validated; it never changes. Made by tidegate_config_from_toml, tidegate_config_from_json or
 * tidegate_config_builder_build, ended by tidegate_config_free.
 */
typedef struct tidegate_config_t tidegate_config_t;

/**
 * A scheduler. Made by tidegate_scheduler_new, or by tidegate_shared_open for one thread of many; ended by
 * tidegate_scheduler_free.
 */
typedef struct tidegate_scheduler_t tidegate_scheduler_t;

/**
 * A scheduler that any number of threads use at once, all with the same pointer. Made by tidegate_shared_new, ended by
 * tidegate_shared_free.
 */
typedef struct tidegate_shared_t tidegate_shared_t;

/**
 * All that a scheduler knew, as bytes to be kept; it never changes. Made by tidegate_scheduler_snapshot, ended by
 * tidegate_snapshot_free.
 */
typedef struct tidegate_snapshot_t tidegate_snapshot_t;

/**
 * A request as the host submits it. Begin with TIDEGATE_REQUEST_SPEC_INIT.
 */
typedef struct tidegate_request_spec_t {
  /**
   * sizeof(tidegate_request_spec_t).
   */
  uint32_t struct_size;
  /**
   * Who asks: from tidegate_scheduler_tenant_set.
   */
  uint32_t tenant;
  /**
   * How urgent it is: 0 is the most urgent tier of the config.
   */
  uint32_t tier;
  /**
   * The workers that can serve it: a pool, counted from 0 in the order of the config.
   */
  uint32_t pool;
  /**
   * What the engine can do when it has to yield: a tidegate_yield_t.
   */
  uint32_t yielding;
  /**
   * TIDEGATE_REQUEST_HAS_... of the optional fields below that are set.
   */
  uint32_t flags;
  /**
   * Units it takes when it starts.
   */
  uint64_t demand[TIDEGATE_DIMENSIONS];
  /**
   * Units it is expected to take when it is largest; where smaller than demand, demand counts.
   */
  uint64_t peak[TIDEGATE_DIMENSIONS];
  /**
   * Tokens of the prompt.
   */
  uint64_t prompt_tokens;
  /**
   * Tokens it is expected to generate; read only with TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS.
   */
  uint64_t output_tokens;
  /**
   * How long it may wait for its first start; read only with TIDEGATE_REQUEST_HAS_QUEUE_TIMEOUT.
   */
  uint64_t queue_timeout_ns;
  /**
   * Anything the host wants to find again in a journal; never read.
   */
  uint64_t tag;
  /**
   * How many tokens of the prompt an engine has in its cache, if that is known.
   */
  uint64_t cached_tokens;
  /**
   * When its answer is wanted; read only with TIDEGATE_REQUEST_HAS_DEADLINE. It orders a tier; nothing is
   * dropped for it.
   */
  uint64_t deadline_ns;
  /**
   * How many of other_pools are set, at most TIDEGATE_OTHER_POOLS.
   */
  uint32_t other_pools_count;
  /**
   * Pools that can serve it besides the one it prefers, in order of preference. It starts in the first where it can at
   * once; else it waits in the first that can hold it.
   */
  uint32_t other_pools[TIDEGATE_OTHER_POOLS];
} tidegate_request_spec_t;

/**
 * What one request on a worker reports of a step: 64 bytes in every version.
 */
typedef struct tidegate_step_exception_t {
  /**
   * The request.
   */
  uint64_t request;
  /**
   * Tokens generated so far.
   */
  uint64_t output_tokens;
  /**
   * Units it takes now.
   */
  uint64_t in_use[TIDEGATE_DIMENSIONS];
  /**
   * Its attempt.
   */
  uint32_t attempt;
  /**
   * 0.
   */
  uint32_t reserved[3];
} tidegate_step_exception_t;

/**
 * What a request used. Begin with TIDEGATE_USAGE_INIT.
 */
typedef struct tidegate_usage_t {
  /**
   * sizeof(tidegate_usage_t).
   */
  uint32_t struct_size;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Tokens of the prompt, cached ones included.
   */
  uint64_t prompt_tokens;
  /**
   * Tokens of the prompt that the engine found in its cache.
   */
  uint64_t cached_tokens;
  /**
   * Tokens generated.
   */
  uint64_t output_tokens;
} tidegate_usage_t;

/**
 * One wish of the scheduler: 64 bytes in every version. Fields that its kind does not use are 0.
 */
typedef struct tidegate_action_t {
  /**
   * The request it speaks of; of PREEMPT, SPARE and STUCK the victim; 0 of LEASE_WANTED and ALSO_LOST.
   */
  uint64_t request;
  /**
   * PREEMPT: the waiting request that needs the units; 0 under memory pressure. LEASE_WANTED: its seq.
   * ALSO_LOST: the worker whose fault took it along.
   */
  uint64_t beneficiary;
  /**
   * PREEMPT: when STUCK follows if no answer came. LEASE_WANTED: how many go back, as an int64_t: below zero, a
   * debt.
   */
  uint64_t confirm_by_ns;
  /**
   * START: tokens of context that the engine kept when it last stopped; 0 begins anew. LEASE_WANTED: how many more
   * are wanted.
   */
  uint64_t resume_tokens;
  /**
   * What to do: a tidegate_action_kind_t. Ignore kinds that you do not know.
   */
  uint32_t kind;
  /**
   * Why: a tidegate_reason_t.
   */
  uint32_t reason;
  /**
   * The number of the start that it speaks of; reports carry it. 0 for DROP, LEASE_WANTED and ALSO_LOST.
   */
  uint32_t attempt;
  /**
   * START: where. ALSO_LOST: which is lost too.
   */
  uint32_t worker;
  /**
   * PREEMPT: how it is to yield, a tidegate_yield_t.
   */
  uint32_t mode;
  /**
   * LEASE_WANTED: whose limit.
   */
  uint32_t tenant;
  /**
   * LEASE_WANTED: which, a tidegate_quota_t.
   */
  uint32_t limit;
  /**
   * 0.
   */
  uint32_t reserved;
} tidegate_action_t;

/**
 * One thing that a poll of a shared scheduler tells: 192 bytes in every version. Fields that its kind, or the status of
 * REFUSED, does not use are 0.
 */
typedef struct tidegate_outcome_t {
  /**
   * What it tells: a tidegate_outcome_kind_t. Ignore kinds that you do not know.
   */
  uint32_t kind;
  /**
   * REFUSED: why, a tidegate_status_t.
   */
  uint32_t status;
  /**
   * The call that it comes of; 0 of ACTION. CANCELLED and STOP_FIRST: of the submit.
   */
  uint64_t ticket;
  /**
   * ACCEPTED, and REFUSED of a submit: the tag of the spec.
   */
  uint64_t tag;
  /**
   * The request; 0 of ACTION. REFUSED: the one that the error is about.
   */
  uint64_t request;
  /**
   * ACTION: what is wished.
   */
  struct tidegate_action_t action;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint64_t need;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint64_t max;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint64_t retry_at_ns;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint32_t attempt;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint32_t current_attempt;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint32_t state;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint32_t limit;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint32_t scope;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint32_t subject;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint32_t unit;
  /**
   * REFUSED: as of tidegate_error_t.
   */
  uint32_t pool;
  /**
   * 0.
   */
  uint64_t reserved[5];
} tidegate_outcome_t;

/**
 * How much of something comes in a period, and how much of it can be saved up: 24 bytes in every version.
 */
typedef struct tidegate_rate_t {
  /**
   * What comes in a period, evenly; 0 for nothing ever.
   */
  uint64_t amount;
  /**
   * The period in nanoseconds, at least 1.
   */
  uint64_t period_ns;
  /**
   * The most that is saved up, at most 2^62.
   */
  uint64_t burst;
} tidegate_rate_t;

/**
 * What a tenant may do; its limits hold for all that is below it in the tree together. Begin with
 * TIDEGATE_TENANT_POLICY_INIT.
 */
typedef struct tidegate_tenant_policy_t {
  /**
   * sizeof(tidegate_tenant_policy_t).
   */
  uint32_t struct_size;
  /**
   * TIDEGATE_TENANT_HAS_... of the optional fields below that are set, TIDEGATE_TENANT_LEASED,
   * TIDEGATE_TENANT_ALLOW_WHEN_FULL.
   */
  uint32_t flags;
  /**
   * The tenant above it; read only with TIDEGATE_TENANT_HAS_PARENT.
   */
  uint32_t parent;
  /**
   * Its part among the tenants of a tier, in proportion to the weights of the others; 0 is served when nobody
   * else wants.
   */
  uint32_t weight;
  /**
   * The most urgent tier that it may use.
   */
  uint32_t most_urgent;
  /**
   * What becomes of a request that is over a limit when it is submitted: a tidegate_over_quota_t.
   */
  uint32_t over_quota;
  /**
   * Requests that may start per period; read only with TIDEGATE_TENANT_HAS_REQUESTS.
   */
  struct tidegate_rate_t requests;
  /**
   * Tokens that may be used per period; read only with TIDEGATE_TENANT_HAS_TOKENS.
   */
  struct tidegate_rate_t tokens;
  /**
   * Units that may be in use at once; 0 is no limit.
   */
  uint64_t max_in_use[TIDEGATE_DIMENSIONS];
  /**
   * Requests that may run at once; read only with TIDEGATE_TENANT_HAS_MAX_RUNNING.
   */
  uint64_t max_running;
  /**
   * Requests that may wait; read only with TIDEGATE_TENANT_HAS_QUEUE_LIMIT.
   */
  uint64_t queue_limit;
  /**
   * Prompt and expected output tokens of the requests that may wait; read only with
   * TIDEGATE_TENANT_HAS_QUEUE_TOKEN_LIMIT.
   */
  uint64_t queue_token_limit;
} tidegate_tenant_policy_t;

/**
 * A worker as the host describes it: anything that runs requests. Begin with TIDEGATE_WORKER_SPEC_INIT.
 */
typedef struct tidegate_worker_spec_t {
  /**
   * sizeof(tidegate_worker_spec_t).
   */
  uint32_t struct_size;
  /**
   * The pool it belongs to, counted from 0 in the order of the config.
   */
  uint32_t pool;
  /**
   * Units it has.
   */
  uint64_t capacity[TIDEGATE_DIMENSIONS];
  /**
   * A tidegate_worker_kind_t: how it shares its devices.
   */
  uint32_t kind;
  /**
   * TIDEGATE_WORKER_... that hold of it.
   */
  uint32_t flags;
  /**
   * The lost worker of its pool that it stands in for; read only with TIDEGATE_WORKER_REPLACES. Of one that was lost
   * again and again it is kept out for a while.
   */
  uint32_t replaces;
  /**
   * Zero.
   */
  uint32_t reserved;
} tidegate_worker_spec_t;

/**
 * A device as the host describes it: what fails as one, and may have less than its workers advertise. Begin
 * with TIDEGATE_DEVICE_SPEC_INIT.
 */
typedef struct tidegate_device_spec_t {
  /**
   * sizeof(tidegate_device_spec_t).
   */
  uint32_t struct_size;
  /**
   * TIDEGATE_DEVICE_HAS_... of the optional fields below that are set.
   */
  uint32_t flags;
  /**
   * Units that all workers on it may use together; 0 is no limit.
   */
  uint64_t limit[TIDEGATE_DIMENSIONS];
  /**
   * How much memory checkpoints made on it may take, in MiB; read only with
   * TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB.
   */
  uint64_t checkpoint_mib;
} tidegate_device_spec_t;

/**
 * The part of one device that a worker takes: 8 bytes in every version.
 */
typedef struct tidegate_device_part_t {
  /**
   * The device.
   */
  uint32_t device;
  /**
   * How much of each unit used on the worker is used on the device, in parts per million: 1000000 for a
   * slice of one device, 500000 for a worker that spans two.
   */
  uint32_t part_ppm;
} tidegate_device_part_t;

/**
 * What changes of a live request. Begin with TIDEGATE_AMENDMENT_INIT.
 */
typedef struct tidegate_amendment_t {
  /**
   * sizeof(tidegate_amendment_t).
   */
  uint32_t struct_size;
  /**
   * TIDEGATE_AMEND_... of the fields below that change; the others are not read.
   */
  uint32_t flags;
  /**
   * How urgent it is.
   */
  uint32_t tier;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Units of its next start.
   */
  uint64_t demand[TIDEGATE_DIMENSIONS];
  /**
   * Units it is expected to take when it is largest.
   */
  uint64_t peak[TIDEGATE_DIMENSIONS];
  /**
   * When its answer is wanted.
   */
  uint64_t deadline_ns;
} tidegate_amendment_t;

/**
 * The end of one request of many: 64 bytes in every version.
 */
typedef struct tidegate_completion_t {
  /**
   * The request.
   */
  uint64_t request;
  /**
   * Tokens of the prompt, cached ones included.
   */
  uint64_t prompt_tokens;
  /**
   * Tokens of the prompt that the engine found in its cache.
   */
  uint64_t cached_tokens;
  /**
   * Tokens generated.
   */
  uint64_t output_tokens;
  /**
   * Its attempt.
   */
  uint32_t attempt;
  /**
   * 0.
   */
  uint32_t reserved[7];
} tidegate_completion_t;

/**
 * Tokens of a request's prompt, those left to compute or those to compute in the next step: 16 bytes in
 * every version.
 */
typedef struct tidegate_prompt_left_t {
  /**
   * A request on the worker.
   */
  uint64_t request;
  /**
   * Tokens.
   */
  uint64_t tokens;
} tidegate_prompt_left_t;

/**
 * A reserve that came out more than ten points off what was asked for: 32 bytes in every version.
 */
typedef struct tidegate_share_warning_t {
  /**
   * Where.
   */
  uint32_t pool;
  /**
   * Whose.
   */
  uint32_t tier;
  /**
   * The place of the dimension in every resource vector.
   */
  uint32_t dimension;
  /**
   * What the config asks for, in parts per million of the present capacity.
   */
  uint32_t asked_ppm;
  /**
   * What the tier has, likewise.
   */
  uint32_t effective_ppm;
  /**
   * 0.
   */
  uint32_t reserved[3];
} tidegate_share_warning_t;

/**
 * Why a request is where it is. Begin with TIDEGATE_EXPLANATION_INIT.
 */
typedef struct tidegate_explanation_t {
  /**
   * sizeof(tidegate_explanation_t).
   */
  uint32_t struct_size;
  /**
   * Where it stands: a tidegate_state_t.
   */
  uint32_t state;
  /**
   * What holds it back: a tidegate_gate_t.
   */
  uint32_t gate;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Requests of its tier and pool that are offered a start before it.
   */
  uint64_t ahead;
  /**
   * When it may start, if starts of its tier go on as the last ones did; TIDEGATE_NEVER if it runs, or none
   * is known.
   */
  uint64_t starts_at_ns;
  /**
   * The pool where it waits or runs.
   */
  uint32_t pool;
  /**
   * How many of other_pools are set.
   */
  uint32_t other_pools_count;
  /**
   * The other pools that may start it, in the order of its preference; none while it runs, or is bound to its own.
   */
  uint32_t other_pools[TIDEGATE_OTHER_POOLS];
  /**
   * 0.
   */
  uint32_t reserved_too;
} tidegate_explanation_t;

/**
 * Counters since the start; never reset. Begin with TIDEGATE_STATS_INIT.
 */
typedef struct tidegate_stats_t {
  /**
   * sizeof(tidegate_stats_t).
   */
  uint32_t struct_size;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Requests accepted: always the sum of the five below.
   */
  uint64_t submitted;
  /**
   * Requests that completed.
   */
  uint64_t completed;
  /**
   * Requests that an engine failed, declined three times, was told to abort, or took along when it was lost;
   * and those that outgrew every worker.
   */
  uint64_t failed;
  /**
   * Requests that the host cancelled.
   */
  uint64_t cancelled;
  /**
   * Waiting requests that timed out or were displaced.
   */
  uint64_t dropped;
  /**
   * Requests that have not ended.
   */
  uint64_t live;
  /**
   * Calls whose now_ns was earlier than one before; they counted as no time passed.
   */
  uint64_t clock_regressions;
  /**
   * Sets of victims that were chosen for an attempt that had one already.
   */
  uint64_t further_sets;
  /**
   * Claims that a more urgent request took units of.
   */
  uint64_t takeovers;
  /**
   * Sets of victims for which the finish test was waived.
   */
  uint64_t waived_finish_test;
  /**
   * Sets of victims for which min_run was waived.
   */
  uint64_t waived_min_run;
  /**
   * Sets of victims for which max_preemptions was waived.
   */
  uint64_t waived_max_preemptions;
  /**
   * Victims whose tier came below its reserve with them.
   */
  uint64_t straddles;
  /**
   * Actions by their reason, indexed by tidegate_reason_t.
   */
  uint64_t by_reason[TIDEGATE_STATS_REASONS];
} tidegate_stats_t;

/**
 * A number of 128 bits: high times 2^64, and low.
 */
typedef struct tidegate_wide_number_t {
  /**
   * The lower 64 bits.
   */
  uint64_t low;
  /**
   * The upper 64 bits.
   */
  uint64_t high;
} tidegate_wide_number_t;

/**
 * What a tenant has used since it was made known, and what it has now: of its own requests, not of tenants below it.
 * Begin with TIDEGATE_TENANT_USAGE_INIT.
 */
typedef struct tidegate_tenant_usage_t {
  /**
   * sizeof(tidegate_tenant_usage_t).
   */
  uint32_t struct_size;
  /**
   * 0.
   */
  uint32_t reserved;
  /**
   * Requests accepted: always the sum of completed, failed, cancelled, dropped, waiting and running.
   */
  uint64_t submitted;
  /**
   * Requests that were started at least once, declined starts included: the sum of queue_delays.
   */
  uint64_t started;
  /**
   * Requests that completed.
   */
  uint64_t completed;
  /**
   * Requests that failed, as tidegate_stats_t counts them.
   */
  uint64_t failed;
  /**
   * Requests that the host cancelled.
   */
  uint64_t cancelled;
  /**
   * Waiting requests that timed out or were displaced.
   */
  uint64_t dropped;
  /**
   * Requests that wait now, parked ones included.
   */
  uint64_t waiting;
  /**
   * Requests on a worker now, those that are to stop or release their units included.
   */
  uint64_t running;
  /**
   * Tokens of the prompts of those that ended: as _complete told; of others that have run, by their specs.
   */
  uint64_t prompt_tokens;
  /**
   * What of them was found in a cache: as _complete told; of others that have run, as _started told at first.
   */
  uint64_t cached_tokens;
  /**
   * Tokens generated by those that ended: as _complete told; of others, what they had reported.
   */
  uint64_t output_tokens;
  /**
   * Tokens of quota that its requests hold now.
   */
  uint64_t held_tokens;
  /**
   * Tokens that were held and came back unused.
   */
  uint64_t refunded_tokens;
  /**
   * Tokens that were charged beyond what was held.
   */
  uint64_t debt_tokens;
  /**
   * How often its requests stopped because they were asked to, for others that wait.
   */
  uint64_t preemptions;
  /**
   * How often they stopped because they were asked to, for memory.
   */
  uint64_t memory_preemptions;
  /**
   * Tokens of context that have to be computed again because requests stopped, or their worker was lost.
   */
  uint64_t lost_tokens;
  /**
   * Units in use now.
   */
  uint64_t in_use[TIDEGATE_DIMENSIONS];
  /**
   * Units in use, times the nanoseconds they were: exact.
   */
  struct tidegate_wide_number_t unit_ns[TIDEGATE_DIMENSIONS];
  /**
   * What of unit_ns its tiers borrowed, spread over all that they use; rounded down, by less than a part in 2^32
   * of unit_ns and 1.
   */
  struct tidegate_wide_number_t borrowed_unit_ns[TIDEGATE_DIMENSIONS];
  /**
   * How many of those that were started had waited how long before: bucket i counts delays below 2^i ms that no
   * bucket before it counts, the last all others.
   */
  uint64_t queue_delays[TIDEGATE_QUEUE_DELAY_BUCKETS];
} tidegate_tenant_usage_t;

/**
 * The numbers of an error. Fields that its status does not use are 0. Begin with TIDEGATE_ERROR_INIT.
 */
typedef struct tidegate_error_t {
  /**
   * sizeof(tidegate_error_t).
   */
  uint32_t struct_size;
  /**
   * A tidegate_status_t; TIDEGATE_STATUS_OK if no call failed yet.
   */
  uint32_t status;
  /**
   * The request it is about.
   */
  uint64_t request;
  /**
   * STALE_ATTEMPT: the attempt reported.
   */
  uint32_t attempt;
  /**
   * STALE_ATTEMPT: the attempt that the request is at.
   */
  uint32_t current_attempt;
  /**
   * WRONG_STATE: where the request stands, a tidegate_state_t.
   */
  uint32_t state;
  /**
   * LIMIT_EXCEEDED: which, a tidegate_limit_t. NEVER_ALLOWED and OVER_QUOTA: which, a tidegate_quota_t.
   */
  uint32_t limit;
  /**
   * QUEUE_FULL: whose, a tidegate_scope_t.
   */
  uint32_t scope;
  /**
   * NEVER_FITS: the dimension. QUEUE_FULL: the tier or the tenant. UNKNOWN_..., ..._LOST, BAD_PART,
   * SHARED_ACROSS_POOLS and NOT_HERE: the number of the tenant, tier, pool, worker or device.
   * TIER_TOO_URGENT, TENANT_... and GRANT_TOO_LARGE: the tenant. NEVER_ALLOWED and OVER_QUOTA: the tenant whose limit it is.
   */
  uint32_t subject;
  /**
   * QUEUE_FULL: what there is too much of, a tidegate_unit_t.
   */
  uint32_t unit;
  /**
   * SHARED_ACROSS_POOLS: the pool of another worker on the device.
   */
  uint32_t pool;
  /**
   * NEVER_FITS: units asked for. NEVER_ALLOWED: what it needs. TIER_TOO_URGENT: the tier asked for.
   * GRANT_TOO_LARGE: what was granted.
   */
  uint64_t need;
  /**
   * The most there can be: units of NEVER_FITS, waiting requests or tokens of QUEUE_FULL, LIMIT_EXCEEDED,
   * NEVER_ALLOWED, what was wanted of GRANT_TOO_LARGE. TIER_TOO_URGENT: the most urgent tier that the tenant may use.
   */
  uint64_t max;
  /**
   * OVER_QUOTA: when there is enough, if nothing else starts or changes; TIDEGATE_NEVER if time alone does not
   * help.
   */
  uint64_t retry_at_ns;
} tidegate_error_t;

/* What to begin a struct with: its size, and 0 everywhere else, but for the weight of a tenant, which is 1. */

#define TIDEGATE_REQUEST_SPEC_INIT                                             \
  {                                                                            \
    sizeof(tidegate_request_spec_t), 0, 0, 0, TIDEGATE_YIELD_RESTART, 0,       \
        {0, 0, 0, 0}, {0, 0, 0, 0}, 0, 0, 0, 0, 0, 0, 0, {0, 0, 0}             \
  }

#define TIDEGATE_TENANT_POLICY_INIT                                            \
  {                                                                            \
    sizeof(tidegate_tenant_policy_t), 0, 0, 1, 0, TIDEGATE_OVER_QUOTA_WAIT,    \
        {0, 0, 0}, {0, 0, 0}, {0, 0, 0, 0}, 0, 0, 0                            \
  }

#define TIDEGATE_WORKER_SPEC_INIT                                              \
  {                                                                            \
    sizeof(tidegate_worker_spec_t), 0, {0, 0, 0, 0}, 0, 0, 0, 0                \
  }

#define TIDEGATE_DEVICE_SPEC_INIT                                              \
  {                                                                            \
    sizeof(tidegate_device_spec_t), 0, {0, 0, 0, 0}, 0                         \
  }

#define TIDEGATE_AMENDMENT_INIT                                                \
  {                                                                            \
    sizeof(tidegate_amendment_t), 0, 0, 0, {0, 0, 0, 0}, {0, 0, 0, 0}, 0       \
  }

#define TIDEGATE_USAGE_INIT                                                    \
  {                                                                            \
    sizeof(tidegate_usage_t), 0, 0, 0, 0                                       \
  }

#define TIDEGATE_STATS_INIT                                                    \
  {                                                                            \
    sizeof(tidegate_stats_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0}    \
  }

#define TIDEGATE_TENANT_USAGE_INIT                                             \
  {                                                                            \
    sizeof(tidegate_tenant_usage_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
        0, 0, 0, 0, {0, 0, 0, 0}, {{0, 0}, {0, 0}, {0, 0}, {0, 0}},            \
        {{0, 0}, {0, 0}, {0, 0}, {0, 0}}, {0}                                  \
  }

#define TIDEGATE_EXPLANATION_INIT                                              \
  {                                                                            \
    sizeof(tidegate_explanation_t), 0, 0, 0, 0, 0, 0, 0, {0, 0, 0}, 0          \
  }

#define TIDEGATE_ERROR_INIT                                                    \
  {                                                                            \
    sizeof(tidegate_error_t), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0            \
  }

#ifdef __cplusplus
extern "C" {
#endif

/* Version and names. */

/**
 * The version of the package that the library at hand is of, as "0.1.0"; that of this header is TIDEGATE_VERSION. To be shown
 * and logged: what works together is said by tidegate_abi_version(). Never NULL, never to be freed.
 */
const char *tidegate_version(void);

/**
 * The version of the ABI that the library at hand has. Compare it with TIDEGATE_ABI_VERSION once, at the
 * start: they differ when a program runs with a library that it was not compiled for.
 */
uint32_t tidegate_abi_version(void);

/**
 * The words for a tidegate_status_t; "unknown status" for any other number. Never NULL, never to be freed.
 */
const char *tidegate_status_str(uint32_t status);

/**
 * The words for a tidegate_reason_t; "unknown reason" for any other number. Never NULL, never to be freed.
 */
const char *tidegate_reason_str(uint32_t reason);

/**
 * The words for a tidegate_gate_t; "unknown gate" for any other number. Never NULL, never to be freed.
 */
const char *tidegate_gate_str(uint32_t gate);

/**
 * The words for a tidegate_state_t; "unknown state" for any other number. Never NULL, never to be freed.
 */
const char *tidegate_state_str(uint32_t state);

/**
 * The words for a tidegate_action_kind_t; "unknown action" for any other number. Never NULL, never to be freed.
 */
const char *tidegate_action_kind_str(uint32_t kind);

/* Config. */

/**
 * Reads a config from TOML text. If it cannot be used, the status is TIDEGATE_STATUS_CONFIG_INVALID and the
 * message names every field at fault; the message is written then, and not otherwise. It is cut to
 * `message_capacity` bytes with a NUL at its end; `message_len` gets its whole length. `message` may be
 * NULL if its capacity is 0, `message_len` may be NULL.
 */
tidegate_status_t tidegate_config_from_toml(const char *toml,
                                            size_t toml_len,
                                            char *message,
                                            size_t message_capacity,
                                            size_t *message_len,
                                            tidegate_config_t **out_config);

/**
 * As tidegate_config_from_toml, from JSON text: one object with the same fields. A field that is null is at its
 * default, as if it were left out.
 */
tidegate_status_t tidegate_config_from_json(const char *json,
                                            size_t json_len,
                                            char *message,
                                            size_t message_capacity,
                                            size_t *message_len,
                                            tidegate_config_t **out_config);

/**
 * Frees a config; schedulers made from it keep their own copy. NULL is fine.
 */
void tidegate_config_free(tidegate_config_t *config);

/**
 * The config as TOML that reads back as the same config. It is cut to `capacity` bytes with a NUL at its
 * end; `out_len` gets its whole length.
 */
tidegate_status_t tidegate_config_to_toml(const tidegate_config_t *config,
                                          char *buffer,
                                          size_t capacity,
                                          size_t *out_len);

/**
 * As tidegate_config_to_toml, as JSON.
 */
tidegate_status_t tidegate_config_to_json(const tidegate_config_t *config,
                                          char *buffer,
                                          size_t capacity,
                                          size_t *out_len);

/**
 * The name of a tier; TIDEGATE_STATUS_UNKNOWN_TIER if there are fewer. Here and below it is cut to `capacity` bytes with
 * a NUL at its end; `out_len` gets its whole length.
 */
tidegate_status_t tidegate_config_tier_name(const tidegate_config_t *config,
                                            uint32_t tier,
                                            char *buffer,
                                            size_t capacity,
                                            size_t *out_len);

/**
 * The name of a pool; TIDEGATE_STATUS_UNKNOWN_POOL if there are fewer.
 */
tidegate_status_t tidegate_config_pool_name(const tidegate_config_t *config,
                                            uint32_t pool,
                                            char *buffer,
                                            size_t capacity,
                                            size_t *out_len);

/**
 * The name of a dimension; TIDEGATE_STATUS_UNKNOWN_DIMENSION if there are fewer.
 */
tidegate_status_t tidegate_config_dimension_name(const tidegate_config_t *config,
                                                 uint32_t dimension,
                                                 char *buffer,
                                                 size_t capacity,
                                                 size_t *out_len);

/**
 * The number of the tier of this name: 0 is the most urgent.
 */
tidegate_status_t tidegate_config_find_tier(const tidegate_config_t *config,
                                            const char *name,
                                            size_t name_len,
                                            uint32_t *out_tier);

/**
 * The number of the pool of this name.
 */
tidegate_status_t tidegate_config_find_pool(const tidegate_config_t *config,
                                            const char *name,
                                            size_t name_len,
                                            uint32_t *out_pool);

/**
 * The place of the dimension of this name in every resource vector.
 */
tidegate_status_t tidegate_config_find_dimension(const tidegate_config_t *config,
                                                 const char *name,
                                                 size_t name_len,
                                                 uint32_t *out_dimension);

/* A config set field by field. */

/**
 * Begins a config with every setting at its default.
 */
tidegate_status_t tidegate_config_builder_new(tidegate_config_builder_t **out_builder);

/**
 * Frees a builder; configs that it built stay. NULL is fine.
 */
void tidegate_config_builder_free(tidegate_config_builder_t *builder);

/**
 * Sets what is a text: a name, or a word such as an order. `path` says where, as the messages about configs do:
 * `dimensions[0]`, `tiers[1].name`, `tiers[1].order`, `default_policy.over_quota`. A list grows by one element when its
 * first free place is set. A path that cannot be is TIDEGATE_STATUS_OUT_OF_RANGE; whether there is such a setting, and
 * whether it is one of this kind, tidegate_config_builder_build says. What was set before at this path is replaced.
 */
tidegate_status_t tidegate_config_builder_set_text(tidegate_config_builder_t *builder,
                                                   const char *path,
                                                   size_t path_len,
                                                   const char *value,
                                                   size_t value_len);

/**
 * Sets what is a number: `tiers[0].reserve_ppm`, `queue_limit`, and units by dimension, such as
 * `tiers[0].borrow_limit.slots`. A name with other characters than letters, digits, `_` and `-` stands in quotes, as
 * JSON has them: `tiers[0].borrow_limit."kv.blocks"`.
 */
tidegate_status_t tidegate_config_builder_set_number(tidegate_config_builder_t *builder,
                                                     const char *path,
                                                     size_t path_len,
                                                     uint64_t value);

/**
 * Sets what is a duration: `min_run`, `tiers[0].queue_timeout`, `step_time.decode`.
 */
tidegate_status_t tidegate_config_builder_set_duration(tidegate_config_builder_t *builder,
                                                       const char *path,
                                                       size_t path_len,
                                                       uint64_t value_ns);

/**
 * Sets what is so or not: `displace`, `default_policy.leased`. 1 is true, 0 is false.
 */
tidegate_status_t tidegate_config_builder_set_truth(tidegate_config_builder_t *builder,
                                                    const char *path,
                                                    size_t path_len,
                                                    uint32_t value);

/**
 * Makes a config of what was set; the builder stays as it is. The status and the message are those of
 * tidegate_config_from_json.
 */
tidegate_status_t tidegate_config_builder_build(const tidegate_config_builder_t *builder,
                                                char *message,
                                                size_t message_capacity,
                                                size_t *message_len,
                                                tidegate_config_t **out_config);

/* A scheduler and its rounds. */

/**
 * Makes a scheduler. It copies the config.
 */
tidegate_status_t tidegate_scheduler_new(const tidegate_config_t *config,
                                         uint64_t now_ns,
                                         tidegate_scheduler_t **out_scheduler);

/**
 * Gives the config that the scheduler goes by, as a copy to be freed.
 */
tidegate_status_t tidegate_scheduler_config(const tidegate_scheduler_t *scheduler,
                                            tidegate_config_t **out_config);

/**
 * Frees a scheduler and all its requests. NULL is fine, a poisoned one too.
 */
void tidegate_scheduler_free(tidegate_scheduler_t *scheduler);

/**
 * Takes another config with the same dimensions, pools and tiers by number and name, and copies it. Queues are
 * ordered anew, shares computed anew; timeouts that run already stay. If a name differs, the status is
 * TIDEGATE_STATUS_CONFIG_INVALID, and the last error's message says which.
 */
tidegate_status_t tidegate_scheduler_reconfigure(tidegate_scheduler_t *scheduler,
                                                 uint64_t now_ns,
                                                 const tidegate_config_t *config);

/**
 * Takes up to `capacity` actions. A round has ended when `*out_count` is less than `capacity`; until then
 * call again. Call it after each batch of inputs and at the instant of tidegate_scheduler_poll_timeout.
 * A capacity of 0 is TIDEGATE_STATUS_OUT_OF_RANGE. A shared scheduler is polled by tidegate_shared_poll alone: else
 * the status is TIDEGATE_STATUS_SHARED. In the journal each call counts as one poll for each
 * action, and one more if the round ended: with a capacity of 1 it is always exactly one.
 */
tidegate_status_t tidegate_scheduler_poll(tidegate_scheduler_t *scheduler,
                                          uint64_t now_ns,
                                          tidegate_action_t *out_actions,
                                          size_t capacity,
                                          size_t *out_count);

/**
 * When to poll again if nothing happens before: TIDEGATE_NEVER if only an input can change anything.
 * Polling earlier is harmless.
 */
tidegate_status_t tidegate_scheduler_poll_timeout(const tidegate_scheduler_t *scheduler, uint64_t *out_at_ns);

/* Tenants. */

/**
 * Makes a tenant known and gives its number; the same name gives the same number again. A name has 1 to 255
 * bytes and no control characters.
 */
tidegate_status_t tidegate_scheduler_tenant_set(tidegate_scheduler_t *scheduler,
                                                uint64_t now_ns,
                                                const char *name,
                                                size_t name_len,
                                                uint32_t *out_tenant);

/**
 * Says where a tenant stands, what it weighs, and what it may use, instead of what was said before; for what is
 * open too.
 */
tidegate_status_t tidegate_scheduler_tenant_configure(tidegate_scheduler_t *scheduler,
                                                      uint64_t now_ns,
                                                      uint32_t tenant,
                                                      const tidegate_tenant_policy_t *policy);

/**
 * Forgets a tenant without live requests, and below which there is none; its debts too. Its number is never used
 * again.
 */
tidegate_status_t tidegate_scheduler_tenant_remove(tidegate_scheduler_t *scheduler,
                                                   uint64_t now_ns,
                                                   uint32_t tenant);

/**
 * The store's answer to the wish of that seq, of a limit that LEASE_WANTED named: so many tokens (requests, if that is
 * the limit), which go back if they are not used for valid_for_ns. What answers no wish that waits (a duplicate, an
 * answer that is too late, one to a tenant that is gone or leases no more) changes nothing and is OK.
 */
tidegate_status_t tidegate_scheduler_lease_granted(tidegate_scheduler_t *scheduler,
                                                   uint64_t now_ns,
                                                   uint32_t tenant,
                                                   uint32_t limit,
                                                   uint64_t seq,
                                                   uint64_t tokens,
                                                   uint64_t valid_for_ns);

/* Devices and workers. */

/**
 * Adds a device that workers can stand on, and gives its number; numbers are never used again.
 */
tidegate_status_t tidegate_scheduler_device_add(tidegate_scheduler_t *scheduler,
                                                uint64_t now_ns,
                                                const tidegate_device_spec_t *spec,
                                                uint32_t *out_device);

/**
 * Gives a device another limit. `shrink`, a tidegate_shrink_t, says what becomes of use beyond it: with
 * TIDEGATE_SHRINK_PREEMPT what is still too much after `after_ns` is stopped; `after_ns` is not read with
 * TIDEGATE_SHRINK_DRAIN.
 */
tidegate_status_t tidegate_scheduler_device_resize(tidegate_scheduler_t *scheduler,
                                                   uint64_t now_ns,
                                                   uint32_t device,
                                                   const uint64_t limit[TIDEGATE_DIMENSIONS],
                                                   uint32_t shrink,
                                                   uint64_t after_ns);

/**
 * The device is gone, and all workers on it with it: as tidegate_scheduler_worker_lost for each.
 */
tidegate_status_t tidegate_scheduler_device_lost(tidegate_scheduler_t *scheduler,
                                                 uint64_t now_ns,
                                                 uint32_t device);

/**
 * Adds a worker and gives its number; numbers are never used again. It is up at once, but for a spare, and for one
 * that replaces a worker which was lost again and again. It stands on the `device_count` devices named; with 0, where
 * `devices` may be NULL, it is a device of its own.
 */
tidegate_status_t tidegate_scheduler_worker_add(tidegate_scheduler_t *scheduler,
                                                uint64_t now_ns,
                                                const tidegate_worker_spec_t *spec,
                                                const tidegate_device_part_t *devices,
                                                size_t device_count,
                                                uint32_t *out_worker);

/**
 * Gives a worker another capacity; `shrink` and `after_ns` are those of tidegate_scheduler_device_resize.
 */
tidegate_status_t tidegate_scheduler_worker_resize(tidegate_scheduler_t *scheduler,
                                                   uint64_t now_ns,
                                                   uint32_t worker,
                                                   const uint64_t capacity[TIDEGATE_DIMENSIONS],
                                                   uint32_t shrink,
                                                   uint64_t after_ns);

/**
 * The engine uses `in_use` in all, whatever its requests add up to: blocks that several share count once. What
 * requests change from then on counts on top, until the next call, or until nothing runs on the worker.
 */
tidegate_status_t tidegate_scheduler_worker_usage(tidegate_scheduler_t *scheduler,
                                                  uint64_t now_ns,
                                                  uint32_t worker,
                                                  const uint64_t in_use[TIDEGATE_DIMENSIONS]);

/**
 * A worker has these blocks in its cache, those of a prompt from its beginning as hashes of which each covers those
 * before it, and used them just now. `blocks` may be NULL with a `block_count` of 0.
 */
tidegate_status_t tidegate_scheduler_cache_stored(tidegate_scheduler_t *scheduler,
                                                  uint64_t now_ns,
                                                  uint32_t worker,
                                                  const uint64_t *blocks,
                                                  size_t block_count);

/**
 * A worker threw these blocks out of its cache, in any order. One that others there still follow goes when they do.
 */
tidegate_status_t tidegate_scheduler_cache_evicted(tidegate_scheduler_t *scheduler,
                                                   uint64_t now_ns,
                                                   uint32_t worker,
                                                   const uint64_t *blocks,
                                                   size_t block_count);

/**
 * One call for a whole engine step: every request on the worker that has reported before generated
 * `tokens_each` tokens, but those in `exceptions`, which report as by tidegate_scheduler_progress. Refused
 * whole: NOT_HERE for a request on another worker, else as a report of it would be.
 */
tidegate_status_t tidegate_scheduler_step(tidegate_scheduler_t *scheduler,
                                          uint64_t now_ns,
                                          uint32_t worker,
                                          uint64_t tokens_each,
                                          const tidegate_step_exception_t *exceptions,
                                          size_t exception_count);

/**
 * Lets a worker end what it runs and gives it nothing more. What runs there is no longer counted, and is
 * never a victim. Saying it twice is fine.
 */
tidegate_status_t tidegate_scheduler_worker_drain(tidegate_scheduler_t *scheduler,
                                                  uint64_t now_ns,
                                                  uint32_t worker);

/**
 * The worker is gone with all that ran there. Its requests wait again as ones that have run; those that
 * never yield cannot run twice and are dropped. Unless it was drained and ran nothing any more, that is a fault: an MPS
 * client takes the others on its devices along, each of which ALSO_LOST names, and a spare takes its place.
 */
tidegate_status_t tidegate_scheduler_worker_lost(tidegate_scheduler_t *scheduler,
                                                 uint64_t now_ns,
                                                 uint32_t worker);

/* Requests, and what the engine reports of them. */

/**
 * Queues a request and gives its id, which is never 0; it waits until a poll returns its START.
 */
tidegate_status_t tidegate_scheduler_submit(tidegate_scheduler_t *scheduler,
                                            uint64_t now_ns,
                                            const tidegate_request_spec_t *spec,
                                            uint64_t *out_request);

/**
 * Tells the blocks of a waiting request's prompt, from its beginning, as hashes of which each covers those before it: with
 * the placement "prefix-affinity" it goes where they are cached. WRONG_STATE if it does not wait.
 */
tidegate_status_t tidegate_scheduler_prefix_set(tidegate_scheduler_t *scheduler,
                                                uint64_t now_ns,
                                                uint64_t request,
                                                const uint64_t *blocks,
                                                size_t block_count);

/**
 * Changes what a live request asks for, how urgent it is, or when its answer is wanted. One that waits takes
 * its place in the queue anew, with its arrival; of one on a worker the use moves to the new tier, and demand
 * and peak matter at its next start. The statuses are those of tidegate_scheduler_submit for what it would ask
 * then, and those of a report; WRONG_STATE if it is to stop.
 */
tidegate_status_t tidegate_scheduler_amend(tidegate_scheduler_t *scheduler,
                                           uint64_t now_ns,
                                           uint64_t request,
                                           const tidegate_amendment_t *amendment);

/**
 * Ends a request wherever it stands. The host asserts that the engine holds nothing of it any more.
 */
tidegate_status_t tidegate_scheduler_cancel(tidegate_scheduler_t *scheduler,
                                            uint64_t now_ns,
                                            uint64_t request);

/**
 * The engine runs it: `cached_tokens` of its prompt were found in a cache, and it holds `in_use` now.
 * Optional: the first report of another kind says so too. WRONG_STATE if it is not starting.
 */
tidegate_status_t tidegate_scheduler_started(tidegate_scheduler_t *scheduler,
                                             uint64_t now_ns,
                                             uint64_t request,
                                             uint32_t attempt,
                                             uint64_t cached_tokens,
                                             const uint64_t in_use[TIDEGATE_DIMENSIONS]);

/**
 * The engine did not take it; `why` is a tidegate_decline_t. It goes back to its place in the queue and is
 * kept off that worker for a while; the third time in a row it is dropped. WRONG_STATE if a report came
 * that it runs.
 */
tidegate_status_t tidegate_scheduler_declined(tidegate_scheduler_t *scheduler,
                                              uint64_t now_ns,
                                              uint64_t request,
                                              uint32_t attempt,
                                              uint32_t why);

/**
 * It has generated `output_tokens` so far, and holds `in_use` now. WRONG_STATE if it is not on a worker.
 */
tidegate_status_t tidegate_scheduler_progress(tidegate_scheduler_t *scheduler,
                                              uint64_t now_ns,
                                              uint64_t request,
                                              uint32_t attempt,
                                              uint64_t output_tokens,
                                              const uint64_t in_use[TIDEGATE_DIMENSIONS]);

/**
 * It runs no more, and can go on later from `tokens_kept` tokens of context; 0 is from the beginning. It
 * waits again, before all that have not run. With `releasing` 1 its units come free later, by
 * tidegate_scheduler_released; with 0 they are free now. WRONG_STATE if it is not on a worker, or is to be
 * aborted.
 */
tidegate_status_t tidegate_scheduler_preempted(tidegate_scheduler_t *scheduler,
                                               uint64_t now_ns,
                                               uint64_t request,
                                               uint32_t attempt,
                                               uint64_t tokens_kept,
                                               uint32_t releasing);

/**
 * The units of a request that stopped with `releasing` 1 are free. WRONG_STATE if it is not releasing.
 */
tidegate_status_t tidegate_scheduler_released(tidegate_scheduler_t *scheduler,
                                              uint64_t now_ns,
                                              uint64_t request,
                                              uint32_t attempt);

/**
 * It completed; its units are free. WRONG_STATE if it is not on a worker.
 */
tidegate_status_t tidegate_scheduler_complete(tidegate_scheduler_t *scheduler,
                                              uint64_t now_ns,
                                              uint64_t request,
                                              uint32_t attempt,
                                              const tidegate_usage_t *usage);

/**
 * The engine gave it up, by itself or after an ABORT; its units are free. WRONG_STATE if it is not on a
 * worker.
 */
tidegate_status_t tidegate_scheduler_failed(tidegate_scheduler_t *scheduler,
                                            uint64_t now_ns,
                                            uint64_t request,
                                            uint32_t attempt);

/* Many requests at once. */

/**
 * Queues many requests, as tidegate_scheduler_submit for each in turn would, and gives their ids: 0 for one that
 * was refused, which keeps none of the others back. `out_statuses`, which may be NULL, gets the
 * tidegate_status_t of each. TIDEGATE_STATUS_OK says that the scheduler answered for all of them, by whatever
 * statuses, and the last error is that of the last one refused; else something is wrong with the call itself, with
 * some number or size in it, and none was queued. All have the struct_size of the first. A count of 0 is no call: not even
 * the time goes on. All is read before anything is written, so that the ids may take the place of the specs. A journal has
 * them one by one.
 */
tidegate_status_t tidegate_scheduler_submit_many(tidegate_scheduler_t *scheduler,
                                                 uint64_t now_ns,
                                                 const tidegate_request_spec_t *specs,
                                                 size_t spec_count,
                                                 uint64_t *out_requests,
                                                 uint32_t *out_statuses);

/**
 * Reports that many requests completed, as tidegate_scheduler_complete for each in turn would; one that is refused
 * keeps none of the others back. `out_statuses`, the statuses and the last error are those of
 * tidegate_scheduler_submit_many. A count of 0 is no call: not even the time goes on.
 */
tidegate_status_t tidegate_scheduler_complete_many(tidegate_scheduler_t *scheduler,
                                                   uint64_t now_ns,
                                                   const tidegate_completion_t *completions,
                                                   size_t completion_count,
                                                   uint32_t *out_statuses);

/* Questions; they change nothing. */

/**
 * Where a live request stands, a tidegate_state_t. One that has ended is TIDEGATE_STATUS_ALREADY_TERMINAL.
 */
tidegate_status_t tidegate_scheduler_state(const tidegate_scheduler_t *scheduler,
                                           uint64_t request,
                                           uint32_t *out_state);

/**
 * Why a live request waits, how many are ahead of it, and when it may start.
 */
tidegate_status_t tidegate_scheduler_explain(const tidegate_scheduler_t *scheduler,
                                             uint64_t request,
                                             tidegate_explanation_t *out_explanation);

/**
 * How many requests of the tier wait in all pools, parked ones included.
 */
tidegate_status_t tidegate_scheduler_queue_depth(const tidegate_scheduler_t *scheduler,
                                                 uint32_t tier,
                                                 uint64_t *out_requests);

/**
 * Until when a worker is kept out that replaces one that was lost again and again; TIDEGATE_NEVER of one that nothing
 * keeps out. One that is kept out for good has TIDEGATE_NEVER - 1.
 */
tidegate_status_t tidegate_scheduler_kept_out_until(const tidegate_scheduler_t *scheduler,
                                                    uint32_t worker,
                                                    uint64_t *out_until_ns);

/**
 * What the tier is guaranteed of the present capacity of the pool.
 */
tidegate_status_t tidegate_scheduler_effective_reserve(const tidegate_scheduler_t *scheduler,
                                                       uint32_t pool,
                                                       uint32_t tier,
                                                       uint64_t out_units[TIDEGATE_DIMENSIONS]);

/**
 * What the tier uses on the workers of the pool that are up, victims included until their units are free.
 */
tidegate_status_t tidegate_scheduler_in_use(const tidegate_scheduler_t *scheduler,
                                            uint32_t pool,
                                            uint32_t tier,
                                            uint64_t out_units[TIDEGATE_DIMENSIONS]);

/**
 * What the tier's waiting requests would use in the pool if they all started; parked ones, and those larger
 * than the tier's reserve, excepted.
 */
tidegate_status_t tidegate_scheduler_waiting_demand(const tidegate_scheduler_t *scheduler,
                                                    uint32_t pool,
                                                    uint32_t tier,
                                                    uint64_t out_units[TIDEGATE_DIMENSIONS]);

/**
 * The reserves that came out more than ten points off what the config asks for, in pools that have workers.
 * Writes as many as fit into `capacity`; `*out_count` gets how many there are. `out_warnings` may be NULL if
 * `capacity` is 0.
 */
tidegate_status_t tidegate_scheduler_share_warnings(const tidegate_scheduler_t *scheduler,
                                                    tidegate_share_warning_t *out_warnings,
                                                    size_t capacity,
                                                    size_t *out_count);

/**
 * How an engine that computes at most `tokens` tokens a step should split its next one. `prompts` names the
 * requests on the worker whose prompts are not computed yet, and how much of each is left; every other request
 * that runs there takes one token, first. `out_plan` has room for `prompt_count` records and may be `prompts`
 * itself; `*out_count` gets how many were written. NOT_HERE for a request that is not on the worker.
 */
tidegate_status_t tidegate_scheduler_step_plan(const tidegate_scheduler_t *scheduler,
                                               uint32_t worker,
                                               uint64_t tokens,
                                               const tidegate_prompt_left_t *prompts,
                                               size_t prompt_count,
                                               tidegate_prompt_left_t *out_plan,
                                               size_t *out_count);

/**
 * What a tenant has used, until the latest now_ns of any call.
 */
tidegate_status_t tidegate_scheduler_usage(const tidegate_scheduler_t *scheduler,
                                           uint32_t tenant,
                                           tidegate_tenant_usage_t *out_usage);

/**
 * What of a tenant's usage is of one tier, as it will be at `at_ns` if nothing is told before; an instant that has passed
 * counts as now. A request counts for the tier that it has, and what it used for the tier that it had then.
 */
tidegate_status_t tidegate_scheduler_usage_by_tier(const tidegate_scheduler_t *scheduler,
                                                   uint32_t tenant,
                                                   uint32_t tier,
                                                   uint64_t at_ns,
                                                   tidegate_tenant_usage_t *out_usage);

/**
 * The counters.
 */
tidegate_status_t tidegate_scheduler_stats(const tidegate_scheduler_t *scheduler,
                                           tidegate_stats_t *out_stats);

/**
 * Checks every named invariant, in time that grows with everything there is: for tests. A violation is
 * TIDEGATE_STATUS_INVARIANT_VIOLATED, and the message says which; it is written then, and not otherwise,
 * cut to `message_capacity` bytes with a NUL at its end; `message_len` gets its whole length. `message` may
 * be NULL if its capacity is 0, `message_len` may be NULL.
 */
tidegate_status_t tidegate_scheduler_check_invariants(const tidegate_scheduler_t *scheduler,
                                                      char *message,
                                                      size_t message_capacity,
                                                      size_t *message_len);

/* Answers as JSON. */

/**
 * As tidegate_scheduler_explain, as JSON: state and gate are words, and null stands where nothing holds the request
 * back, or no instant is known. Here and below the text is cut to `capacity` bytes with a NUL at its end; `out_len` gets
 * its whole length. `buffer` may be NULL if `capacity` is 0, `out_len` may be NULL.
 */
tidegate_status_t tidegate_scheduler_explain_json(const tidegate_scheduler_t *scheduler,
                                                  uint64_t request,
                                                  char *buffer,
                                                  size_t capacity,
                                                  size_t *out_len);

/**
 * As tidegate_scheduler_usage, as JSON: units are objects by the names of the dimensions, and unit_ns are whole numbers,
 * which may have more than 64 bits.
 */
tidegate_status_t tidegate_scheduler_usage_json(const tidegate_scheduler_t *scheduler,
                                                uint32_t tenant,
                                                char *buffer,
                                                size_t capacity,
                                                size_t *out_len);

/**
 * As tidegate_scheduler_stats, as JSON: by_reason is an object by the words of tidegate_reason_str.
 */
tidegate_status_t tidegate_scheduler_stats_json(const tidegate_scheduler_t *scheduler,
                                                char *buffer,
                                                size_t capacity,
                                                size_t *out_len);

/* Metrics. */

/**
 * All metrics as text, in the format of a tidegate_metrics_format_t, to be answered with its tidegate_metrics_content_type.
 * Of the tenants that have a policy of their own the first `tenants` by number are named, and all others together are
 * "other". The text is cut to `capacity` bytes with a NUL at its end; `out_len` gets its whole length: ask again with
 * more room if it is not below `capacity`. `buffer` may be NULL if `capacity` is 0, `out_len` may be NULL.
 */
tidegate_status_t tidegate_scheduler_metrics(const tidegate_scheduler_t *scheduler,
                                             uint32_t format,
                                             size_t tenants,
                                             char *buffer,
                                             size_t capacity,
                                             size_t *out_len);

/**
 * What to answer as the Content-Type of a page of metrics; NULL for a number that is no tidegate_metrics_format_t.
 */
const char *tidegate_metrics_content_type(uint32_t format);

/* The last error. */

/**
 * The numbers of the last error: of the last call on this handle that took it as `tidegate_scheduler_t *`
 * and did not return TIDEGATE_STATUS_OK. Calls that succeed leave it, calls that take it as
 * `const tidegate_scheduler_t *` too. It answers on a poisoned handle as well.
 */
tidegate_status_t tidegate_scheduler_last_error(const tidegate_scheduler_t *scheduler,
                                                tidegate_error_t *out_error);

/**
 * The last error in words: one line, empty if no call failed yet. It is cut to `capacity` bytes with a NUL
 * at its end; `out_len` gets its whole length. `buffer` may be NULL if `capacity` is 0, `out_len` may be
 * NULL.
 */
tidegate_status_t tidegate_scheduler_last_error_message(const tidegate_scheduler_t *scheduler,
                                                        char *buffer,
                                                        size_t capacity,
                                                        size_t *out_len);

/* One scheduler for many threads. */

/**
 * Makes a scheduler one for many threads. It takes `scheduler` over: if the status is TIDEGATE_STATUS_OK that handle has
 * ended, and is not to be freed. `intake_capacity` calls can lie in the intake at a time; 1024 do for most servers, 0
 * counts as 1, and more than TIDEGATE_MAX_INTAKE are TIDEGATE_STATUS_OUT_OF_RANGE. TIDEGATE_STATUS_SHARED if `scheduler`
 * is of a shared one already. Tenants and workers are set up before, or by a handle that tidegate_shared_open gives.
 */
tidegate_status_t tidegate_shared_new(tidegate_scheduler_t *scheduler,
                                      size_t intake_capacity,
                                      tidegate_shared_t **out_shared);

/**
 * Frees it; no other call may run on it. NULL is fine, a poisoned one too. Handles that tidegate_shared_open gave stay
 * good until they are freed.
 */
void tidegate_shared_free(tidegate_shared_t *shared);

/**
 * Gives a handle of the shared scheduler, for one thread: every tidegate_scheduler function but
 * tidegate_scheduler_poll works with it, waits for the lock, and answers on the spot. A verb applies first what lies in
 * the intake, and is TIDEGATE_STATUS_BUSY while polls are too far behind to be told of that; a question does not. The last
 * error is the handle's own. Free it by tidegate_scheduler_free.
 */
tidegate_status_t tidegate_shared_open(const tidegate_shared_t *shared,
                                       tidegate_scheduler_t **out_scheduler);

/**
 * Leaves a request in the intake: ACCEPTED or REFUSED follows, with the ticket and the spec's tag. A thread that must
 * find its request by then chooses the tag, which it knows before. TIDEGATE_STATUS_BUSY if the intake is full. Here and
 * below `out_ticket`, which may be NULL, gets the number of the call: never 0, and higher for a later call of the thread.
 */
tidegate_status_t tidegate_shared_submit(const tidegate_shared_t *shared,
                                         uint64_t now_ns,
                                         const tidegate_request_spec_t *spec,
                                         uint64_t *out_ticket);

/**
 * Cancels what was submitted with this ticket, whether it was applied yet or not. While it waits it ends at once,
 * CANCELLED; if an engine has it, STOP_FIRST asks for it to be stopped; if it has ended or was refused, nothing follows.
 */
tidegate_status_t tidegate_shared_cancel(const tidegate_shared_t *shared,
                                         uint64_t now_ns,
                                         uint64_t ticket);

/**
 * Leaves tidegate_scheduler_cancel in the intake. Here and below REFUSED follows if it was, and nothing if it was not.
 */
tidegate_status_t tidegate_shared_cancel_request(const tidegate_shared_t *shared,
                                                 uint64_t now_ns,
                                                 uint64_t request,
                                                 uint64_t *out_ticket);

/**
 * Leaves tidegate_scheduler_started in the intake.
 */
tidegate_status_t tidegate_shared_started(const tidegate_shared_t *shared,
                                          uint64_t now_ns,
                                          uint64_t request,
                                          uint32_t attempt,
                                          uint64_t cached_tokens,
                                          const uint64_t in_use[TIDEGATE_DIMENSIONS],
                                          uint64_t *out_ticket);

/**
 * Leaves tidegate_scheduler_declined in the intake.
 */
tidegate_status_t tidegate_shared_declined(const tidegate_shared_t *shared,
                                           uint64_t now_ns,
                                           uint64_t request,
                                           uint32_t attempt,
                                           uint32_t why,
                                           uint64_t *out_ticket);

/**
 * Leaves tidegate_scheduler_progress in the intake.
 */
tidegate_status_t tidegate_shared_progress(const tidegate_shared_t *shared,
                                           uint64_t now_ns,
                                           uint64_t request,
                                           uint32_t attempt,
                                           uint64_t output_tokens,
                                           const uint64_t in_use[TIDEGATE_DIMENSIONS],
                                           uint64_t *out_ticket);

/**
 * Leaves tidegate_scheduler_step in the intake.
 */
tidegate_status_t tidegate_shared_step(const tidegate_shared_t *shared,
                                       uint64_t now_ns,
                                       uint32_t worker,
                                       uint64_t tokens_each,
                                       const tidegate_step_exception_t *exceptions,
                                       size_t exception_count,
                                       uint64_t *out_ticket);

/**
 * Leaves tidegate_scheduler_preempted in the intake.
 */
tidegate_status_t tidegate_shared_preempted(const tidegate_shared_t *shared,
                                            uint64_t now_ns,
                                            uint64_t request,
                                            uint32_t attempt,
                                            uint64_t tokens_kept,
                                            uint32_t releasing,
                                            uint64_t *out_ticket);

/**
 * Leaves tidegate_scheduler_released in the intake.
 */
tidegate_status_t tidegate_shared_released(const tidegate_shared_t *shared,
                                           uint64_t now_ns,
                                           uint64_t request,
                                           uint32_t attempt,
                                           uint64_t *out_ticket);

/**
 * Leaves tidegate_scheduler_complete in the intake.
 */
tidegate_status_t tidegate_shared_complete(const tidegate_shared_t *shared,
                                           uint64_t now_ns,
                                           uint64_t request,
                                           uint32_t attempt,
                                           const tidegate_usage_t *usage,
                                           uint64_t *out_ticket);

/**
 * Leaves tidegate_scheduler_failed in the intake.
 */
tidegate_status_t tidegate_shared_failed(const tidegate_shared_t *shared,
                                         uint64_t now_ns,
                                         uint64_t request,
                                         uint32_t attempt,
                                         uint64_t *out_ticket);

/**
 * Applies what lies in the intake, then tells what came of it and what the scheduler wants, in order: up to `capacity`
 * outcomes, and how many in `*out_count`. `*out_more` is 1 if there is more to tell: call again. It is 0 when the round
 * has ended: tidegate_shared_wait then. A capacity of 0 is TIDEGATE_STATUS_OUT_OF_RANGE. May wait for the lock.
 */
tidegate_status_t tidegate_shared_poll(const tidegate_shared_t *shared,
                                       uint64_t now_ns,
                                       tidegate_outcome_t *out_outcomes,
                                       size_t capacity,
                                       size_t *out_count,
                                       uint32_t *out_more);

/**
 * Sleeps until there is something to poll, or the host's clock, which shows `now_ns`, shows `until_ns`
 * (TIDEGATE_NEVER for as long as it takes); sometimes it returns earlier. `*out_work` is 1 if there is something to
 * poll. Sleep until the instant that tidegate_scheduler_poll_timeout tells of an opened handle after the last poll:
 * whatever changes in between is noticed. TIDEGATE_STATUS_POISONED, at once, if a thread panicked.
 */
tidegate_status_t tidegate_shared_wait(const tidegate_shared_t *shared,
                                       uint64_t now_ns,
                                       uint64_t until_ns,
                                       uint32_t *out_work);

/**
 * Wakes who sleeps in tidegate_shared_wait, as if there were something to poll: to have the engine's thread look at
 * something of the host's, such as that it is to end. May wait for the lock.
 */
tidegate_status_t tidegate_shared_wake(const tidegate_shared_t *shared);

/* A restart. */

/**
 * Writes down all that a scheduler knows, its config too. Of a shared scheduler what lies in the intake is not in it, nor
 * what was not polled of what came of that: poll before.
 */
tidegate_status_t tidegate_scheduler_snapshot(const tidegate_scheduler_t *scheduler,
                                              tidegate_snapshot_t **out_snapshot);

/**
 * The bytes of a snapshot, to be kept where the host likes. They are the snapshot's own, and there until it is freed.
 */
tidegate_status_t tidegate_snapshot_bytes(const tidegate_snapshot_t *snapshot,
                                          const uint8_t **out_bytes,
                                          size_t *out_len);

/**
 * Frees a snapshot and its bytes. NULL is fine.
 */
void tidegate_snapshot_free(tidegate_snapshot_t *snapshot);

/**
 * Makes the scheduler that a snapshot was taken of: told the same from there on, it wishes the same. Under a config that
 * differs from the one it had, it is reconfigured at its tidegate_scheduler_now, from which the host's clock must go on.
 * What it was told after the snapshot it does not know, and ids that it gave after that it gives again. It copies the
 * config, and keeps nothing of `bytes`. If no scheduler can be made, the status is one of
 * TIDEGATE_STATUS_SNAPSHOT_DAMAGED, _SNAPSHOT_FORMAT and _SNAPSHOT_SHAPE, and the message, which is written then and not
 * otherwise, says more; it is cut as that of tidegate_config_from_toml. The bytes are to be the host's own: what
 * somebody forged is not told from a snapshot, and may end in TIDEGATE_STATUS_PANIC, here or later.
 */
tidegate_status_t tidegate_scheduler_restore(const tidegate_config_t *config,
                                             const uint8_t *bytes,
                                             size_t len,
                                             char *message,
                                             size_t message_capacity,
                                             size_t *message_len,
                                             tidegate_scheduler_t **out_scheduler);

/**
 * The latest `now_ns` of any call: where the host's clock must go on after a restart.
 */
tidegate_status_t tidegate_scheduler_now(const tidegate_scheduler_t *scheduler, uint64_t *out_now_ns);

#ifdef __cplusplus
}
#endif

#endif /* TIDEGATE_H */
