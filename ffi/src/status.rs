//! The status codes, their numbers and their names. A number that was ever published keeps its meaning.

use std::ffi::CStr;

use TidegateStatus as S;

/// What a function returns. 0 is success; the numbers stand in blocks: 1 to 99 the call itself, 100 config,
/// 200 submission, 300 reports, 400 workers and devices, 500 tenants, 600 snapshots, 900 the whole scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum TidegateStatus {
    /// Done; the outputs are written.
    Ok = 0,

    /// A pointer that must not be NULL is NULL.
    NullPointer = 1,
    /// The struct_size of a struct is smaller than any version of it, or larger than this library knows and
    /// not zero there. Use the struct's TIDEGATE_..._INIT macro.
    StructSize = 2,
    /// A number is not one of its enum, a reserved field or an unknown flag is not 0, or a capacity is 0.
    OutOfRange = 3,
    /// A text is not UTF-8.
    InvalidUtf8 = 4,
    /// A bug in the library. The handle is poisoned: free it.
    Panic = 5,
    /// An earlier call on this handle returned TIDEGATE_STATUS_PANIC: free it.
    Poisoned = 6,
    /// An error that this version of the header has no number for; the message says which.
    Unlisted = 7,
    /// The pointer is of no handle of this kind, or of one that was freed. It is told where it shows, which it need not.
    BadHandle = 8,
    /// Another thread uses the handle, which this call needs for itself. It is told where it shows, which it need not.
    InUse = 9,
    /// Other handles have the scheduler too: tidegate_shared_poll polls it, and nobody can take it.
    Shared = 10,

    /// The config cannot be used; the message names each field at fault.
    ConfigInvalid = 100,

    /// No such tenant: tidegate_scheduler_tenant_set comes first.
    UnknownTenant = 200,
    /// The config has fewer tiers, or none of that name.
    UnknownTier = 201,
    /// The config has fewer pools, or none of that name.
    UnknownPool = 202,
    /// The config has no dimension of that name.
    UnknownDimension = 203,
    /// The demand is zero in every dimension.
    ZeroDemand = 204,
    /// Never: no configured worker, or no share that its tier may use, can hold the request.
    NeverFits = 205,
    /// Not now: a queue is full.
    QueueFull = 206,
    /// The tenant may use less urgent tiers only.
    TierTooUrgent = 207,
    /// Never, as the limits are: the request needs more than a limit of its tenant, or of one above.
    NeverAllowed = 208,
    /// Not now: its tenant does not wait for quota, and there is none.
    OverQuota = 209,

    /// No request ever had this id.
    UnknownRequest = 300,
    /// The request has ended already.
    AlreadyTerminal = 301,
    /// The report is of an earlier start, or of one that was not made.
    StaleAttempt = 302,
    /// The report does not follow from where the request stands.
    WrongState = 303,

    /// No worker has this number.
    UnknownWorker = 400,
    /// The capacity is zero in every dimension.
    ZeroCapacity = 401,
    /// The worker was reported lost already.
    WorkerLost = 402,
    /// No device has this number.
    UnknownDevice = 403,
    /// The device was reported lost already.
    DeviceLost = 404,
    /// A part of a device is 0, more than 1000000, or of a device that is named before.
    BadPart = 405,
    /// A device with less than its workers can be shared by workers of one pool only.
    SharedAcrossPools = 406,
    /// The request is on another worker, or on none.
    NotHere = 407,
    /// Who is to be replaced is no lost worker of the pool.
    NotLost = 408,

    /// A tenant's name is empty, or has a control character.
    BadName = 500,
    /// The tenant would stand below itself.
    TenantCycle = 501,
    /// The tree of tenants would be too deep.
    TenantTooDeep = 502,
    /// What the tenant has open is more than the books of those above can hold.
    TenantTooMuch = 503,
    /// The tenant has live requests, or tenants below it.
    TenantBusy = 504,
    /// The policy cannot be used; the message names each field at fault.
    PolicyInvalid = 505,
    /// A grant is more than was wanted.
    GrantTooLarge = 506,

    /// The bytes are no snapshot, or not those that were written.
    SnapshotDamaged = 600,
    /// The config has other dimensions, pools or tiers than that of the snapshot; the message names each that differs.
    SnapshotShape = 601,
    /// The snapshot is of another build of tidegate, which writes another format; the message names both.
    SnapshotFormat = 602,

    /// A number is beyond what the scheduler takes.
    LimitExceeded = 900,
    /// tidegate_scheduler_check_invariants found a bug in the scheduler.
    InvariantViolated = 901,
    /// Not now: the intake of a shared scheduler is full, or what came of it was not polled.
    Busy = 902,
}

