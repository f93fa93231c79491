/* tidegate in C++17: handles that free themselves, results that have to be looked at, actions as a std::variant.
 * Header-only, over tidegate.h; link with libtidegate. It needs neither exceptions nor RTTI.
 *
 *     auto config = tidegate::Config::from_toml(text);
 *     if (!config) return complain(config.error().message);
 *     auto scheduler = tidegate::Scheduler::create(*config, now).value();
 *
 *     auto request = scheduler.submit(now, tidegate::RequestSpec(tenant, tier).demand({1, 40}).prompt_tokens(512));
 *     while (auto action = scheduler.poll(now).value())
 *       tidegate::match(*action, [&](const tidegate::Start &start) { engine.start(start); },
 *                       [&](const tidegate::Preempt &preempt) { engine.stop(preempt); }, [](const auto &) {});
 *
 * What a call does, and what answers what, is in the comment of its C function and in docs/GUIDE.md: `submit` is
 * tidegate_scheduler_submit.
 *
 * Units
 *
 *   Instants are nanoseconds of the host's monotonic clock, durations nanoseconds too (any std::chrono duration goes
 *   in). Resources are numbers in the order of the config's dimensions. Shares are in parts per million, tokens and
 *   requests are counts.
 *
 * Errors
 *
 *   A call gives a Result: a value, or a Status and a line of words. What is not ok changed nothing. value() and * of
 *   what is not ok end the program; where TIDEGATE_EXCEPTIONS is defined before the first include they throw
 *   tidegate::Failure. Nothing else here throws, but for what std::string and std::vector do without memory.
 *   A handle that was moved from answers Status::null_pointer.
 *
 * Threads
 *
 *   As in tidegate.h: const member functions may run side by side, every other needs the object for itself. A Shared
 *   is for many threads at once: all its members are const.
 */
#ifndef TIDEGATE_HPP
#define TIDEGATE_HPP

#include "tidegate/config.hpp"
#include "tidegate/records.hpp"
#include "tidegate/result.hpp"
#include "tidegate/scheduler.hpp"
#include "tidegate/shared.hpp"
#include "tidegate/snapshot.hpp"
#include "tidegate/words.hpp"

namespace tidegate {
inline namespace TIDEGATE_HPP_FLAVOUR {

/// The version of the package that this header is of, as "0.1.0".
inline constexpr const char *HEADER_VERSION = TIDEGATE_VERSION;

/// That of the library at hand.
inline const char *version() noexcept { return tidegate_version(); }

/// Whether the library at hand has the ABI that this header was written for. Ask once, at the start.
inline bool abi_matches() noexcept { return tidegate_abi_version() == TIDEGATE_ABI_VERSION; }

} // namespace TIDEGATE_HPP_FLAVOUR
} // namespace tidegate

#endif /* TIDEGATE_HPP */
