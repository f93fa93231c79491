//! All that is counted and measured, as a page that Prometheus scrapes.

use std::ffi::c_char;

use tidegate_core::{MetricsFormat, Scheduler};

use crate::fault::Fault;
use crate::json::answer;
use crate::scheduler::SchedulerHandle;
use crate::status::TidegateStatus as Status;

/// All metrics as text, in the format of a tidegate_metrics_format_t, to be answered with its tidegate_metrics_content_type.
/// Of the tenants that have a policy of their own the first `tenants` by number are named, and all others together are
/// "other". The text is cut to `capacity` bytes with a NUL at its end; `out_len` gets its whole length: ask again with
/// more room if it is not below `capacity`. `buffer` may be NULL if `capacity` is 0, `out_len` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn tidegate_scheduler_metrics(
    scheduler: *const SchedulerHandle,
    format: u32,
    tenants: usize,
    buffer: *mut c_char,
    capacity: usize,
    out_len: *mut usize,
) -> Status {
    let text = |scheduler: &Scheduler| {
        let format = format_of(format).ok_or(Fault::OutOfRange { argument: "format", got: format.into() })?;
        let mut page = String::new();
        scheduler.write_metrics(&mut page, format, tenants).expect("a string takes everything");
        Ok(page)
    };
    // SAFETY: the caller's promise (header, "Pointers").
    unsafe { answer(scheduler, (buffer, capacity, out_len), text) }
}

/// What to answer as the Content-Type of a page of metrics; NULL for a number that is no tidegate_metrics_format_t.
#[unsafe(no_mangle)]
pub extern "C" fn tidegate_metrics_content_type(format: u32) -> *const c_char {
    match format_of(format) {
        Some(MetricsFormat::OpenMetrics) => OPEN_METRICS.as_ptr(),
        Some(MetricsFormat::Prometheus) => PROMETHEUS.as_ptr(),
        None => std::ptr::null(),
    }
}

const OPEN_METRICS: &std::ffi::CStr = c"application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &std::ffi::CStr = c"text/plain; version=0.0.4; charset=utf-8";

fn format_of(number: u32) -> Option<MetricsFormat> {
    [MetricsFormat::OpenMetrics, MetricsFormat::Prometheus]
        .into_iter()
        .find(|&format| format as u32 == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TidegateMetricsFormat;

    #[test]
    fn numbers_and_words_are_those_of_the_core() {
        let pairs = [
            (TidegateMetricsFormat::OpenMetrics, MetricsFormat::OpenMetrics, OPEN_METRICS),
            (TidegateMetricsFormat::Prometheus, MetricsFormat::Prometheus, PROMETHEUS),
        ];
        for (number, format, text) in pairs {
            assert_eq!(number as u32, format as u32);
            assert_eq!(text.to_str(), Ok(format.content_type()));
        }
    }
}
