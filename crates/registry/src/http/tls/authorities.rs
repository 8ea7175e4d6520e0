//! The authorities that certificates are trusted for.
//!
//! As with Go, one that is found whole among them needs nobody to vouch for it, but only those vouch for others that may
//! sign, that are in date and that are good for servers. Chains are webpki's to check. It takes no server's certificate
//! that may sign others, though Go does: the chain of such a one is climbed here.

use std::{collections::HashSet, fmt};

use rustls::{
    RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime},
    server::ParsedCertificate,
};

use super::{
    certificate_fault::{CertificateFault, check_validity, fault, seconds},
    x509::Certificate,
};

/// The most certificates between a server's and an anchor, as many as webpki takes.
const MAX_INTERMEDIATES: usize = 6;
/// The most signatures that are checked in one climb, fewer than webpki checks: it is the server that writes the
/// certificates, and many of one name could lead everywhere.
const MAX_SIGNATURES: usize = 64;

/// The algorithms that signatures may have.
pub(super) type Algorithms = &'static [&'static dyn SignatureVerificationAlgorithm];

/// A set of trusted certificates: the system's, or those that users named.
#[derive(Default)]
pub(crate) struct Authorities {
    /// All of them, whole.
    certificates: HashSet<CertificateDer<'static>>,
    /// Those that may vouch for others, in date or not.
    anchors: Vec<Anchor>,
}

struct Anchor {
    der: CertificateDer<'static>,
    trusted: TrustAnchor<'static>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authorities")
            .field("certificates", &self.certificates.len())
            .field("anchors", &self.anchors.len())
            .finish_non_exhaustive()
    }
}

/// A server's certificate, with those that it sent along.
pub(super) struct Server<'a> {
    pub(super) der: &'a CertificateDer<'a>,
    pub(super) parsed: &'a ParsedCertificate<'a>,
    pub(super) leaf: &'a Certificate<'a>,
    pub(super) intermediates: &'a [CertificateDer<'a>],
}

impl Authorities {
    pub(super) fn new(certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let certificates: HashSet<_> = certificates.into_iter().collect();
        let anchors = certificates.iter().filter_map(Anchor::new).collect();
        Self { certificates, anchors }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.certificates.is_empty()
    }

    /// Checks that a certificate is one of these, or that a chain leads up to one.
    pub(super) fn check(
        &self,
        server: &Server<'_>,
        algorithms: Algorithms,
        now: UnixTime,
    ) -> Result<(), CertificateFault> {
        if self.certificates.contains(server.der) {
            return Ok(());
        }
        let roots = self.roots(seconds(now));
        let checked = verify_server_cert_signed_by_trust_anchor(
            server.parsed,
            &roots,
            server.intermediates,
            now,
            algorithms,
        );
        let found = match checked {
            Ok(()) => return Ok(()),
            // Whatever webpki says of it: it says it of those first that may sign others.
            Err(_) if server.leaf.is_authority == Some(true) => {
                if self.is_reached(server, algorithms, seconds(now)) {
                    return Ok(());
                }
                CertificateFault::UnknownAuthority
            }
            Err(rustls::Error::InvalidCertificate(error)) => fault(&error),
            Err(error) => CertificateFault::Chain(error.to_string()),
        };
        Err(match found {
            CertificateFault::UnknownAuthority => self.old_anchor(server, now).unwrap_or(found),
            found => found,
        })
    }

    /// Returns the anchors that are in date.
    fn roots(&self, now: i64) -> RootCertStore {
        let current = self.anchors.iter().filter(|anchor| {
            anchor.read().is_some_and(|anchor| check_validity(&anchor, now).is_ok())
        });
        RootCertStore { roots: current.map(|anchor| anchor.trusted.clone()).collect() }
    }

    /// Says of the anchor that would have vouched for a certificate that it is out of date.
    fn old_anchor(&self, server: &Server<'_>, now: UnixTime) -> Option<CertificateFault> {
        let sent = server.intermediates.iter().filter_map(|der| Certificate::parse(der));
        let mut issuers = vec![server.leaf.issuer];
        issuers.extend(sent.map(|certificate| certificate.issuer));
        let mut anchors = self.anchors.iter().filter_map(Anchor::read);
        anchors.find_map(|anchor| {
            let named = issuers.contains(&anchor.subject);
            check_validity(&anchor, seconds(now)).err().filter(|_| named)
        })
    }

    fn is_reached(&self, server: &Server<'_>, algorithms: Algorithms, now: i64) -> bool {
        // webpki knows of extensions that must be heeded; it is asked for those that it does not know.
        let heeded = |der: &&CertificateDer<'_>| ParsedCertificate::try_from(*der).is_ok();
        let intermediates: Vec<_> = server
            .intermediates
            .iter()
            .filter(heeded)
            .filter_map(|der| Certificate::parse(der))
            .filter(|certificate| certificate.is_authority == Some(true))
            .collect();
        let anchors: Vec<_> = self.anchors.iter().filter_map(Anchor::read).collect();
        let mut climb = Climb {
            anchors: &anchors,
            intermediates: &intermediates,
            algorithms,
            now,
            signatures: MAX_SIGNATURES,
        };
        climb.reaches(server.leaf, 0)
    }
}

impl Anchor {
    fn new(der: &CertificateDer<'static>) -> Option<Self> {
        let trusted = webpki::anchor_from_trusted_cert(der).ok()?.to_owned();
        let anchor = Self { der: der.clone(), trusted };
        let vouches = anchor.read().is_some_and(|read| read.signs() && read.serves);
        vouches.then_some(anchor)
    }

    fn read(&self) -> Option<Certificate<'_>> {
        Certificate::parse(&self.der)
    }
}

/// The search for a chain up to an anchor.
struct Climb<'a> {
    anchors: &'a [Certificate<'a>],
    intermediates: &'a [Certificate<'a>],
    algorithms: Algorithms,
    now: i64,
    /// The signatures that may still be checked.
    signatures: usize,
}

impl Climb<'_> {
    /// Tells whether a chain leads from a certificate up to an anchor; `below` are the intermediates so far.
    fn reaches(&mut self, certificate: &Certificate<'_>, below: usize) -> bool {
        let (anchors, intermediates) = (self.anchors, self.intermediates);
        if anchors.iter().any(|anchor| self.is_issuer(anchor, certificate, below)) {
            return true;
        }
        below < MAX_INTERMEDIATES
            && intermediates.iter().any(|issuer| {
                self.is_issuer(issuer, certificate, below) && self.reaches(issuer, below + 1)
            })
    }

    fn is_issuer(
        &mut self,
        issuer: &Certificate<'_>,
        certificate: &Certificate<'_>,
        below: usize,
    ) -> bool {
        issuer.subject == certificate.issuer
            && issuer.signs()
            && issuer.serves
            // What names it may sign for is not read.
            && !issuer.is_constrained
            && issuer.path_length.is_none_or(|most| below <= most)
            && check_validity(issuer, self.now).is_ok()
            && self.is_signed(issuer, certificate)
    }

    fn is_signed(&mut self, issuer: &Certificate<'_>, certificate: &Certificate<'_>) -> bool {
        let Some(left) = self.signatures.checked_sub(1) else { return false };
        self.signatures = left;
        self.algorithms.iter().any(|algorithm| {
            *algorithm.signature_alg_id() == *certificate.signature_algorithm
                && *algorithm.public_key_alg_id() == *issuer.key_algorithm
                && algorithm
                    .verify_signature(issuer.key, certificate.signed, certificate.signature)
                    .is_ok()
        })
    }
}
