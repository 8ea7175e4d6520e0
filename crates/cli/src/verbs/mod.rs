//! The verbs, a file each: flags, requests, and what is printed.

pub(crate) mod check;
pub(crate) mod completion;
pub(crate) mod daemon;
pub(crate) mod df;
pub(crate) mod dial_stdio;
pub(crate) mod events;
pub(crate) mod help;
pub(crate) mod history;
pub(crate) mod images;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod man;
pub(crate) mod prune;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod registry;
pub(crate) mod rmi;
pub(crate) mod save;
pub(crate) mod search;
pub(crate) mod tag;
mod transfer;
pub(crate) mod unpack;
pub(crate) mod version;
