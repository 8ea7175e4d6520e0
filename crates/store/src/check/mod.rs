//! Looking over a data root: what is wrong in it, in words, and what can be done about it.
//!
//! # Flow
//! [`Store::check`] reads all metadata while no transaction runs, and changes nothing. A caller that wants to look deeper
//! compares the [whole layers](CheckReport::whole_layers) and the [kept blobs](CheckReport::kept_blobs) with their digests
//! and adds what it finds to the report. [`Store::mend`] does what can be done with what is here; content that is damaged
//! or gone is a [`Want`], which the caller brings again: [`Store::replace_layer`].
//!
//! # What is nobody's
//! Layers and directories that no image, container or running operation uses are called orphans, unless dockerd's builder
//! mentions them: its cache has layers of its own, which are listed in `buildkit/snapshots.db`.

mod content;
mod images;
mod layers;
mod mend;
mod overlay;
mod own;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::path::PathBuf;

use spec::{ChainId, DiffId, Digest, ImageId, MAX_CONFIG_SIZE, Reference};

use crate::collect::journal::{self, Entry, Item};
use crate::driver::Driver;
use crate::{Store, StoreError, files};

/// The findings of a check, and the content that can be looked at more deeply.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// The number of references that were looked at.
    pub references: usize,
    /// The number of images that were looked at.
    pub images: usize,
    /// The number of layers that were looked at.
    pub layers: usize,
    /// The number of blobs that were looked at.
    pub blobs: usize,
    /// All that is wrong.
    pub findings: Vec<Finding>,
    whole: Vec<WholeLayer>,
    kept: BTreeSet<Digest>,
    /// With the driver `packed`: the layers of the blobs.
    packed: BTreeMap<Digest, ChainId>,
    /// The configs of images that are right; the content may have copies.
    configs: BTreeSet<Digest>,
}

/// A layer of which nothing is wrong as far as its entry tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WholeLayer {
    /// Its name.
    pub chain_id: ChainId,
    /// The hash of its uncompressed tar, by its entry.
    pub diff_id: DiffId,
    /// The size of its files in bytes, by its entry.
    pub size: u64,
}

/// The thing that a finding is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// A tag or digest of a repository, as it is written.
    Reference(String),
    /// An image, by its ID.
    Image(ImageId),
    /// A layer, by its chain ID.
    Layer(ChainId),
    /// A manifest or a compressed layer.
    Blob(Digest),
    /// A container of dockerd's, by its ID.
    Container(String),
    /// A file or directory, relative to the data root.
    Path(String),
}

/// The remedy of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// It is made right from what is here.
    Mend,
    /// Its content is fetched again from where it came from.
    Fetch,
    /// It is removed: it refers to nothing, or nothing refers to it.
    Remove,
    /// Nothing can be done.
    Nothing,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The thing that is damaged.
    pub subject: Subject,
    /// The file within a layer, if it is one.
    pub file: Option<String>,
    /// The damage, as a clause: `it is gone`.
    pub problem: String,
    /// The work that mends it.
    fix: Fix,
}

/// Content that has to be brought again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Want {
    // In the order in which they are brought: each may be needed for what comes after it.
    /// A manifest, an index or a compressed layer that is kept beside an image.
    Blob(Digest),
    /// The config of an image.
    Config(ImageId),
    /// The files of a layer, or with the driver `packed` its blob.
    Layer(ChainId),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Fix {
    Nothing,
    Want(Want),
    Reference(Reference),
    /// From the copy that the kept content has.
    Config(ImageId),
    /// A note of an image that is gone.
    Parent(ImageId),
    /// Notes of no image.
    Metadata(ImageId),
    Link(ChainId),
    Lower(ChainId),
    Work(ChainId),
    OrphanLayer(ChainId),
    OrphanDirectory(String),
    StrayLink(String),
    Manifest(Digest),
    /// The copy of a config that the kept content has.
    Copy(ImageId),
    /// The list of manifests.
    Index,
    /// One that nothing mentions.
    StrayBlob(Digest),
    /// State of Longshore's own that cannot be used.
    Own(PathBuf),
}

