/* The header stands alone, may be included twice, and its macros begin every struct. */
#include "tidegate.h"
#include "tidegate.h"

static const tidegate_request_spec_t REQUEST = TIDEGATE_REQUEST_SPEC_INIT;
static const tidegate_tenant_policy_t POLICY = TIDEGATE_TENANT_POLICY_INIT;
static const tidegate_worker_spec_t WORKER = TIDEGATE_WORKER_SPEC_INIT;
static const tidegate_device_spec_t DEVICE = TIDEGATE_DEVICE_SPEC_INIT;
static const tidegate_amendment_t AMENDMENT = TIDEGATE_AMENDMENT_INIT;
static const tidegate_explanation_t EXPLANATION = TIDEGATE_EXPLANATION_INIT;
static const tidegate_usage_t USAGE = TIDEGATE_USAGE_INIT;
static const tidegate_stats_t STATS = TIDEGATE_STATS_INIT;
static const tidegate_tenant_usage_t TENANT_USAGE = TIDEGATE_TENANT_USAGE_INIT;
static const tidegate_error_t ERROR = TIDEGATE_ERROR_INIT;

int main(void) {
  return REQUEST.struct_size == sizeof REQUEST && WORKER.struct_size == sizeof WORKER &&
                 POLICY.struct_size == sizeof POLICY && POLICY.weight == 1 &&
                 DEVICE.struct_size == sizeof DEVICE && AMENDMENT.struct_size == sizeof AMENDMENT &&
                 EXPLANATION.struct_size == sizeof EXPLANATION && USAGE.struct_size == sizeof USAGE &&
                 STATS.struct_size == sizeof STATS && TENANT_USAGE.struct_size == sizeof TENANT_USAGE &&
                 ERROR.struct_size == sizeof ERROR
             ? 0
             : 1;
}
