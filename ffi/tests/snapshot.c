/* A scheduler written down, and one made of the bytes that goes on as the other does; and what is wrong with such calls. */
#include "misuse.h"

#define DAMAGED TIDEGATE_STATUS_SNAPSHOT_DAMAGED
#define SHAPE TIDEGATE_STATUS_SNAPSHOT_SHAPE

typedef struct {
  uint8_t *bytes;
  size_t len;
} copy_t;

/* Its snapshot, in memory of exactly its size; the handle has ended. */
static copy_t snapshot_of(const tidegate_scheduler_t *s) {
  tidegate_snapshot_t *snapshot = NULL;
  const uint8_t *bytes = NULL;
  copy_t copy = {NULL, 0};
  STATUS(tidegate_scheduler_snapshot(s, &snapshot), OK);
  STATUS(tidegate_snapshot_bytes(snapshot, &bytes, &copy.len), OK);
  copy.bytes = (uint8_t *)malloc(copy.len);
  if (bytes == NULL || copy.bytes == NULL) exit(1);
  memcpy(copy.bytes, bytes, copy.len);
  tidegate_snapshot_free(snapshot);
  return copy;
}

static tidegate_scheduler_t *restored(const char *toml, copy_t copy) {
  tidegate_config_t *config = config_of(toml);
  tidegate_scheduler_t *s = NULL;
  STATUS(tidegate_scheduler_restore(config, copy.bytes, copy.len, NULL, 0, NULL, &s), OK);
  tidegate_config_free(config);
  if (s == NULL) exit(1);
  return s;
}

static tidegate_status_t refused(const char *toml, const uint8_t *bytes, size_t len, const char *words) {
  tidegate_config_t *config = config_of(toml);
  tidegate_scheduler_t *s = NULL;
  char message[256] = "";
  size_t written = 0;
  const tidegate_status_t status =
      tidegate_scheduler_restore(config, bytes, len, message, sizeof message, &written, &s);
  CHECK(s == NULL && written == strlen(message));
  CHECK(strstr(message, words) != NULL);
  if (strstr(message, words) == NULL) printf("the message is: %s\n", message);
  STATUS(tidegate_scheduler_restore(config, bytes, len, NULL, 0, NULL, &s), status);
  tidegate_config_free(config);
  return status;
}

/* Both are told the same, and wish the same. */
static void goes_on(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG), *same;
  tidegate_action_t actions[8], others[8];
  tidegate_request_spec_t spec = request_of(1);
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  const tidegate_action_t started = start_one(s, 7);
  copy_t copy, again;
  uint64_t request, other, now = 0;
  size_t count, counts = 99;
  STATUS(tidegate_scheduler_submit(s, 9, &spec, &request), OK);
  copy = snapshot_of(s);
  same = restored(CONFIG, copy);
  again = snapshot_of(same);
  CHECK(again.len == copy.len && memcmp(again.bytes, copy.bytes, copy.len) == 0);
  STATUS(tidegate_scheduler_now(same, &now), OK);
  CHECK(now == 9);
  STATUS(tidegate_scheduler_complete(s, 10, started.request, started.attempt, &usage), OK);
  STATUS(tidegate_scheduler_complete(same, 10, started.request, started.attempt, &usage), OK);
  STATUS(tidegate_scheduler_poll(s, 10, actions, 8, &count), OK);
  STATUS(tidegate_scheduler_poll(same, 10, others, 8, &counts), OK);
  CHECK(count == 1 && counts == 1 && memcmp(actions, others, sizeof *actions) == 0);
  CHECK(actions[0].kind == TIDEGATE_ACTION_START && actions[0].request == request);
  STATUS(tidegate_scheduler_submit(s, 11, &spec, &request), OK);
  STATUS(tidegate_scheduler_submit(same, 11, &spec, &other), OK);
  CHECK(other == request);
  STATUS(tidegate_scheduler_stats(same, &stats), OK);
  CHECK(stats.submitted == 3 && stats.completed == 1);
  STATUS(tidegate_scheduler_check_invariants(same, NULL, 0, NULL), OK);
  tidegate_scheduler_free(same);
  tidegate_scheduler_free(s);
  free(copy.bytes);
  free(again.bytes);
}

/* Other settings count as a reconfigure, other names are refused. */
static void another_config(void) {
  static const char SETTINGS[] = "dimensions = [\"slots\", \"kv_blocks\"]\npools = [\"a\", \"b\"]\n"
                                 "[[tiers]]\nname = \"realtime\"\nreserve_ppm = 500000\n[[tiers]]\nname = \"batch\"\n";
  static const char NAMES[] = "dimensions = [\"slots\"]\n[[tiers]]\nname = \"only\"\n";
  tidegate_scheduler_t *s = scheduler_of(CONFIG), *other;
  const copy_t copy = snapshot_of(s);
  uint64_t units[TIDEGATE_DIMENSIONS];
  other = restored(SETTINGS, copy);
  STATUS(tidegate_scheduler_effective_reserve(other, 0, 0, units), OK);
  CHECK(units[0] == 2 && units[1] == 20);
  STATUS(refused(NAMES, copy.bytes, copy.len, "tiers[0]: \"realtime\" while running, not \"only\""), SHAPE);
  tidegate_scheduler_free(other);
  tidegate_scheduler_free(s);
  free(copy.bytes);
}

