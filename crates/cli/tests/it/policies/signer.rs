//! Signatures that openssl makes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bytes::Bytes;
use serde_json::json;
use spec::Digest;
use test_support::image::Signature;

/// A key pair in files.
#[derive(Debug)]
pub(super) struct Signer {
    folder: PathBuf,
    name: String,
}

impl Signer {
    pub(super) fn new(folder: &Path, name: &str) -> Self {
        let signer = Self { folder: folder.to_owned(), name: name.to_owned() };
        let (private, public) = (signer.private(), signer.public());
        let kind = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
        openssl(&[&["genpkey", "-out", &private], &kind[..]].concat());
        openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
        signer
    }

    fn path(&self, ending: &str) -> String {
        self.folder.join(format!("{}.{ending}", self.name)).display().to_string()
    }

    pub(super) fn private(&self) -> String {
        self.path("key")
    }

    pub(super) fn public(&self) -> String {
        self.path("pub")
    }

    /// The hash of the public key, by which `verify` names it.
    pub(super) fn fingerprint(&self) -> Digest {
        let public = self.public();
        Digest::sha256(&openssl(&["pkey", "-pubin", "-in", &public, "-outform", "DER"]))
    }

    pub(super) fn sign(&self, statement: impl AsRef<[u8]>) -> Signature {
        let statement = Bytes::copy_from_slice(statement.as_ref());
        let file = self.path("statement");
        fs::write(&file, &statement).unwrap();
        let signature = openssl(&["dgst", "-sha256", "-sign", &self.private(), &file]);
        // As cosign writes it: the other alphabet.
        let signature = test_support::base64::encode(signature).replace('-', "+").replace('_', "/");
        Signature { statement, signature }
    }
}

/// A statement that a manifest is the image of a name.
pub(super) fn statement(digest: &Digest, name: &str) -> Bytes {
    let document = json!({
        "critical": {
            "identity": {"docker-reference": name},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": {"creator": "openssl"},
    });
    document.to_string().into()
}

fn openssl(arguments: &[&str]) -> Vec<u8> {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
