//! The requirements of a policy.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::fault::RequirementFault;
use super::identity::{SignedIdentity, WrittenIdentity};
use crate::object::Object;

/// A requirement as it is written. Each field that containers/image knows is known, so that a file is read as it reads it.
#[derive(Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub(super) enum Written {
    InsecureAcceptAnything {},
    Reject {},
    SignedBy {
        #[serde(rename = "keyType")]
        _key_type: GpgKeys,
        key_path: Option<String>,
        key_paths: Option<Vec<String>>,
        key_data: Option<String>,
        signed_identity: Option<Object<WrittenIdentity>>,
    },
    SignedBaseLayer {
        base_layer_identity: Object<WrittenIdentity>,
    },
    SigstoreSigned(Box<WrittenSigned>),
}

/// The kinds of keys of `signedBy`.
#[derive(Deserialize)]
pub(super) enum GpgKeys {
    GPGKeys,
    #[serde(rename = "signedByGPGKeys")]
    SignedByGPGKeys,
    #[serde(rename = "x509Certificates")]
    X509Certificates,
    #[serde(rename = "signedByX509CAs")]
    SignedByX509CAs,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct WrittenSigned {
    key_path: Option<PathBuf>,
    key_paths: Option<Vec<PathBuf>>,
    key_data: Option<String>,
    key_datas: Option<Vec<String>>,
    fulcio: Option<Object<WrittenFulcio>>,
    pki: Option<Object<WrittenPki>>,
    rekor_public_key_path: Option<PathBuf>,
    rekor_public_key_paths: Option<Vec<PathBuf>>,
    rekor_public_key_data: Option<String>,
    rekor_public_key_datas: Option<Vec<String>>,
    signed_identity: Option<Object<WrittenIdentity>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenFulcio {
    #[serde(rename = "caPath")]
    ca_path: Option<PathBuf>,
    #[serde(rename = "caData")]
    ca_data: Option<String>,
    #[serde(rename = "oidcIssuer")]
    oidc_issuer: String,
    #[serde(rename = "subjectEmail")]
    subject_email: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPki {
    #[serde(rename = "caRootsPath")]
    ca_roots_path: Option<PathBuf>,
    #[serde(rename = "caRootsData")]
    ca_roots_data: Option<String>,
    #[serde(rename = "caIntermediatesPath")]
    ca_intermediates_path: Option<PathBuf>,
    #[serde(rename = "caIntermediatesData")]
    ca_intermediates_data: Option<String>,
    #[serde(rename = "subjectHostname")]
    subject_hostname: Option<String>,
    #[serde(rename = "subjectEmail")]
    subject_email: Option<String>,
}

/// Something that must hold of an image.
#[derive(Debug)]
pub(crate) enum Requirement {
    /// Nothing.
    Anything,
    /// Never.
    Reject,
    /// Somebody who is trusted has signed it with sigstore.
    Signed(Box<Signed>),
    /// Of this kind, which nobody here can tell. It never holds.
    Unsupported(&'static str),
}

/// The demand of a signature.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) authority: Authority,
    /// Keys of logs, one of which must have the signature, if there are any.
    pub(crate) rekor: Vec<Material>,
    pub(crate) identity: SignedIdentity,
}

/// Those who may vouch.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    /// One of these keys.
    Keys(Vec<Material>),
    /// Whoever was logged in as this, when an authority of sigstore certified a key.
    Fulcio { authorities: Material, issuer: String, email: String },
    /// Whoever has a certificate of these authorities, with this name in it.
    Pki {
        roots: Material,
        intermediates: Option<Material>,
        email: Option<String>,
        hostname: Option<String>,
    },
}

/// Something in PEM, in the policy or in a file that it names.
#[derive(Clone, Debug)]
pub(crate) enum Material {
    Path(PathBuf),
    Data(Vec<u8>),
}

impl Requirement {
    pub(super) fn of_key(pem: Vec<u8>) -> Self {
        let authority = Authority::Keys(vec![Material::Data(pem)]);
        let identity = SignedIdentity::RepositoryIfNamed;
        Self::Signed(Box::new(Signed { authority, rekor: Vec::new(), identity }))
    }

    /// The name that policies have for it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Anything => "insecureAcceptAnything",
            Self::Reject => "reject",
            Self::Signed(_) => "sigstoreSigned",
            Self::Unsupported(kind) => kind,
        }
    }
}

impl Written {
    pub(super) fn check(self) -> Result<Requirement, RequirementFault> {
        Ok(match self {
            Self::InsecureAcceptAnything {} => Requirement::Anything,
            Self::Reject {} => Requirement::Reject,
            Self::SignedBy { key_path, key_paths, key_data, signed_identity, .. } => {
                let said = [key_path.is_some(), key_paths.is_some(), key_data.is_some()];
                exactly_one(&said, "keyPath, keyPaths and keyData")?;
                identity(signed_identity)?;
                Requirement::Unsupported("signedBy")
            }
            Self::SignedBaseLayer { base_layer_identity } => {
                base_layer_identity.0.check()?;
                Requirement::Unsupported("signedBaseLayer")
            }
            Self::SigstoreSigned(signed) => signed.check()?,
        })
    }
}

