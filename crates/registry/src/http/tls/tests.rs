use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use rustls::{
    client::danger::ServerCertVerifier,
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use super::{
    algorithms,
    authorities::Authorities,
    vectors::SIGNATURES,
    verifier::Verifier,
    x509::{Certificate, public_key},
};

#[test]
fn signatures_that_ring_does_not_check_are_checked() {
    for (name, key, signature) in SIGNATURES {
        let algorithm = algorithms::named(name).expect(name);
        let (key, signature) = (STANDARD.decode(key).unwrap(), STANDARD.decode(signature).unwrap());
        let good = |key: &[u8], message: &[u8], signature: &[u8]| {
            algorithm.verify_signature(key, message, signature).is_ok()
        };
        assert!(good(&key, b"message", &signature), "{name}");
        assert!(!good(&key, b"Message", &signature), "{name}: another message");
        // No bit of it may be another, nor may it be longer or shorter.
        for at in (0..signature.len()).step_by(signature.len() / 6) {
            let mut other = signature.clone();
            other[at] ^= 1 << (at % 8);
            assert!(!good(&key, b"message", &other), "{name}: byte {at}");
        }
        assert!(!good(&key, b"message", &signature[1..]), "{name}: shorter");
        assert!(!good(&key, b"message", &[&[0], &signature[..]].concat()), "{name}: longer");
        assert!(!good(&key, b"message", &vec![0; signature.len()]), "{name}: zeros");
        assert!(!good(&key, b"message", &vec![0xff; signature.len()]), "{name}: ones");
        for end in 0..key.len() {
            assert!(!good(&key[..end], b"message", &signature), "{name}: a key cut at {end}");
        }
    }
}

#[test]
fn short_keys_are_for_private_authorities() {
    let (_, key, signature) =
        SIGNATURES.iter().find(|(name, ..)| *name == "RSA_PKCS1_SHA256").unwrap();
    let (key, signature) = (STANDARD.decode(key).unwrap(), STANDARD.decode(signature).unwrap());
    for (legacy, expected) in [(true, true), (false, false)] {
        let provider = algorithms::provider(legacy);
        let all = provider.signature_verification_algorithms.all;
        let good = all
            .iter()
            .any(|algorithm| algorithm.verify_signature(&key, b"message", &signature).is_ok());
        assert_eq!(good, expected);
    }
}

struct Made {
    params: CertificateParams,
    key: KeyPair,
    der: CertificateDer<'static>,
}

/// Makes a certificate; without an issuer it signs itself.
fn made(
    names: &[&str],
    issuer: Option<&Made>,
    change: impl FnOnce(&mut CertificateParams),
) -> Made {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name.push(DnType::CommonName, "registry.corp");
    change(&mut params);
    let key = KeyPair::generate().unwrap();
    let der = match issuer {
        None => params.self_signed(&key).unwrap(),
        Some(made) => {
            params.signed_by(&key, &Issuer::from_params(&made.params, &made.key)).unwrap()
        }
    };
    Made { der: der.der().clone(), params, key }
}

fn authority(params: &mut CertificateParams) {
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
}

fn named_authority(params: &mut CertificateParams) {
    authority(params);
    params.distinguished_name.push(DnType::CommonName, "authority");
}

fn judge(leaf: &Made, anchors: &[&Made], host: &str) -> String {
    judge_chain(&[leaf], &[], anchors, host)
}

/// Judges a chain, the server's certificate first, with the system's authorities and those of a `*.crt`.
fn judge_chain(chain: &[&Made], native: &[&Made], own: &[&Made], host: &str) -> String {
    let authorities = |made: &[&Made]| Authorities::new(made.iter().map(|made| made.der.clone()));
    let provider = algorithms::provider(!own.is_empty());
    let verifier = Verifier::new(Arc::new(authorities(native)), authorities(own), &provider);
    let chain: Vec<_> = chain.iter().map(|made| made.der.clone()).collect();
    let name = ServerName::try_from(host).unwrap();
    match verifier.verify_server_cert(&chain[0], &chain[1..], &name, &[], UnixTime::now()) {
        Ok(_) => "good".to_owned(),
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::Other(error))) => {
            error.to_string()
        }
        Err(error) => panic!("a fault without Go's words: {error:?}"),
    }
}

/// Compares a judgement, of which `expected` is a part; what is good is nothing else.
fn expect(what: &str, said: &str, expected: &str) {
    assert!(said.contains(expected), "{what}: {said}");
    assert_eq!(said == "good", expected == "good", "{what}: {said}");
}

