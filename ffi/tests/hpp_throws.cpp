/* A translation unit that asked for exceptions, linked with one that did not; the header may be included twice. */
#define TIDEGATE_EXCEPTIONS
#include "tidegate.hpp"
#include "tidegate.hpp"

bool value_throws();

bool value_throws() {
  const auto config = tidegate::Config::from_toml("tiers = 7");
  try {
    static_cast<void>(config.value());
  } catch (const tidegate::Failure &failure) {
    return failure.error().status == tidegate::Status::config_invalid && failure.what() == config.error().message;
  }
  return false;
}
