//! skeleton, being written
