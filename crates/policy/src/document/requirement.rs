//! The requirements of a policy.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::RequirementFault;
use super::identity::{SignedIdentity, WrittenIdentity};

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
        signed_identity: Option<WrittenIdentity>,
    },
    SignedBaseLayer {
        base_layer_identity: WrittenIdentity,
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
    fulcio: Option<WrittenFulcio>,
    pki: Option<WrittenPki>,
    rekor_public_key_path: Option<PathBuf>,
    rekor_public_key_paths: Option<Vec<PathBuf>>,
    rekor_public_key_data: Option<String>,
    rekor_public_key_datas: Option<Vec<String>>,
    signed_identity: Option<WrittenIdentity>,
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
    /// Keys, one of which must have made it, in PEM.
    pub(crate) keys: Vec<Material>,
    pub(crate) identity: SignedIdentity,
}

/// Something in PEM, in the policy or in a file that it names.
#[derive(Clone, Debug)]
pub(crate) enum Material {
    Path(PathBuf),
    Data(Vec<u8>),
}

impl Requirement {
    pub(super) fn of_key(pem: Vec<u8>) -> Self {
        let keys = vec![Material::Data(pem)];
        Self::Signed(Box::new(Signed { keys, identity: SignedIdentity::Repository }))
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
                base_layer_identity.check()?;
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
        let has_rekor = rekor.contains(&true);
        if rekor.iter().filter(|said| **said).count() > 1 {
            return Err(RequirementFault::Rekor);
        }
        let identity = identity(self.signed_identity)?;
        if let Some(fulcio) = self.fulcio {
            fulcio.check()?;
            if !has_rekor {
                return Err(RequirementFault::FulcioWithoutRekor);
            }
            return Ok(Requirement::Unsupported("sigstoreSigned with fulcio"));
        }
        if let Some(pki) = self.pki {
            pki.check()?;
            return Ok(Requirement::Unsupported("sigstoreSigned with pki"));
        }
        if has_rekor {
            return Ok(Requirement::Unsupported("sigstoreSigned with a key of Rekor"));
        }
        let names = Names { paths: "keyPaths", data: "keyData", datas: "keyDatas" };
        let keys = names.materials(self.key_path, self.key_paths, self.key_data, self.key_datas)?;
        Ok(Requirement::Signed(Box::new(Signed { keys, identity })))
    }
}

impl WrittenFulcio {
    fn check(&self) -> Result<(), RequirementFault> {
        let Self { ca_path, ca_data, oidc_issuer, subject_email } = self;
        exactly_one(&[ca_path.is_some(), ca_data.is_some()], "caPath and caData")?;
        for (name, text) in [("oidcIssuer", oidc_issuer), ("subjectEmail", subject_email)] {
            if text.is_empty() {
                return Err(RequirementFault::NoEntries(name));
            }
        }
        Ok(())
    }
}

impl WrittenPki {
    fn check(&self) -> Result<(), RequirementFault> {
        let roots = [self.ca_roots_path.is_some(), self.ca_roots_data.is_some()];
        exactly_one(&roots, "caRootsPath and caRootsData")?;
        if self.ca_intermediates_path.is_some() && self.ca_intermediates_data.is_some() {
            let names = "caIntermediatesPath and caIntermediatesData";
            return Err(RequirementFault::OneOf(names));
        }
        let subject = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
        if !subject(&self.subject_hostname) && !subject(&self.subject_email) {
            return Err(RequirementFault::NoEntries("subjectEmail or subjectHostname"));
        }
        Ok(())
    }
}

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
        let decode = |name, text: &String| {
            let bytes = STANDARD.decode(text).map_err(|_| RequirementFault::Base64(name))?;
            Ok::<_, RequirementFault>(Material::Data(bytes))
        };
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
                materials.push(decode(name, text)?);
            }
        }
        Ok(materials)
    }
}

fn exactly_one(said: &[bool], names: &'static str) -> Result<(), RequirementFault> {
    match said.iter().filter(|said| **said).count() {
        1 => Ok(()),
        _ => Err(RequirementFault::OneOf(names)),
    }
}

fn identity(written: Option<WrittenIdentity>) -> Result<SignedIdentity, RequirementFault> {
    match written {
        Some(written) => Ok(written.check()?),
        None => Ok(SignedIdentity::RepoDigestOrExact),
    }
}
