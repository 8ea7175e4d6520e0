//! Fuzz targets: policies, and signatures as a registry has them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use spec::{Digest, Reference};

use crate::document::Policy;
use crate::document::name::ImageName;
use crate::document::requirement::Requirement;
use crate::signature::bundle;
use crate::signature::form::Form;
use crate::signature::found::Signature;
use crate::signature::log::Entry;
use crate::signature::payload::{Payload, Statement};

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[("policy", policy), ("signature", signature)];

/// A policy has an answer for every image, and asks for what it has files for.
fn policy(data: &[u8]) {
    let Ok(policy) = Policy::parse(data) else { return };
    for name in ["alpine", "r.example:5000/a/b:1", "a.b.example/c"] {
        let Ok(name) = Reference::parse_familiar(name) else { continue };
        let rule = policy.rule(&ImageName::at_registry(&name));
        assert!(!rule.requirements.is_empty(), "a scope without a requirement allows anything");
        for requirement in rule.requirements {
            if let Requirement::Signed(signed) = requirement {
                let own = signed.identity.accepts(Some(&name), None);
                assert!(!own || signed.identity.accepts(Some(&name), Some("other/name")));
            }
        }
    }
}

/// A key that has signed nothing vouches for nothing, and what is read of a statement is what it says.
fn signature(data: &[u8]) {
    let nobody = Policy::of_key(include_bytes!("key/cosign.pub"));
    let name = ImageName::at_daemon(&Reference::parse_familiar("a").expect("a name"));
    let [Requirement::Signed(signed)] = nobody.rule(&name).requirements else { return };
    let trusted = signed.trusted()().expect("the key is one");
    let text = std::str::from_utf8(data).unwrap_or_default();
    let classic = Signature {
        payload: Bytes::copy_from_slice(data),
        form: Form::Simple,
        value: STANDARD.decode(text).unwrap_or_else(|_| data.to_vec()),
        certificates: vec![data.to_vec()],
        entry: Entry::of_annotation(text).ok(),
    };
    for found in [Some(classic), bundle::parse(data).ok()].into_iter().flatten() {
        let digest = Digest::sha256(data);
        assert!(found.accept(&trusted, &signed.identity, &digest, None).is_err());
        let _ = Statement::parse(found.form, &found.payload);
    }
    if let Ok(payload) = Payload::parse(data) {
        let written = payload.write().expect("a statement is written");
        assert!(Payload::parse(&written).is_ok_and(|again| again == payload));
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
