//! Tests of signatures by certificates, with a Fulcio and a Rekor of our own, and of bundles.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, SanType, date_time_ymd,
};
use serde_json::{Value, json};
use spec::{Digest, Reference};

use super::bundle;
use super::form::Form;
use super::found::Signature;
use super::log::Entry;
use super::payload::Payload;
use crate::document::Policy;
use crate::document::name::ImageName;
use crate::document::requirement::Requirement;
use crate::judgement::Vouched;
use crate::key::pem;
use crate::key::private::PrivateKey;
use crate::testing::Key;

const NAME: &str = "r.example/app:1";
const ISSUER: &str = "https://login.example";
const EMAIL: &str = "ann@example.com";
/// 2 January 2024, noon.
const NOON: u64 = 1_704_196_800;

/// An authority that certifies keys for a day.
struct Fulcio {
    issuer: Issuer<'static, KeyPair>,
    root: String,
}

/// A key with a certificate.
struct Certified {
    private: PrivateKey,
    certificate: Vec<u8>,
}

impl Fulcio {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), root }
    }

    fn certify(&self, change: impl FnOnce(&mut CertificateParams)) -> Certified {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = date_time_ymd(2024, 1, 2);
        params.not_after = date_time_ymd(2024, 1, 3);
        params.subject_alt_names = vec![SanType::Rfc822Name(EMAIL.try_into().unwrap())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        let issuer = ISSUER.as_bytes().to_vec();
        let id = &[1, 3, 6, 1, 4, 1, 57264, 1, 1];
        params.custom_extensions = vec![CustomExtension::from_oid_content(id, issuer)];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        let private = PrivateKey::parse(key.serialize_pem().as_bytes(), None).unwrap();
        Certified { private, certificate }
    }
}

fn digest() -> Digest {
    Digest::sha256(b"manifest")
}

fn statement() -> Bytes {
    let payload = Payload { digest: digest(), reference: NAME.to_owned() };
    payload.write().unwrap().into()
}

/// Signs a statement in the classic form.
fn classic(private: &PrivateKey, certificates: Vec<Vec<u8>>) -> Signature {
    let payload = statement();
    let value = STANDARD.decode(private.sign(&payload).unwrap()).unwrap();
    Signature { payload, form: Form::Simple, value, certificates, entry: None }
}

