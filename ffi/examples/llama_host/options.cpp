// See options.hpp.
#include "options.hpp"

#include <functional>
#include <map>
#include <stdexcept>

namespace llama_host {

const char USAGE[] =
    "usage: llama_host --model FILE --workload FILE [OPTION]...\n"
    "\n"
    "Serves the requests of a workload with llama.cpp; tidegate decides which runs, which waits and which yields.\n"
    "\n"
    "  --model FILE          a model in the GGUF format\n"
    "  --workload FILE       who asks for what, and when; lines of\n"
    "                          tenant NAME [TOKENS_A_SECOND BURST]\n"
    "                          request ARRIVES TIER TENANT MAX_OUTPUT SEED PROMPT...\n"
    "                        ARRIVES is a step, of 10 ms; TIER is realtime, near-realtime or batch;\n"
    "                        SEED 0 takes the likeliest tokens\n"
    "  --slots N             requests in a batch at most (4)\n"
    "  --cells N             KV cells that they share (1024)\n"
    "  --batch-tokens N      tokens in a batch at most (64)\n"
    "  --threads N           threads that compute (1)\n"
    "  --checkpoint-mib N    memory for the states of stopped requests (64); when it is full, what a request has\n"
    "                        computed is dropped, and computed again later\n"
    "  --no-flash-attention  with it, results depend a little on how prompts are cut into batches\n"
    "  --first-come          for comparison: one queue, first come first served, nobody yields to anybody\n"
    "  --report FILE         write all results there as JSON\n"
    "  --talk                print every decision\n"
    "  --check               check all of tidegate's invariants after each step\n"
    "  --help                print this\n";

namespace {

uint64_t number(const std::string& option, const std::string& text, uint64_t least, uint64_t most) {
  const uint64_t value = is_number(text) ? std::stoull(text) : UINT64_MAX;
  if (value < least || value > most)
    throw std::invalid_argument(option + " takes a number from " + std::to_string(least) + " to " +
                                std::to_string(most) + ", not '" + text + "'");
  return value;
}

// What an option does with its value.
using Setter = std::function<void(const std::string& value)>;

Setter text(std::string& field) {
  return [&field](const std::string& value) { field = value; };
}

Setter count(const std::string& option, uint32_t& field, size_t most) {
  return [&field, option, most](const std::string& value) {
    field = static_cast<uint32_t>(number(option, value, 1, most));
  };
}

void check(const Options& options) {
  if (options.engine.model.empty() || options.workload.empty())
    throw std::invalid_argument("--model and --workload are needed");
  if (options.engine.batch_tokens < options.engine.slots)
    throw std::invalid_argument("--batch-tokens must be at least --slots: each takes a token a step");
  if (options.engine.cells < options.engine.slots)
    throw std::invalid_argument("--cells must be at least --slots: each takes a cell a token");
}

}  // namespace

bool is_number(const std::string& word) {
  return !word.empty() && word.size() <= 18 && word.find_first_not_of("0123456789") == std::string::npos;
}

Options read_options(int argc, char** argv) {
  Options options;
  EngineOptions& engine = options.engine;
  const std::map<std::string, Setter> values = {
      {"--model", text(engine.model)},
      {"--workload", text(options.workload)},
      {"--report", text(options.report)},
      {"--slots", count("--slots", engine.slots, llama_max_parallel_sequences())},
      {"--cells", count("--cells", engine.cells, 1 << 30)},
      {"--batch-tokens", count("--batch-tokens", engine.batch_tokens, 1 << 20)},
      {"--threads", count("--threads", engine.threads, 512)},
      {"--checkpoint-mib", [&](const std::string& value) {
         options.checkpoint_mib = number("--checkpoint-mib", value, 0, 1 << 30);
       }}};
  const std::map<std::string, std::function<void()>> switches = {
      {"--no-flash-attention", [&] { engine.flash_attention = false; }},
      {"--first-come", [&] { options.first_come = true; }},
      {"--talk", [&] { options.talk = true; }},
      {"--check", [&] { options.check = true; }},
      {"--help", [&] { options.help = true; }}};
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    if (switches.count(name) != 0) {
      switches.at(name)();
    } else if (values.count(name) == 0) {
      throw std::invalid_argument("there is no option '" + name + "'");
    } else if (++i == argc) {
      throw std::invalid_argument(name + " needs a value");
    } else {
      values.at(name)(argv[i]);
    }
  }
  if (!options.help) check(options);
  return options;
}

}  // namespace llama_host
