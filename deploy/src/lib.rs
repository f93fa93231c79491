//! One file for all hosts of tidegate, and what a Kubernetes cluster's manifests say of it.
//!
//! [`Deployment`] is the file: the scheduler's config at its top, tenants, devices and workers beside it, and the
//! tables of programs, which are passed over by name. [`kubernetes`] reads such a file out of manifests, and
//! writes manifests that say the same. Does no IO: texts come and go as strings.

mod deployment;
mod document;
mod fields;
pub mod kubernetes;
mod policy;
mod warnings;

pub use deployment::{Defaults, Deployment, Device, OWN_TABLES, PROGRAM_TABLES, Tenant, Workers};
