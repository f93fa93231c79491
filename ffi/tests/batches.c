/* Many requests in one call: what becomes of each is what would become of it alone, and what is wrong with the call
 * itself changes nothing.
 */
#include "misuse.h"

#define COUNT 5

static const char ROOMY[] =
    "dimensions = [\"slots\", \"kv_blocks\"]\n"
    "[[tiers]]\n"
    "name = \"realtime\"\n"
    "reserve_ppm = 300000\n"
    "[[tiers]]\n"
    "name = \"batch\"\n";

/* Some are refused, the first and the last are not. */
static void mixed_specs(tidegate_request_spec_t *specs) {
  size_t i;
  for (i = 0; i < COUNT; i++) specs[i] = request_of(i % 2);
  specs[1].tenant = 7;
  specs[2].demand[1] = 41;
  specs[3].tier = 256;
}

static tidegate_completion_t completion_of(uint64_t request, uint32_t attempt) {
  tidegate_completion_t completion;
  memset(&completion, 0, sizeof completion);
  completion.request = request;
  completion.attempt = attempt;
  completion.prompt_tokens = 30;
  completion.cached_tokens = 20;
  completion.output_tokens = 10;
  return completion;
}

static size_t round_of(tidegate_scheduler_t *s, uint64_t now, tidegate_action_t *actions) {
  size_t count = 0;
  memset(actions, 0, COUNT * sizeof *actions);
  STATUS(tidegate_scheduler_poll(s, now, actions, COUNT, &count), OK);
  return count;
}

/* What is submitted at once, and its ids. */
static void submitted(tidegate_scheduler_t *singly, tidegate_scheduler_t *at_once, uint64_t now, uint64_t *requests) {
  tidegate_request_spec_t specs[COUNT];
  uint64_t request;
  uint32_t statuses[COUNT], status;
  size_t i;
  mixed_specs(specs);
  memset(requests, 0xFF, COUNT * sizeof *requests);
  STATUS(tidegate_scheduler_submit_many(at_once, now, specs, COUNT, requests, statuses), OK);
  for (i = 0; i < COUNT; i++) {
    request = 0;
    status = tidegate_scheduler_submit(singly, now, &specs[i], &request);
    CHECK(status == statuses[i] && request == requests[i]);
  }
  CHECK(statuses[0] == OK && requests[0] != 0 && statuses[4] == OK && requests[4] != 0);
  CHECK(statuses[1] == TIDEGATE_STATUS_UNKNOWN_TENANT && requests[1] == 0);
  CHECK(statuses[2] == TIDEGATE_STATUS_NEVER_FITS && statuses[3] == TIDEGATE_STATUS_UNKNOWN_TIER);
  CHECK(last(at_once).status == TIDEGATE_STATUS_UNKNOWN_TIER);
}

/* The ends of the first and of the last. */
static void completed(tidegate_scheduler_t *singly, tidegate_scheduler_t *at_once, uint64_t now,
                      const uint64_t *requests) {
  tidegate_completion_t ends[COUNT];
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  uint32_t statuses[COUNT];
  size_t i;
  ends[0] = completion_of(requests[0], 1);
  ends[1] = completion_of(requests[0], 1);
  ends[2] = completion_of(12345, 1);
  ends[3] = completion_of(requests[4], 2);
  ends[4] = completion_of(requests[4], 1);
  STATUS(tidegate_scheduler_complete_many(at_once, now, ends, COUNT, statuses), OK);
  usage.prompt_tokens = 30;
  usage.cached_tokens = 20;
  usage.output_tokens = 10;
  for (i = 0; i < COUNT; i++) {
    STATUS(tidegate_scheduler_complete(singly, now, ends[i].request, ends[i].attempt, &usage), statuses[i]);
  }
  CHECK(statuses[0] == OK && statuses[1] == TIDEGATE_STATUS_ALREADY_TERMINAL);
  CHECK(statuses[2] == TIDEGATE_STATUS_UNKNOWN_REQUEST && statuses[3] == TIDEGATE_STATUS_STALE_ATTEMPT);
  CHECK(statuses[4] == OK);
  CHECK(last(at_once).status == TIDEGATE_STATUS_STALE_ATTEMPT && last(at_once).request == requests[4]);
  CHECK(last(at_once).attempt == 2 && last(at_once).current_attempt == 1);
}

