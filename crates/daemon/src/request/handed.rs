//! Files that somebody in this process hands to the daemon in place of a request's body: a file that lies on the disk already need not
//! go through a pipe, and can be read where it lies.
//!
//! Nobody outside of the process can name one: a token means what was handed over, and who is elsewhere has nothing to hand over.

use std::collections::HashMap;
use std::fs::File;
use std::sync::Mutex;

use http::HeaderMap;

use crate::errors::HttpError;
use crate::lock::lock;

/// Files that wait for their requests.
#[derive(Debug, Default)]
pub(crate) struct HandedFiles(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    files: HashMap<String, File>,
}

impl HandedFiles {
    /// Keeps a file for a request; returns the token that it is named by.
    pub(crate) fn put(&self, file: File) -> String {
        let mut waiting = lock(&self.0);
        waiting.next += 1;
        let token = waiting.next.to_string();
        waiting.files.insert(token.clone(), file);
        token
    }

    /// Gives out the file that a request names, once; `None` if it names none.
    pub(crate) fn take(&self, headers: &HeaderMap) -> Result<Option<File>, HttpError> {
        let Some(token) = headers.get(api::FILE_HEADER) else { return Ok(None) };
        let file = token.to_str().ok().and_then(|token| lock(&self.0).files.remove(token));
        file.map(Some).ok_or_else(|| HttpError::invalid("no such file was handed over"))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_file_is_given_to_one_request_that_names_it() {
        let files = HandedFiles::default();
        let mut headers = HeaderMap::new();
        assert!(files.take(&headers).unwrap().is_none());
        headers.insert(api::FILE_HEADER, HeaderValue::from_static("1"));
        assert!(files.take(&headers).is_err(), "nobody handed anything over");
        let tokens = [(); 2].map(|()| files.put(tempfile::tempfile().unwrap()));
        assert_ne!(tokens[0], tokens[1]);
        headers.insert(api::FILE_HEADER, HeaderValue::try_from(&tokens[1]).unwrap());
        assert!(files.take(&headers).unwrap().is_some());
        assert!(files.take(&headers).is_err(), "it is gone");
    }
}
