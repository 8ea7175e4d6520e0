//! From what a user types to a local image.

use std::sync::Arc;

use spec::{Digest, ImageId, Platform, Reference, ReferenceError};
use store::{Image, PrefixMatch, References, Store};

use crate::error::PlatformMismatch;
use crate::kept::{Kept, KeptManifest};
use crate::{EngineError, Result};

/// A local image that was asked for, and how it was.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) id: ImageId,
    /// The reference that led to the image; `None` if it was found by its ID.
    pub(crate) reference: Option<Reference>,
}

/// Finds an image by reference, then by ID or the beginning of one, as dockerd's `GetImage` does.
pub(crate) fn find(store: &Store, references: &References, name: &str) -> Result<Found> {
    let missing = |reference: &str| EngineError::NoSuchImage(reference.to_owned());
    if let Ok(digest) = name.parse::<Digest>() {
        let id = ImageId::new(digest);
        return match store.image(&id)? {
            Some(_) => Ok(Found { id, reference: None }),
            None => Err(missing(name)),
        };
    }
    let reference = match Reference::parse_familiar(name) {
        Ok(reference) => Some(reference.with_default_tag()),
        // 64 hex digits are no name, but an ID.
        Err(ReferenceError::LooksLikeId(_)) => None,
        Err(error) => return Err(error.into()),
    };
    if let Some(reference) = &reference
        && let Some(id) = references.get(&reference.clone().by_digest())
        && store.image(&id)?.is_some()
    {
        return Ok(Found { id, reference: Some(reference.clone()) });
    }
    match by_prefix(store, name)? {
        PrefixMatch::One(id) => Ok(Found { id, reference: None }),
        // dockerd calls an ambiguous prefix "no such image", too.
        PrefixMatch::None | PrefixMatch::Ambiguous => {
            Err(missing(&reference.map_or_else(|| format!("sha256:{name}"), |r| r.familiar())))
        }
    }
}

/// The image that a name means for a platform.
#[derive(Debug)]
pub(crate) struct Meant {
    /// The image that has the name.
    pub(crate) named: Arc<Image>,
    /// That image, or another one that the index lists which it came with.
    pub(crate) image: Arc<Image>,
    /// The manifest of the other one.
    pub(crate) part: Option<KeptManifest>,
}

/// Reads the image that `name` means for a platform, if one is given: the image itself, or what is here of its index for exactly that
/// platform.
pub(crate) fn image(
    store: &Store,
    references: &References,
    name: &str,
    platform: Option<&Platform>,
) -> Result<Meant> {
    let missing = || EngineError::NoSuchImage(name.to_owned());
    let id = find(store, references, name)?.id;
    let named = store.image(&id)?.ok_or_else(missing)?;
    let own = named.config.value().platform();
    if let Some(wanted) = platform.filter(|wanted| !wanted.is_exactly(&own)) {
        if let Some((image, part)) = part(store, &named, wanted)? {
            return Ok(Meant { named, image: Arc::new(image), part: Some(part) });
        }
        check_platform(store, &id, name, platform)?;
    }
    Ok(Meant { image: Arc::clone(&named), named, part: None })
}

fn part(store: &Store, named: &Image, wanted: &Platform) -> Result<Option<(Image, KeptManifest)>> {
    let kept = Kept::of(store, named, store.manifests_of(&named.id)?)?;
    let Some(listed) = kept.for_platform(wanted) else { return Ok(None) };
    Ok(listed.image(store).map(|image| (image, listed.kept.clone())))
}

/// Fails if `platform` is given and the image `id`, asked for by `name`, runs on another one.
pub(crate) fn check_platform(
    store: &Store,
    id: &ImageId,
    name: &str,
    platform: Option<&Platform>,
) -> Result<()> {
    let Some(wanted) = platform else { return Ok(()) };
    let image = store.image(id)?.ok_or_else(|| EngineError::NoSuchImage(name.to_owned()))?;
    let actual = image.config.value().platform();
    if platform_matches(wanted, &actual) {
        return Ok(());
    }
    let (actual, wanted) = (actual.to_string(), wanted.to_string());
    Err(PlatformMismatch { reference: name.to_owned(), actual, wanted }.into())
}

/// Finds an image by its ID or the beginning of one.
pub(crate) fn by_prefix(store: &Store, name: &str) -> Result<PrefixMatch> {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    if hex.is_empty() || !hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
        return Ok(PrefixMatch::None);
    }
    Ok(store.find_image_prefix(hex)?)
}

/// Says whether an image for `offered` is what somebody means who asks for `wanted`. Configs often lack the variant.
pub(crate) fn platform_matches(wanted: &Platform, offered: &Platform) -> bool {
    let wanted = wanted.clone().normalized();
    wanted.preference(offered).is_some()
        || (offered.variant.is_none()
            && wanted.os == offered.os
            && wanted.architecture == offered.clone().normalized().architecture
            && wanted.suits_version(offered))
}

#[cfg(test)]
mod tests;
