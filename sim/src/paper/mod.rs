//! Published tables, computed anew: the same set-up in a simulated engine, under the policies of the paper and under
//! tidegate.
//!
//! Each table has a room: an engine as the paper's, the policies as small plug-ins, its metric, and the rows. T2 and T3
//! share the engine `chunked` and tidegate's `hosted` in it; `row` is a row of all but T4, `draws` computes means, `plot` draws. Policies are written
//! from the papers; tidegate is always driven through its public verbs. What is published stands beside what comes out, with the error. A table knows no command line: `cli::paper` prints it.

pub mod chunked;
pub mod draws;
pub mod hosted;
pub mod openb;
pub mod plot;
pub mod row;
pub mod t1;
pub mod t2;
pub mod t3;
pub mod t4;
pub mod t6;
