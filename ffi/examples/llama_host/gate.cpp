// See gate.hpp.
#include "gate.hpp"

#include <stdexcept>

namespace llama_host {

namespace {

tidegate::Config read_config(const std::string& toml) {
  if (!tidegate::abi_matches())
    throw std::runtime_error("libtidegate has another ABI than the header that this program was compiled with");
  return tidegate::Config::from_toml(toml).value();
}

// Whether a status says that the request is refused, and not that the host is wrong.
bool refuses(tidegate::Status status) {
  return status == tidegate::Status::never_fits || status == tidegate::Status::queue_full ||
         status == tidegate::Status::tier_too_urgent || status == tidegate::Status::never_allowed ||
         status == tidegate::Status::over_quota;
}

}  // namespace

Gate::Gate(const std::string& config_toml)
    : config_(read_config(config_toml)), scheduler_(tidegate::Scheduler::create(config_, {}).value()) {}

void Gate::add_engine(tidegate::Instant now, uint64_t slots, uint64_t cells, uint64_t checkpoint_mib) {
  const auto device = scheduler_.device_add(now, tidegate::DeviceSpec().checkpoint_mib(checkpoint_mib)).value();
  const tidegate::DevicePart all_of_it[] = {{device, 1000000}};
  engine_ = scheduler_.worker_add(now, {tidegate::PoolId{0}, {slots, cells}}, all_of_it).value();
}

void Gate::add_tenant(tidegate::Instant now, const std::string& name) {
  tenants_[name] = scheduler_.tenant_set(now, name).value();
}

void Gate::limit_tenant(tidegate::Instant now, const std::string& name, const tidegate::Rate& tokens) {
  scheduler_.tenant_configure(now, tenants_.at(name), tidegate::TenantPolicy().tokens(tokens)).value();
}

tidegate::Result<tidegate::RequestId> Gate::submit(tidegate::Instant now, const Ask& ask) {
  const auto tenant = tenants_.find(ask.tenant);
  if (tenant == tenants_.end()) throw std::runtime_error("no tenant is called " + ask.tenant);
  const auto tier = config_.find_tier(ask.tier);
  if (!tier) throw std::runtime_error("the config has no tier called " + ask.tier);
  auto submitted = scheduler_.submit(now, tidegate::RequestSpec(tenant->second, *tier)
                                              .yielding(tidegate::Yield::checkpoint)
                                              .demand(slot_with(ask.prompt_tokens))
                                              .peak(slot_with(ask.prompt_tokens + ask.max_output))
                                              .prompt_tokens(ask.prompt_tokens)
                                              .output_tokens(ask.max_output)
                                              .tag(ask.tag));
  if (!refuses(submitted.status())) submitted.value();
  return submitted;
}

std::vector<size_t> Gate::step_plan(size_t batch_tokens, const std::vector<tidegate::PromptLeft>& prompts) const {
  std::vector<tidegate::PromptLeft> plan(prompts.size());
  plan.resize(scheduler_.step_plan(engine_, batch_tokens, prompts, plan).value());
  std::map<tidegate::RequestId, size_t> tokens;
  for (const auto& part : plan) tokens[part.request()] = static_cast<size_t>(part.tokens());
  std::vector<size_t> in_order;
  for (const auto& prompt : prompts) in_order.push_back(tokens[prompt.request()]);
  return in_order;
}

void Gate::step(tidegate::Instant now, const std::vector<tidegate::StepException>& progress) {
  scheduler_.step(now, engine_, 0, progress).value();
}

tidegate::TenantUsage Gate::usage(const std::string& tenant) const {
  return scheduler_.usage(tenants_.at(tenant)).value();
}

}  // namespace llama_host
