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
