//! Lists of manifests that are made here before they are pushed, as docker keeps them: `manifests/LIST/MANIFEST` in the folder of
//! the command line's configuration, a JSON document each. Docker and Longshore go on with each other's.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use api::manifest::FoundManifest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use spec::{Descriptor, MAX_MANIFEST_SIZE, MediaType, Platform, Reference, to_go_json};

use super::json;
use crate::aside::Aside;
use crate::error::{CliError, in_go_words};

/// The largest document: a manifest in it is there twice, once in base64.
const MAX_DOCUMENT: u64 = 4 * MAX_MANIFEST_SIZE;

/// A manifest with all that is known of it, as docker writes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct LocalManifest {
    #[serde(rename = "Ref")]
    pub(super) reference: String,
    pub(super) descriptor: LocalDescriptor,
    /// The bytes, in base64.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    raw: String,
    #[serde(rename = "SchemaV2Manifest", default, skip_serializing_if = "Option::is_none")]
    docker: Option<Box<RawValue>>,
    #[serde(rename = "OCIManifest", default, skip_serializing_if = "Option::is_none")]
    oci: Option<Box<RawValue>>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LocalDescriptor {
    pub(super) media_type: MediaType,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default)]
    pub(super) platform: LocalPlatform,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct LocalPlatform {
    pub(super) architecture: String,
    pub(super) os: String,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub(super) os_version: String,
    #[serde(rename = "os.features", skip_serializing_if = "Vec::is_empty")]
    pub(super) os_features: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) variant: String,
}

impl From<&Platform> for LocalPlatform {
    fn from(platform: &Platform) -> Self {
        Self {
            architecture: platform.architecture.clone(),
            os: platform.os.clone(),
            os_version: platform.os_version.clone().unwrap_or_default(),
            os_features: platform.os_features.clone(),
            variant: platform.variant.clone().unwrap_or_default(),
        }
    }
}

impl LocalManifest {
    pub(super) fn of(found: &FoundManifest) -> Result<Self, serde_json::Error> {
        let document = RawValue::from_string(json::compact(&found.raw))?;
        let Descriptor { media_type, digest, size, platform, .. } = &found.descriptor;
        let is_docker = *media_type == MediaType::DockerManifest;
        let (docker, oci) = if is_docker { (Some(document), None) } else { (None, Some(document)) };
        Ok(Self {
            reference: found.reference.clone(),
            descriptor: LocalDescriptor {
                media_type: media_type.clone(),
                digest: digest.to_string(),
                size: *size,
                platform: platform.as_ref().map(LocalPlatform::from).unwrap_or_default(),
            },
            raw: STANDARD.encode(&found.raw),
            docker,
            oci,
        })
    }

    /// Returns the manifest's own bytes, which are text.
    pub(super) fn text(&self) -> Result<String, CliError> {
        let damaged =
            || CliError::Refused(format!("the manifest of {} is damaged", self.reference));
        let bytes = STANDARD.decode(&self.raw).map_err(|_| damaged())?;
        String::from_utf8(bytes).map_err(|_| damaged())
    }
}

/// A list as docker would make it of manifests, whatever a registry's own looks like.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct List<'a> {
    schema_version: u32,
    pub(super) media_type: MediaType,
    manifests: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    media_type: &'a MediaType,
    size: u64,
    digest: &'a str,
    platform: &'a LocalPlatform,
}

impl<'a> List<'a> {
    pub(super) fn of(manifests: &'a [LocalManifest]) -> Self {
        let is_oci = manifests
            .first()
            .is_some_and(|first| first.descriptor.media_type == MediaType::OciManifest);
        let entries = manifests.iter().map(|LocalManifest { descriptor, .. }| Entry {
            media_type: &descriptor.media_type,
            size: descriptor.size,
            digest: &descriptor.digest,
            platform: &descriptor.platform,
        });
        Self {
            schema_version: 2,
            media_type: if is_oci { MediaType::OciIndex } else { MediaType::DockerManifestList },
            manifests: entries.collect(),
        }
    }

    /// Returns the list's bytes, which its digest is of.
    pub(super) fn text(&self) -> Result<String, CliError> {
        Ok(json::indent(&to_go_json(self).map_err(CliError::AnswerJson)?, "   "))
    }
}

/// The folder of all lists.
pub(super) struct Lists(PathBuf);

impl Lists {
    pub(super) fn new(config_directory: &Path) -> Self {
        Self(config_directory.join("manifests"))
    }

    fn list(&self, list: &Reference) -> PathBuf {
        self.0.join(file_name(list))
    }

    /// Returns a manifest of a list, if it has it.
    pub(super) fn get(
        &self,
        list: &Reference,
        manifest: &Reference,
    ) -> Result<Option<LocalManifest>, CliError> {
        read(&self.list(list).join(file_name(manifest)))
    }

    /// Returns all manifests of a list in docker's order, that of their files' names; nothing if there is no such list.
    pub(super) fn all(&self, list: &Reference) -> Result<Option<Vec<LocalManifest>>, CliError> {
        let folder = self.list(list);
        let failed = |error: &io::Error| failed("open", &folder, error);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| failed(&error))?.file_name();
            // What is being written, or was when the machine stopped.
            if !name.as_encoded_bytes().starts_with(b".") {
                names.push(name);
            }
        }
        names.sort_unstable();
        let read = names.iter().map(|name| read(&folder.join(name)));
        Ok(Some(read.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect()))
    }

    /// Puts a manifest into a list.
    pub(super) fn save(
        &self,
        list: &Reference,
        name: &Reference,
        manifest: &LocalManifest,
    ) -> Result<(), CliError> {
        let folder = self.list(list);
        fs::create_dir_all(&folder).map_err(|error| failed("mkdir", &folder, &error))?;
        let path = folder.join(file_name(name));
        let text = to_go_json(manifest).map_err(CliError::AnswerJson)?;
        let written = Aside::new(&path, 0o644).and_then(|mut file| {
            file.write(text.as_bytes())?;
            file.publish()
        });
        written.map_err(|error| failed("open", &path, &error))
    }

    /// Removes a list; one that is not there is gone.
    pub(super) fn remove(&self, list: &Reference) -> Result<(), CliError> {
        let folder = self.list(list);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(failed("unlinkat", &folder, &error))
            }
            _ => Ok(()),
        }
    }
}

fn read(path: &Path) -> Result<Option<LocalManifest>, CliError> {
    let mut bytes = Vec::new();
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("open", path, &error)),
    };
    file.take(MAX_DOCUMENT)
        .read_to_end(&mut bytes)
        .map_err(|error| failed("read", path, &error))?;
    let parsed = serde_json::from_slice(&bytes);
    let broken = |error| CliError::Refused(format!("{}: {error}", path.display()));
    parsed.map(Some).map_err(broken)
}

fn failed(action: &str, path: &Path, error: &io::Error) -> CliError {
    CliError::Refused(format!("{action} {}: {}", path.display(), in_go_words(error)))
}

/// Returns the name of a reference's file or folder, as docker makes it.
fn file_name(reference: &Reference) -> String {
    reference.to_string().replace(':', "-").replace('/', "_")
}

/// Reads a reference as docker does in all verbs of lists.
pub(super) fn normalized(name: &str) -> Result<Reference, spec::ReferenceError> {
    Ok(Reference::parse_familiar(name)?.with_default_tag())
}

/// Says that there is no list.
pub(super) fn no_such_list(list: &Reference) -> CliError {
    CliError::Refused(format!("No such manifest: {list}"))
}
