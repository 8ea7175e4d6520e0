//! Manifests of Docker's schema 1, which images had before they had configs: one list of layers and one of their documents.
//!
//! What is read here is the part of a manifest that is signed; the signatures are the registry client's to check. The config
//! that becomes of it is dockerd's to the byte, as it is the image's ID.

mod config;
mod error;
mod image;
mod make;
mod manifest;

pub use error::Schema1Error;
pub use image::V1Image;
pub use make::{EMPTY_LAYER, NewSchema1, make_schema1};
pub use manifest::Schema1;

#[cfg(test)]
mod tests;
