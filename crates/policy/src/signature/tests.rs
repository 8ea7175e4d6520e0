use super::payload::Payload;
use bytes::Bytes;

use super::form::Form;
use super::*;
use crate::document::Policy;
use crate::document::name::ImageName;
use crate::document::requirement::Requirement;
use crate::key::PublicKey;
use crate::testing::Key;

/// A policy that asks for a key, and what it says of a signature of another.
#[test]
fn a_signature_counts_for_its_key_its_digest_and_its_name() {
    let (key, stranger) = (Key::new(), Key::new());
    let text = format!(
        r#"{{"default":[{{"type":"sigstoreSigned","keyDatas":["{}","{}"]}}]}}"#,
        Key::new().data(),
        key.data()
    );
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let name = Reference::parse_familiar("r.example/app:1").unwrap();
    let rule = policy.rule(&ImageName::at_registry(&name));
    let [Requirement::Signed(signed)] = rule.requirements else { panic!() };
    let trusted = signed.trusted()().unwrap();
    let digest = Digest::sha256(b"manifest");
    let payload = |digest: &Digest, name: &str| {
        let payload = Payload { digest: digest.clone(), reference: name.to_owned() };
        Bytes::from(payload.write().unwrap())
    };
    let accept = |payload: &Bytes, signature: &str| {
        let found = classic(payload, signature);
        let vouched = found.accept(&trusted, &signed.identity, &digest, Some(&name));
        vouched.map_err(|fault| fault.to_string())
    };
    let good = payload(&digest, "r.example/app:1");
    let signature = key.private.sign(&good).unwrap();
    let vouched = accept(&good, &signature).unwrap();
    assert_eq!((vouched.name.as_str(), &vouched.digest), ("r.example/app:1", &digest));
    let public = PublicKey::parse(key.public.as_bytes()).unwrap();
    assert_eq!((vouched.key, vouched.signer, vouched.logged), (public.fingerprint, None, None));

    let refuse = |payload: &Bytes, signature: &str| accept(payload, signature).unwrap_err();
    let by_stranger = stranger.private.sign(&good).unwrap();
    assert_eq!(refuse(&good, &by_stranger), "it is not made by a trusted key");
    assert_eq!(refuse(&good, ""), "it is not made by a trusted key");
    let other = payload(&Digest::sha256(b"other"), "r.example/app:1");
    // The signature of one payload under another.
    assert_eq!(refuse(&other, &signature), "it is not made by a trusted key");
    let signed_by_us = |payload: &Bytes| refuse(payload, &key.private.sign(payload).unwrap());
    let (of, image) = (Digest::sha256(b"other"), &digest);
    assert_eq!(signed_by_us(&other), format!("it is for {of}, and not for {image}"));
    assert_eq!(
        signed_by_us(&payload(&digest, "r.example/other:1")),
        "it is for the name \"r.example/other:1\", which signedIdentity does not accept: it takes r.example/app:1"
    );
    let told = signed_by_us(&Bytes::from_static(b"{}"));
    assert!(told.starts_with("what is signed is no statement on an image"), "{told}");
}

fn classic(payload: &Bytes, signature: &str) -> Signature {
    Signature {
        payload: payload.clone(),
        form: Form::Simple,
        value: test_support::base64::decode(signature).unwrap(),
        certificates: Vec::new(),
        entry: None,
    }
}
