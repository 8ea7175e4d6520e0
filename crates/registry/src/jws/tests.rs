use serde_json::{Value, json};
use spec::Digest;

use super::*;

/// The manifest that a dockerd 20.10 pushed.
const DOCKERD: &str = include_str!("testdata/dockerd.json");
/// A document a line, signed by OpenSSL in all ways that are good: other curves, RSA, certificates, several at once.
const OTHERS: &str = include_str!("testdata/signed.txt");

/// Changes the signatures of dockerd's document, whose bytes before them stay as they are.
fn resigned(change: impl FnOnce(&mut Vec<Value>)) -> String {
    let (body, _) = DOCKERD.split_once(",\n   \"signatures\"").unwrap();
    let document: Value = serde_json::from_str(DOCKERD).unwrap();
    let mut signatures = document["signatures"].as_array().unwrap().clone();
    change(&mut signatures);
    format!("{body},\n   \"signatures\": {}\n}}", Value::from(signatures))
}

fn protected(length: usize, tail: &str) -> Value {
    let tail = BASE64_URL_SAFE_NO_PAD.encode(tail);
    let text = json!({ "formatLength": length, "formatTail": tail, "time": "x" }).to_string();
    BASE64_URL_SAFE_NO_PAD.encode(text).into()
}

fn refused(document: &str) -> String {
    verify(document.as_bytes()).expect_err(document).to_string()
}

#[test]
fn the_signed_bytes_are_those_that_were_signed() {
    let payload = verify(DOCKERD.as_bytes()).unwrap();
    let digest = "sha256:cd7ef376c506684490506ed66366febaf7f6462e20fb108bd5662fe92b3e5ad1";
    assert_eq!(Digest::sha256(&payload).to_string(), digest);
    assert_eq!(verify(resigned(|_| ()).as_bytes()).unwrap(), payload);
    for document in OTHERS.lines() {
        let payload = verify(document.as_bytes()).unwrap_or_else(|e| panic!("{document}: {e}"));
        assert_eq!(payload, "{\"name\":\"größe\"}", "{document}");
        let changed = document.replace("größe", "große ");
        assert_eq!(refused(&changed), "invalid signature");
    }
}

