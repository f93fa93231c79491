/* Arguments that overlap, which the header allows: all is read before anything is written, and of outputs that overlap
 * each other the later argument is right.
 */
#include "misuse.h"

#define COUNT 3

/* A plan over a part of the prompts that it is made from: before, after and on them. */
static void an_output_over_a_part_of_an_input(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_prompt_left_t prompts[COUNT], plan[COUNT], both[2 * COUNT];
  size_t count = 0, at, from, to;
  for (at = 0; at < COUNT; at++) {
    prompts[at].request = start_one(s, 0).request;
    prompts[at].tokens = 10 * (at + 1);
  }
  STATUS(tidegate_scheduler_step_plan(s, 0, 1000, prompts, COUNT, plan, &count), OK);
  CHECK(count == COUNT);
  CHECK(plan[0].tokens + plan[1].tokens + plan[2].tokens == 60);
  for (from = 0; from <= COUNT; from++)
    for (to = 0; to <= COUNT; to++) {
      memcpy(both + from, prompts, sizeof prompts);
      count = 0;
      STATUS(tidegate_scheduler_step_plan(s, 0, 1000, both + from, COUNT, both + to, &count), OK);
      CHECK(count == COUNT);
      CHECK(memcmp(both + to, plan, sizeof plan) == 0);
    }
  tidegate_scheduler_free(s);
}

/* Ids over the specs that they are of, and statuses over the ids. */
static void outputs_over_outputs_and_inputs(void) {
  static const uint32_t STATUSES[COUNT] = {OK, TIDEGATE_STATUS_UNKNOWN_TIER, OK};
  union {
    tidegate_request_spec_t specs[COUNT];
    uint64_t requests[COUNT];
    uint32_t statuses[2 * COUNT];
  } all;
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  uint64_t requests[COUNT];
  size_t at;
  for (at = 0; at < COUNT; at++) all.specs[at] = request_of(at == 1 ? 7 : 0);
  STATUS(tidegate_scheduler_submit_many(s, 0, all.specs, COUNT, all.requests, all.statuses), OK);
  CHECK(memcmp(all.statuses, STATUSES, sizeof STATUSES) == 0);
  memcpy(requests, all.requests, sizeof requests);
  CHECK(requests[2] != 0); /* the statuses end before it */
  STATUS(tidegate_scheduler_cancel(s, 0, requests[2]), OK);
  STATUS(tidegate_scheduler_stats(s, &stats), OK);
  CHECK(stats.submitted == 2 && stats.cancelled == 1);
  tidegate_scheduler_free(s);
}

/* How many actions there are, inside the first of them, and anywhere in it. */
static void a_count_inside_an_array(void) {
  union {
    tidegate_action_t action;
    size_t words[sizeof(tidegate_action_t) / sizeof(size_t)];
  } told;
  tidegate_action_t alone;
  size_t at, word;
  for (at = 0; at < sizeof told / sizeof(size_t); at++) {
    tidegate_scheduler_t *s = scheduler_of(CONFIG), *same = scheduler_of(CONFIG);
    tidegate_request_spec_t spec = request_of(0);
    uint64_t request;
    size_t count = 0;
    STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), OK);
    STATUS(tidegate_scheduler_submit(same, 0, &spec, &request), OK);
    STATUS(tidegate_scheduler_poll(s, 0, &told.action, 1, &told.words[at]), OK);
    CHECK(told.words[at] == 1);
    STATUS(tidegate_scheduler_poll(same, 0, &alone, 1, &count), OK);
    for (word = 0; word < sizeof told / sizeof(size_t); word++)
      if (word != at) CHECK(memcmp(&told.words[word], (char *)&alone + word * sizeof(size_t), sizeof(size_t)) == 0);
    tidegate_scheduler_free(s);
    tidegate_scheduler_free(same);
  }
}

int main(void) {
  an_output_over_a_part_of_an_input();
  outputs_over_outputs_and_inputs();
  a_count_inside_an_array();
  return surprises == 0 ? 0 : 1;
}
