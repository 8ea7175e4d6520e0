//! Keys as notary has them.
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::PublicKey;
use crate::private::PrivateKey;
use crate::sealed::unseal;

/// A key of a server, with the ID that it is listed under.
#[test]
fn ids_are_notarys() {
    for (json, id) in [
        (
            r#"{"keytype":"ecdsa","keyval":{"private":null,"public":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE/sUczTnrSRMPHZWAL9qdVVhc7gYoNFjEIGbMpqojEwWTotEgRVaq7PpY+uT4GpYsxtTJh3IBAo+Zp0fbAGTCeg=="}}"#,
            "6ddd3ed03f021c078e271485d239198b81ddd1bbfd299e94ba05244e354c5664",
        ),
        (
            r#"{"keytype":"ed25519","keyval":{"private":null,"public":"smzgaWJXnnYphyyD39smsHkP8fGZiLGHbshsfRlNna0="}}"#,
            "cbaed12846417a742bd1f80b7cd6fc3fcacb9aa5a3c0a22eddd5f3b74d0cbc1b",
        ),
    ] {
        let key: PublicKey = serde_json::from_str(json).unwrap();
        assert_eq!(key.id(), id);
        assert_eq!(key.canonical_id().as_deref(), Some(id));
    }
}

const P256: &str = "\
-----BEGIN EC PRIVATE KEY-----
MHcCAQEEIBLAju9M1f/O7hBwQuQ7NLDyflfFpSSmCyrzlcEJ1ewgoAoGCCqGSM49
AwEHoUQDQgAExYx6tSkK/nURpVF+gwdwMZ5oWvYWBFNMH8LnVdg+bqhaH/Ov69kM
SS8js+TE0c0in2lm6KNe586oVtB6pi0Saw==
-----END EC PRIVATE KEY-----
";
/// The same behind passphrases, as openssl wrote it long ago.
const SEALED: [&str; 2] = [
    "\
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: DES-EDE3-CBC,30F217280904A069

DzCeNa4lcB00G3J0f6IXTEXyIkXAMjIZ2ULYYpfPjzHgNM39UkUtWoJ0kwpVMRyf
cT85W2qujy5yAwCERcJigVw/xk275+cXhwv9xsQO0nXIwuy3FzlTj7BxLvi3X7Mz
a6Y8bIV355V8XAbEDSwVA4470fa/UOba+v+6WeJZx24=
-----END EC PRIVATE KEY-----
",
    "\
-----BEGIN EC PRIVATE KEY-----
Proc-Type: 4,ENCRYPTED
DEK-Info: AES-192-CBC,62176135D709BF4A18CAA3270EEA4FAD

uAMBfEzFwq8Czr4pGTrLIi+AxDqjMSgIDZQUxa++CjgYjhemXu72yiYZPkD5XNBe
XjB7Bzj+GW8Esp3Kqwsp4y4OU5R2/+y59gANrG7ZqYnb/Gqip3ousZdkd0kvSpPi
wd/xLY1I01+Sf41Z2GyDNCbkjRht49DuXLYIEzrJue0=
-----END EC PRIVATE KEY-----
",
];
const P384: &str = "\
-----BEGIN EC PRIVATE KEY-----
MIGkAgEBBDChWsHdNojz0SfR0A9EnOyRqN7lwuBwX/987vh5fDJXsWimhwPrL1dF
NPEuO0REi2CgBwYFK4EEACKhZANiAASa2iEyD60kZjq40tpc9vUngngVFRi1CNkb
mys1X5WFa4JXG0HLD/l2LA3yvLkDME8CJAH3RPNNqg3j8gXs5IgM/ZG2zSl3csvZ
ATJHCxGaaGRnXhwc3mNo5en4EWvOKIg=
-----END EC PRIVATE KEY-----
";
const P521: &str = "\
-----BEGIN EC PRIVATE KEY-----
MIHcAgEBBEIAEtvnsEV2qUv4GoO4dySPeBTmKt8T6yLg0lx1lJQO6Pz9e7OOUozQ
EO9PgtPKgKqmJQWxBqQ8PLeSnbdpdP1jeHKgBwYFK4EEACOhgYkDgYYABAEOhUCl
xS6R+w33pwHDf6lOH2xPCkkJxijzrDN8Iy+eByy5Eo7Amxd3Cb1/4VDmEkgORMjK
2Cor3Z899jcjmUfZywH1hETB8CdO4lAtQ5vSSyXOvLEb+xcDukhYZbjesH4luax7
DVb5kUEB88SZcFO9SvTWQSOHw5AIf2oLM9ejLNj/Xg==
-----END EC PRIVATE KEY-----
";
/// A signature over `message` by it, as openssl makes it.
const SIGNATURE: &str = "MIGHAkEklb1nwcWRVWQhVAw6m98O2u2GxxCLP3xcpWpmPgB/rS5xcgOgyLKhKr/PSTxYw2IUOXLJOxNx/Tim/Oszd4YnOAJCASW0ZEAi8U+B5Np2YEDoccV02yWK60GjfFf1XAerRP/qe6HbaRh4ZfgSzicsUp3qal1MuWOSH9sLRrjeRNyxvy3p";

fn read(text: &str) -> PrivateKey {
    PrivateKey::from_pem(&pem::parse(text).unwrap()).unwrap()
}

#[test]
fn keys_of_all_curves_sign_what_they_verify() {
    for text in [P256, P384, P521] {
        let key = read(text);
        let (method, signature) = key.sign(b"message").unwrap();
        assert!(key.public().verifies(method, b"message", &signature));
        assert!(!key.public().verifies(method, b"messages", &signature));
        // What is kept is the same key.
        let again = PrivateKey::from_pkcs8(key.pkcs8()).unwrap();
        assert_eq!(again.public(), key.public());
    }
}

#[test]
fn signatures_of_others_are_verified() {
    let key = read(P521);
    let mut signature = STANDARD.decode(SIGNATURE).unwrap();
    assert!(key.public().verifies("ecdsa", b"message", &signature));
    assert!(!key.public().verifies("ecdsa", b"Message", &signature));
    *signature.last_mut().unwrap() ^= 1;
    assert!(!key.public().verifies("ecdsa", b"message", &signature));
}

#[test]
fn old_keys_are_opened_by_their_passphrase() {
    let id = read(P256).public().id();
    for text in SEALED {
        let block = pem::parse(text).unwrap();
        assert_eq!(unseal(&block, "passphrase").unwrap().public().id(), id);
        assert!(unseal(&block, "Passphrase").is_none());
        assert!(PrivateKey::from_pem(&block).is_none());
        for wrong in ["AES-128-CBC,00", "AES-128-CBC", "DES-EDE3-CBC,xx", "RC4,0011223344556677"] {
            let header = block.headers().get("DEK-Info").unwrap();
            let text = text.replace(header, wrong);
            assert!(unseal(&pem::parse(&text).unwrap(), "passphrase").is_none(), "{wrong}");
        }
    }
}
