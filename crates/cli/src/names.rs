//! The C library's databases of names in a static binary.

/// Has the C library look names up in files and by DNS alone, which it does by itself.
///
/// `/etc/nsswitch.conf` names modules beside these: shared objects for the C library of the machine. A static binary
/// that loads one brings a second C library into the process, of another version than its own; and where that file is
/// missing, as in an empty root, `/etc/hosts` counts only if no name server answers.
#[cfg(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static"))]
pub(crate) fn need_no_modules() {
    use std::ffi::{CStr, c_char, c_int};

    #[expect(unsafe_code, reason = "the function is in no binding of the C library")]
    // SAFETY: the declaration is that of glibc's `nss.h`.
    unsafe extern "C" {
        fn __nss_configure_lookup(database: *const c_char, services: *const c_char) -> c_int;
    }

    let lookups: [(&CStr, &CStr); 3] =
        [(c"hosts", c"files dns"), (c"passwd", c"files"), (c"group", c"files")];
    for (database, services) in lookups {
        #[expect(unsafe_code, reason = "a foreign function; both arguments are C strings")]
        // SAFETY: both are read as C strings during the call, before any thread is started.
        unsafe {
            __nss_configure_lookup(database.as_ptr(), services.as_ptr());
        }
    }
}

/// Nothing is to be done where the C library is the machine's own, or another than glibc.
#[cfg(not(all(target_os = "linux", target_env = "gnu", target_feature = "crt-static")))]
pub(crate) fn need_no_modules() {}
