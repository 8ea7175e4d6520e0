//! The newest documents of a repository, as far as they can be trusted.
//!
//! The order is notary's. The timestamp is always asked for and says which snapshot is the newest; that says which
//! documents there are. Only what changed is fetched, so that a repository that is known costs one request. Where something
//! does not fit, the keys may have changed: then the root is fetched anew, and everything is tried once more.

use std::future::Future;

use jiff::{Timestamp, ToSpan as _};

use crate::builder::{Builder, Terms};
use crate::cache::Cache;
use crate::metadata::{FileMeta, Root, Signed, invalid, time};
use crate::repository::Repository;
use crate::{Role, TrustError};

/// The largest timestamp, which is docker's bound.
const MAX_TIMESTAMP: u64 = 1 << 20;
/// The largest root: each key has some two kilobytes.
const MAX_ROOT: u64 = 4 << 20;
/// The most that the other documents have, all together: a tag takes some hundred bytes, so that these are more than two hundred
/// thousand. In memory each takes ten times as much.
const MAX_DOCUMENTS: u64 = if cfg!(test) { 1 << 20 } else { 32 << 20 };
/// The size from which on a document is checked on a thread of its own.
const LARGE: usize = 256 << 10;
/// The most delegations that are followed; each costs a request.
const MAX_ROLES: usize = 256;
/// The most roots that are gone through between the one that is trusted and the newest.
const MAX_ROOTS: i64 = 1024;

/// The place where documents are fetched, and published.
pub trait Server {
    /// Returns host and port.
    fn location(&self) -> &str;

    /// Returns the bytes of a document by its name without `.json`; a failure if there are more than `most`.
    fn read(&self, name: &str, most: u64) -> impl Future<Output = Result<Vec<u8>, TrustError>>;

    /// Returns the public half of a key that the server signs with.
    fn key(&self, role: &Role) -> impl Future<Output = Result<Vec<u8>, TrustError>>;

    /// Publishes documents, all or none.
    fn publish(&self, files: &[(Role, Vec<u8>)]) -> impl Future<Output = Result<(), TrustError>>;
}

/// One look at a repository.
struct Update<'a, S> {
    server: &'a S,
    cache: &'a Cache,
    /// The documents that were believed before, for the versions below which nothing is.
    old: Builder,
    new: Builder,
    /// The bytes that snapshot and targets may still have.
    left: u64,
    warnings: Vec<String>,
}

/// Fetches what is new of a repository and checks all of it. With `writes`, its server must know it, whatever is here.
pub async fn update<S: Server>(
    server: &S,
    cache: &Cache,
    repository: &str,
    now: Timestamp,
    writes: bool,
) -> Result<Repository, TrustError> {
    let absent = |error: TrustError| match error {
        TrustError::NotFound(name) if is_root(&name) => TrustError::NoRepository {
            server: server.location().to_owned(),
            repository: repository.to_owned(),
        },
        error => error,
    };
    let mut update = bootstrap(server, cache, repository, now, writes).await.map_err(absent)?;
    if let Err(error) = update.documents().await {
        tracing::debug!(%error, "once more with the newest root");
        update.new = update.new.succeeded();
        update.root().await.map_err(absent)?;
        update.documents().await.map_err(absent)?;
    }
    let Update { new, mut warnings, .. } = update;
    let root = new.root.ok_or(TrustError::Root("no root was loaded"))?;
    warn_of_expiry(&root, now, &mut warnings);
    Ok(Repository { root, snapshot: new.snapshot, targets: new.targets, warnings })
}

/// Says whether the name of a document is the root's: with a version, a checksum, or neither.
fn is_root(name: &str) -> bool {
    name.split('.').any(|part| part == Role::ROOT.as_str())
}

fn warn_of_expiry(root: &Signed<Root>, now: Timestamp, warnings: &mut Vec<String>) {
    if is_near_expiry(&root.document.expires, now) {
        warnings.push("root is nearing expiry, you should re-sign the role metadata".to_owned());
    }
}

/// Says whether a document has less than half a year left.
pub(crate) fn is_near_expiry(expires: &str, now: Timestamp) -> bool {
    let soon = now.checked_add((183 * 24).hours()).unwrap_or(now);
    time(expires, &Role::ROOT).is_ok_and(|expires| expires < soon)
}