static void other_bytes(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  const copy_t copy = snapshot_of(s);
  size_t len;
  STATUS(refused(CONFIG, NULL, 0, "no snapshot"), DAMAGED);
  STATUS(refused(CONFIG, (const uint8_t *)CONFIG, sizeof CONFIG, "no snapshot"), DAMAGED);
  for (len = 0; len < copy.len; len += 7)
    STATUS(refused(CONFIG, copy.bytes, len, len < 8 ? "no snapshot" : "a damaged snapshot: "), DAMAGED);
  copy.bytes[copy.len - 1] ^= 0x40;
  STATUS(refused(CONFIG, copy.bytes, copy.len, "the checksum does not agree"), DAMAGED);
  copy.bytes[8]++; /* the format */
  STATUS(refused(CONFIG, copy.bytes, copy.len, "another build"), TIDEGATE_STATUS_SNAPSHOT_FORMAT);
  tidegate_scheduler_free(s);
  free(copy.bytes);
}

static void null_pointers(void) {
  tidegate_config_t *config = config_of(CONFIG);
  tidegate_scheduler_t *s = scheduler_of(CONFIG), *made = NULL;
  tidegate_snapshot_t *snapshot = NULL;
  const uint8_t *bytes = NULL;
  uint64_t now = 99;
  size_t len = 99;
  STATUS(tidegate_scheduler_snapshot(NULL, &snapshot), NULL_POINTER);
  STATUS(tidegate_scheduler_snapshot(s, NULL), NULL_POINTER);
  STATUS(tidegate_snapshot_bytes(NULL, &bytes, &len), NULL_POINTER);
  CHECK(snapshot == NULL && bytes == NULL && len == 99);
  STATUS(tidegate_scheduler_snapshot(s, &snapshot), OK);
  STATUS(tidegate_snapshot_bytes(snapshot, NULL, &len), NULL_POINTER);
  STATUS(tidegate_snapshot_bytes(snapshot, &bytes, NULL), NULL_POINTER);
  CHECK(bytes == NULL && len == 99);
  STATUS(tidegate_snapshot_bytes(snapshot, &bytes, &len), OK);
  STATUS(tidegate_scheduler_restore(NULL, bytes, len, NULL, 0, NULL, &made), NULL_POINTER);
  STATUS(tidegate_scheduler_restore(config, NULL, len, NULL, 0, NULL, &made), NULL_POINTER);
  STATUS(tidegate_scheduler_restore(config, bytes, len, NULL, 1, NULL, &made), NULL_POINTER);
  STATUS(tidegate_scheduler_restore(config, bytes, len, NULL, 0, NULL, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_restore(config, bytes, SIZE_MAX, NULL, 0, NULL, &made), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_now(NULL, &now), NULL_POINTER);
  STATUS(tidegate_scheduler_now(s, NULL), NULL_POINTER);
  CHECK(made == NULL && now == 99);
  nothing_changed(s);
  tidegate_snapshot_free(NULL);
  tidegate_snapshot_free(snapshot);
  tidegate_scheduler_free(s);
  tidegate_config_free(config);
}

/* A handle on a shared scheduler writes down what that knows, without the intake; what is restored can be shared again. */
static void shared(void) {
  tidegate_scheduler_t *own = scheduler_of(CONFIG), *s = NULL, *other;
  tidegate_shared_t *all = NULL;
  tidegate_request_spec_t spec = request_of(0);
  tidegate_stats_t stats = TIDEGATE_STATS_INIT;
  uint64_t ticket = 0, request;
  copy_t copy;
  STATUS(tidegate_shared_new(own, 4, &all), OK);
  STATUS(tidegate_shared_open(all, &s), OK);
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &request), OK);
  STATUS(tidegate_shared_submit(all, 0, &spec, &ticket), OK);
  copy = snapshot_of(s);
  other = restored(CONFIG, copy);
  STATUS(tidegate_scheduler_stats(other, &stats), OK);
  CHECK(stats.submitted == 1);
  tidegate_scheduler_free(s);
  tidegate_shared_free(all);
  STATUS(tidegate_shared_new(other, 4, &all), OK);
  tidegate_shared_free(all);
  free(copy.bytes);
}

int main(void) {
  goes_on();
  another_config();
  other_bytes();
  null_pointers();
  shared();
  return surprises == 0 ? 0 : 1;
}