/* One scheduler is told singly what another is told at once, twice. */
static void as_single_calls(void) {
  tidegate_scheduler_t *singly = scheduler_of(ROOMY), *at_once = scheduler_of(ROOMY);
  tidegate_action_t actions[COUNT], same[COUNT];
  tidegate_stats_t stats = TIDEGATE_STATS_INIT, same_stats = TIDEGATE_STATS_INIT;
  tidegate_tenant_usage_t used = TIDEGATE_TENANT_USAGE_INIT;
  tidegate_completion_t again;
  uint64_t requests[COUNT], now;
  uint32_t status = 99;
  for (now = 5; now < 15; now += 5) {
    submitted(singly, at_once, now, requests);
    CHECK(round_of(singly, now, actions) == 2 && round_of(at_once, now, same) == 2);
    CHECK(memcmp(actions, same, sizeof actions) == 0);
    completed(singly, at_once, now, requests);
  }
  again = completion_of(requests[0], 1);
  STATUS(tidegate_scheduler_complete_many(at_once, now, &again, 1, &status), OK);
  CHECK(status == TIDEGATE_STATUS_ALREADY_TERMINAL);
  STATUS(tidegate_scheduler_stats(singly, &stats), OK);
  STATUS(tidegate_scheduler_stats(at_once, &same_stats), OK);
  CHECK(memcmp(&stats, &same_stats, sizeof stats) == 0 && stats.completed == 4);
  STATUS(tidegate_scheduler_usage(at_once, 0, &used), OK);
  CHECK(used.prompt_tokens == 120 && used.cached_tokens == 80 && used.output_tokens == 40);
  tidegate_scheduler_free(singly);
  tidegate_scheduler_free(at_once);
}

/* An array of what a newer header may know goes by its own stride. */
static void newer_callers(void) {
  struct {
    tidegate_request_spec_t spec;
    uint64_t newer;
  } grown[3];
  tidegate_scheduler_t *s = scheduler_of(ROOMY);
  uint64_t requests[3] = {0, 0, 0}, waiting = 0;
  size_t i;
  for (i = 0; i < 3; i++) {
    grown[i].spec = request_of(1);
    grown[i].spec.struct_size = sizeof *grown;
    grown[i].newer = 0;
  }
  STATUS(tidegate_scheduler_submit_many(s, 0, &grown[0].spec, 3, requests, NULL), OK);
  CHECK(requests[0] != 0 && requests[1] != 0 && requests[2] != 0 && requests[1] != requests[2]);
  grown[2].newer = 1;
  STATUS(tidegate_scheduler_submit_many(s, 0, &grown[0].spec, 3, requests, NULL), STRUCT_SIZE);
  grown[2].newer = 0;
  grown[1].spec.struct_size = sizeof(tidegate_request_spec_t);
  STATUS(tidegate_scheduler_submit_many(s, 0, &grown[0].spec, 3, requests, NULL), STRUCT_SIZE);
  grown[0].spec.struct_size = sizeof *grown - 1;
  STATUS(tidegate_scheduler_submit_many(s, 0, &grown[0].spec, 1, requests, NULL), STRUCT_SIZE);
  STATUS(tidegate_scheduler_queue_depth(s, 1, &waiting), OK);
  CHECK(waiting == 3);
  tidegate_scheduler_free(s);
}

