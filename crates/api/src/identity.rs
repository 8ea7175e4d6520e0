//! `Identity` of an inspected image: who vouches for it, and where it was asked for.
//!
//! dockerd 29 tells it with containerd's store, in all versions of the API.

use serde::{Deserialize, Serialize};

/// The facts on an image that no name given to it changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Identity {
    /// The signatures that are believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub signature: Vec<SignatureIdentity>,
    /// The repositories that it was pulled from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pull: Vec<PullIdentity>,
}

/// A repository that an image was pulled from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PullIdentity {
    /// Its name in full; that of the registry, where a mirror has stood in.
    pub repository: String,
}

/// A signature of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SignatureIdentity {
    /// Words for a reader on who has signed.
    pub name: String,
    /// Those who know when it was made.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub timestamps: Vec<SignatureTimestamp>,
    /// The name of the image that is signed with its digest, in those signatures that have one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub docker_reference: String,
    /// The one whom the certificate is for, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signer: Option<SignerIdentity>,
    /// `simplesigning-v1` or `bundle-v0.3`.
    pub signature_type: String,
}

/// A word on when a signature was made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SignatureTimestamp {
    /// `Tlog`: a log took it then.
    pub r#type: String,
    /// Address of whoever says so; empty, as a policy names only its key.
    #[serde(rename = "URI")]
    pub uri: String,
    /// The time, RFC 3339.
    pub timestamp: String,
}

/// The one whom a certificate is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SignerIdentity {
    /// Name of the authority.
    pub certificate_issuer: String,
    /// The mail addresses and hosts in it.
    pub subject_alternative_name: String,
    /// Address of the service that knows them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub issuer: String,
}
