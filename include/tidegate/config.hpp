/* tidegate in C++17: configs, as text and set field by field. tidegate.hpp includes it. */
#ifndef TIDEGATE_CONFIG_HPP
#define TIDEGATE_CONFIG_HPP

#include "handle.hpp"

#include <memory>
#include <string_view>

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

/// A config, read and validated; it never changes.
class Config {
public:
  /// Reads TOML text. The error's message names every field at fault.
  static Result<Config> from_toml(std::string_view toml) { return read(tidegate_config_from_toml, toml); }
  /// Reads JSON text: one object with the same fields.
  static Result<Config> from_json(std::string_view json) { return read(tidegate_config_from_json, json); }

  Result<std::string> to_toml() const { return written(tidegate_config_to_toml); }
  Result<std::string> to_json() const { return written(tidegate_config_to_json); }

  Result<std::string> tier_name(TierId tier) const { return named(tidegate_config_tier_name, tier); }
  Result<std::string> pool_name(PoolId pool) const { return named(tidegate_config_pool_name, pool); }
  Result<std::string> dimension_name(DimensionId dimension) const {
    return named(tidegate_config_dimension_name, dimension);
  }

  Result<TierId> find_tier(std::string_view name) const { return found<TierId>(tidegate_config_find_tier, name); }
  Result<PoolId> find_pool(std::string_view name) const { return found<PoolId>(tidegate_config_find_pool, name); }
  Result<DimensionId> find_dimension(std::string_view name) const {
    return found<DimensionId>(tidegate_config_find_dimension, name);
  }

  /// For calls of tidegate.h; it stays this object's.
  const tidegate_config_t *c() const noexcept { return handle_.get(); }

private:
  friend class ConfigBuilder;
  friend class Scheduler;

  explicit Config(tidegate_config_t *handle) noexcept : handle_(handle) {}

  template <class From> static Result<Config> read(From from, std::string_view text) {
    return made([&](char *buffer, std::size_t room, std::size_t *length, tidegate_config_t **handle) {
      return from(text.data(), text.size(), buffer, room, length, handle);
    });
  }
  /// What `make` makes, or the words that it writes instead.
  template <class Make> static Result<Config> made(Make make) {
    tidegate_config_t *handle = nullptr;
    auto failure = detail::told([&](char *buffer, std::size_t room, std::size_t *length) {
      return make(buffer, room, length, &handle);
    });
    if (!failure) return failure.error();
    return Config(handle);
  }
  template <class To> Result<std::string> written(To to) const {
    return detail::text_of([&](char *buffer, std::size_t room, std::size_t *length) {
      return to(c(), buffer, room, length);
    });
  }
  template <class NameOf, class Id> Result<std::string> named(NameOf name_of, Id id) const {
    return detail::text_of([&](char *buffer, std::size_t room, std::size_t *length) {
      return name_of(c(), id.value, buffer, room, length);
    });
  }
  template <class Id, class Find> Result<Id> found(Find find, std::string_view name) const {
    Id id;
    return detail::asked(find(c(), name.data(), name.size(), &id.value), id);
  }

  std::unique_ptr<tidegate_config_t, detail::Free> handle_;
};

/// A config set field by field:
///
///     ConfigBuilder().text("dimensions[0]", "slots").text("tiers[0].name", "realtime")
///         .number("tiers[0].reserve_ppm", 300000).duration("min_run", 1s).build()
///
/// Paths are those of the messages about configs, and of tidegate_config_builder_set_text. What is wrong, build says.
class ConfigBuilder {
public:
  ConfigBuilder() noexcept {
    tidegate_config_builder_t *handle = nullptr;
    tidegate_config_builder_new(&handle);
    handle_.reset(handle);
  }
  ConfigBuilder &text(std::string_view path, std::string_view value) {
    return set(path, tidegate_config_builder_set_text(c(), path.data(), path.size(), value.data(), value.size()));
  }
  ConfigBuilder &number(std::string_view path, std::uint64_t value) {
    return set(path, tidegate_config_builder_set_number(c(), path.data(), path.size(), value));
  }
  ConfigBuilder &duration(std::string_view path, Duration value) {
    return set(path, tidegate_config_builder_set_duration(c(), path.data(), path.size(), value.count()));
  }
  ConfigBuilder &truth(std::string_view path, bool value) {
    return set(path, tidegate_config_builder_set_truth(c(), path.data(), path.size(), value ? 1 : 0));
  }
  /// The config, or the first thing that could not be set, or every field at fault.
  Result<Config> build() const {
    if (wrong_ && handle_) return *wrong_; // what was moved from has words of its own
    return Config::made([&](char *buffer, std::size_t room, std::size_t *length, tidegate_config_t **config) {
      return tidegate_config_builder_build(handle_.get(), buffer, room, length, config);
    });
  }

  /// For calls of tidegate.h; it stays this object's.
  tidegate_config_builder_t *c() noexcept { return handle_.get(); }

private:
  ConfigBuilder &set(std::string_view path, tidegate_status_t status) {
    if (status != TIDEGATE_STATUS_OK && !wrong_) {
      wrong_ = detail::error_of(status);
      wrong_->message.insert(0, ": ").insert(0, path);
    }
    return *this;
  }

  std::unique_ptr<tidegate_config_builder_t, detail::Free> handle_;
  std::optional<Error> wrong_;
};

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

#endif /* TIDEGATE_CONFIG_HPP */
