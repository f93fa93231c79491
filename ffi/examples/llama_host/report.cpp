// See report.hpp.
#include "report.hpp"

#include <algorithm>
#include <cinttypes>
#include <map>
#include <string>

namespace llama_host {

namespace {

const char* name_of(Phase phase) {
  switch (phase) {
    case Phase::expected: return "expected";
    case Phase::waiting: return "waiting";
    case Phase::running: return "running";
    case Phase::completed: return "completed";
    case Phase::failed: return "failed";
    case Phase::refused: return "refused";
  }
  return "";
}

// Steps from arrival to start, and to the first token, of the requests of a tier that came so far.
struct Waits {
  std::vector<uint64_t> to_start, to_token;
};

uint64_t median(std::vector<uint64_t>& of) {
  if (of.empty()) return 0;
  std::sort(of.begin(), of.end());
  return of[of.size() / 2];
}

uint64_t worst(const std::vector<uint64_t>& of) { return of.empty() ? 0 : *std::max_element(of.begin(), of.end()); }

// JSON: names have no characters that would need an escape but for what tidegate says, which has quotes at most.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string step_or_null(uint64_t step) { return step == NOT_YET ? "null" : std::to_string(step); }

void write_request(const Request& request, std::FILE* file) {
  std::fprintf(file, "{\"number\": %zu, \"tier\": %s, \"tenant\": %s", request.number, quoted(request.tier).c_str(),
               quoted(request.tenant).c_str());
  std::fprintf(file, ", \"phase\": \"%s\", \"answer\": %s", name_of(request.phase), quoted(request.answer).c_str());
  std::fprintf(file, ", \"arrives\": %" PRIu64 ", \"started\": %s, \"first_token\": %s, \"ended\": %s", request.arrives,
               step_or_null(request.started).c_str(), step_or_null(request.first_token).c_str(),
               step_or_null(request.ended).c_str());
  std::fprintf(file, ", \"preemptions\": %u, \"restored\": %u, \"refilled\": %u", request.preemptions, request.restored,
               request.refilled);
  std::fprintf(file, ", \"prompt_tokens\": %zu, \"logits_digest\": \"%016" PRIx64 "\", \"output\": [",
               request.prompt_tokens, request.logits_digest);
  for (size_t i = request.prompt_tokens; i < request.tokens.size(); i++)
    std::fprintf(file, "%s%d", i == request.prompt_tokens ? "" : ", ", request.tokens[i]);
  std::fputs("]}", file);
}

void write_counts(const Counts& counts, std::FILE* file) {
  std::fprintf(file,
               "{\"steps\": %" PRIu64 ", \"reclaims\": %u, \"for_memory\": %u, \"no_cells\": %u, \"saved\": %u, "
               "\"dropped\": %u, \"restored\": %u, \"moved\": %u, \"refilled\": %u, \"saved_bytes_peak\": %zu}",
               counts.steps, counts.reclaims, counts.for_memory, counts.no_cells, counts.saved, counts.dropped,
               counts.restored, counts.moved, counts.refilled, counts.saved_bytes_peak);
}

void write_tenant(const Tenant& tenant, const tidegate::TenantUsage& used, std::FILE* file) {
  std::fprintf(file,
               "{\"name\": %s, \"completed\": %" PRIu64 ", \"prompt_tokens\": %" PRIu64 ", \"output_tokens\": %" PRIu64
               ", \"held_tokens\": %" PRIu64 ", \"refunded_tokens\": %" PRIu64 ", \"debt_tokens\": %" PRIu64
               ", \"preemptions\": %" PRIu64 ", \"memory_preemptions\": %" PRIu64 ", \"lost_tokens\": %" PRIu64 "}",
               quoted(tenant.name).c_str(), used.completed, used.prompt_tokens, used.output_tokens,
               used.held_tokens, used.refunded_tokens, used.debt_tokens, used.preemptions,
               used.memory_preemptions, used.lost_tokens);
}

}  // namespace

void print_table(const Outcome& outcome) {
  std::map<std::string, Waits> tiers;
  for (const Request& request : outcome.workload.requests) {
    Waits& waits = tiers[request.tier];
    if (request.started != NOT_YET) waits.to_start.push_back(request.started - request.arrives);
    if (request.first_token != NOT_YET) waits.to_token.push_back(request.first_token - request.arrives);
  }
  std::printf("%-14s %8s  %22s  %22s\n", "", "", "steps until it starts", "until the first token");
  std::printf("%-14s %8s  %11s %10s  %11s %10s\n", "tier", "started", "median", "worst", "median", "worst");
  for (auto& [tier, waits] : tiers)
    std::printf("%-14s %8zu  %11" PRIu64 " %10" PRIu64 "  %11" PRIu64 " %10" PRIu64 "\n", tier.c_str(),
                waits.to_start.size(), median(waits.to_start), worst(waits.to_start), median(waits.to_token),
                worst(waits.to_token));
  const Counts& counts = outcome.counts;
  std::printf("\n%" PRIu64 " steps; stopped %u times for others, %u times for memory", counts.steps, counts.reclaims,
              counts.for_memory);
  std::printf(" (llama_decode had no cells %u times)\n", counts.no_cells);
  std::printf("states saved %u, dropped %u; restored %u (%u in another slot), computed again %u", counts.saved,
              counts.dropped, counts.restored, counts.moved, counts.refilled);
  std::printf("; at most %zu KiB saved\n", (counts.saved_bytes_peak + 1023) / 1024);
  for (size_t i = 0; i < outcome.tenants.size(); i++)
    std::printf("%s: %" PRIu64 " completed, %" PRIu64 " prompt and %" PRIu64 " output tokens, %" PRIu64 " still held\n",
                outcome.workload.tenants[i].name.c_str(), outcome.tenants[i].completed,
                outcome.tenants[i].prompt_tokens, outcome.tenants[i].output_tokens, outcome.tenants[i].held_tokens);
}

void write_json(const Outcome& outcome, std::FILE* file) {
  std::fputs("{\"counts\": ", file);
  write_counts(outcome.counts, file);
  std::fputs(",\n\"tenants\": [", file);
  for (size_t i = 0; i < outcome.tenants.size(); i++) {
    std::fputs(i == 0 ? "\n" : ",\n", file);
    write_tenant(outcome.workload.tenants[i], outcome.tenants[i], file);
  }
  std::fputs("],\n\"requests\": [", file);
  for (size_t i = 0; i < outcome.workload.requests.size(); i++) {
    std::fputs(i == 0 ? "\n" : ",\n", file);
    write_request(outcome.workload.requests[i], file);
  }
  std::fputs("]}\n", file);
}

}  // namespace llama_host
