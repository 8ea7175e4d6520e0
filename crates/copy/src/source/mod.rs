//! Places that images come from.

pub(crate) mod directory;
pub(crate) mod docker;
pub(crate) mod layout;
mod list;
mod read;
pub(crate) mod registry;

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use spec::{Descriptor, Digest, Manifest, Reference, Repository, Tag};

use self::directory::DirectorySource;
use self::docker::DockerSource;
use self::layout::LayoutSource;
pub use self::list::Images;
use self::registry::RegistrySource;
use crate::document::Document;
use crate::error::Result;
use crate::files::archive::Archive;
use crate::files::blocking::blocking;
use crate::files::region::Region;
use crate::files::tree::Tree;
use crate::gate::Gate;
use crate::pieces::Pieces;
use crate::place::Selection;
use crate::{CopyError, Place, Side};

/// An image, or a repository of them, that can be read. Clones are cheap.
#[derive(Clone, Debug)]
pub struct Source {
    kind: Kind,
    /// Judges the image, where somebody should.
    gate: Option<Gate>,
}

#[derive(Clone, Debug)]
enum Kind {
    Registry(RegistrySource),
    Layout(LayoutSource),
    Directory(DirectorySource),
    Docker(DockerSource),
    Derived(Arc<dyn Derived>),
}

/// A blob that is made of one of another source when it is read.
pub(crate) trait Derived: fmt::Debug + Send + Sync {
    /// Returns the source of what it is made of.
    fn source(&self) -> &Source;

    /// Opens what is made, which has this size.
    fn open(&self, size: u64) -> BoxFuture<'_, Result<Region>>;
}

/// A stream that an archive comes from.
pub type Input = Box<dyn Read + Send>;

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Registry(source) => source.fmt(f),
            Kind::Layout(source) => source.fmt(f),
            Kind::Directory(source) => source.fmt(f),
            Kind::Docker(source) => source.fmt(f),
            Kind::Derived(blob) => blob.source().fmt(f),
        }
    }
}

impl Source {
    /// Opens a place to read from. A registry is not asked yet. `input` is standard input or the daemon's stream, if the
    /// place is one of these.
    pub async fn open(place: &Place, side: &Side, input: Option<Input>) -> Result<Self> {
        let kind = match place {
            Place::Registry(reference) => {
                Kind::Registry(RegistrySource::open(reference, side).await?)
            }
            Place::Layout(folder, wanted) => {
                let tree = Tree::Folder(Arc::new(folder.clone()));
                let shown = format!("oci:{}", folder.display());
                Kind::Layout(LayoutSource::open(&shown, tree, wanted).await?)
            }
            Place::Directory(folder) => Kind::Directory(DirectorySource::new(folder)),
            Place::OciArchive(file, wanted) => {
                let tree = archive(place, file.clone(), side, input).await?;
                let shown = shown("oci-archive", file.as_ref());
                Kind::Layout(LayoutSource::open(&shown, tree, wanted).await?)
            }
            Place::DockerArchive(file, name) => {
                let tree = archive(place, file.clone(), side, input).await?;
                docker(&shown("docker-archive", file.as_ref()), tree, name.as_ref()).await?
            }
            Place::Daemon(name) => {
                let tree = archive(place, None, side, input).await?;
                docker("docker-daemon", tree, Some(name)).await?
            }
        };
        let remote = match &kind {
            Kind::Registry(source) => Some(source.remote()),
            _ => None,
        };
        let gate = Gate::open(place, side, remote).await?;
        Ok(Self { kind, gate })
    }

    /// Says whether somebody judges the image.
    pub(crate) fn is_judged(&self) -> bool {
        self.gate.is_some()
    }

    /// Fails if the image is refused. Its name led to `root`, and `chosen` is what is copied of it.
    pub(crate) async fn admit(&self, root: &Document, chosen: &Document) -> Result<()> {
        let Some(gate) = &self.gate else { return Ok(()) };
        let (first, second) = (self.parse(root)?, self.parse(chosen)?);
        gate.admit((root, first.media_type()), (chosen, second.media_type())).await
    }

