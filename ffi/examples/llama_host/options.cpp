// See options.hpp.
#include "options.hpp"

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
    "  --checkpoint-mib N    memory for the states of stopped requests (64); when it is full, what a request has\n"
    "                        computed is dropped, and computed again later\n"
    "  --first-come          for comparison: one queue, first come first served, nobody yields to anybody\n"
    "  --report FILE         write all results there as JSON\n"
    "  --talk                print every decision\n"
    "  --check               check all of tidegate's invariants after each step\n"
    "  --help                print this\n";

namespace {

uint64_t number(const std::string& option, const std::string& text, uint64_t least, uint64_t most) {
  size_t read = 0;
  uint64_t value = 0;
  try {
    if (text.find_first_not_of("0123456789") == std::string::npos) value = std::stoull(text, &read);
  } catch (const std::out_of_range&) {
    read = 0;
  }
  if (read == 0 || value < least || value > most)
    throw std::invalid_argument(option + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) +
                                ", not '" + text + "'");
  return value;
}

uint32_t count(const std::string& option, const std::string& text, uint32_t most) {
  return static_cast<uint32_t>(number(option, text, 1, most));
}

// False if there is no option of this name that takes a value.
bool take_value(const std::string& name, const std::string& value, Options& options) {
  if (name == "--model") {
    options.engine.model = value;
  } else if (name == "--workload") {
    options.workload = value;
  } else if (name == "--report") {
    options.report = value;
  } else if (name == "--slots") {
    options.engine.slots = count(name, value, static_cast<uint32_t>(llama_max_parallel_sequences()));
  } else if (name == "--cells") {
    options.engine.cells = count(name, value, 1u << 30);
  } else if (name == "--batch-tokens") {
    options.engine.batch_tokens = count(name, value, 1u << 20);
  } else if (name == "--checkpoint-mib") {
    options.checkpoint_mib = number(name, value, 0, 1u << 30);
  } else {
    return false;
  }
  return true;
}

}  // namespace

Options read_options(int argc, char** argv) {
  Options options;
  const std::map<std::string, bool*> switches = {{"--first-come", &options.first_come},
                                                 {"--talk", &options.talk},
                                                 {"--check", &options.check},
                                                 {"--help", &options.help}};
  for (int i = 1; i < argc; i++) {
    const std::string name = argv[i];
    const auto found = switches.find(name);
    if (found != switches.end()) {
      *found->second = true;
    } else if (!take_value(name, i + 1 < argc ? argv[i + 1] : "", options)) {
      throw std::invalid_argument("there is no option '" + name + "'");
    } else if (++i == argc) {
      throw std::invalid_argument(name + " needs a value");
    }
  }
  if (options.help) return options;
  if (options.engine.model.empty() || options.workload.empty())
    throw std::invalid_argument("--model and --workload are needed");
  if (options.engine.batch_tokens < options.engine.slots)
    throw std::invalid_argument("--batch-tokens must be at least --slots: each takes a token a step");
  return options;
}

}  // namespace llama_host