/* The ids go where the specs were. */
static void ids_in_the_place_of_specs(void) {
  union {
    tidegate_request_spec_t specs[COUNT];
    uint64_t requests[COUNT];
  } place;
  tidegate_scheduler_t *s = scheduler_of(ROOMY);
  uint32_t state;
  mixed_specs(place.specs);
  STATUS(tidegate_scheduler_submit_many(s, 0, place.specs, COUNT, place.requests, NULL), OK);
  CHECK(place.requests[1] == 0 && place.requests[2] == 0 && place.requests[3] == 0);
  STATUS(tidegate_scheduler_state(s, place.requests[0], &state), OK);
  STATUS(tidegate_scheduler_state(s, place.requests[4], &state), OK);
  tidegate_scheduler_free(s);
}

/* Where outputs lie over each other the later one is right. */
static void statuses_over_ids(void) {
  tidegate_scheduler_t *s = scheduler_of(ROOMY);
  union {
    uint64_t request;
    uint32_t status;
  } place;
  tidegate_request_spec_t spec = request_of(0);
  place.request = UINT64_MAX;
  spec.tenant = 7;
  STATUS(tidegate_scheduler_submit_many(s, 0, &spec, 1, &place.request, &place.status), OK);
  CHECK(place.status == TIDEGATE_STATUS_UNKNOWN_TENANT);
  tidegate_scheduler_free(s);
}

/* What is wrong with the call itself. */
static void misuse(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_request_spec_t specs[2];
  tidegate_completion_t end = completion_of(12345, 1);
  uint64_t requests[2] = {99, 99};
  uint32_t statuses[2] = {99, 99};
  specs[0] = specs[1] = request_of(0);
  STATUS(tidegate_scheduler_submit_many(s, 0, NULL, 2, requests, statuses), NULL_POINTER);
  CHECK(says(s, "specs is NULL"));
  STATUS(tidegate_scheduler_submit_many(s, 0, specs, 2, NULL, statuses), NULL_POINTER);
  CHECK(says(s, "out_requests is NULL"));
  STATUS(tidegate_scheduler_submit_many(s, 0, specs, SIZE_MAX, requests, statuses), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_submit_many(s, 0, specs, SIZE_MAX / sizeof *specs + 2, requests, NULL), OUT_OF_RANGE);
  specs[1].yielding = 3;
  STATUS(tidegate_scheduler_submit_many(s, 0, specs, 2, requests, statuses), OUT_OF_RANGE);
  CHECK(says(s, "spec.yielding: 3 is out of range"));
  specs[1] = request_of(0);
  specs[1].struct_size = 0;
  STATUS(tidegate_scheduler_submit_many(s, 0, specs, 2, requests, statuses), STRUCT_SIZE);
  CHECK(says(s, "specs: struct_size is 0, this library knows 136 to 152"));
  STATUS(tidegate_scheduler_complete_many(s, 0, NULL, 1, statuses), NULL_POINTER);
  STATUS(tidegate_scheduler_complete_many(s, 0, &end, SIZE_MAX, statuses), OUT_OF_RANGE);
  end.reserved[6] = 1;
  STATUS(tidegate_scheduler_complete_many(s, 0, &end, 1, statuses), OUT_OF_RANGE);
  CHECK(says(s, "completions[].reserved: 1 is out of range"));
  CHECK(requests[0] == 99 && requests[1] == 99 && statuses[0] == 99 && statuses[1] == 99);

  STATUS(tidegate_scheduler_submit_many(s, 9, NULL, 0, NULL, NULL), OK);
  STATUS(tidegate_scheduler_complete_many(s, 9, NULL, 0, NULL), OK);
  end.reserved[6] = 0;
  STATUS(tidegate_scheduler_complete_many(s, 0, &end, 1, NULL), OK);
  CHECK(last(s).status == TIDEGATE_STATUS_UNKNOWN_REQUEST && last(s).request == 12345);
  nothing_changed(s);
  tidegate_scheduler_free(s);
}

int main(void) {
  CHECK(sizeof(tidegate_completion_t) == 64);
  as_single_calls();
  newer_callers();
  ids_in_the_place_of_specs();
  statuses_over_ids();
  misuse();
  return surprises == 0 ? 0 : 1;
}
