//! Conformance: every request that was recorded from a real dockerd, sent to Longshore and to the dockerd of the
//! machine, and the answers compared.
//!
//! `recorded/` holds the requests and dockerd's answers (written by `cargo xtask facts`), `plan.txt` the order and what
//! happened in between, and `known.rs` the differences that remain, each with its reason.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails, and one that is skipped says so"
)]

mod clients;
mod compare;
mod fixture;
mod images;
mod known;
mod parameters;
mod plan;
mod played;
mod player;
mod wire;
mod world;
