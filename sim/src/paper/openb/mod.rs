//! openb: the pods of a published GPU cluster (Alibaba, FGD, ATC'23) that ask for a GPU or a part of one, as slices of a
//! fixed number of GPUs.
//!
//! Decides who is replayed (`pods`), what runs when and what is measured (`cluster`, `serve`), and how pods are placed by
//! those that tidegate is compared with (`policies`); `hosted` is tidegate, through its public verbs. A pod asks for
//! thousandths of one GPU and has a duration; processors, memory and pods of several GPUs are left out.

pub mod cluster;
pub mod hosted;
pub mod pods;
pub mod policies;
pub mod serve;
pub mod table;