    /// Says whether what refers to an image is copied with it.
    pub(crate) async fn admits_referrer(&self, referrer: &Document) -> Result<bool> {
        match &self.gate {
            Some(gate) => gate.admits_referrer(referrer).await,
            None => Ok(true),
        }
    }

    /// Returns another image of the same place.
    fn beside(&self, kind: Kind) -> Self {
        let mut other = Self { kind, gate: None };
        other.gate = self.gate.as_ref().map(|gate| gate.shown_as(other.to_string()));
        other
    }

    /// Lists the images of the repository, layout or archive whose tags are wanted.
    pub async fn images(&self, wants: &dyn Fn(&Tag) -> bool) -> Result<Images<Self>> {
        Ok(match &self.kind {
            Kind::Registry(source) => {
                let mut tags = source.tags().await?;
                tags.retain(wants);
                let image = |tag: Tag| {
                    let source = self.tagged(&tag);
                    (tag, source)
                };
                let images = tags.into_iter().map(image).collect();
                Images { images, untagged: Vec::new() }
            }
            Kind::Layout(source) => {
                let found = Images::of(source.images().await, wants)?;
                found.map(|source| self.beside(Kind::Layout(source)))
            }
            Kind::Docker(source) => {
                let found = Images::of(source.images(), wants)?;
                found.map(|source| self.beside(Kind::Docker(source)))
            }
            Kind::Directory(_) | Kind::Derived(_) => {
                return Err(CopyError::NoRepository { place: self.to_string() });
            }
        })
    }

    /// Returns the image of another tag of the same repository.
    pub(crate) fn tagged(&self, tag: &Tag) -> Self {
        match &self.kind {
            Kind::Registry(source) => {
                let reference = source.repository().clone();
                let reference = Reference::new(reference, Some(tag.clone()), None);
                let gate = self.gate.as_ref().map(|gate| gate.tagged(&reference));
                Self { kind: Kind::Registry(source.tagged(tag)), gate }
            }
            Kind::Layout(source) => self.beside(Kind::Layout(source.tagged(tag))),
            Kind::Directory(_) | Kind::Docker(_) | Kind::Derived(_) => self.clone(),
        }
    }

    /// Returns the host that has a budget, if it is one.
    pub(crate) fn host(&self) -> Option<&str> {
        match &self.kind {
            Kind::Derived(blob) => blob.source().host(),
            _ => self.repository().map(Repository::domain),
        }
    }

    /// Returns the repository, if it is one.
    pub(crate) fn repository(&self) -> Option<&Repository> {
        match &self.kind {
            Kind::Registry(source) => Some(source.repository()),
            _ => None,
        }
    }

    /// Returns the digest of the image, as far as the source tells without sending it.
    pub(crate) async fn digest(&self) -> Result<Option<Digest>> {
        match &self.kind {
            Kind::Registry(source) => source.digest().await,
            // A list alone tells nothing: what it means is read, and has its digest.
            Kind::Layout(_) | Kind::Directory(_) | Kind::Docker(_) | Kind::Derived(_) => {
                self.document(None).await.map(|document| Some(document.digest))
            }
        }
    }

    /// Returns the document that the name means, or that of a digest.
    pub(crate) async fn document(&self, digest: Option<&Digest>) -> Result<Document> {
        match &self.kind {
            Kind::Registry(source) => source.document(digest).await,
            Kind::Layout(source) => source.document(digest).await,
            Kind::Directory(source) => source.document(digest).await,
            Kind::Docker(source) => source.document(digest).await,
            Kind::Derived(blob) => Box::pin(blob.source().document(digest)).await,
        }
    }