/// Has a log take a signature, at a time.
fn logged(found: &Signature, verifier: &str, log: &Key, time: u64) -> Signature {
    let verifier = STANDARD.encode(verifier);
    let signature = STANDARD.encode(&found.value);
    let hash = |bytes: &[u8]| json!({"algorithm": "sha256", "value": Digest::sha256(bytes).hex()});
    let body = match found.form {
        Form::Simple => json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": hash(&found.payload)},
            "signature": {"content": signature, "publicKey": {"content": verifier}},
        }}),
        Form::Envelope => json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": hash(b"envelope"),
            "payloadHash": hash(&found.payload),
            "signatures": [{"signature": signature, "verifier": verifier}],
        }}),
    };
    let body = STANDARD.encode(body.to_string());
    // As RFC 8785 writes it.
    let promised =
        format!(r#"{{"body":"{body}","integratedTime":{time},"logID":"c0ffee","logIndex":7}}"#);
    let promise = log.private.sign(promised.as_bytes()).unwrap();
    let annotation = format!(r#"{{"SignedEntryTimestamp":"{promise}","Payload":{promised}}}"#);
    Signature { entry: Some(Entry::of_annotation(&annotation).unwrap()), ..found.clone() }
}

fn certificate(der: &[u8]) -> String {
    pem::write("CERTIFICATE", der)
}

/// Judges a signature by a requirement.
fn judge(requirement: &Value, found: &Signature) -> Result<String, String> {
    let text = json!({"default": [requirement]}).to_string();
    let policy = Policy::parse(text.as_bytes()).unwrap();
    let name = Reference::parse_familiar(NAME).unwrap();
    let rule = policy.rule(&ImageName::at_registry(&name));
    let [Requirement::Signed(signed)] = rule.requirements else { panic!("{requirement}") };
    let trusted = signed.trusted()().map_err(|fault| fault.to_string())?;
    let vouched = found.accept(&trusted, &signed.identity, &digest(), Some(&name));
    let names = |vouched: Vouched| vouched.signer.map(|signer| signer.names).unwrap_or_default();
    vouched.map(names).map_err(|fault| fault.to_string())
}

fn fulcio(fulcio: &Fulcio, log: &Key) -> Value {
    json!({
        "type": "sigstoreSigned",
        "fulcio": {
            "caData": STANDARD.encode(&fulcio.root),
            "oidcIssuer": ISSUER,
            "subjectEmail": EMAIL,
        },
        "rekorPublicKeyData": log.data(),
    })
}

#[test]
fn a_certificate_counts_for_its_names_at_the_time_that_the_log_knows() {
    let (authority, other, log, other_log) = (Fulcio::new(), Fulcio::new(), Key::new(), Key::new());
    let requirement = fulcio(&authority, &log);
    let refuse = |found: &Signature| judge(&requirement, found).unwrap_err();
    let by = |certified: &Certified| {
        let found = classic(&certified.private, vec![certified.certificate.clone()]);
        let verifier = certificate(&certified.certificate);
        logged(&found, &verifier, &log, NOON)
    };
    let ann = authority.certify(|_| ());
    let good = by(&ann);
    assert_eq!(judge(&requirement, &good).unwrap(), EMAIL);

    let untimely = logged(&good, &certificate(&ann.certificate), &log, NOON + 86_400);
    assert!(refuse(&untimely).contains("in date when it signed"), "{}", refuse(&untimely));
    assert_eq!(refuse(&Signature { entry: None, ..good.clone() }), "no log promises to have it");
    let elsewhere = logged(&good, &certificate(&ann.certificate), &other_log, NOON);
    assert_eq!(refuse(&elsewhere), "the promise is not of a trusted log");
    // What was promised at another time.
    let mut later = good.clone();
    later.entry.as_mut().unwrap().promised.time += 1;
    assert_eq!(refuse(&later), "the promise is not of a trusted log");
    // The promise of another signature of the same.
    let again = by(&ann);
    let mixed = Signature { entry: again.entry, ..good.clone() };
    assert_eq!(refuse(&mixed), "what the log has is another signature");
    let bob = authority.certify(|params| {
        params.subject_alt_names = vec![SanType::Rfc822Name("bob@example.com".try_into().unwrap())];
    });
    assert_eq!(
        refuse(&by(&bob)),
        format!("its certificate is for bob@example.com, and not for {EMAIL}")
    );
    let swapped = Signature { certificates: vec![bob.certificate.clone()], ..good.clone() };
    assert_eq!(refuse(&swapped), "what the log has is another key");
    let nobody = authority.certify(|params| params.subject_alt_names.clear());
    assert_eq!(refuse(&by(&nobody)), format!("its certificate is for nobody, and not for {EMAIL}"));
    let no_issuer = authority.certify(|params| params.custom_extensions.clear());
    let told = refuse(&by(&no_issuer));
    assert!(told.starts_with("its certificate is of the issuer \"\", and not of \""), "{told}");
    let server = authority.certify(|params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    });
    assert!(
        refuse(&by(&server)).starts_with("its certificate is not of a trusted authority, for code")
    );
    assert!(
        refuse(&by(&other.certify(|_| ())))
            .starts_with("its certificate is not of a trusted authority")
    );
    assert_eq!(refuse(&classic(&ann.private, Vec::new())), "it has no certificate");
    // Somebody else's signature, which the log has with the certificate.
    let stolen = classic(&bob.private, vec![ann.certificate.clone()]);
    let stolen = logged(&stolen, &certificate(&ann.certificate), &log, NOON);
    assert_eq!(refuse(&stolen), "it is not made by a trusted key");
}

#[test]
fn a_key_may_need_a_log_beside() {
    let (key, log) = (Key::new(), Key::new());
    let requirement = json!({
        "type": "sigstoreSigned", "keyData": key.data(), "rekorPublicKeyDatas": [Key::new().data(), log.data()],
    });
    let found = classic(&key.private, Vec::new());
    assert_eq!(judge(&requirement, &found).unwrap_err(), "no log promises to have it");
    judge(&requirement, &logged(&found, &key.public, &log, NOON)).unwrap();
    let other = logged(&found, &Key::new().public, &log, NOON);
    assert_eq!(judge(&requirement, &other).unwrap_err(), "what the log has is another key");
}

#[test]
fn an_authority_of_ones_own_certifies_for_now() {
    let authority = Fulcio::new();
    let roots = STANDARD.encode(&authority.root);
    let pki = |names: Value| {
        let mut pki = json!({"caRootsData": roots});
        pki.as_object_mut().unwrap().append(&mut names.as_object().unwrap().clone());
        json!({"type": "sigstoreSigned", "pki": pki})
    };
    let now = authority.certify(|params| {
        params.not_after = date_time_ymd(4000, 1, 1);
        params.subject_alt_names.push(SanType::DnsName("ci.example.com".try_into().unwrap()));
    });
    let found = classic(&now.private, vec![now.certificate.clone()]);
    let all = json!({"subjectEmail": EMAIL, "subjectHostname": "CI.example.com"});
    assert_eq!(judge(&pki(all), &found).unwrap(), format!("{EMAIL}, ci.example.com"));
    let other =
        judge(&pki(json!({"subjectEmail": EMAIL, "subjectHostname": "example.com"})), &found);
    assert!(other.unwrap_err().ends_with("and not for example.com"));
    let ended = authority.certify(|_| ());
    let found = classic(&ended.private, vec![ended.certificate.clone()]);
    let told = judge(&pki(json!({"subjectEmail": EMAIL})), &found).unwrap_err();
    assert!(told.contains("in date when it signed"), "{told}");
    let broken =
        json!({"type": "sigstoreSigned", "pki": {"caRootsData": "AAAA", "subjectEmail": EMAIL}});
    let told = judge(&broken, &found).unwrap_err();
    assert_eq!(told, "authorities: there is no certificate in PEM, or one that is damaged");
}

