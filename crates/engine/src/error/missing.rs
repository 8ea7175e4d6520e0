//! Content that is needed, is not here and cannot be made.

use spec::{ChainId, DiffId, Digest, ImageId};

/// Content that is not here, in the words of the operation that needs it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Missing {
    /// A layer that something else names.
    #[error("layer {0} does not exist")]
    Layer(ChainId),
    /// A layer of an image.
    #[error("layer {layer} of image {image} does not exist")]
    LayerOfImage {
        /// The one that is not here.
        layer: ChainId,
        /// The one whose config names it.
        image: ImageId,
    },
    /// A layer of an image that is to be pushed.
    #[error("failed to get top layer from image: layer {0} does not exist")]
    LayerToPush(ChainId),
    /// A layer that is whole.
    #[error("layer {0} does not exist or is damaged")]
    WholeLayer(ChainId),
    /// The content of a layer, packed or unpacked.
    #[error("layer {0} cannot be made: its blob is not kept and its files are not unpacked")]
    LayerContent(DiffId),
    /// A layer that was there a moment ago.
    #[error("layer {0} is gone")]
    LayerGone(ChainId),
    /// The files of a layer that was there a moment ago.
    #[error("the files of layer {0} are gone")]
    FilesGone(ChainId),
    /// A blob that something else names.
    #[error("blob {0} does not exist")]
    Blob(Digest),
    /// A blob that was there a moment ago.
    #[error("blob {0} is gone")]
    BlobGone(Digest),
    /// The kept blob of a layer that is to be restored, where no registry is asked.
    #[error("its kept blob is damaged")]
    KeptBlob,
    /// Manifests that the index of an image lists.
    #[error("not all that the index of {name} lists is here, missing: {parts}")]
    Parts {
        /// The image, as it was asked for.
        name: String,
        /// Their platforms, or what they are.
        parts: String,
    },
    /// A registry to restore a layer from.
    #[error("no registry is known that it came from; load or pull its image again")]
    OriginOfLayer,
    /// A registry to restore a config from.
    #[error("no registry is known that it came from; load or pull the image again")]
    OriginOfConfig,
    /// A registry to restore a blob from.
    #[error("no registry is known that it came from; remove its image and load or pull it again")]
    OriginOfBlob,
    /// An image that tells of a damaged layer.
    #[error("no image that can be read has it; remove it instead")]
    ImageWithLayer,
}
