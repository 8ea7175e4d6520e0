//! Support for the tests of several crates. For development only.

pub mod base64;
pub mod disk;
pub mod http;
pub mod image;
pub mod program;
pub mod proxy;
pub mod scripted;
pub mod servers;
pub mod tar;
pub mod terminal;