#[test]
fn certificates_are_trusted_as_go_trusts_them() {
    let host = "registry.corp";
    let root = made(&[], None, named_authority);
    let stranger = made(&[], None, named_authority);
    let good = made(&[host], Some(&root), |_| {});
    let docs = made(&[host], None, authority);
    let alone = made(&[host], None, |_| {});
    let both = made(&[host], Some(&root), authority);
    let past = made(&[host], Some(&root), old);
    let past_alone = made(&[host], None, old);
    let future = made(&[host], Some(&root), |params| {
        params.not_before = date_time_ymd(2999, 1, 1);
        params.not_after = date_time_ymd(3000, 1, 1);
    });
    let endless = |params: &mut CertificateParams| params.not_after = date_time_ymd(9999, 12, 31);
    let endless_root = made(&[], None, |params| {
        named_authority(params);
        endless(params);
    });
    let forever = made(&[host], Some(&endless_root), endless);
    let client = made(&[host], Some(&root), only_clients);
    let client_alone = made(&[host], None, only_clients);
    for (what, leaf, anchors, name, expected) in [
        ("signed", &good, vec![&root], host, "good"),
        ("never expires", &forever, vec![&endless_root], host, "good"),
        ("never expires, and the anchor", &forever, vec![&forever], host, "good"),
        ("signed by another of that name", &good, vec![&stranger], host, UNKNOWN),
        ("nobody is trusted", &good, vec![], host, UNKNOWN),
        ("of Docker's documentation", &docs, vec![&docs], host, "good"),
        ("the same, unknown", &docs, vec![&root], host, UNKNOWN),
        ("self-signed", &alone, vec![&alone], host, "good"),
        ("the leaf is the anchor", &good, vec![&good], host, "good"),
        ("an authority as a server", &both, vec![&root], host, "good"),
        ("the same, by another of that name", &both, vec![&stranger], host, UNKNOWN),
        (
            "expired",
            &past,
            vec![&root],
            host,
            "certificate has expired or is not yet valid: current time ",
        ),
        (
            "expired, and the anchor",
            &past_alone,
            vec![&past_alone],
            host,
            " is after 2002-01-01T00:00:00Z",
        ),
        ("not yet valid", &future, vec![&root], host, " is before 2999-01-01T00:00:00Z"),
        (
            "a client's",
            &client,
            vec![&root],
            host,
            "certificate specifies an incompatible key usage",
        ),
        (
            "a client's, and the anchor",
            &client_alone,
            vec![&client_alone],
            host,
            "certificate specifies an incompatible key usage",
        ),
    ] {
        expect(what, &judge(leaf, &anchors, name), expected);
    }
}

fn old(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2001, 1, 1);
    params.not_after = date_time_ymd(2002, 1, 1);
}

fn only_clients(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

const UNKNOWN: &str = "certificate signed by unknown authority";

#[test]
fn authorities_that_may_not_vouch_do_not() {
    let host = "registry.corp";
    let changed = |change: fn(&mut CertificateParams)| {
        made(&[], None, |params| {
            named_authority(params);
            change(params);
        })
    };
    let not_for_certificates = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    };
    let for_certificates = |params: &mut CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    };
    for (what, anchor, expected) in [
        ("nothing amiss", changed(|_| {}), "good"),
        ("expired", changed(old), " is after 2002-01-01T00:00:00Z"),
        ("for clients", changed(only_clients), UNKNOWN),
        ("not for certificates", changed(not_for_certificates), UNKNOWN),
        ("for certificates", changed(for_certificates), "good"),
        ("none", changed(|params| params.is_ca = IsCa::ExplicitNoCa), UNKNOWN),
        ("none, unsaid", changed(|params| params.is_ca = IsCa::NoCa), UNKNOWN),
    ] {
        let leaf = made(&[host], Some(&anchor), |_| {});
        let server_and_authority = made(&[host], Some(&anchor), authority);
        for leaf in [&leaf, &server_and_authority] {
            expect(what, &judge_chain(&[leaf], &[], &[&anchor], host), expected);
            expect(what, &judge_chain(&[leaf], &[&anchor], &[], host), expected);
        }
    }
}

#[test]
fn servers_that_are_authorities_are_trusted_by_chains() {
    let host = "registry.corp";
    let docs = made(&[host], None, authority);
    expect("the system's", &judge_chain(&[&docs], &[&docs], &[], host), "good");
    expect("nobody's", &judge_chain(&[&docs], &[], &[], host), UNKNOWN);

    let root = made(&[], None, named_authority);
    let narrow = made(&[], None, |params| {
        named_authority(params);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    });
    let between = |issuer: &Made, change: fn(&mut CertificateParams)| {
        made(&[], Some(issuer), |params| {
            authority(params);
            params.distinguished_name.push(DnType::CommonName, "between");
            change(params);
        })
    };
    for (what, top, middle, expected) in [
        ("an intermediate", &root, between(&root, |_| {}), "good"),
        ("an old intermediate", &root, between(&root, old), UNKNOWN),
        ("one for clients", &root, between(&root, only_clients), UNKNOWN),
        ("none", &root, between(&root, |params| params.is_ca = IsCa::ExplicitNoCa), UNKNOWN),
        ("one too many", &narrow, between(&narrow, |_| {}), UNKNOWN),
    ] {
        let server = made(&[host], Some(&middle), authority);
        let chain = [&server, &middle];
        expect(what, &judge_chain(&chain, &[], &[top], host), expected);
        expect(what, &judge_chain(&chain, &[top], &[], host), expected);
        expect(what, &judge_chain(&chain[..1], &[top], &[], host), UNKNOWN);
    }
    // A long chain of one name, and one that is too long.
    for (length, expected) in [(6, "good"), (7, UNKNOWN)] {
        let mut chain = vec![made(&[], Some(&root), named_authority)];
        for _ in 1..length {
            chain.push(made(&[], chain.last(), named_authority));
        }
        let server = made(&[host], chain.last(), authority);
        let chain: Vec<_> = [&server].into_iter().chain(&chain).collect();
        expect("long", &judge_chain(&chain, &[], &[&root], host), expected);
    }
}

