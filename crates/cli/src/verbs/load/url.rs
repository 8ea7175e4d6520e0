//! An archive at a URL: sent on while it arrives, by the proxies and with the certificates that registries are asked by.

use copy::{Download, RegistryClient, RegistryError};

use crate::client::{Feed, RequestBody, Source};
use crate::error::{CliError, with_causes};
use crate::session::Session;

/// Says whether an input is a URL.
pub(super) fn is_url(input: &str) -> bool {
    input.starts_with("http://") || input.starts_with("https://")
}

/// Begins to download a URL for a request.
pub(super) async fn open(url: &str, session: &Session) -> Result<(RequestBody, Source), CliError> {
    let failed = |error: RegistryError| refused(url, &error);
    let client = RegistryClient::new(session.registries()?).map_err(failed)?;
    let download = client.download(url).await.map_err(failed)?;
    let download = download.whole_file().await.map_err(failed)?;
    let (feed, body, source) = Feed::new(download.url.clone());
    let source = source.of_size(download.length);
    tokio::spawn(send(download, feed));
    Ok((body, source))
}

async fn send(mut download: Download, feed: Feed) {
    loop {
        let chunk = match download.chunk().await {
            Ok(Some(chunk)) => Ok(chunk),
            Ok(None) => return,
            Err(error) => {
                let text = format!("{} (after {} bytes)", with_causes(&error), download.position());
                Err(std::io::Error::other(text))
            }
        };
        // Nobody wants more after a failure, or after the end of the archive.
        let is_last = chunk.is_err();
        if !feed.send(chunk).await || is_last {
            return;
        }
    }
}

/// Says why there is no archive at `url`, and to whom it would be given.
fn refused(url: &str, error: &RegistryError) -> CliError {
    let RegistryError::DownloadRefused { url: shown, status, line, .. } = error else {
        return CliError::Refused(with_causes(error));
    };
    let refused = CliError::Refused(format!("get {shown}: {line}"));
    let rest = shown.split("://").nth(1).unwrap_or(shown);
    let host = rest.split('/').next().unwrap_or(rest);
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next());
    let is_named = authority.is_some_and(|authority| authority.contains('@'));
    let hint = match status {
        401 | 403 if is_named => {
            format!("{host} does not give it to the user in the URL with this password")
        }
        401 | 403 => format!(
            "{host} wants to know who asks: write USER:PASSWORD@ before {host} in the URL; what another program downloads can be piped \
             into `longshore load`"
        ),
        404 => format!("{host} has nothing there: check the path"),
        _ => return refused,
    };
    CliError::Advised { error: Box::new(refused), hint }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_not_have_it_is_told_how_to_say_who_asks() {
        let said = |url: &str, status: u16| {
            let refused = RegistryError::DownloadRefused {
                url: "https://files.example:1/a.tar?token=REDACTED".to_owned(),
                status,
                line: "LINE".to_owned(),
                body: String::new(),
            };
            let error = super::refused(url, &refused);
            assert_eq!(error.to_string(), "get https://files.example:1/a.tar?token=REDACTED: LINE");
            let CliError::Advised { hint, .. } = error else { return String::new() };
            // What is hidden is not to be typed.
            assert!(!hint.contains("REDACTED"), "{hint}");
            hint
        };
        let url = "https://files.example:1/a.tar?token=t";
        let named = "https://ann:secret@files.example:1/a.tar?token=t";
        assert!(said(url, 401).contains("write USER:PASSWORD@ before files.example:1 in"));
        assert!(said(named, 401).contains("with this password"));
        assert!(!said(named, 403).contains("secret"));
        assert!(said(url, 404).contains("check the path"));
        assert_eq!(said(url, 500), "");
    }
}