    /// Says whether what refers to an image can be found.
    pub(crate) fn has_referrers(&self) -> bool {
        matches!(self.kind, Kind::Registry(_) | Kind::Layout(_))
    }

    /// Lists the manifests that refer to another.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Vec<Digest>> {
        match &self.kind {
            Kind::Registry(source) => source.referrers(subject).await,
            Kind::Layout(source) => source.referrers(subject).await,
            _ => Ok(Vec::new()),
        }
    }

    /// Lists what cosign has put beside a manifest.
    pub(crate) async fn cosign_tags(&self, subject: &Digest) -> Result<Vec<(Tag, Digest)>> {
        match &self.kind {
            Kind::Registry(source) => source.cosign_tags(subject).await,
            Kind::Layout(source) => Ok(source.cosign_tags(subject)),
            _ => Ok(Vec::new()),
        }
    }

    /// Opens a blob at a place in it.
    pub(crate) async fn blob(&self, blob: &Descriptor, start: u64) -> Result<Pieces> {
        let opened = match &self.kind {
            Kind::Registry(source) => source.blob(blob, start).await,
            Kind::Layout(source) => source.blob(blob, start).await,
            Kind::Directory(source) => source.blob(blob, start).await,
            Kind::Docker(source) => source.blob(blob, start).await,
            Kind::Derived(derived) => {
                let opened = derived.open(blob.size).await;
                let place = self.to_string();
                let failed = move |source| CopyError::Read { path: place.clone(), source };
                opened.map(|file| {
                    let pieces = file.stream(start).map(move |piece| piece.map_err(&failed));
                    Pieces { start, pieces: pieces.boxed() }
                })
            }
        };
        match (opened, blob.urls.first()) {
            (Err(CopyError::Missing { path }), Some(url)) => {
                Err(CopyError::Foreign { path, url: url.clone() })
            }
            (opened, _) => opened,
        }
    }

    /// Returns the source of a blob that is made.
    pub(crate) fn derived(blob: Arc<dyn Derived>) -> Self {
        Self { kind: Kind::Derived(blob), gate: None }
    }

    /// Reads a document of this source.
    pub(crate) fn parse(&self, document: &Document) -> Result<Manifest> {
        Manifest::parse(document.media_type.as_ref(), &document.bytes).map_err(|source| {
            CopyError::Manifest { place: self.to_string(), digest: document.digest.clone(), source }
        })
    }
}

fn shown(transport: &str, file: Option<&PathBuf>) -> String {
    format!("{transport}:{}", file.map_or("-".to_owned(), |file| file.display().to_string()))
}

/// Opens an archive: a file, or what comes.
async fn archive(
    place: &Place,
    file: Option<PathBuf>,
    side: &Side,
    input: Option<Input>,
) -> Result<Tree> {
    let scratch = side.scratch().to_owned();
    let opened = match (file, input) {
        (Some(file), _) => blocking(move || Archive::open(&file, &scratch)).await,
        (None, Some(input)) => blocking(move || Archive::receive(input, &scratch)).await,
        (None, None) => return Err(CopyError::NoStream { place: place.to_string() }),
    };
    let archive =
        opened.map_err(|source| CopyError::Archive { place: place.to_string(), source })?;
    Ok(Tree::Archive(Arc::new(archive)))
}

/// Opens an archive for docker: as an image layout if it is one as well, since that has manifests.
async fn docker(place: &str, tree: Tree, name: Option<&Reference>) -> Result<Kind> {
    let mut is_layout = true;
    for path in [layout::MARK.0, "index.json"] {
        is_layout = is_layout && read::file(&tree, place, path).await?.is_some();
    }
    if !is_layout {
        return Ok(Kind::Docker(DockerSource::open(place, tree, name).await?));
    }
    let wanted = name.map_or(Selection::Only, |name| Selection::Name(name.to_string()));
    Ok(Kind::Layout(LayoutSource::open(place, tree, &wanted).await?))
}