/// Writes a bundle as cosign 3 does.
fn bundle_of(private: &PrivateKey, statement: &Value, material: &Value) -> Value {
    let payload = statement.to_string();
    let signed = format!("DSSEv1 28 application/vnd.in-toto+json {} {payload}", payload.len());
    json!({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": material,
        "dsseEnvelope": {
            "payload": STANDARD.encode(&payload),
            "payloadType": "application/vnd.in-toto+json",
            "signatures": [{"sig": private.sign(signed.as_bytes()).unwrap()}],
        },
    })
}

fn in_toto(digest: &Digest) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": digest.hex()}, "annotations": {}}],
        "predicateType": "https://sigstore.dev/cosign/sign/v1",
        "predicate": {},
    })
}

#[test]
fn a_bundle_counts_for_its_digest_where_no_name_is_asked_for() {
    let key = Key::new();
    let hint = json!({"publicKey": {"hint": "x"}, "tlogEntries": []});
    let of = |identity: &str| json!({"type": "sigstoreSigned", "keyData": key.data(), "signedIdentity": {"type": identity}});
    let any = of("insecureAcceptAnyIdentity");
    let parse = |bundle: &Value| bundle::parse(bundle.to_string().as_bytes());
    let good = bundle_of(&key.private, &in_toto(&digest()), &hint);
    let found = parse(&good).unwrap();
    judge(&any, &found).unwrap();
    let told = judge(&of("matchRepository"), &found).unwrap_err();
    assert_eq!(told, "it is for no name, which signedIdentity does not accept");
    let refuse = |statement: &Value| {
        judge(&any, &parse(&bundle_of(&key.private, statement, &hint)).unwrap()).unwrap_err()
    };
    let other = Digest::sha256(b"other");
    assert_eq!(refuse(&in_toto(&other)), format!("it is for {other}, and not for {}", digest()));
    let mut statement = in_toto(&digest());
    statement["predicateType"] = json!("https://slsa.dev/provenance/v1");
    assert_eq!(
        refuse(&statement),
        "what is signed is of the type \"https://slsa.dev/provenance/v1\""
    );
    let mut statement = in_toto(&digest());
    let subject = statement["subject"][0].clone();
    statement["subject"].as_array_mut().unwrap().push(subject);
    assert_eq!(refuse(&statement), "what is signed is about 2 digests, and not one");
    statement["subject"] = json!([]);
    assert_eq!(refuse(&statement), "what is signed is about 0 digests, and not one");
    let stranger = bundle_of(&Key::new().private, &in_toto(&digest()), &hint);
    let told = judge(&any, &parse(&stranger).unwrap()).unwrap_err();
    assert_eq!(told, "it is not made by a trusted key");
    for (place, value, expected) in [
        ("/mediaType", json!("x"), "it is of the type \"x\""),
        ("/dsseEnvelope/payloadType", json!("x"), "its payload is of the type \"x\""),
        ("/dsseEnvelope/signatures", json!([]), "it has not one signature"),
        ("/dsseEnvelope/payload", json!("?"), "it is not base64"),
        ("/dsseEnvelope", json!({}), "missing field"),
    ] {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        let told = parse(&bad).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

#[test]
fn a_bundle_may_have_a_certificate_and_a_log() {
    let (authority, log) = (Fulcio::new(), Key::new());
    let ann = authority.certify(|_| ());
    let mut requirement = fulcio(&authority, &log);
    requirement["signedIdentity"] = json!({"type": "insecureAcceptAnyIdentity"});
    let der = STANDARD.encode(&ann.certificate);
    let material =
        |entries: Value| json!({"certificate": {"rawBytes": der}, "tlogEntries": entries});
    let without = bundle_of(&ann.private, &in_toto(&digest()), &material(json!([])));
    let found = bundle::parse(without.to_string().as_bytes()).unwrap();
    assert_eq!(judge(&requirement, &found).unwrap_err(), "no log promises to have it");
    let entry = logged(&found, &certificate(&ann.certificate), &log, NOON).entry.unwrap();
    let mut with = without.clone();
    with["verificationMaterial"] = material(json!([
        {
            "logIndex": "1", "logId": {"keyId": "wP/u"}, "canonicalizedBody": "AAAA",
            "inclusionProof": {},
        },
        {
            "logIndex": "7", "logId": {"keyId": "wP/u"}, "integratedTime": NOON.to_string(),
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "inclusionPromise": {"signedEntryTimestamp": STANDARD.encode(&entry.promise)},
            "canonicalizedBody": entry.promised.body,
        },
    ]));
    let found = bundle::parse(with.to_string().as_bytes()).unwrap();
    assert_eq!(judge(&requirement, &found).unwrap(), EMAIL);
}
