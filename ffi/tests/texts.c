/* Configs set field by field and asked for their names, and answers as JSON; what is wrong with such calls. */
#include "misuse.h"

#define AT(path) (path), strlen(path)

static int is(const char *got, const char *wanted) {
  if (strcmp(got, wanted) == 0) return 1;
  printf("got:    %s\nwanted: %s\n", got, wanted);
  return 0;
}

static tidegate_config_builder_t *builder_of(void) {
  tidegate_config_builder_t *builder = NULL;
  STATUS(tidegate_config_builder_new(&builder), OK);
  if (builder == NULL) exit(1);
  return builder;
}

/* The same config, set field by field and read from text. */
static void as_text_says(void) {
  static const char SAME[] =
      "dimensions = [\"slots\", \"kv.blocks\"]\nmin_run = \"1500ms\"\nqueue_limit = 7\ndisplace = true\n"
      "[[tiers]]\nname = \"realtime\"\nreserve_ppm = 300000\nborrow_limit = { slots = 4, \"kv.blocks\" = 100 }\n"
      "[[tiers]]\nname = \"batch\"\norder = \"fifo\"\n[default_policy]\nweight = 3\nmost_urgent = \"batch\"\n";
  tidegate_config_t *read = config_of(SAME), *built = NULL;
  tidegate_config_builder_t *builder = builder_of();
  char text[8192], same[8192];
  STATUS(tidegate_config_builder_set_text(builder, AT("dimensions[0]"), AT("slots")), OK);
  STATUS(tidegate_config_builder_set_text(builder, AT("dimensions[1]"), AT("kv.blocks")), OK);
  STATUS(tidegate_config_builder_set_duration(builder, AT("min_run"), 1500000000), OK);
  STATUS(tidegate_config_builder_set_number(builder, AT("queue_limit"), 7), OK);
  STATUS(tidegate_config_builder_set_truth(builder, AT("displace"), 0), OK);
  STATUS(tidegate_config_builder_set_truth(builder, AT("displace"), 1), OK);
  STATUS(tidegate_config_builder_set_text(builder, AT("tiers[0].name"), AT("realtime")), OK);
  STATUS(tidegate_config_builder_set_number(builder, AT("tiers[0].reserve_ppm"), 300000), OK);
  STATUS(tidegate_config_builder_set_number(builder, AT("tiers[0].borrow_limit.slots"), 4), OK);
  STATUS(tidegate_config_builder_set_number(builder, AT("tiers[0].borrow_limit.\"kv.blocks\""), 100), OK);
  STATUS(tidegate_config_builder_set_text(builder, AT("tiers[1].name"), AT("batch")), OK);
  STATUS(tidegate_config_builder_set_text(builder, AT("tiers[1].order"), AT("fifo")), OK);
  STATUS(tidegate_config_builder_set_number(builder, AT("default_policy.weight"), 3), OK);
  STATUS(tidegate_config_builder_set_text(builder, AT("default_policy.most_urgent"), AT("batch")), OK);
  STATUS(tidegate_config_builder_build(builder, NULL, 0, NULL, &built), OK);
  if (built == NULL) exit(1);
  STATUS(tidegate_config_to_toml(read, text, sizeof text, NULL), OK);
  STATUS(tidegate_config_to_toml(built, same, sizeof same, NULL), OK);
  CHECK(is(same, text));
  tidegate_config_free(read);
  tidegate_config_free(built);
  tidegate_config_builder_free(builder);
}

