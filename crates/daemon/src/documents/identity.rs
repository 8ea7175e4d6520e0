//! `Identity` of an image.

use api::identity::{
    Identity, PullIdentity, SignatureIdentity, SignatureTimestamp, SignerIdentity,
};
use engine::Verified;
use jiff::Timestamp;
use policy::{Form, Vouched};

/// Describes who vouches for an image; nothing if nobody was asked to when it was pulled.
pub(super) fn identity(all: Vec<Verified>) -> Option<Identity> {
    let mut identity = Identity::default();
    for Verified { repository, signatures } in all {
        let pull = PullIdentity { repository };
        if !identity.pull.contains(&pull) {
            identity.pull.push(pull);
        }
        identity.signature.extend(signatures.into_iter().map(signature));
    }
    (!identity.signature.is_empty()).then_some(identity)
}

fn signature(vouched: Vouched) -> SignatureIdentity {
    let Vouched { name: docker_reference, key, signer, form, logged, .. } = vouched;
    let name = match &signer {
        Some(signer) => format!("Certificate ({})", signer.names),
        None => format!("Key ({key})"),
    };
    let signature_type = match form {
        Form::Simple => "simplesigning-v1",
        Form::Envelope => "bundle-v0.3",
    };
    let logged = logged.and_then(|time| Timestamp::from_second(time.try_into().ok()?).ok());
    let timestamp = |time: Timestamp| SignatureTimestamp {
        r#type: "Tlog".to_owned(),
        uri: String::new(),
        timestamp: time.to_string(),
    };
    SignatureIdentity {
        name,
        timestamps: logged.into_iter().map(timestamp).collect(),
        docker_reference,
        signer: signer.map(|signer| SignerIdentity {
            certificate_issuer: signer.authority,
            subject_alternative_name: signer.names,
            issuer: signer.issuer,
        }),
        signature_type: signature_type.to_owned(),
    }
}
