/* Pointers that are no handles of the kind: other handles, and other memory. */
#include "misuse.h"

#define BAD_HANDLE TIDEGATE_STATUS_BAD_HANDLE

/* Each kind of handle is asked as if it were this address. */
static void no_handle(void *at) {
  tidegate_error_t error = TIDEGATE_ERROR_INIT;
  tidegate_scheduler_t *s = NULL;
  tidegate_shared_t *shared = NULL;
  tidegate_config_t *config = NULL;
  tidegate_snapshot_t *snapshot = NULL;
  const uint8_t *bytes = NULL;
  size_t len = 99;
  uint64_t wide = 99;
  uint32_t number = 99;
  STATUS(tidegate_scheduler_cancel((tidegate_scheduler_t *)at, 0, 1), BAD_HANDLE);
  STATUS(tidegate_scheduler_poll_timeout((tidegate_scheduler_t *)at, &wide), BAD_HANDLE);
  STATUS(tidegate_scheduler_last_error((tidegate_scheduler_t *)at, &error), BAD_HANDLE);
  STATUS(tidegate_shared_new((tidegate_scheduler_t *)at, 1, &shared), BAD_HANDLE);
  STATUS(tidegate_shared_wait((tidegate_shared_t *)at, 0, 0, &number), BAD_HANDLE);
  STATUS(tidegate_scheduler_new((tidegate_config_t *)at, 0, &s), BAD_HANDLE);
  STATUS(tidegate_config_find_tier((tidegate_config_t *)at, "batch", 5, &number), BAD_HANDLE);
  STATUS(tidegate_config_builder_set_number((tidegate_config_builder_t *)at, "a", 1, 1), BAD_HANDLE);
  STATUS(tidegate_config_builder_build((tidegate_config_builder_t *)at, NULL, 0, NULL, &config), BAD_HANDLE);
  STATUS(tidegate_scheduler_snapshot((tidegate_scheduler_t *)at, &snapshot), BAD_HANDLE);
  STATUS(tidegate_scheduler_restore((tidegate_config_t *)at, NULL, 0, NULL, 0, NULL, &s), BAD_HANDLE);
  STATUS(tidegate_snapshot_bytes((tidegate_snapshot_t *)at, &bytes, &len), BAD_HANDLE);
  tidegate_snapshot_free((tidegate_snapshot_t *)at);
  tidegate_scheduler_free((tidegate_scheduler_t *)at);
  tidegate_shared_free((tidegate_shared_t *)at);
  tidegate_config_free((tidegate_config_t *)at);
  tidegate_config_builder_free((tidegate_config_builder_t *)at);
  CHECK(wide == 99 && number == 99 && s == NULL && shared == NULL && config == NULL);
  CHECK(snapshot == NULL && bytes == NULL && len == 99);
}

static void other_memory(void) {
  uint64_t zeros[16], ones[16];
  char words[] = "tidegate tidegate tidegate";
  memset(zeros, 0, sizeof zeros);
  memset(ones, 0xFF, sizeof ones);
  no_handle(zeros);
  no_handle(ones);
  no_handle((char *)zeros + 1); /* not aligned */
  no_handle((char *)zeros + 4);
  no_handle(words);
}

/* Of three kinds, as if they were the others. */
static void other_handles(void) {
  tidegate_config_t *config = config_of(CONFIG);
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_config_builder_t *builder = NULL;
  uint64_t at = 0;
  uint32_t number = 99;
  STATUS(tidegate_config_builder_new(&builder), OK);
  STATUS(tidegate_scheduler_cancel((tidegate_scheduler_t *)(void *)config, 0, 1), BAD_HANDLE);
  STATUS(tidegate_scheduler_cancel((tidegate_scheduler_t *)(void *)builder, 0, 1), BAD_HANDLE);
  STATUS(tidegate_config_find_tier((tidegate_config_t *)(void *)s, "batch", 5, &number), BAD_HANDLE);
  STATUS(tidegate_shared_wake((tidegate_shared_t *)(void *)s), BAD_HANDLE);
  STATUS(tidegate_scheduler_reconfigure(s, 0, (tidegate_config_t *)(void *)builder), BAD_HANDLE);
  CHECK(says(s, "config is no handle, or was freed") && number == 99);
  tidegate_config_free((tidegate_config_t *)(void *)s);
  tidegate_scheduler_free((tidegate_scheduler_t *)(void *)config);
  tidegate_config_builder_free((tidegate_config_builder_t *)(void *)s);
  STATUS(tidegate_scheduler_poll_timeout(s, &at), OK);
  STATUS(tidegate_config_find_tier(config, "batch", 5, &number), OK);
  tidegate_config_builder_free(builder);
  tidegate_scheduler_free(s);
  tidegate_config_free(config);
}

int main(void) {
  other_memory();
  other_handles();
  return surprises == 0 ? 0 : 1;
}
