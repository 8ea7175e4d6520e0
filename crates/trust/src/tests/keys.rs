//! Keys as notary has them.
use crate::PublicKey;

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
