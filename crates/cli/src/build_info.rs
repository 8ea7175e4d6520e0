//! The version of this program, and what it was built from.

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The commit that it was built from, where the build knew.
pub(crate) const COMMIT: &str = match option_env!("LONGSHORE_COMMIT") {
    Some(commit) => commit,
    None => "",
};
/// The time at which it was built, where the build knew.
pub(crate) const BUILD_TIME: &str = match option_env!("LONGSHORE_BUILD_TIME") {
    Some(time) => time,
    None => "",
};
