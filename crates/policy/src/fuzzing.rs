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
                // Nobody's name counts whom the policy does not name, but where none is asked for.
                let accepts = |signed_as| signed.identity.accepts(Some(&name), signed_as);
                let is_named = format!("{:?}", signed.identity).contains("never.said");
                assert!(!accepts(Some("never.said.example/x:1")) || accepts(None) || is_named);
            }
        }
    }
}

/// A key that has signed nothing vouches for nothing, and what is read of a statement is what it says.
fn signature(data: &[u8]) {
    let key = include_bytes!("key/cosign.pub");
    let authority =
        STANDARD.encode(include_bytes!("../../cli/tests/it/policies/samples/fulcio.pem"));
    let of = |who: &str| {
        let text = format!(r#"{{"default":[{{"type":"sigstoreSigned",{who}}}]}}"#);
        Policy::parse(text.as_bytes()).expect("a policy")
    };
    // By a key, by certificates alone, and by those that a log has seen.
    let nobody = [
        Policy::of_key(key),
        of(&format!(r#""pki":{{"caRootsData":"{authority}","subjectEmail":"a@b"}}"#)),
        of(&format!(
            r#""fulcio":{{"caData":"{authority}","oidcIssuer":"i","subjectEmail":"a@b"}},"rekorPublicKeyData":"{}""#,
            STANDARD.encode(key)
        )),
    ];
    let name = ImageName::at_daemon(&Reference::parse_familiar("a").expect("a name"));
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
        for policy in &nobody {
            let [Requirement::Signed(signed)] = policy.rule(&name).requirements else { return };
            let trusted = signed.trusted()().expect("the key is one");
            assert!(found.accept(&trusted, &signed.identity, &digest, None).is_err());
        }
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