#[test]
fn whatever_is_changed_is_refused_with_its_sentence() {
    let length = verify(DOCKERD.as_bytes()).unwrap().len() - 2;
    let within = DOCKERD.find('é').unwrap() + 1;
    let two = |second: Value| {
        resigned(|signatures| {
            let mut other = signatures[0].clone();
            other["protected"] = second;
            signatures.push(other);
        })
    };
    let one = |field: &str, value: Value| resigned(|it| *it[0].pointer_mut(field).unwrap() = value);
    let (body, _) = DOCKERD.split_once(",\n   \"signatures\"").unwrap();
    for (document, expected) in [
        (DOCKERD.replace("\"tag\": \"1\"", "\"tag\": \"2\""), "invalid signature"),
        (DOCKERD.replacen("\"name\"", " \"name\"", 1), "invalid signature"),
        (one("/protected", protected(DOCKERD.len() * 2, "\n}")), "invalid format length"),
        (
            one("/protected", protected(within, "\"}")),
            "invalid format length: it ends within a letter",
        ),
        (one("/protected", protected(length - 1, "\n}")), "invalid signature"),
        (one("/protected", protected(0, "\n}")), "what is signed is not this document"),
        (one("/protected", protected(0, "{}")), "what is signed is not this document"),
        (one("/protected", protected(length, "")), "what is signed is not this document"),
        (one("/protected", protected(length, ",\"tag\":\"2\"}")), "is not this document"),
        (two(protected(length - 1, "\n}")), "conflicting format length"),
        (two(protected(length, "}")), "conflicting format tail"),
        (two(protected(length, "\n}")), "invalid signature"),
        (format!("{body}\n}}"), "missing signatures"),
        (resigned(Vec::clear), "missing signatures"),
        (
            one("/header/alg", json!("none")),
            "unable to verify signature: P-256 EC Public Key does not support signature algorithm \"none\"",
        ),
        (
            one("/header/alg", json!("HS256")),
            "unable to verify signature: P-256 EC Public Key does not support signature algorithm \"HS256\"",
        ),
        (one("/signature", json!("")), "invalid signature"),
        (one("/signature", json!("!")), "base64 decode error of `signature`"),
        (one("/protected", json!("e30")), "error unmarshalling protected header: missing field"),
        (
            one("/header/jwk/kid", json!("AAAA\u{1b}")),
            "JWK Public Key ID does not match: \"AAAA\\x1b\"",
        ),
        (
            one("/header/jwk/x", json!("AAAA")),
            "error unmarshalling public key: invalid number of octets",
        ),
        (
            one("/header/jwk/crv", json!("P-1")),
            "error unmarshalling public key: its curve is not supported",
        ),
        (
            one("/header/jwk/kty", json!("oct")),
            "error unmarshalling public key: its type is not supported",
        ),
        (one("/header", json!({ "alg": "ES256" })), "missing public key"),
        (
            one("/header", json!({ "alg": "ES256", "x5c": ["AAAA"] })),
            "the certificate is malformed",
        ),
        (
            resigned(|signatures| signatures.extend(vec![signatures[0].clone(); MAX_SIGNATURES])),
            "17 signatures, more than the 16 that are allowed",
        ),
        (DOCKERD.replacen('}', "", 1), "error unmarshalling signatures"),
        (DOCKERD.replacen('{', r#"{"signatures":[],"#, 1), "duplicate field `signatures`"),
    ] {
        let error = refused(&document);
        assert!(error.contains(expected), "{error}: {expected}");
    }
}

#[test]
fn a_signature_of_ones_own_is_good_and_the_key_is_kept() {
    let key = SigningKey::generate().unwrap();
    let payload = "{\n   \"name\": \"größe\"\n}";
    let kept = SigningKey::parse(key.to_json().unwrap().as_bytes()).unwrap();
    for key in [&key, &kept] {
        let signed = key.sign(payload).unwrap();
        assert_eq!(verify(signed.as_bytes()).unwrap(), payload);
        assert!(!signed.contains("\"d\""), "{signed}");
    }
    let json: Value = serde_json::from_str(&key.to_json().unwrap()).unwrap();
    assert!(!format!("{key:?}").contains(json["d"].as_str().unwrap()), "it is a secret");
    assert!(key.sign("{}").is_err());
}

/// The form of dockerd's `key.json`.
#[test]
fn keys_are_written_as_dockerd_writes_them() {
    let json = r#"{"crv":"P-256","d":"AMD_7hI0VniQq83vEjRWeJCrze8SNFZ4kKvN7xI0Vng","kid":"3BCR:2LPS:7KDC:NH6S:OTLP:JCMS:O6QK:IOH5:3Z3J:LNJ3:L5FR:J4NY","kty":"EC","x":"nb61MaaQpI2FlBQ_YlQLx2Pf_zBm2cp58JVNaW2iY94","y":"Qa7VDfofovdlv3Xpx9IMLxoxfAmRMzSNAlPAsAsvV3Y"}"#;
    assert_eq!(SigningKey::parse(json.as_bytes()).unwrap().to_json().unwrap(), json);
    for (from, to) in
        [("\"d\":\"", "\"d\":\"A"), ("kid\":\"", "kid\":\"A"), ("P-256", "P-384"), ("{", "")]
    {
        assert!(SigningKey::parse(json.replacen(from, to, 1).as_bytes()).is_err(), "{to}");
    }
}

/// The form of `encoding/base32` and `crypto/x509` of Go.
#[test]
fn names_of_keys_are_dockers() {
    let document: Value = serde_json::from_str(DOCKERD).unwrap();
    let jwk: Jwk =
        serde_json::from_value(document["signatures"][0]["header"]["jwk"].clone()).unwrap();
    assert!(jwk.key().is_ok(), "its name is compared");
}
