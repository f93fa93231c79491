/* Calls every function of a shared scheduler in a wrong way, and what a handle of it may do and may not. */
#include "misuse.h"

static tidegate_shared_t *shared_of(size_t intake) {
  tidegate_shared_t *shared = NULL;
  STATUS(tidegate_shared_new(scheduler_of(CONFIG), intake, &shared), OK);
  if (shared == NULL) exit(1);
  return shared;
}

static void null_shared(void) {
  const uint64_t units[TIDEGATE_DIMENSIONS] = {1, 10, 0, 0};
  tidegate_request_spec_t spec = request_of(0);
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  tidegate_scheduler_t *mine = NULL;
  tidegate_shared_t *shared = NULL;
  tidegate_outcome_t told;
  uint64_t ticket = 99;
  uint32_t number = 99;
  size_t count = 99;
  STATUS(tidegate_shared_new(NULL, 1, &shared), NULL_POINTER);
  STATUS(tidegate_shared_open(NULL, &mine), NULL_POINTER);
  STATUS(tidegate_shared_submit(NULL, 0, &spec, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_cancel(NULL, 0, 1), NULL_POINTER);
  STATUS(tidegate_shared_cancel_request(NULL, 0, 1, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_started(NULL, 0, 1, 1, 0, units, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_declined(NULL, 0, 1, 1, 0, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_progress(NULL, 0, 1, 1, 0, units, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_step(NULL, 0, 0, 1, NULL, 0, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_preempted(NULL, 0, 1, 1, 0, 0, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_released(NULL, 0, 1, 1, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_complete(NULL, 0, 1, 1, &usage, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_failed(NULL, 0, 1, 1, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_poll(NULL, 0, &told, 1, &count, &number), NULL_POINTER);
  STATUS(tidegate_shared_wait(NULL, 0, 0, &number), NULL_POINTER);
  STATUS(tidegate_shared_wake(NULL), NULL_POINTER);
  CHECK(ticket == 99 && number == 99 && count == 99 && mine == NULL && shared == NULL);
  tidegate_shared_free(NULL);
}

/* What is wrong with a call is told at once, and leaves nothing in the intake. */
static void wrong_calls(void) {
  tidegate_shared_t *shared = shared_of(1);
  tidegate_request_spec_t spec = request_of(0);
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  tidegate_step_exception_t exception;
  tidegate_outcome_t told;
  uint64_t ticket = 99;
  uint32_t number = 99;
  size_t count = 99;
  STATUS(tidegate_shared_open(shared, NULL), NULL_POINTER);
  STATUS(tidegate_shared_submit(shared, 0, NULL, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_started(shared, 0, 1, 1, 0, NULL, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_progress(shared, 0, 1, 1, 0, NULL, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_complete(shared, 0, 1, 1, NULL, &ticket), NULL_POINTER);
  STATUS(tidegate_shared_step(shared, 0, 0, 1, NULL, 1, &ticket), NULL_POINTER);
  memset(&exception, 0, sizeof exception);
  exception.reserved[1] = 1;
  STATUS(tidegate_shared_step(shared, 0, 0, 1, &exception, 1, &ticket), OUT_OF_RANGE);
  STATUS(tidegate_shared_step(shared, 0, 0, 1, &exception, SIZE_MAX, &ticket), OUT_OF_RANGE);
  STATUS(tidegate_shared_declined(shared, 0, 1, 1, 3, &ticket), OUT_OF_RANGE);
  STATUS(tidegate_shared_preempted(shared, 0, 1, 1, 0, 2, &ticket), OUT_OF_RANGE);
  spec.struct_size = (uint32_t)offsetof(tidegate_request_spec_t, other_pools_count) - 1; /* the first version, cut */
  STATUS(tidegate_shared_submit(shared, 0, &spec, &ticket), STRUCT_SIZE);
  spec = request_of(0);
  spec.yielding = 3;
  STATUS(tidegate_shared_submit(shared, 0, &spec, &ticket), OUT_OF_RANGE);
  usage.struct_size = 0;
  STATUS(tidegate_shared_complete(shared, 0, 1, 1, &usage, &ticket), STRUCT_SIZE);
  STATUS(tidegate_shared_poll(shared, 0, &told, 0, &count, &number), OUT_OF_RANGE);
  STATUS(tidegate_shared_poll(shared, 0, NULL, 1, &count, &number), NULL_POINTER);
  STATUS(tidegate_shared_poll(shared, 0, &told, SIZE_MAX, &count, &number), OUT_OF_RANGE);
  STATUS(tidegate_shared_poll(shared, 0, &told, 1, NULL, &number), NULL_POINTER);
  STATUS(tidegate_shared_poll(shared, 0, &told, 1, &count, NULL), NULL_POINTER);
  STATUS(tidegate_shared_wait(shared, 0, 0, NULL), NULL_POINTER);
  CHECK(ticket == 99 && number == 99 && count == 99);
  STATUS(tidegate_shared_poll(shared, 0, &told, 1, &count, &number), OK);
  CHECK(count == 0 && number == 0);
  tidegate_shared_free(shared);
}

/* What is wrong with what was said is told by a poll, with the numbers of an error. */
static void refusals(void) {
  tidegate_shared_t *shared = shared_of(4);
  tidegate_request_spec_t spec = request_of(0);
  tidegate_outcome_t told[4];
  uint64_t tickets[4] = {0, 0, 0, 0};
  uint32_t more = 99;
  size_t count = 0, i;
  spec.tag = 7;
  STATUS(tidegate_shared_submit(shared, 0, &spec, &tickets[0]), OK);
  spec.demand[1] = 41;
  STATUS(tidegate_shared_submit(shared, 0, &spec, &tickets[1]), OK);
  STATUS(tidegate_shared_cancel_request(shared, 0, 12345, &tickets[2]), OK);
  spec.tier = 256;
  STATUS(tidegate_shared_submit(shared, 0, &spec, &tickets[3]), OK);
  STATUS(tidegate_shared_submit(shared, 0, &spec, NULL), TIDEGATE_STATUS_BUSY);
  /* One by one: what has no room is kept. */
  for (i = 0; i < 4; i++) {
    STATUS(tidegate_shared_poll(shared, 0, &told[i], 1, &count, &more), OK);
    CHECK(count == 1 && more == 1 && told[i].ticket == tickets[i] && tickets[i] != 0);
  }
  CHECK(told[0].kind == TIDEGATE_OUTCOME_ACCEPTED && told[0].tag == 7 && told[0].request != 0 && told[0].status == OK);
  CHECK(told[1].kind == TIDEGATE_OUTCOME_REFUSED && told[1].status == TIDEGATE_STATUS_NEVER_FITS && told[1].tag == 7);
  CHECK(told[1].subject == 1 && told[1].need == 41 && told[1].max == 40 && told[1].request == 0);
  CHECK(told[2].status == TIDEGATE_STATUS_UNKNOWN_REQUEST && told[2].request == 12345 && told[2].tag == 0);
  CHECK(told[3].status == TIDEGATE_STATUS_UNKNOWN_TIER && told[3].reserved[4] == 0);
  STATUS(tidegate_shared_wait(shared, 0, TIDEGATE_NEVER, &more), OK);
  CHECK(more == 1);
  STATUS(tidegate_shared_poll(shared, 0, told, 4, &count, &more), OK);
  CHECK(count == 1 && more == 1 && told[0].kind == TIDEGATE_OUTCOME_ACTION && told[0].ticket == 0);
  CHECK(told[0].action.kind == TIDEGATE_ACTION_START && told[0].action.request != 0);
  STATUS(tidegate_shared_poll(shared, 0, told + 1, 3, &count, &more), OK);
  CHECK(count == 0 && more == 0);
  STATUS(tidegate_shared_cancel(shared, 0, tickets[0]), OK);
  STATUS(tidegate_shared_cancel(shared, 0, tickets[1]), OK);
  STATUS(tidegate_shared_poll(shared, 0, told + 1, 1, &count, &more), OK);
  CHECK(count == 1 && told[1].kind == TIDEGATE_OUTCOME_STOP_FIRST && told[1].ticket == tickets[0]);
  CHECK(told[1].request == told[0].action.request);
  tidegate_shared_free(shared);
}

static void handles_of_a_shared_one(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG), *mine = NULL, *other = NULL;
  tidegate_shared_t *shared = NULL, *again = NULL;
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  tidegate_request_spec_t spec = request_of(0);
  tidegate_outcome_t told[4];
  tidegate_action_t action;
  uint64_t request = 0, ticket = 0;
  uint32_t more = 0;
  size_t count = 99;
  STATUS(tidegate_shared_new(s, TIDEGATE_MAX_INTAKE + 1, &shared), OUT_OF_RANGE);
  CHECK(last(s).status == OUT_OF_RANGE);
  STATUS(tidegate_shared_new(s, 1, NULL), NULL_POINTER);
  CHECK(last(s).status == NULL_POINTER && says(s, "out_shared is NULL"));
  nothing_changed(s); /* it is whole after what failed */
  STATUS(tidegate_shared_new(s, 1, &shared), OK);
  STATUS(tidegate_shared_open(shared, &mine), OK);
  STATUS(tidegate_shared_open(shared, &other), OK);
  STATUS(tidegate_shared_new(mine, 1, &again), TIDEGATE_STATUS_SHARED);
  CHECK(last(mine).status == TIDEGATE_STATUS_SHARED);
  STATUS(tidegate_scheduler_poll(mine, 0, &action, 1, &count), TIDEGATE_STATUS_SHARED);
  CHECK(says(mine, "other handles have the scheduler too") && says(other, "") && count == 99);
  STATUS(tidegate_shared_submit(shared, 0, &spec, &ticket), OK);
  STATUS(tidegate_scheduler_stats(mine, &stats), OK);
  CHECK(stats.submitted == 0); /* questions do not apply what lies in the intake */
  STATUS(tidegate_scheduler_submit(mine, 0, &spec, &request), OK);
  STATUS(tidegate_scheduler_submit(other, 0, &spec, &request), TIDEGATE_STATUS_BUSY); /* nobody polled */
  STATUS(tidegate_scheduler_stats(other, &stats), OK);
  CHECK(stats.submitted == 2);
  STATUS(tidegate_shared_wake(shared), OK);
  STATUS(tidegate_shared_poll(shared, 0, told, 4, &count, &more), OK);
  CHECK(count == 3 && more == 0 && told[0].kind == TIDEGATE_OUTCOME_ACCEPTED && told[0].ticket == ticket);
  CHECK(told[1].action.request == told[0].request && told[2].action.request == request);
  STATUS(tidegate_shared_wake(shared), OK);
  tidegate_shared_free(shared);
  STATUS(tidegate_scheduler_cancel(mine, 0, request), OK); /* it lives as long as its last handle */
  tidegate_scheduler_free(mine);
  STATUS(tidegate_scheduler_check_invariants(other, NULL, 0, NULL), OK);
  tidegate_scheduler_free(other);
}

int main(void) {
  null_shared();
  wrong_calls();
  refusals();
  handles_of_a_shared_one();
  return surprises == 0 ? 0 : 1;
}
