// See gate.hpp.
#include "gate.hpp"

#include <stdexcept>

namespace llama_host {

namespace {

// A resource vector, in the order of the config's `dimensions = ["slots", "kv_cells"]`; the rest stays 0.
void fill(uint64_t (&units)[TIDEGATE_DIMENSIONS], uint64_t slots, uint64_t cells) {
  units[0] = slots;
  units[1] = cells;
}

[[noreturn]] void fail(const char* call, tidegate_status_t status, const std::string& message) {
  throw std::runtime_error(std::string(call) + ": " + tidegate_status_str(status) +
                           (message.empty() ? "" : ": " + message));
}

Action::Kind kind_of(uint32_t kind) {
  switch (kind) {
    case TIDEGATE_ACTION_START: return Action::Kind::start;
    case TIDEGATE_ACTION_PREEMPT: return Action::Kind::preempt;
    case TIDEGATE_ACTION_ABORT: return Action::Kind::abort;
    case TIDEGATE_ACTION_DROP: return Action::Kind::drop;
    default: return Action::Kind::other;
  }
}

Action read(const tidegate_action_t& action) {
  return Action{kind_of(action.kind), Attempt{action.request, action.attempt},
                static_cast<size_t>(action.resume_tokens), action.mode == TIDEGATE_YIELD_CHECKPOINT,
                action.reason == TIDEGATE_REASON_OUT_OF_MEMORY, tidegate_reason_str(action.reason)};
}

// Whether a status says that the request is refused, and not that the host is wrong.
bool refuses(tidegate_status_t status) {
  return status == TIDEGATE_STATUS_NEVER_FITS || status == TIDEGATE_STATUS_QUEUE_FULL ||
         status == TIDEGATE_STATUS_TIER_TOO_URGENT || status == TIDEGATE_STATUS_NEVER_ALLOWED ||
         status == TIDEGATE_STATUS_OVER_QUOTA;
}

}  // namespace

Gate::Gate(const std::string& config_toml) {
  if (tidegate_abi_version() != TIDEGATE_ABI_VERSION)
    throw std::runtime_error("libtidegate has another ABI than the header that this program was compiled with");
  tidegate_config_t* config = nullptr;
  char message[1024] = "";
  const tidegate_status_t status = tidegate_config_from_toml(config_toml.data(), config_toml.size(), message,
                                                             sizeof message, nullptr, &config);
  if (status != TIDEGATE_STATUS_OK) fail("the config", status, message);
  config_.reset(config);
  tidegate_scheduler_t* scheduler = nullptr;
  must(tidegate_scheduler_new(config, 0, &scheduler), "tidegate_scheduler_new");
  scheduler_.reset(scheduler);
}

void Gate::add_engine(Nanoseconds now, Capacity capacity, uint64_t checkpoint_mib) {
  tidegate_device_spec_t device = TIDEGATE_DEVICE_SPEC_INIT;
  device.flags = TIDEGATE_DEVICE_HAS_CHECKPOINT_MIB;
  device.checkpoint_mib = checkpoint_mib;
  tidegate_device_part_t all_of_it{0, 1000000};
  must(tidegate_scheduler_device_add(scheduler_.get(), now, &device, &all_of_it.device),
       "tidegate_scheduler_device_add");
  tidegate_worker_spec_t worker = TIDEGATE_WORKER_SPEC_INIT;
  fill(worker.capacity, capacity.slots, capacity.cells);
  must(tidegate_scheduler_worker_add(scheduler_.get(), now, &worker, &all_of_it, 1, &engine_),
       "tidegate_scheduler_worker_add");
}

void Gate::add_tenant(Nanoseconds now, const std::string& name) {
  must(tidegate_scheduler_tenant_set(scheduler_.get(), now, name.data(), name.size(), &tenants_[name]),
       "tidegate_scheduler_tenant_set");
}

void Gate::limit_tenant(Nanoseconds now, const std::string& name, uint64_t tokens_per_second, uint64_t burst) {
  tidegate_tenant_policy_t policy = TIDEGATE_TENANT_POLICY_INIT;
  policy.flags = TIDEGATE_TENANT_HAS_TOKENS;
  policy.tokens = tidegate_rate_t{tokens_per_second, 1000000000, burst};
  must(tidegate_scheduler_tenant_configure(scheduler_.get(), now, tenants_.at(name), &policy),
       "tidegate_scheduler_tenant_configure");
}

Submitted Gate::submit(Nanoseconds now, const Ask& ask) {
  const auto tenant = tenants_.find(ask.tenant);
  if (tenant == tenants_.end()) throw std::runtime_error("no tenant is called " + ask.tenant);
  tidegate_request_spec_t spec = TIDEGATE_REQUEST_SPEC_INIT;
  if (tidegate_config_find_tier(config_.get(), ask.tier.data(), ask.tier.size(), &spec.tier) != TIDEGATE_STATUS_OK)
    throw std::runtime_error("the config has no tier called " + ask.tier);
  spec.tenant = tenant->second;
  spec.yielding = TIDEGATE_YIELD_CHECKPOINT;
  fill(spec.demand, 1, ask.prompt_tokens);
  fill(spec.peak, 1, ask.prompt_tokens + ask.max_output);
  spec.prompt_tokens = ask.prompt_tokens;
  spec.output_tokens = ask.max_output;
  spec.flags = TIDEGATE_REQUEST_HAS_OUTPUT_TOKENS;
  spec.tag = ask.tag;
  uint64_t request = 0;
  const tidegate_status_t status = tidegate_scheduler_submit(scheduler_.get(), now, &spec, &request);
  if (refuses(status)) return Submitted{0, last_error()};
  must(status, "tidegate_scheduler_submit");
  return Submitted{request, ""};
}

std::vector<Action> Gate::poll(Nanoseconds now) {
  std::vector<Action> all;
  tidegate_action_t actions[16];
  size_t count = 0;
  must(tidegate_scheduler_poll(scheduler_.get(), now, actions, 16, &count), "tidegate_scheduler_poll");
  for (size_t i = 0; i < count; i++) all.push_back(read(actions[i]));
  return all;
}

Nanoseconds Gate::poll_timeout() const {
  Nanoseconds at = NEVER;
  must(tidegate_scheduler_poll_timeout(scheduler_.get(), &at), "tidegate_scheduler_poll_timeout");
  return at;
}

std::vector<size_t> Gate::step_plan(size_t batch_tokens, const std::vector<Prompt>& prompts) const {
  std::vector<tidegate_prompt_left_t> left, plan(prompts.size());
  for (const Prompt& prompt : prompts) left.push_back({prompt.request, prompt.tokens});
  size_t count = 0;
  must(tidegate_scheduler_step_plan(scheduler_.get(), engine_, batch_tokens, left.data(), left.size(), plan.data(),
                                    &count),
       "tidegate_scheduler_step_plan");
  std::map<uint64_t, size_t> tokens;
  for (size_t i = 0; i < count; i++) tokens[plan[i].request] = static_cast<size_t>(plan[i].tokens);
  std::vector<size_t> in_order;
  for (const Prompt& prompt : prompts) in_order.push_back(tokens[prompt.request]);
  return in_order;
}

void Gate::started(Nanoseconds now, Attempt of, size_t cells) {
  uint64_t in_use[TIDEGATE_DIMENSIONS] = {};
  fill(in_use, 1, cells);
  must(tidegate_scheduler_started(scheduler_.get(), now, of.request, of.attempt, 0, in_use),
       "tidegate_scheduler_started");
}

void Gate::stepped(Nanoseconds now, const std::vector<Progress>& progress) {
  std::vector<tidegate_step_exception_t> reports;
  for (const Progress& one : progress) {
    tidegate_step_exception_t report{};
    report.request = one.of.request;
    report.attempt = one.of.attempt;
    report.output_tokens = one.output_tokens;
    fill(report.in_use, 1, one.cells);
    reports.push_back(report);
  }
  must(tidegate_scheduler_step(scheduler_.get(), now, engine_, 0, reports.data(), reports.size()),
       "tidegate_scheduler_step");
}

void Gate::preempted(Nanoseconds now, Attempt of, size_t tokens_kept) {
  must(tidegate_scheduler_preempted(scheduler_.get(), now, of.request, of.attempt, tokens_kept, 0),
       "tidegate_scheduler_preempted");
}

void Gate::completed(Nanoseconds now, Attempt of, size_t prompt_tokens, size_t output_tokens) {
  tidegate_usage_t usage = TIDEGATE_USAGE_INIT;
  usage.prompt_tokens = prompt_tokens;
  usage.output_tokens = output_tokens;
  must(tidegate_scheduler_complete(scheduler_.get(), now, of.request, of.attempt, &usage),
       "tidegate_scheduler_complete");
}

void Gate::failed(Nanoseconds now, Attempt of) {
  must(tidegate_scheduler_failed(scheduler_.get(), now, of.request, of.attempt), "tidegate_scheduler_failed");
}

std::string Gate::why_it_waits(uint64_t request) const {
  tidegate_explanation_t why = TIDEGATE_EXPLANATION_INIT;
  must(tidegate_scheduler_explain(scheduler_.get(), request, &why), "tidegate_scheduler_explain");
  return tidegate_gate_str(why.gate);
}

TenantReport Gate::report(const std::string& tenant) const {
  tidegate_tenant_usage_t usage = TIDEGATE_TENANT_USAGE_INIT;
  must(tidegate_scheduler_usage(scheduler_.get(), tenants_.at(tenant), &usage), "tidegate_scheduler_usage");
  return TenantReport{usage.completed,   usage.prompt_tokens,      usage.output_tokens,
                      usage.held_tokens, usage.refunded_tokens,    usage.debt_tokens,
                      usage.preemptions, usage.memory_preemptions, usage.lost_tokens};
}

void Gate::check_invariants() const {
  char message[1024] = "";
  const tidegate_status_t status =
      tidegate_scheduler_check_invariants(scheduler_.get(), message, sizeof message, nullptr);
  if (status != TIDEGATE_STATUS_OK) fail("tidegate_scheduler_check_invariants", status, message);
}

void Gate::must(tidegate_status_t status, const char* call) const {
  if (status != TIDEGATE_STATUS_OK) fail(call, status, last_error());
}

std::string Gate::last_error() const {
  char message[512] = "";
  if (scheduler_) tidegate_scheduler_last_error_message(scheduler_.get(), message, sizeof message, nullptr);
  return message;
}

}  // namespace llama_host
