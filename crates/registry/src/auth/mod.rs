//! Credentials, challenges, tokens, and the session that a repository has at one endpoint.

pub(crate) mod challenge;
pub(crate) mod credentials;
pub(crate) mod login;
pub(crate) mod session;
pub(crate) mod token;
