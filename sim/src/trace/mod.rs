//! Workloads: which requests arrive when, read from trace files or generated. Knows nothing of schedulers.
