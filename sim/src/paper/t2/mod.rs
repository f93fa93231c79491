//! T2, capacity under objectives by tier (Niyama, ASPLOS'26): a third of the requests wants its first token soon and the
//! others at a steady pace, the rest whole answers in time. How many a second can one engine take?

pub mod objective;
pub mod policies;
pub mod requests;
pub mod table;
