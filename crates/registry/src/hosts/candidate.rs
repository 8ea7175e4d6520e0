//! A candidate: an endpoint that may be asked, and what an operation knows of it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::OnceCell;

use crate::{NOTICES, auth::session::Session, hosts::access::Need, http::endpoint::Endpoint};

/// An endpoint that may be asked.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) session: OnceCell<Arc<Session>>,
    /// True if others are asked in its place from now on.
    pub(crate) passed_over: AtomicBool,
    /// True if it has been of use, which is told once.
    pub(crate) useful: AtomicBool,
}

impl From<Arc<Endpoint>> for Candidate {
    fn from(endpoint: Arc<Endpoint>) -> Self {
        let (passed_over, useful) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { endpoint, session: OnceCell::new(), passed_over, useful }
    }
}

impl Candidate {
    /// Returns the same endpoint with its session, of which nothing else is known.
    pub(crate) fn afresh(&self) -> Self {
        Self { session: self.session.clone(), ..Self::from(Arc::clone(&self.endpoint)) }
    }

    pub(crate) fn is_mirror(&self) -> bool {
        self.endpoint.host.mirror
    }

    pub(crate) fn is_passed_over(&self) -> bool {
        self.passed_over.load(Ordering::Relaxed)
    }

    /// Has others asked in its place from now on. Whoever waits is told of a mirror that does not do its work, once: a forgotten
    /// login would go unnoticed.
    pub(crate) fn pass_over(&self, why: &dyn fmt::Display) {
        let is_known = self.passed_over.swap(true, Ordering::Relaxed);
        if self.is_mirror() && !is_known {
            let mirror = &self.endpoint.host.base;
            tracing::warn!(target: NOTICES, "the mirror {mirror} does not help, and others are asked: {why}");
        }
    }

    pub(crate) fn allows(&self, need: Need) -> bool {
        self.endpoint.host.settings.capabilities.allow(need)
    }
}
