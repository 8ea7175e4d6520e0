use rcgen::{
    BasicConstraints as Constraints, CertificateParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};

use super::*;

const EMAIL: &str = "ann@example.com";
/// 2 January 2024, noon.
const NOON: u64 = 1_704_196_800;

/// A certificate and the key to sign others by it.
struct Signing {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

/// Says of an authority all that it takes.
fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(Constraints::Unconstrained);
    params
}

fn root(change: impl FnOnce(&mut CertificateParams)) -> Signing {
    let (mut params, key) = (authority("root"), KeyPair::generate().unwrap());
    change(&mut params);
    let der = params.self_signed(&key).unwrap().der().to_vec();
    Signing { issuer: Issuer::new(params, key), der }
}

impl Signing {
    fn intermediate(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (mut params, key) = (authority("between"), KeyPair::generate().unwrap());
        change(&mut params);
        let der = params.signed_by(&key, &self.issuer).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    fn leaf(&self, change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.subject_alt_names = vec![SanType::Rfc822Name(EMAIL.try_into().unwrap())];
        change(&mut params);
        params.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().to_vec()
    }

    fn pem(&self) -> Vec<u8> {
        pem::write("CERTIFICATE", &self.der).into_bytes()
    }
}

fn names(hostname: Option<&str>, issuer: Option<&str>) -> Names {
    let email = hostname.is_none().then(|| EMAIL.to_owned());
    Names { issuer: issuer.map(str::to_owned), email, hostname: hostname.map(str::to_owned) }
}

/// Checks certificates at noon, for the name that all have.
fn check(roots: &[u8], between: Option<&Signing>, certificates: &[Vec<u8>]) -> Result<(), String> {
    let between = between.map(Signing::pem);
    let authorities = Authorities::new(roots, between.as_deref()).unwrap();
    let checked = authorities.check(certificates, &names(None, None), Duration::from_secs(NOON));
    checked.map(drop).map_err(|fault| fault.to_string())
}

#[test]
fn an_authority_vouches_if_it_is_one_and_in_date_and_may() {
    let of = |change: fn(&mut CertificateParams)| {
        let root = root(change);
        check(&root.pem(), None, &[root.leaf(|_| ())])
    };
    let refused = |change, expected: &str| {
        let told = of(change).unwrap_err();
        assert!(told.contains(expected), "{told}\nlacks {expected}");
    };
    of(|_| ()).unwrap();
    of(|params| params.key_usages = vec![KeyUsagePurpose::KeyCertSign]).unwrap();
    of(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning]).unwrap();
    of(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]).unwrap();
    refused(|params| params.not_after = date_time_ymd(2024, 1, 2), "CertExpired");
    refused(|params| params.not_before = date_time_ymd(2024, 1, 3), "CertNotValidYet");
    refused(|params| params.is_ca = IsCa::NoCa, "EndEntityUsedAsCa");
    refused(|params| params.is_ca = IsCa::ExplicitNoCa, "EndEntityUsedAsCa");
    refused(|params| params.key_usages = vec![KeyUsagePurpose::CrlSign], "EndEntityUsedAsCa");
    refused(
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        "RequiredEkuNotFound",
    );
}

#[test]
fn an_authority_that_may_not_stands_beside_one_that_may() {
    let key = KeyPair::generate().unwrap();
    let (mut ended, now) = (authority("root"), authority("root"));
    ended.not_after = date_time_ymd(2024, 1, 2);
    let certify = |params: &CertificateParams| params.self_signed(&key).unwrap().der().to_vec();
    let roots = [&ended, &now].map(|params| pem::write("CERTIFICATE", &certify(params)));
    let root = Signing { issuer: Issuer::new(now, key), der: Vec::new() };
    let leaf = [root.leaf(|_| ())];
    check(roots.concat().as_bytes(), None, &leaf).unwrap();
    check(roots[0].as_bytes(), None, &leaf).unwrap_err();
}

#[test]
fn authorities_between_need_not_say_that_they_are_for_code() {
    let root = root(|params| params.is_ca = IsCa::Ca(Constraints::Constrained(1)));
    let plain = root.intermediate(|_| ());
    let for_servers = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    };
    let for_code = |params: &mut CertificateParams| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    };
    for leaf in [plain.leaf(|_| ()), plain.leaf(for_code)] {
        // In the policy, and beside the signature.
        check(&root.pem(), Some(&plain), std::slice::from_ref(&leaf)).unwrap();
        check(&root.pem(), None, &[leaf.clone(), plain.der.clone()]).unwrap();
        let told = check(&root.pem(), None, &[leaf]).unwrap_err();
        assert!(told.ends_with("UnknownIssuer"), "{told}");
    }
    let server = plain.leaf(for_servers);
    let told = check(&root.pem(), Some(&plain), &[server]).unwrap_err();
    assert!(told.contains("RequiredEkuNotFound"), "{told}");
    let servers = root.intermediate(for_servers);
    let told = check(&root.pem(), Some(&servers), &[servers.leaf(for_code)]).unwrap_err();
    assert!(told.contains("RequiredEkuNotFound"), "{told}");

    // One more than the root allows below it.
    let second = plain.intermediate(|params| {
        params.distinguished_name.push(DnType::CommonName, "second");
    });
    let chain = [second.leaf(|_| ()), second.der.clone(), plain.der.clone()];
    let told = check(&root.pem(), None, &chain).unwrap_err();
    assert!(told.contains("PathLenConstraintViolated"), "{told}");
}

#[test]
fn names_are_those_that_go_reads() {
    let root = root(|_| ());
    let judge = |leaf: Vec<u8>, names: &Names| {
        let authorities = Authorities::new(&root.pem(), None).unwrap();
        let checked = authorities.check(&[leaf], names, Duration::from_secs(NOON));
        checked.map(|certified| certified.signer.issuer).map_err(|fault| fault.to_string())
    };
    let wildcard = root.leaf(|params| {
        params.subject_alt_names = vec![SanType::DnsName("*.Example.com".try_into().unwrap())];
    });
    for (host, good) in [
        ("ci.example.com", true),
        ("*.example.com", true),
        ("a.ci.example.com", false),
        ("example.com", false),
        (".example.com", false),
    ] {
        assert_eq!(judge(wildcard.clone(), &names(Some(host), None)).is_ok(), good, "{host}");
    }
    let bare = |text: &str| {
        let text = text.as_bytes().to_vec();
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 1], text)
    };
    let written = |text: &str| {
        let der = Utf8StringRef::new(text).unwrap().to_der().unwrap();
        CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], der)
    };
    let of = |extensions: Vec<CustomExtension>| {
        let leaf = root.leaf(|params| params.custom_extensions = extensions);
        judge(leaf, &names(None, Some("https://a")))
    };
    for good in [
        vec![bare("https://a")],
        vec![written("https://a")],
        vec![bare("https://a"), written("https://a")],
    ] {
        assert_eq!(of(good).unwrap(), "https://a");
    }
    let told = of(vec![bare("https://a"), written("https://b")]).unwrap_err();
    assert!(told.ends_with("it has the issuers \"https://a\" and \"https://b\""), "{told}");
    of(vec![written("https://b")]).unwrap_err();
    of(Vec::new()).unwrap_err();
}
