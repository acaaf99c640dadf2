//! Who logged in and when, which mail processes serve them, and how they are put out.

pub mod history;
pub mod kick;
pub mod live;
pub mod pursuit;