static void wrong_settings(void) {
  tidegate_config_builder_t *builder = builder_of();
  tidegate_config_t *const mark = (tidegate_config_t *)(void *)builder, *config = mark;
  char message[256];
  size_t len = 0;
  STATUS(tidegate_config_builder_set_text(builder, AT("tiers[1].name"), AT("b")), OUT_OF_RANGE);
  STATUS(tidegate_config_builder_set_text(builder, AT("tiers["), AT("b")), OUT_OF_RANGE);
  STATUS(tidegate_config_builder_set_text(builder, NULL, 0, AT("b")), OUT_OF_RANGE);
  STATUS(tidegate_config_builder_set_number(builder, AT("a.b.c.d.e.f.g.h.i"), 1), OUT_OF_RANGE);
  STATUS(tidegate_config_builder_set_truth(builder, AT("displace"), 2), OUT_OF_RANGE);
  STATUS(tidegate_config_builder_set_text(builder, "\xFF", 1, AT("b")), TIDEGATE_STATUS_INVALID_UTF8);
  STATUS(tidegate_config_builder_set_text(builder, AT("dimensions[0]"), "\xFF", 1), TIDEGATE_STATUS_INVALID_UTF8);
  STATUS(tidegate_config_builder_set_text(builder, NULL, 1, AT("b")), NULL_POINTER);
  STATUS(tidegate_config_builder_set_text(builder, AT("dimensions[0]"), NULL, 1), NULL_POINTER);
  STATUS(tidegate_config_builder_set_text(NULL, AT("dimensions[0]"), AT("b")), NULL_POINTER);
  STATUS(tidegate_config_builder_set_number(NULL, AT("queue_limit"), 1), NULL_POINTER);
  STATUS(tidegate_config_builder_set_duration(NULL, AT("min_run"), 1), NULL_POINTER);
  STATUS(tidegate_config_builder_set_truth(NULL, AT("displace"), 1), NULL_POINTER);
  STATUS(tidegate_config_builder_new(NULL), NULL_POINTER);
  STATUS(tidegate_config_builder_build(NULL, NULL, 0, NULL, &config), NULL_POINTER);
  STATUS(tidegate_config_builder_build(builder, NULL, 0, NULL, NULL), NULL_POINTER);
  STATUS(tidegate_config_builder_build(builder, NULL, 1, NULL, &config), NULL_POINTER);
  STATUS(tidegate_config_builder_build(builder, message, sizeof message, &len, &config), TIDEGATE_STATUS_CONFIG_INVALID);
  CHECK(len == strlen(message) && strstr(message, "dimensions") != NULL && strstr(message, "tiers") != NULL);
  STATUS(tidegate_config_builder_set_number(builder, AT("queue_limmit"), 1), OK);
  STATUS(tidegate_config_builder_build(builder, message, sizeof message, NULL, &config), TIDEGATE_STATUS_CONFIG_INVALID);
  CHECK(strstr(message, "queue_limmit") != NULL && config == mark);
  /* A name with a NUL in it does not cut the message, nor one with a line break break its line. */
  STATUS(tidegate_config_builder_set_number(builder, AT("\"a\\u0000b\\nc\""), 1), OK);
  STATUS(tidegate_config_builder_build(builder, message, sizeof message, &len, &config), TIDEGATE_STATUS_CONFIG_INVALID);
  CHECK(strstr(message, "`a\\0b\\nc`") != NULL && strchr(message, '\n') == NULL);
  tidegate_config_builder_free(builder);
  tidegate_config_builder_free(NULL);
}

