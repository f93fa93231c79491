/* What no program may do, and what is told of it all the same: a handle used after its end, and by two threads at once.
 * Memory checkers tell more; this runs without one that ends the program for it.
 */
#define _POSIX_C_SOURCE 200809L
#include "misuse.h"

#include <pthread.h>

#define BAD_HANDLE TIDEGATE_STATUS_BAD_HANDLE
#define MANY 500
#define TRIES 2000

static void after_the_end(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG), *made = NULL;
  tidegate_config_t *config = config_of(CONFIG);
  tidegate_config_builder_t *builder = NULL;
  tidegate_shared_t *shared = NULL;
  tidegate_snapshot_t *snapshot = NULL;
  const uint8_t *bytes = NULL;
  size_t len = 99;
  uint64_t at = 99;
  STATUS(tidegate_config_builder_new(&builder), OK);
  STATUS(tidegate_scheduler_snapshot(s, &snapshot), OK);
  tidegate_snapshot_free(snapshot);
  STATUS(tidegate_snapshot_bytes(snapshot, &bytes, &len), BAD_HANDLE);
  tidegate_snapshot_free(snapshot);
  tidegate_scheduler_free(s);
  STATUS(tidegate_scheduler_snapshot(s, &snapshot), BAD_HANDLE);
  STATUS(tidegate_scheduler_cancel(s, 0, 1), BAD_HANDLE);
  STATUS(tidegate_scheduler_poll_timeout(s, &at), BAD_HANDLE);
  STATUS(tidegate_shared_new(s, 1, &shared), BAD_HANDLE);
  tidegate_scheduler_free(s);
  tidegate_config_free(config);
  STATUS(tidegate_scheduler_new(config, 0, &made), BAD_HANDLE);
  tidegate_config_free(config);
  tidegate_config_builder_free(builder);
  STATUS(tidegate_config_builder_set_number(builder, "a", 1, 1), BAD_HANDLE);
  tidegate_config_builder_free(builder);
  CHECK(at == 99 && made == NULL && shared == NULL && bytes == NULL && len == 99);
}

/* What became part of a shared scheduler is no handle any more. */
static void after_it_was_taken(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_shared_t *shared = NULL;
  STATUS(tidegate_shared_new(s, 1, &shared), OK);
  STATUS(tidegate_scheduler_cancel(s, 0, 1), BAD_HANDLE);
  tidegate_scheduler_free(s);
  tidegate_shared_free(shared);
  STATUS(tidegate_shared_wake(shared), BAD_HANDLE);
  tidegate_shared_free(shared);
}

typedef struct {
  tidegate_scheduler_t *scheduler;
  pthread_mutex_t lock;
  int done, told, wrong;
} pair_t;

static int is_done(pair_t *pair, int told, int wrong) {
  int done;
  pthread_mutex_lock(&pair->lock);
  pair->told += told;
  pair->wrong += wrong;
  if (pair->told > 0) pair->done = 1;
  done = pair->done;
  pthread_mutex_unlock(&pair->lock);
  return done;
}

static void *one_of_two(void *argument) {
  pair_t *pair = (pair_t *)argument;
  tidegate_completion_t *ends = (tidegate_completion_t *)calloc(MANY, sizeof *ends);
  int tries, done = 0;
  if (ends == NULL) exit(1);
  for (tries = 0; tries < TRIES && !done; tries++) {
    const tidegate_status_t status = tidegate_scheduler_complete_many(pair->scheduler, 0, ends, MANY, NULL);
    done = is_done(pair, status == TIDEGATE_STATUS_IN_USE, status != TIDEGATE_STATUS_IN_USE && status != OK);
  }
  free(ends);
  return NULL;
}

/* Long calls of two threads meet sooner or later; each is done or refused, and nothing is torn. */
static void by_two_threads(void) {
  pair_t pair = {scheduler_of(CONFIG), PTHREAD_MUTEX_INITIALIZER, 0, 0, 0};
  pthread_t threads[2];
  size_t i;
  for (i = 0; i < 2; i++) CHECK(pthread_create(&threads[i], NULL, one_of_two, &pair) == 0);
  for (i = 0; i < 2; i++) CHECK(pthread_join(threads[i], NULL) == 0);
  CHECK(pair.told > 0 && pair.wrong == 0);
  nothing_changed(pair.scheduler);
  tidegate_scheduler_free(pair.scheduler);
}

int main(void) {
  after_the_end();
  after_it_was_taken();
  by_two_threads();
  return surprises == 0 ? 0 : 1;
}
