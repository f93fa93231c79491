// See workload.hpp.
#include "workload.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "options.hpp"

namespace llama_host {

namespace {

// More than anybody would wait for, or have the patience to count, and far from where sums and products of such numbers
// end: chosen arbitrarily.
constexpr uint64_t MOST = 1'000'000'000;

// Reads a word that is a number, without a sign, from 0 to `most`.
template <class Number>
bool read_number(std::istringstream& line, Number& number, uint64_t most = MOST) {
  std::string word;
  if (!(line >> word) || !is_number(word) || std::stoull(word) > most) return false;
  number = static_cast<Number>(std::stoull(word));
  return true;
}

bool is_name(const std::string& text) {
  const auto fits = [](char c) { return c == '-' || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z'); };
  return !text.empty() && std::all_of(text.begin(), text.end(), fits);
}

bool read_tenant(std::istringstream& line, Tenant& tenant) {
  if (!(line >> tenant.name) || !is_name(tenant.name)) return false;
  if ((line >> std::ws).eof()) return true;
  tenant.limited = true;
  return read_number(line, tenant.tokens_per_second) && read_number(line, tenant.burst) && (line >> std::ws).eof();
}

bool read_request(std::istringstream& line, Request& request) {
  if (!read_number(line, request.arrives) || !(line >> request.tier >> request.tenant)) return false;
  if (!read_number(line, request.max_output) || !read_number(line, request.seed, UINT32_MAX)) return false;
  std::getline(line >> std::ws, request.text);
  return line && is_name(request.tier) && is_name(request.tenant) && request.max_output > 0;
}

bool read_line(const std::string& text, Workload& workload) {
  std::istringstream line(text);
  std::string kind;
  line >> kind;
  if (kind.empty() || kind[0] == '#') return true;
  if (kind == "tenant") {
    workload.tenants.emplace_back();
    return read_tenant(line, workload.tenants.back());
  }
  if (kind != "request") return false;
  Request request;
  if (!read_request(line, request)) return false;
  request.number = workload.requests.size();
  request.sampler = Sampler(request.seed);
  workload.requests.push_back(std::move(request));
  return true;
}

}  // namespace

Workload read_workload(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read the workload " + path);
  Workload workload;
  std::string text;
  for (size_t line = 1; std::getline(file, text); line++)
    if (!read_line(text, workload))
      throw std::runtime_error(path + ":" + std::to_string(line) +
                               ": neither 'tenant NAME [TOKENS_A_SECOND BURST]' nor "
                               "'request ARRIVES TIER TENANT MAX_OUTPUT SEED PROMPT...'");
  if (workload.requests.empty()) throw std::runtime_error(path + ": no requests");
  std::stable_sort(workload.requests.begin(), workload.requests.end(),
                   [](const Request& a, const Request& b) { return a.arrives < b.arrives; });
  return workload;
}

}  // namespace llama_host
