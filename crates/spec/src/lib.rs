//! The values of the image world: references, digests, media types, descriptors, manifests, configs, platforms.
//!
//! Every type here is checked when it is built and cannot be wrong afterwards: a [`Digest`] is a known algorithm with
//! the right number of bytes, a [`Reference`] follows Docker's grammar, a [`Raw`] holds bytes that hash to its digest.
//! Text from a registry, an archive or a user becomes one of these types first, or an error; nothing
//! else may reach a path or a URL. No I/O and no async happens here.

mod config;
mod cosign;
mod counted;
mod digest;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
pub mod go;
mod json;
mod manifest;
mod media_type;
mod mentioned;
mod nearest;
mod platform;
mod raw;
mod reference;
mod schema1;

pub use config::{History, ImageConfig, MAX_CONFIG_SIZE, RootFs, Words};
pub use counted::counted;
pub use digest::{Algorithm, ChainId, DiffId, Digest, DigestError, Hasher, ImageId};
pub use json::{from_first_go_json, from_go_json, to_go_json};
pub use manifest::{
    Descriptor, ImageManifest, Index, MAX_INDEX_ENTRIES, MAX_MANIFEST_SIZE, Manifest,
    ManifestError, REFERENCE_DIGEST_ANNOTATION, REFERENCE_TYPE_ANNOTATION,
};
pub use media_type::{LayerCompression, MediaType};
pub use mentioned::Mentioned;
pub use nearest::nearest;
pub use platform::{Platform, PlatformError};
pub use raw::Raw;
pub use reference::{Reference, ReferenceError, Repository, Tag};
pub use schema1::{EMPTY_LAYER, NewSchema1, Schema1, Schema1Error, V1Image, make_schema1};
