//! Layers that registries may not redistribute: their manifest says where they are.
//!
//! # Trust
//! Whoever made the manifest chose the URLs, and this machine can reach what they cannot. So nothing but public addresses is asked,
//! unless `allow-nondistributable-artifacts` names host or network: each address is judged when it is connected to, for redirects
//! as for the first host. No credentials, client certificates or headers of callers go there, and what comes is checked against size
//! and digest as any blob is.

use std::ops::Range;

use reqwest::Url;
use spec::Descriptor;

use crate::{
    Client, Recovery, RegistryError, Remote,
    blobs::{holder::Holder, stream::BlobStream},
    error::{foreign::ForeignFailure, redact},
};

/// The most URLs of one layer that are asked. Real manifests give one.
const MAX_URLS: usize = 8;

impl Client {
    /// Says whether layers that are not to be redistributed may be pushed to a registry.
    pub async fn allows_nondistributable(&self, registry: &str) -> bool {
        self.rules().artifacts.covers(registry).await
    }
}

impl Remote {
    /// Asks the URLs of a layer for what the registry has not got, in order.
    pub(crate) async fn elsewhere(
        &self,
        blob: &Descriptor,
        range: &Range<u64>,
        refused: RegistryError,
    ) -> Result<BlobStream, RegistryError> {
        let answered = matches!(
            &refused,
            RegistryError::Refused(refusal)
                if (400..500).contains(&refusal.status) && !matches!(refusal.status, 401 | 429)
        );
        if blob.urls.is_empty() || !answered {
            return Err(refused);
        }
        let mut failures = Vec::new();
        for text in blob.urls.iter().take(MAX_URLS) {
            match self.blob_by_url(text, blob, range).await {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    tracing::debug!(layer = %blob.digest, %error, "a foreign URL did not help");
                    let retry = matches!(error.recovery(), Recovery::Retry { .. });
                    let shown = redact::clean(text.rsplit('@').next().unwrap_or_default(), 256);
                    let reason = match error {
                        RegistryError::Refused(refusal) => format!("{shown}: {}", refusal.status),
                        error => format!("{shown}: {error}"),
                    };
                    failures.push(ForeignFailure { reason, retry });
                }
            }
        }
        let registry = Box::new(refused);
        Err(RegistryError::Foreign { digest: blob.digest.clone(), registry, failures })
    }

    async fn blob_by_url(
        &self,
        text: &str,
        blob: &Descriptor,
        range: &Range<u64>,
    ) -> Result<BlobStream, RegistryError> {
        let bad = |reason: &str| RegistryError::DownloadUrl {
            url: redact::clean(text.rsplit('@').next().unwrap_or_default(), 256),
            reason: reason.to_owned(),
        };
        let mut url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("its scheme is neither http nor https"));
        }
        // Cannot fail: the URL has a host. Whoever made the manifest has no password to give.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        let endpoint = self.client().foreign_endpoint(&url).await?;
        tracing::info!(layer = %blob.digest, url = %redact::shown(&url), "layer asked for at its own URL");
        let stream = self.blob_at(&Holder::Elsewhere(&endpoint, &url), blob, range).await?;
        Ok(BlobStream::of(stream, range, self.stranger(redact::shown(&url))))
    }
}
