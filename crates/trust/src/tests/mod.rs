//! A repository with a server in memory, and what may be wrong with it.

mod attacks;
mod keys;
mod signing;
mod world;