/// Begins with the root that is trusted; without one, the server's is from now on.
async fn bootstrap<'a, S: Server>(
    server: &'a S,
    cache: &'a Cache,
    repository: &str,
    now: Timestamp,
    writes: bool,
) -> Result<Update<'a, S>, TrustError> {
    let mut old = Builder::new(repository, now);
    let mut new = Builder::new(repository, now);
    let mut least = 1;
    if let Some(bytes) = cache.root(MAX_ROOT)? {
        // It is what is trusted: with one that cannot be relied on, nothing is.
        let file = cache.name(&Role::ROOT);
        old.load(&Role::ROOT, &bytes, Terms::OLD).map_err(|error| error.within(&file))?;
        if new.load(&Role::ROOT, &bytes, Terms::NEW).is_err() {
            // It is past its time, and still says who may sign the next one.
            least = old.version(&Role::ROOT);
            new = old.clone().succeeded();
        }
    }
    if writes || new.root.is_none() {
        let bytes = server.read(Role::ROOT.as_str(), MAX_ROOT).await?;
        if new.root.is_none() {
            let place = place(server, &Role::ROOT);
            new.load(&Role::ROOT, &bytes, Terms::at_least(least)).map_err(|e| e.within(&place))?;
            cache.set(&Role::ROOT, &bytes)?;
        }
    }
    Ok(Update { server, cache, old, new, left: MAX_DOCUMENTS, warnings: Vec::new() })
}

/// Names a document of a server in messages.
fn place(server: &impl Server, role: &Role) -> String {
    format!("{role}.json of {}", server.location())
}

