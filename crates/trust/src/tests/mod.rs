//! A repository with a server in memory, and what may be wrong with it.

mod attacks;
mod bounds;
mod keys;
mod signing;
mod world;
