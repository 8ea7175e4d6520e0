//! What the tests of several crates share. For development only.

pub mod http;
pub mod image;
pub mod scripted;
pub mod servers;
pub mod tar;
