// A host's program in C++, as far as linking goes.
#include <tidegate.hpp>

#include <cstdio>

int main() {
  const auto config = tidegate::Config::from_toml("dimensions = ['slots']\n[[tiers]]\nname = 'only'\n");
  if (!tidegate::abi_matches() || !config || !config->find_tier("only")) return 1;
  std::puts(tidegate::words(config.status()));
}