/// A key that only its public half is known of.
struct Public(Vec<u8>);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_RSA_SHA256
    }
}

#[test]
fn short_keys_are_not_for_public_authorities() {
    let host = "registry.corp";
    let (root, other) = (made(&[], None, named_authority), made(&[], None, authority));
    let mut short = made(&[host], Some(&root), |_| {});
    let key = Public(STANDARD.decode(SIGNATURES[0].1).unwrap());
    let issuer = Issuer::from_params(&root.params, &root.key);
    short.der = short.params.signed_by(&key, &issuer).unwrap().der().clone();
    let public = judge_chain(&[&short], &[&root], &[&other], host);
    expect("public", &public, "an RSA key of less than 2048 bits");
    expect("private", &judge_chain(&[&short], &[&other], &[&root], host), "good");
}

#[test]
fn names_are_told_as_go_tells_them() {
    let host = "registry.corp";
    let root = made(&[], None, named_authority);
    let good = made(&[host], Some(&root), |_| {});
    let docs = made(&[host], None, authority);
    let nameless = made(&[], Some(&root), |_| {});
    let two = made(&["other.corp", "*.lab.corp", "10.0.0.1"], Some(&root), |_| {});
    for (what, leaf, anchors, name, expected) in [
        (
            "another name, and the anchor",
            &docs,
            vec![&docs],
            "else.corp",
            "certificate is valid for registry.corp, not else.corp",
        ),
        (
            "another name",
            &two,
            vec![&root],
            host,
            "certificate is valid for other.corp, *.lab.corp, not registry.corp",
        ),
        ("a wildcard", &two, vec![&root], "a.lab.corp", "good"),
        (
            "another address",
            &two,
            vec![&root],
            "10.0.0.2",
            "certificate is valid for 10.0.0.1, not 10.0.0.2",
        ),
        (
            "an address, but only names",
            &good,
            vec![&root],
            "10.0.0.2",
            "cannot validate certificate for 10.0.0.2 because it doesn't contain any IP SANs",
        ),
        (
            "a common name",
            &nameless,
            vec![&root],
            host,
            "certificate relies on legacy Common Name field, use SANs instead",
        ),
        (
            "no name",
            &nameless,
            vec![&root],
            "else.corp",
            "certificate is not valid for any names, but wanted to match else.corp",
        ),
    ] {
        expect(what, &judge(leaf, &anchors, name), expected);
    }
}

#[test]
fn times_and_keys_are_read() {
    for (year, month, day, seconds) in
        [(9999, 12, 31, 253_402_214_400), (2000, 2, 29, 951_782_400), (1969, 12, 31, -86_400)]
    {
        let made = made(&[], None, |params| {
            params.not_before = date_time_ymd(year, month, day);
            params.not_after = date_time_ymd(year, month, day);
        });
        let read = Certificate::parse(&made.der).unwrap();
        assert_eq!((read.not_before, read.not_after), (seconds, seconds));
        assert_eq!(public_key(&made.der), Some((read.key_algorithm, read.key)));
    }
    // Without checks the key is enough: dates that are none do not matter.
    let mut der = made(&[], None, |_| {}).der.to_vec();
    let time = der.windows(2).position(|tag| tag == [0x17, 13]).unwrap();
    der[time + 2] = b'x';
    assert!(Certificate::parse(&der).is_none());
    assert!(public_key(&der).is_some());
}

#[test]
fn nothing_of_a_broken_certificate_is_believed() {
    let whole = made(&["registry.corp", "10.0.0.1"], None, authority).der;
    let read = Certificate::parse(&whole).unwrap();
    assert_eq!(read.common_name().as_deref(), Some("registry.corp"));
    assert_eq!((read.is_authority, read.serves), (Some(true), true));
    for end in 0..whole.len() {
        assert!(Certificate::parse(&whole[..end]).is_none(), "cut at {end}");
    }
    // Changed anywhere it is malformed, refused or as it was; it is the panics that are looked for.
    let verifier =
        Verifier::new(Arc::default(), Authorities::default(), &algorithms::provider(true));
    let name = ServerName::try_from("registry.corp").unwrap();
    for at in 0..whole.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = whole.to_vec();
            bytes[at] ^= change;
            let changed = CertificateDer::from(bytes);
            verifier.verify_server_cert(&changed, &[], &name, &[], UnixTime::now()).unwrap_err();
        }
    }
}
