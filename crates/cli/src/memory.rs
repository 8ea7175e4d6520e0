//! Settings of the allocator.

/// Has all threads share `count` arenas of the C library's allocator.
///
/// By default each of the threads that unpack and hash gets an arena of its own, and what one of them has freed is of no
/// use to the next: a daemon that pulled some large images then keeps 100 MB instead of 40 MB. Allocation is nowhere a
/// bottleneck here. Other C libraries have no such arenas.
///
/// Arenas after the first ask the kernel for each page: a command that does one thing after another needs no second one.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) fn share_arenas(count: libc::c_int) {
    #[expect(
        unsafe_code,
        reason = "mallopt has no safe binding; it only sets a number, before any thread is started"
    )]
    // SAFETY: `mallopt` may be called at any time with any values; it refuses those that it does not know.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, count);
    }
}

/// Nothing is to be done for other C libraries.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn share_arenas(_count: i32) {}