static void names_by_number(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_config_t *config = NULL;
  char name[16], cut[3];
  size_t len = 0;
  STATUS(tidegate_scheduler_config(s, &config), OK);
  STATUS(tidegate_scheduler_config(s, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_config(NULL, &config), NULL_POINTER);
  tidegate_scheduler_free(s);
  STATUS(tidegate_config_tier_name(config, 1, name, sizeof name, &len), OK);
  CHECK(len == 5 && is(name, "batch"));
  STATUS(tidegate_config_dimension_name(config, 1, cut, sizeof cut, &len), OK);
  CHECK(len == 9 && is(cut, "kv"));
  STATUS(tidegate_config_pool_name(config, 1, name, sizeof name, NULL), OK);
  CHECK(is(name, "b"));
  STATUS(tidegate_config_tier_name(config, 2, name, sizeof name, &len), TIDEGATE_STATUS_UNKNOWN_TIER);
  STATUS(tidegate_config_pool_name(config, UINT32_MAX, name, sizeof name, &len), TIDEGATE_STATUS_UNKNOWN_POOL);
  STATUS(tidegate_config_dimension_name(config, 2, name, sizeof name, &len), TIDEGATE_STATUS_UNKNOWN_DIMENSION);
  STATUS(tidegate_config_tier_name(NULL, 0, name, sizeof name, &len), NULL_POINTER);
  STATUS(tidegate_config_tier_name(config, 0, NULL, 1, &len), NULL_POINTER);
  CHECK(len == 9 && is(name, "b"));
  tidegate_config_free(config);
  CHECK(is(tidegate_state_str(TIDEGATE_STATE_PARKED), "parked"));
  CHECK(is(tidegate_state_str(0), "unknown state") && is(tidegate_state_str(UINT32_MAX), "unknown state"));
  CHECK(is(tidegate_action_kind_str(TIDEGATE_ACTION_PREEMPT), "preempt"));
  CHECK(is(tidegate_action_kind_str(UINT32_MAX), "unknown action"));
}

static void answers(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  tidegate_action_t started = start_one(s, 0);
  tidegate_request_spec_t spec = request_of(1);
  uint64_t waiting = 0;
  char text[1024];
  size_t len = 0;
  STATUS(tidegate_scheduler_explain_json(s, started.request, text, sizeof text, &len), OK);
  CHECK(len == strlen(text) && is(text, "{\"state\":\"starting\",\"gate\":null,\"ahead\":0,\"starts_at_ns\":null,\"pool\":0,\"other_pools\":[]}"));
  STATUS(tidegate_scheduler_worker_lost(s, 0, 0), OK);
  STATUS(tidegate_scheduler_submit(s, 0, &spec, &waiting), OK);
  STATUS(tidegate_scheduler_explain_json(s, waiting, text, sizeof text, NULL), OK);
  CHECK(is(text, "{\"state\":\"parked\",\"gate\":\"no-worker\",\"ahead\":0,\"starts_at_ns\":null,\"pool\":0,\"other_pools\":[]}"));
  STATUS(tidegate_scheduler_stats_json(s, text, sizeof text, &len), OK);
  CHECK(len == strlen(text) && strncmp(text, "{\"submitted\":2,\"completed\":0,", 29) == 0);
  CHECK(strstr(text, "\"by_reason\":{\"guaranteed\":1,") != NULL);
  STATUS(tidegate_scheduler_usage_json(s, 0, text, sizeof text, &len), OK);
  CHECK(len == strlen(text) && strstr(text, "\"in_use\":{\"slots\":0,\"kv_blocks\":0},") != NULL);
  STATUS(tidegate_scheduler_explain_json(s, 12345, text, 1, &len), TIDEGATE_STATUS_UNKNOWN_REQUEST);
  STATUS(tidegate_scheduler_usage_json(s, 9, text, 1, &len), TIDEGATE_STATUS_UNKNOWN_TENANT);
  STATUS(tidegate_scheduler_explain_json(s, waiting, NULL, 1, &len), NULL_POINTER);
  STATUS(tidegate_scheduler_usage_json(s, 0, NULL, 1, &len), NULL_POINTER);
  STATUS(tidegate_scheduler_stats_json(s, NULL, 1, &len), NULL_POINTER);
  STATUS(tidegate_scheduler_explain_json(NULL, waiting, NULL, 0, &len), NULL_POINTER);
  STATUS(tidegate_scheduler_usage_json(NULL, 0, NULL, 0, &len), NULL_POINTER);
  STATUS(tidegate_scheduler_stats_json(NULL, NULL, 0, &len), NULL_POINTER);
  STATUS(tidegate_scheduler_stats_json(s, NULL, 0, NULL), OK);
  tidegate_scheduler_free(s);
}

static void metrics(void) {
  tidegate_scheduler_t *s = scheduler_of(CONFIG);
  static char page[1 << 18];
  char start[8];
  size_t len = 0, whole = 0;
  tidegate_tenant_usage_t used = TIDEGATE_TENANT_USAGE_INIT;
  start_one(s, 0);
  STATUS(tidegate_scheduler_metrics(s, TIDEGATE_METRICS_FORMAT_PROMETHEUS, 10, NULL, 0, &whole), OK);
  CHECK(whole > 1000 && whole < sizeof page);
  STATUS(tidegate_scheduler_metrics(s, TIDEGATE_METRICS_FORMAT_PROMETHEUS, 10, page, sizeof page, &len), OK);
  CHECK(len == whole && len == strlen(page) && strstr(page, "# EOF") == NULL);
  CHECK(strstr(page, "reason=\"guaranteed\"} 1\n") != NULL);
  STATUS(tidegate_scheduler_metrics(s, TIDEGATE_METRICS_FORMAT_OPEN_METRICS, 0, start, sizeof start, NULL), OK);
  CHECK(is(start, "# TYPE "));
  STATUS(tidegate_scheduler_metrics(s, 2, 0, page, sizeof page, &len), OUT_OF_RANGE);
  STATUS(tidegate_scheduler_metrics(s, 0, 0, NULL, 1, &len), NULL_POINTER);
  STATUS(tidegate_scheduler_metrics(NULL, 0, 0, page, sizeof page, &len), NULL_POINTER);
  CHECK(strstr(tidegate_metrics_content_type(TIDEGATE_METRICS_FORMAT_OPEN_METRICS), "openmetrics") != NULL);
  CHECK(tidegate_metrics_content_type(2) == NULL);
  STATUS(tidegate_scheduler_usage_by_tier(s, 0, 0, 0, &used), OK);
  CHECK(used.submitted == 1 && used.unit_ns[0].low == 0);
  STATUS(tidegate_scheduler_usage_by_tier(s, 0, 0, 1000, &used), OK);
  CHECK(used.unit_ns[0].low == 1000);
  STATUS(tidegate_scheduler_usage_by_tier(s, 9, 0, 0, &used), TIDEGATE_STATUS_UNKNOWN_TENANT);
  STATUS(tidegate_scheduler_usage_by_tier(s, 0, 2, 0, &used), TIDEGATE_STATUS_UNKNOWN_TIER);
  STATUS(tidegate_scheduler_usage_by_tier(s, 0, 0, 0, NULL), NULL_POINTER);
  STATUS(tidegate_scheduler_usage_by_tier(NULL, 0, 0, 0, &used), NULL_POINTER);
  tidegate_scheduler_free(s);
}

int main(void) {
  as_text_says();
  wrong_settings();
  names_by_number();
  answers();
  metrics();
  return surprises == 0 ? 0 : 1;
}
