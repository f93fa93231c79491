// An inference server without a network: llama.cpp computes, tidegate decides. docs/LLAMA_CPP.md explains it.
//
//   engine    libllama: slots, KV cells, batches, saved states
//   gate      what this host adds to tidegate.hpp
//   host      the loop between them
//   workload, options, report    what goes in and what comes out
#include <cstdio>
#include <exception>
#include <memory>
#include <stdexcept>
#include <string>

#include "engine.hpp"
#include "gate.hpp"
#include "host.hpp"
#include "options.hpp"
#include "report.hpp"
#include "workload.hpp"

namespace {

using namespace llama_host;

// Three tiers. `realtime` gets 30 % of slots and cells whenever it wants them, within one step; `batch` never less than
// 5 %. What a tier does not use, others borrow.
const char TIERS[] =
    "dimensions = ['slots', 'kv_cells']\n"
    "min_run = '50ms'\n"
    "[[tiers]]\n"
    "name = 'realtime'\n"
    "reserve_ppm = 300000\n"
    "hold_window = '500ms'\n"
    "[[tiers]]\n"
    "name = 'near-realtime'\n"
    "[[tiers]]\n"
    "name = 'batch'\n"
    "reserve_ppm = 50000\n";

const char FIRST_COME_TIER[] = "everyone";
const char FIRST_COME[] =
    "dimensions = ['slots', 'kv_cells']\n"
    "max_bypass = 0\n"
    "[[tiers]]\n"
    "name = 'everyone'\n"
    "order = 'fifo'\n"
    "preemption = 'never'\n";

std::string config_toml(const Options& options, const Engine& engine) {
  // Settings of the whole come before the first tier.
  const std::string size = "checkpoint_kib_per_token = " + std::to_string(engine.state_kib_per_token()) + "\n";
  return size + (options.first_come ? FIRST_COME : TIERS);
}

void add_tenants(Gate& gate, const Workload& workload) {
  for (const Tenant& tenant : workload.tenants) {
    gate.add_tenant({}, tenant.name);
    if (!tenant.limited) continue;
    gate.limit_tenant({}, tenant.name, tidegate::Rate::per_second(tenant.tokens_per_second).burst(tenant.burst));
  }
}

void tell(const Options& options, const Outcome& outcome) {
  print_table(outcome);
  if (options.report.empty()) return;
  const auto close = [](std::FILE* file) { std::fclose(file); };
  std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(options.report.c_str(), "w"), close);
  if (file) write_json(outcome, file.get());
  // A full disk shows here, or not before it is closed.
  const bool written = file && std::ferror(file.get()) == 0 && std::fclose(file.release()) == 0;
  if (!written) throw std::runtime_error("cannot write the report " + options.report);
}

void serve(const Options& options) {
  Workload workload = read_workload(options.workload);
  Engine engine(options.engine);
  Gate gate(config_toml(options, engine));
  gate.add_engine({}, engine.slots(), engine.cells(), options.checkpoint_mib);
  add_tenants(gate, workload);
  Host host(engine, gate, workload.requests,
            HostOptions{options.first_come ? FIRST_COME_TIER : "", options.talk, options.check});
  host.run();
  Outcome outcome{workload, host.counts(), {}};
  for (const Tenant& tenant : workload.tenants) outcome.tenants.push_back(gate.usage(tenant.name));
  tell(options, outcome);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Options options = read_options(argc, argv);
    if (options.help) {
      std::fputs(USAGE, stdout);
      return 0;
    }
    serve(options);
    return 0;
  } catch (const std::invalid_argument& wrong) {
    std::fprintf(stderr, "llama_host: %s\nllama_host --help says what there is\n", wrong.what());
    return 2;
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "llama_host: %s\n", failure.what());
    return 1;
  }
}