impl Finding {
    /// Returns what can be done about it.
    pub fn remedy(&self) -> Remedy {
        match self.fix {
            Fix::Nothing => Remedy::Nothing,
            Fix::Want(_) => Remedy::Fetch,
            Fix::Copy(_)
            | Fix::Index
            | Fix::Config(_)
            | Fix::Link(_)
            | Fix::Lower(_)
            | Fix::Work(_)
            | Fix::Parent(_) => Remedy::Mend,
            Fix::Reference(_)
            | Fix::Metadata(_)
            | Fix::OrphanLayer(_)
            | Fix::OrphanDirectory(_)
            | Fix::StrayLink(_)
            | Fix::Manifest(_)
            | Fix::StrayBlob(_)
            | Fix::Own(_) => Remedy::Remove,
        }
    }

    /// Returns the content that it takes.
    pub fn want(&self) -> Option<&Want> {
        match &self.fix {
            Fix::Want(want) => Some(want),
            _ => None,
        }
    }

    /// Says whether its remedy takes away what may be a layer's files. As long as a layer is damaged, they may be its.
    pub fn removes_files(&self) -> bool {
        matches!(self.fix, Fix::OrphanLayer(_) | Fix::OrphanDirectory(_) | Fix::StrayLink(_))
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reference(name) => write!(f, "reference {name}"),
            Self::Image(id) => write!(f, "image {id}"),
            Self::Layer(chain) => write!(f, "layer {chain}"),
            Self::Blob(digest) => write!(f, "blob {digest}"),
            Self::Container(id) => write!(f, "container {id}"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

impl fmt::Display for Finding {
    /// `layer sha256:…: usr/bin/true: its mode is 0644 instead of 0755`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{}: {file}: {}", self.subject, self.problem),
            None => write!(f, "{}: {}", self.subject, self.problem),
        }
    }
}

impl CheckReport {
    /// Lists the layers whose files can be looked at.
    pub fn whole_layers(&self) -> &[WholeLayer] {
        &self.whole
    }

    /// Lists the blobs whose bytes can be looked at.
    pub fn kept_blobs(&self) -> impl Iterator<Item = &Digest> {
        self.kept.iter()
    }

    /// Adds a damage of a layer, or of a file within it.
    pub fn add_layer(&mut self, chain: &ChainId, file: Option<String>, problem: String) {
        let fix = Fix::Want(Want::Layer(chain.clone()));
        self.findings.push(Finding { subject: Subject::Layer(chain.clone()), file, problem, fix });
    }

    /// Adds a damage of a blob.
    pub fn add_blob(&mut self, digest: &Digest, problem: String) {
        let subject = Subject::Blob(digest.clone());
        if self.findings.iter().any(|finding| finding.subject == subject) {
            return;
        }
        let fix = match self.packed.get(digest) {
            Some(chain) => Fix::Want(Want::Layer(chain.clone())),
            None if self.configs.contains(digest) => Fix::Copy(ImageId::new(digest.clone())),
            None => Fix::Want(Want::Blob(digest.clone())),
        };
        self.findings.push(Finding { subject, file: None, problem, fix });
    }

