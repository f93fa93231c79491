//! One exact integer bucket.