impl WrittenSigned {
    fn check(self) -> Result<Requirement, RequirementFault> {
        let authorities = [
            self.key_path.is_some(),
            self.key_paths.is_some(),
            self.key_data.is_some(),
            self.key_datas.is_some(),
            self.fulcio.is_some(),
            self.pki.is_some(),
        ];
        if authorities.iter().filter(|said| **said).count() != 1 {
            return Err(RequirementFault::Authority);
        }
        let rekor = [
            self.rekor_public_key_path.is_some(),
            self.rekor_public_key_paths.is_some(),
            self.rekor_public_key_data.is_some(),
            self.rekor_public_key_datas.is_some(),
        ];
        if rekor.iter().filter(|said| **said).count() > 1 {
            return Err(RequirementFault::Rekor);
        }
        let identity = identity(self.signed_identity)?;
        let rekor = REKOR.materials(
            self.rekor_public_key_path,
            self.rekor_public_key_paths,
            self.rekor_public_key_data,
            self.rekor_public_key_datas,
        )?;
        let authority = match (self.fulcio, self.pki) {
            (Some(_), _) if rekor.is_empty() => return Err(RequirementFault::FulcioWithoutRekor),
            (Some(Object(fulcio)), _) => fulcio.check()?,
            // Neither is there such a thing in containers/image.
            (None, Some(_)) if !rekor.is_empty() => return Err(RequirementFault::PkiWithRekor),
            (None, Some(Object(pki))) => pki.check()?,
            (None, None) => Authority::Keys(KEYS.materials(
                self.key_path,
                self.key_paths,
                self.key_data,
                self.key_datas,
            )?),
        };
        Ok(Requirement::Signed(Box::new(Signed { authority, rekor, identity })))
    }
}

impl WrittenFulcio {
    fn check(self) -> Result<Authority, RequirementFault> {
        let Self { ca_path, ca_data, oidc_issuer: issuer, subject_email: email } = self;
        let authorities = one_of(ca_path, ca_data, "caPath and caData")?;
        for (name, text) in [("oidcIssuer", &issuer), ("subjectEmail", &email)] {
            if text.is_empty() {
                return Err(RequirementFault::Missing(name));
            }
        }
        Ok(Authority::Fulcio { authorities, issuer, email })
    }
}

impl WrittenPki {
    fn check(self) -> Result<Authority, RequirementFault> {
        const INTERMEDIATES: &str = "caIntermediatesPath and caIntermediatesData";
        let roots = one_of(self.ca_roots_path, self.ca_roots_data, "caRootsPath and caRootsData")?;
        let intermediates = match (self.ca_intermediates_path, self.ca_intermediates_data) {
            (None, None) => None,
            (path, data) => Some(one_of(path, data, INTERMEDIATES)?),
        };
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        let (email, hostname) = (said(self.subject_email), said(self.subject_hostname));
        if email.is_none() && hostname.is_none() {
            return Err(RequirementFault::Missing("subjectEmail or subjectHostname"));
        }
        Ok(Authority::Pki { roots, intermediates, email, hostname })
    }
}

const KEYS: Names = Names { paths: "keyPaths", data: "keyData", datas: "keyDatas" };
const REKOR: Names = Names {
    paths: "rekorPublicKeyPaths",
    data: "rekorPublicKeyData",
    datas: "rekorPublicKeyDatas",
};

/// The names of the fields that a list of keys is written in.
struct Names {
    paths: &'static str,
    data: &'static str,
    datas: &'static str,
}

impl Names {
    fn materials(
        &self,
        path: Option<PathBuf>,
        paths: Option<Vec<PathBuf>>,
        data: Option<String>,
        datas: Option<Vec<String>>,
    ) -> Result<Vec<Material>, RequirementFault> {
        let lists = [
            (self.paths, paths.as_ref().map(Vec::len)),
            (self.datas, datas.as_ref().map(Vec::len)),
        ];
        if let Some((name, _)) = lists.into_iter().find(|(_, length)| *length == Some(0)) {
            return Err(RequirementFault::NoEntries(name));
        }
        let mut materials: Vec<Material> =
            path.into_iter().chain(paths.into_iter().flatten()).map(Material::Path).collect();
        for (name, texts) in
            [(self.data, data.into_iter().collect()), (self.datas, datas.unwrap_or_default())]
        {
            for text in &texts {
                materials.push(Material::decode(name, text)?);
            }
        }
        Ok(materials)
    }
}

impl Material {
    fn decode(name: &'static str, text: &str) -> Result<Self, RequirementFault> {
        let bytes = STANDARD.decode(text).map_err(|_| RequirementFault::Base64(name))?;
        Ok(Self::Data(bytes))
    }
}

fn one_of(
    path: Option<PathBuf>,
    data: Option<String>,
    names: &'static str,
) -> Result<Material, RequirementFault> {
    match (path, data) {
        (Some(path), None) => Ok(Material::Path(path)),
        (None, Some(data)) => Material::decode(names, &data),
        (None, None) | (Some(_), Some(_)) => Err(RequirementFault::OneOf(names)),
    }
}

fn exactly_one(said: &[bool], names: &'static str) -> Result<(), RequirementFault> {
    match said.iter().filter(|said| **said).count() {
        1 => Ok(()),
        _ => Err(RequirementFault::OneOf(names)),
    }
}

fn identity(written: Option<Object<WrittenIdentity>>) -> Result<SignedIdentity, RequirementFault> {
    match written {
        Some(Object(written)) => Ok(written.check()?),
        None => Ok(SignedIdentity::RepoDigestOrExact),
    }
}
