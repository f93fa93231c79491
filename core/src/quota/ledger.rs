//! The tree of nodes and its books.