/// Does what takes its time with large documents, in which signals are to be heard.
async fn aside<T: Send + 'static>(
    builder: &mut Builder,
    bytes: Vec<u8>,
    work: impl FnOnce(&mut Builder, &[u8]) -> T + Send + 'static,
) -> (T, Vec<u8>) {
    if bytes.len() < LARGE {
        return (work(builder, &bytes), bytes);
    }
    let mut taken = std::mem::take(builder);
    let working = tokio::task::spawn_blocking(move || {
        let done = work(&mut taken, &bytes);
        (taken, done, bytes)
    });
    match working.await {
        Ok((taken, done, bytes)) => {
            *builder = taken;
            (done, bytes)
        }
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Returns the size of a document that no honest one has.
fn bound(role: &Role) -> u64 {
    match role {
        role if *role == Role::TIMESTAMP => MAX_TIMESTAMP,
        role if *role == Role::ROOT => MAX_ROOT,
        _ => MAX_DOCUMENTS,
    }
}

/// Says whether a document is one of those that have a size in common. The root has its own: it is asked for when the others fail.
fn is_counted(role: &Role) -> bool {
    *role != Role::ROOT && *role != Role::TIMESTAMP
}

impl<S: Server> Update<'_, S> {
    /// Fetches and checks all but the root.
    async fn documents(&mut self) -> Result<(), TrustError> {
        self.left = MAX_DOCUMENTS;
        self.timestamp().await?;
        self.known_or_fetched(&Role::SNAPSHOT).await?;
        self.targets().await
    }

    async fn timestamp(&mut self) -> Result<(), TrustError> {
        let role = Role::TIMESTAMP;
        let cached = self.cached(&role).await;
        let error = match self.fetch(&role).await {
            Err(error) if error.is_absence() => error,
            outcome => return outcome,
        };
        // The server is not there. As long as it promised, what it said last holds.
        let Some(cached) = cached else { return Err(error) };
        self.warnings.push(
            "Error while downloading remote metadata, using cached timestamp - this might not be the latest version \
             available remotely"
                .to_owned(),
        );
        self.new.load(&role, &cached, Terms::NEW)
    }

    /// Fetches the documents of the roles that sign tags, those above before those below them.
    async fn targets(&mut self) -> Result<(), TrustError> {
        let mut left = vec![Role::TARGETS];
        let mut seen = 0;
        while let Some(role) = left.pop() {
            seen += 1;
            if seen > MAX_ROLES {
                let reason = format!("more than {MAX_ROLES} delegations");
                return Err(invalid(&role, reason));
            }
            if self.new.announced(&role).is_none() {
                // The server alone says what is in a snapshot: what somebody else has signed is not for it to leave out.
                if self.cached(&role).await.is_some() && self.new.is_bereft_of(&role, &self.old) {
                    let reason = format!("{role} was in an earlier one and is missing");
                    return Err(invalid(&Role::SNAPSHOT, reason));
                }
                continue;
            }
            match self.known_or_fetched(&role).await {
                Ok(()) => left.extend(self.new.children(&role).into_iter().rev()),
                Err(error @ (TrustError::Expired { .. } | TrustError::Threshold(_)))
                    if role != Role::TARGETS =>
                {
                    // What it signed does not count; that is no reason not to hear the others.
                    self.warnings.push(format!("Error getting {role}: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes a document that is here, if it is the one that was announced, or fetches it.
    async fn known_or_fetched(&mut self, role: &Role) -> Result<(), TrustError> {
        if let Some(cached) = self.cached(role).await {
            let (size, name) = (cached.len() as u64, role.clone());
            let load = move |new: &mut Builder, bytes: &[u8]| new.load(&name, bytes, Terms::NEW);
            if size <= self.left && aside(&mut self.new, cached, load).await.0.is_ok() {
                self.left -= size;
                return Ok(());
            }
        }
        self.fetch(role).await
    }

    /// Returns the document that is here, below whose version none is believed from now on; nor of its delegations, whether or not it
    /// is the newest.
    async fn cached(&mut self, role: &Role) -> Option<Vec<u8>> {
        // One that is larger than what was announced still says below which version nothing is.
        let cached = self.cache.get(role, bound(role))?;
        let name = role.clone();
        let load = move |old: &mut Builder, bytes: &[u8]| {
            // What was never good says nothing about versions.
            let _ = old.load(&name, bytes, Terms::OLD);
            old.forget_tags(&name);
        };
        Some(aside(&mut self.old, cached, load).await.1)
    }

    /// Fetches a document, which must not be older than the one that was here.
    async fn fetch(&mut self, role: &Role) -> Result<(), TrustError> {
        let bytes = self.download(role).await?;
        self.take(role, bytes).await
    }

    async fn download(&self, role: &Role) -> Result<Vec<u8>, TrustError> {
        let announced = self.new.announced(role);
        let size = announced.and_then(|meta| u64::try_from(meta.length).ok()).unwrap_or_default();
        if is_counted(role) && size > self.left {
            let most = MAX_DOCUMENTS >> 20;
            let reason = format!("all documents together have more than {most} MiB");
            return Err(invalid(role, reason));
        }
        let hash = announced.and_then(FileMeta::sha256);
        let name = match hash {
            Some(hash) => format!("{role}.{hash}"),
            None => role.to_string(),
        };
        self.server.read(&name, self.most(role)).await
    }

    async fn take(&mut self, role: &Role, bytes: Vec<u8>) -> Result<(), TrustError> {
        let (name, terms) = (role.clone(), Terms::at_least(self.old.version(role)));
        let load = move |new: &mut Builder, bytes: &[u8]| new.load(&name, bytes, terms);
        let (loaded, bytes) = aside(&mut self.new, bytes, load).await;
        loaded.map_err(|error| error.within(&place(self.server, role)))?;
        if is_counted(role) {
            self.left = self.left.saturating_sub(bytes.len() as u64);
        }
        self.cache.set(role, &bytes)
    }

    /// Returns the size that a document may have: what was announced, within bounds.
    fn most(&self, role: &Role) -> u64 {
        let bound = if is_counted(role) { self.left } else { bound(role) };
        let announced = self.new.announced(role).map(|meta| meta.length);
        announced.map_or(bound, |length| bound.min(u64::try_from(length).unwrap_or(0)))
    }

    /// Fetches the newest root. If the keys of the one that is trusted have not signed it, those in between must lead to it.
    async fn root(&mut self) -> Result<(), TrustError> {
        let role = Role::ROOT;
        let cached = self.cache.root(MAX_ROOT)?;
        let announced = self.new.announced(&role).is_some();
        if announced
            && let Some(cached) = &cached
            && self.new.load(&role, cached, Terms::NEW).is_ok()
        {
            return Ok(());
        }
        let bytes = self.download(&role).await?;
        let least = self.old.version(&role);
        match self.take(&role, bytes.clone()).await {
            Err(TrustError::Rotation(_)) => {}
            outcome => return outcome,
        }
        let Some(cached) = cached else {
            return Err(TrustError::Rotation("no root is trusted"));
        };
        self.new.load_link(&cached, least)?;
        let newest = Signed::<Root>::read(&bytes, &role)?.document.version;
        if newest.saturating_sub(least) > MAX_ROOTS {
            return Err(invalid(&role, "too many versions at once"));
        }
        for version in least + 1..newest {
            let link = self.server.read(&format!("{version}.{role}"), MAX_ROOT).await?;
            let linked = self.new.load_link(&link, version);
            linked.map_err(|error| error.within(&place(self.server, &role)))?;
        }
        self.new.load_last(&bytes, newest)?;
        self.cache.set(&role, &bytes)
    }
}
