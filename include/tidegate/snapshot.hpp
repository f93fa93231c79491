/* tidegate in C++17: what a scheduler knew, as bytes. tidegate.hpp includes it. */
#ifndef TIDEGATE_SNAPSHOT_HPP
#define TIDEGATE_SNAPSHOT_HPP

#include "handle.hpp"

#include <memory>

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

/// All that a scheduler knew, as bytes to be kept: Scheduler::snapshot, Scheduler::restore.
class Snapshot {
public:
  /// The bytes, which are this object's; none if it was moved from.
  Span<const std::uint8_t> bytes() const noexcept {
    const std::uint8_t *data = nullptr;
    std::size_t size = 0;
    tidegate_snapshot_bytes(c(), &data, &size); // leaves both as they are without a handle
    return {data, size};
  }

  /// For calls of tidegate.h; it stays this object's.
  const tidegate_snapshot_t *c() const noexcept { return handle_.get(); }

private:
  friend class Scheduler;

  explicit Snapshot(tidegate_snapshot_t *handle) noexcept : handle_(handle) {}

  std::unique_ptr<tidegate_snapshot_t, detail::Free> handle_;
};

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

#endif /* TIDEGATE_SNAPSHOT_HPP */