    /// Puts the findings in the order in which they are told.
    pub fn sort(&mut self) {
        self.findings.sort_by(|a, b| (&a.subject, &a.file).cmp(&(&b.subject, &b.file)));
    }
}

impl Store {
    /// Looks all metadata of the data root over. Changes nothing.
    ///
    /// Fails only where the data root itself cannot be read.
    pub fn check(&self) -> Result<CheckReport, StoreError> {
        let _quiet = self.no_transaction()?;
        // A damage need not have come by a replacement, which is all that is watched for otherwise.
        self.reference_snapshot().forget();
        self.content_snapshot().forget();
        let mut check = Check::new(self)?;
        check.references()?;
        check.images()?;
        check.layers()?;
        if let Driver::Overlay2(_) = self.layer_driver() {
            check.overlay()?;
        }
        check.content()?;
        check.own()?;
        let mut report = check.finish();
        report.sort();
        Ok(report)
    }
}

/// A check that is under way.
struct Check<'a> {
    store: &'a Store,
    report: CheckReport,
    /// The images whose configs are right.
    images: BTreeMap<ImageId, Vec<ChainId>>,
    /// Set if some image cannot be read, so that nobody knows what it needs.
    blind: bool,
    layers: BTreeMap<ChainId, layers::Found>,
    /// The items that running operations rely on or are publishing.
    held: HashSet<Item>,
    /// The directories of what they are publishing.
    pending: HashSet<String>,
    build_cache: overlay::BuildCache,
}

impl<'a> Check<'a> {
    fn new(store: &'a Store) -> Result<Self, StoreError> {
        let (mut held, mut pending) = (HashSet::new(), HashSet::new());
        for id in journal::list(store)?.0 {
            for entry in journal::entries(&store.paths().leases().join(id))? {
                match entry {
                    Entry::Hold(item) | Entry::Pending(item) | Entry::Orphan(item) => {
                        held.insert(item);
                    }
                    Entry::PendingLayer(chain, cache_id) => {
                        held.insert(Item::Layer(chain));
                        pending.insert(cache_id);
                    }
                }
            }
        }
        Ok(Self {
            store,
            report: CheckReport::default(),
            images: BTreeMap::new(),
            blind: false,
            layers: BTreeMap::new(),
            held,
            pending,
            build_cache: overlay::BuildCache::read(store.root())?,
        })
    }

    fn found(&mut self, subject: Subject, problem: impl Into<String>, fix: Fix) {
        let problem = problem.into();
        self.report.findings.push(Finding { subject, file: None, problem, fix });
    }

    fn found_in_layer(&mut self, chain: &ChainId, problem: impl Into<String>, fix: Fix) {
        self.found(Subject::Layer(chain.clone()), problem, fix);
    }

    /// Tags and digests: each must mean an image.
    fn references(&mut self) -> Result<(), StoreError> {
        let references = match self.store.references() {
            Ok(references) => references,
            Err(StoreError::Damaged { path, reason }) => {
                let path = self.relative(&path);
                self.found(Subject::Path(path), reason, Fix::Nothing);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (name, target, parsed) in references.written() {
            self.report.references += 1;
            let (problem, fix) = match parsed {
                Some((_, id)) if files::exists(&self.store.paths().config(&id))? => continue,
                Some((reference, id)) => {
                    (format!("its image {id} is not here"), self.lost_image(&id, reference)?)
                }
                None => (format!("it makes no sense: {target:?}"), Fix::Nothing),
            };
            self.found(Subject::Reference(name.to_owned()), problem, fix);
        }
        Ok(())
    }

    /// Says what is done about an image that has a name and no config. Its content may bring it back.
    fn lost_image(&mut self, id: &ImageId, reference: Reference) -> Result<Fix, StoreError> {
        let fix = if let Ok(Some(_)) = self.store.read_blob(id.digest(), MAX_CONFIG_SIZE) {
            Fix::Config(id.clone())
        } else if self.store.manifests_of(id)?.is_empty() {
            return Ok(Fix::Reference(reference));
        } else {
            Fix::Want(Want::Config(id.clone()))
        };
        self.blind = true;
        Ok(fix)
    }

    fn finish(self) -> CheckReport {
        let mut report = self.report;
        for (chain_id, found) in self.layers {
            if let (true, Some(diff_id), Some(size)) = (found.is_whole, found.diff_id, found.size) {
                report.whole.push(WholeLayer { chain_id, diff_id, size });
            }
        }
        report
    }

    /// Returns a path as it is shown: relative to the data root.
    fn relative(&self, path: &std::path::Path) -> String {
        let path = path.strip_prefix(self.store.root()).unwrap_or(path);
        path.display().to_string()
    }
}
