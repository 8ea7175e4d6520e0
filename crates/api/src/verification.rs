//! `POST /longshore/registry/verify`, a route of Longshore's own: the judgement on an image at a registry.

use serde::{Deserialize, Serialize};

/// A question, where it is not answered by the daemon's own policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VerificationRequest {
    /// A public key in PEM, which must have signed the image; empty to ask the policy and the verifiers.
    pub key: String,
}

/// The findings on an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Verification {
    /// The name, familiar, with its tag.
    pub name: String,
    /// The digest that it leads to.
    pub digest: String,
    /// True if it may be pulled.
    pub allowed: bool,
    /// File of the policy; none if no policy holds.
    pub policy: Option<String>,
    /// Place in the policy that holds for the name.
    pub scope: String,
    /// Requirements of that place.
    pub requirements: Vec<Requirement>,
    /// Programs that were asked.
    pub verifiers: Vec<Verifier>,
}

/// A requirement of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Requirement {
    /// Its type, as the policy has it.
    pub r#type: String,
    /// True if the image is as it should be.
    pub allowed: bool,
    /// Reasons why it is not.
    pub reasons: Vec<String>,
    /// Signature that it has.
    pub signature: Option<Signature>,
}

/// A signature that is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Signature {
    /// The manifest or index that is signed.
    pub digest: String,
    /// The name that is signed with it; empty in a bundle, which has none.
    pub identity: String,
    /// Hash of the key's DER.
    pub key: String,
    /// Names in the key's certificate, if it has one.
    pub signer: String,
}

/// A program and its answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Verifier {
    /// Name of its file.
    pub name: String,
    /// True if it allows the image.
    pub allowed: bool,
    /// Its words.
    pub reason: String,
}

impl Verification {
    /// Says whether anything was looked at.
    pub fn is_something(&self) -> bool {
        self.policy.is_some() || !self.verifiers.is_empty()
    }
}