/// Every status with the words that `tidegate_status_str` returns.
const WORDS: [(S, &CStr); 48] = [
    (S::Ok, c"ok"),
    (S::NullPointer, c"null pointer"),
    (S::StructSize, c"wrong struct size"),
    (S::OutOfRange, c"out of range"),
    (S::InvalidUtf8, c"not UTF-8"),
    (S::Panic, c"panic"),
    (S::Poisoned, c"poisoned handle"),
    (S::Unlisted, c"unlisted error"),
    (S::BadHandle, c"bad handle"),
    (S::InUse, c"handle in use"),
    (S::Shared, c"shared scheduler"),
    (S::ConfigInvalid, c"invalid config"),
    (S::UnknownTenant, c"unknown tenant"),
    (S::UnknownTier, c"unknown tier"),
    (S::UnknownPool, c"unknown pool"),
    (S::UnknownDimension, c"unknown dimension"),
    (S::ZeroDemand, c"zero demand"),
    (S::NeverFits, c"never fits"),
    (S::QueueFull, c"queue full"),
    (S::TierTooUrgent, c"tier too urgent"),
    (S::NeverAllowed, c"never allowed"),
    (S::OverQuota, c"over quota"),
    (S::UnknownRequest, c"unknown request"),
    (S::AlreadyTerminal, c"already ended"),
    (S::StaleAttempt, c"stale attempt"),
    (S::WrongState, c"wrong state"),
    (S::UnknownWorker, c"unknown worker"),
    (S::ZeroCapacity, c"zero capacity"),
    (S::WorkerLost, c"worker lost"),
    (S::UnknownDevice, c"unknown device"),
    (S::DeviceLost, c"device lost"),
    (S::BadPart, c"bad part"),
    (S::SharedAcrossPools, c"shared across pools"),
    (S::NotHere, c"not here"),
    (S::NotLost, c"not lost"),
    (S::BadName, c"bad name"),
    (S::TenantCycle, c"tenant below itself"),
    (S::TenantTooDeep, c"tenant too deep"),
    (S::TenantTooMuch, c"tenant with too much open"),
    (S::TenantBusy, c"tenant busy"),
    (S::PolicyInvalid, c"invalid policy"),
    (S::GrantTooLarge, c"grant too large"),
    (S::SnapshotDamaged, c"damaged snapshot"),
    (S::SnapshotShape, c"snapshot of another shape"),
    (S::SnapshotFormat, c"snapshot of another format"),
    (S::LimitExceeded, c"limit exceeded"),
    (S::InvariantViolated, c"invariant violated"),
    (S::Busy, c"busy"),
];

/// The words for a status number, `unknown status` for a number that has no status.
pub(crate) fn words(status: u32) -> &'static CStr {
    WORDS.iter().find(|(known, _)| *known as u32 == status).map_or(c"unknown status", |(_, words)| words)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The enum cannot be listed, so the source is read: each `Name = number,` needs its words.
    #[test]
    fn every_status_has_words_of_its_own() {
        let numbers = include_str!("status.rs").lines().filter_map(|line| {
            let (name, number) = line.strip_prefix("    ")?.strip_suffix(',')?.split_once(" = ")?;
            name.chars().all(char::is_alphanumeric).then(|| number.parse::<u32>().ok())?
        });
        let mut seen = Vec::new();
        for number in numbers {
            assert_ne!(words(number), c"unknown status", "{number}");
            assert!(!seen.contains(&words(number)), "{number}");
            seen.push(words(number));
        }
        assert_eq!(seen.len(), WORDS.len());
        assert_eq!(words(77), c"unknown status");
    }
}
