use super::private::PrivateKey;
use super::*;
use crate::testing::{Key, openssl};

#[test]
fn openssls_keys_of_every_kind_vouch_for_what_openssl_signed() {
    let folder = tempfile::TempDir::new().unwrap();
    let key = folder.path().join("key.pem").display().to_string();
    let (message, signed) = (folder.path().join("message"), folder.path().join("signed"));
    std::fs::write(&message, "message").unwrap();
    for kind in [
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"][..],
        &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
        &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
        &["-algorithm", "ED25519"],
    ] {
        openssl(&[&["genpkey", "-out", &key], kind].concat());
        let public = openssl(&["pkey", "-in", &key, "-pubout"]);
        let digest =
            if kind[1] == "ED25519" { vec!["-rawin"] } else { vec!["-rawin", "-digest", "sha256"] };
        let (from, to) = (message.display().to_string(), signed.display().to_string());
        openssl(
            &[&["pkeyutl", "-sign", "-inkey", &key, "-in", &from, "-out", &to], &digest[..]]
                .concat(),
        );
        let signature = std::fs::read(&signed).unwrap();
        let vouching = PublicKey::parse(&public).unwrap();
        assert!(vouching.vouches_for(b"message", &signature), "{kind:?}");
        assert!(!vouching.vouches_for(b"massage", &signature), "{kind:?}");
        assert!(!vouching.vouches_for(b"message", &signature[1..]), "{kind:?}");
        let stranger = PublicKey::parse(Key::new().public.as_bytes()).unwrap();
        assert!(!stranger.vouches_for(b"message", &signature), "{kind:?}");
        if kind.contains(&"ec_paramgen_curve:P-384") {
            continue;
        }
        // The same private key signs here, for the same public one.
        let own = PrivateKey::parse(&std::fs::read(&key).unwrap(), None).unwrap();
        let signature = own.sign(b"message").unwrap();
        assert!(own.has_made(b"message", &signature) && !own.has_made(b"massage", &signature));
        let signature = test_support::base64::decode(&signature).unwrap();
        assert!(vouching.vouches_for(b"message", &signature), "{kind:?}");
    }
}

#[test]
fn what_is_no_key_is_refused() {
    let told = |text: &[u8]| PublicKey::parse(text).unwrap_err().to_string();
    assert_eq!(told(b""), "key: there is no PUBLIC KEY in PEM");
    assert_eq!(
        told(pem::write("PRIVATE KEY", b"x").as_bytes()),
        "key: there is no PUBLIC KEY in PEM"
    );
    assert!(told(pem::write("PUBLIC KEY", b"x").as_bytes()).starts_with("key: "));
    let key = openssl(&["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-521"]);
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, key).unwrap();
    let public = openssl(&["pkey", "-pubout", "-in", &path.display().to_string()]);
    assert_eq!(told(&public), "key: neither ECDSA with P-256 or P-384, nor RSA, nor Ed25519");
    let large = folder.path().join("large");
    std::fs::write(&large, vec![b' '; 65537]).unwrap();
    for (path, expected) in [
        (folder.path().join("gone"), "No such file or directory"),
        (folder.path().to_owned(), "not a regular file"),
        (large, "it has more than 65536 bytes"),
    ] {
        let told = PublicKey::load(&[Material::Path(path)]).unwrap_err().to_string();
        assert!(told.contains(expected), "{told}");
    }
}

/// A key pair in the form of cosign, with the passphrase `secret`, that libsodium and OpenSSL have encrypted.
#[test]
fn cosigns_encrypted_key_opens_with_its_passphrase_alone() {
    let key = include_bytes!("cosign.key");
    let private = PrivateKey::parse(key, Some(b"secret")).unwrap();
    let public = PublicKey::parse(include_bytes!("cosign.pub")).unwrap();
    let signature = test_support::base64::decode(&private.sign(b"message").unwrap()).unwrap();
    assert!(public.vouches_for(b"message", &signature));
    assert!(PrivateKey::is_encrypted(key));
    let told = |text: &[u8], passphrase: Option<&[u8]>| {
        PrivateKey::parse(text, passphrase).unwrap_err().to_string()
    };
    assert_eq!(told(key, None), "the key is encrypted, and there is no passphrase");
    assert_eq!(told(key, Some(b"")), "the key cannot be decrypted: the passphrase is wrong");
    let block = pem::first(key).unwrap();
    let text = String::from_utf8(block.content).unwrap();
    for (from, to, expected) in [
        ("\"N\":", "\"N\":3,\"x\":", "scrypt would take too much"),
        ("\"N\":", "\"N\":1073741824,\"x\":", "scrypt would take too much"),
        ("\"scrypt\"", "\"md5\"", "neither scrypt nor NaCl's secret box"),
        ("\"nonce\":\"", "\"nonce\":\"AAAA", "the nonce has not 24 bytes"),
        ("{", "[", "it is not written as cosign does"),
    ] {
        let changed = text.replacen(from, to, 1);
        let told = told(pem::write(&block.label, changed.as_bytes()).as_bytes(), Some(b"secret"));
        let expected = format!("the key is encrypted in a way that is not known: {expected}");
        assert_eq!(told, expected);
    }
}
