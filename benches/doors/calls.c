/* Prints what one call through the C ABI takes, in nanoseconds of thread CPU time: calls COUNT. */
#define _POSIX_C_SOURCE 200809L
#include "tidegate.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char CONFIG[] =
    "dimensions = [\"slots\", \"kv_blocks\"]\n"
    "[[tiers]]\n"
    "name = \"realtime\"\n"
    "reserve_ppm = 300000\n"
    "[[tiers]]\n"
    "name = \"near-realtime\"\n"
    "[[tiers]]\n"
    "name = \"batch\"\n"
    "reserve_ppm = 50000\n";

static void must(tidegate_status_t status) {
  if (status == TIDEGATE_STATUS_OK) return;
  fprintf(stderr, "calls.c: %s\n", tidegate_status_str(status));
  exit(1);
}

static uint64_t thread_cpu_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

int main(int argc, char **argv) {
  long count = argc == 2 ? atol(argv[1]) : 0;
  tidegate_config_t *config;
  tidegate_scheduler_t *scheduler;
  uint64_t depth = 1, start, end;
  long call;
  if (count <= 0) {
    fprintf(stderr, "usage: calls COUNT\n");
    return 2;
  }
  must(tidegate_config_from_toml(CONFIG, strlen(CONFIG), NULL, 0, NULL, &config));
  must(tidegate_scheduler_new(config, 0, &scheduler));
  start = thread_cpu_ns();
  for (call = 0; call < count; call++) must(tidegate_scheduler_queue_depth(scheduler, 0, &depth));
  end = thread_cpu_ns();
  tidegate_scheduler_free(scheduler);
  tidegate_config_free(config);
  if (depth != 0) {
    fprintf(stderr, "calls.c: %llu requests wait, and none was submitted\n", (unsigned long long)depth);
    return 1;
  }
  printf("%.4f\n", (double)(end - start) / (double)count);
  return 0;
}
