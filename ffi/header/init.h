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
