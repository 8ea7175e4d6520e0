//! Certificates, read strictly: as much as it takes to judge what webpki leaves out, and to say why one
//! is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use jiff::civil;

/// The most alternative names that are read of a certificate: it is the other side that writes them.
const MAX_NAMES: usize = 1024;

const EPOCH: civil::DateTime = civil::DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const BOOLEAN: u8 = 0x01;
const BIT_STRING: u8 = 0x03;
const OBJECT: u8 = 0x06;
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 29, 17];
const KEY_USAGE: &[u8] = &[0x55, 29, 15];
/// The bit of the key's usage that says that it signs certificates.
const SIGNS: u8 = 0x04;
/// The field of the third version, which is the one with extensions.
const VERSION_3: &[u8] = &[INTEGER, 1, 2];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 29, 19];
const NAME_CONSTRAINTS: &[u8] = &[0x55, 29, 30];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 29, 37];
const ANY_USAGE: &[u8] = &[0x55, 29, 37, 0];
const SERVER_USAGE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];

/// A certificate's fields.
#[derive(Clone, Debug, Default)]
pub(super) struct Certificate<'a> {
    /// The signed part.
    pub(super) signed: &'a [u8],
    /// The algorithm of the signature, as [`rustls::pki_types::AlgorithmIdentifier`] has it.
    pub(super) signature_algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    /// Seconds since 1970.
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    pub(super) key_algorithm: &'a [u8],
    pub(super) key: &'a [u8],
    /// Alternative names; nothing without the extension.
    pub(super) names: Option<Names>,
    /// True if it may sign others. Nothing in a certificate of a version that could not say so.
    pub(super) is_authority: Option<bool>,
    /// The most intermediates below it.
    pub(super) path_length: Option<usize>,
    /// True if its key may sign certificates.
    key_signs: bool,
    /// True if it signs for some names only.
    pub(super) is_constrained: bool,
    /// True if it may be a server's.
    pub(super) serves: bool,
}

/// The alternative names of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names {
    pub(super) hosts: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
}

impl<'a> Certificate<'a> {
    /// Reads a certificate; nothing if it is malformed.
    pub(super) fn parse(der: &'a [u8]) -> Option<Self> {
        let mut outer = Reader(Reader(der).only(SEQUENCE)?);
        let signed = outer.whole(SEQUENCE)?;
        let signature_algorithm = outer.take(SEQUENCE)?;
        let signature = outer.take(BIT_STRING)?.strip_prefix(&[0])?;
        let mut fields = Reader(Reader(signed).only(SEQUENCE)?);
        let version = fields.optional(0xa0);
        fields.take(INTEGER)?;
        fields.take(SEQUENCE)?;
        let issuer = fields.take(SEQUENCE)?;
        let mut validity = Reader(fields.take(SEQUENCE)?);
        let (not_before, not_after) = (validity.time()?, validity.time()?);
        let subject = fields.take(SEQUENCE)?;
        let (key_algorithm, key) = fields.public_key()?;
        let mut found = Self {
            signed,
            signature_algorithm,
            signature,
            issuer,
            subject,
            not_before,
            not_after,
            key_algorithm,
            key,
            is_authority: (version == Some(VERSION_3)).then_some(false),
            key_signs: true,
            serves: true,
            ..Self::default()
        };
        fields.optional(0x81);
        fields.optional(0x82);
        if let Some(extensions) = fields.optional(0xa3) {
            found.is_authority = Some(false);
            let mut extensions = Reader(Reader(extensions).only(SEQUENCE)?);
            while !extensions.0.is_empty() {
                found.extension(extensions.take(SEQUENCE)?)?;
            }
        }
        Some(found)
    }

    fn extension(&mut self, extension: &[u8]) -> Option<()> {
        let mut parts = Reader(extension);
        let kind = parts.take(OBJECT)?;
        parts.optional(BOOLEAN);
        let value = parts.take(0x04)?;
        match kind {
            SUBJECT_ALT_NAME => self.names = Some(Names::parse(value)?),
            BASIC_CONSTRAINTS => {
                let mut constraints = Reader(Reader(value).only(SEQUENCE)?);
                self.is_authority = Some(constraints.optional(BOOLEAN) == Some(&[0xff]));
                if !constraints.0.is_empty() {
                    let digits = constraints.unsigned()?.iter();
                    self.path_length = Some(digits.fold(0, |sum: usize, &digit| {
                        sum.saturating_mul(256).saturating_add(digit.into())
                    }));
                }
            }
            KEY_USAGE => {
                let bits = Reader(value).only(BIT_STRING)?.get(1..)?;
                // No usage at all says nothing.
                let unsaid = bits.iter().all(|&bits| bits == 0);
                self.key_signs = unsaid || bits.first().is_some_and(|bits| bits & SIGNS != 0);
            }
            NAME_CONSTRAINTS => self.is_constrained = true,
            EXTENDED_KEY_USAGE => {
                let mut usages = Reader(Reader(value).only(SEQUENCE)?);
                self.serves = false;
                while !usages.0.is_empty() {
                    self.serves |= matches!(usages.take(OBJECT)?, ANY_USAGE | SERVER_USAGE);
                }
            }
            _ => {}
        }
        Some(())
    }

    /// Tells whether it may sign others.
    pub(super) fn signs(&self) -> bool {
        self.is_authority != Some(false) && self.key_signs
    }

    /// Returns the subject's common name, which was a host's name once; nothing if there is none.
    pub(super) fn common_name(&self) -> Option<String> {
        let mut sets = Reader(self.subject);
        while !sets.0.is_empty() {
            let mut pair = Reader(Reader(sets.take(0x31)?).take(SEQUENCE)?);
            if pair.take(OBJECT)? == COMMON_NAME {
                let (_, value, _) = pair.element()?;
                return String::from_utf8(value.to_vec()).ok();
            }
        }
        None
    }
}

/// Reads the public key of a certificate, its algorithm and its bits, whatever else the certificate says.
pub(crate) fn public_key(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Reader(Reader(Reader(der).only(SEQUENCE)?).take(SEQUENCE)?);
    fields.optional(0xa0);
    fields.take(INTEGER)?;
    // The algorithm of the signature, the issuer, the validity and the subject.
    for _ in 0..4 {
        fields.take(SEQUENCE)?;
    }
    fields.public_key()
}

impl Names {
    fn parse(value: &[u8]) -> Option<Self> {
        let mut names = Self::default();
        let mut all = Reader(Reader(value).only(SEQUENCE)?);
        for _ in 0..MAX_NAMES {
            if all.0.is_empty() {
                break;
            }
            match all.element()? {
                (0x82, host, _) => names.hosts.push(String::from_utf8(host.to_vec()).ok()?),
                (0x87, address, _) => names.addresses.push(ip(address)?),
                _ => {}
            }
        }
        Some(names)
    }
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    let four = <[u8; 4]>::try_from(bytes).map(|bytes| Ipv4Addr::from(bytes).into());
    four.or_else(|_| <[u8; 16]>::try_from(bytes).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

/// The rest of a sequence of DER elements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// Takes the next element: tag, content, and all of it.
    fn element(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let mut length = usize::from(first);
        if first >= 0x80 {
            // Three bytes of length are more than any certificate has.
            let (digits, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
            if digits.is_empty() || digits.len() > 3 || digits[0] == 0 {
                return None;
            }
            length = digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit));
            if length < 0x80 {
                return None;
            }
            rest = after;
        }
        let (content, after) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some((tag, content, whole))
    }

    /// Takes the content of the next element, which has this tag.
    pub(super) fn take(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|(found, ..)| *found == tag).map(|(_, content, _)| content)
    }

    fn whole(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|(found, ..)| *found == tag).map(|(.., whole)| whole)
    }

    /// Returns the content of the one element that there is.
    pub(super) fn only(mut self, tag: u8) -> Option<&'a [u8]> {
        self.take(tag).filter(|_| self.0.is_empty())
    }

    /// Takes the next element if it has this tag.
    fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() == Some(&tag) { self.take(tag) } else { None }
    }

    /// Takes the next element, a public key: its algorithm and its bits.
    fn public_key(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let mut info = Reader(self.take(SEQUENCE)?);
        Some((info.take(SEQUENCE)?, info.take(BIT_STRING)?.strip_prefix(&[0])?))
    }

    /// Takes the next element, a number that is not negative.
    pub(super) fn unsigned(&mut self) -> Option<&'a [u8]> {
        match self.take(INTEGER)? {
            [] => None,
            [0, rest @ ..] if !rest.is_empty() => (rest[0] >= 0x80).then_some(rest),
            bytes => (bytes[0] < 0x80).then_some(bytes),
        }
    }

    /// Takes the next element, a time as certificates have it: `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
    fn time(&mut self) -> Option<i64> {
        let (tag, text, _) = self.element()?;
        let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let text = match (tag, text.len()) {
            (0x17, 12) if *text >= *"5" => format!("19{text}"),
            (0x17, 12) => format!("20{text}"),
            (0x18, 14) => text.to_owned(),
            _ => return None,
        };
        let at = |from: usize, to: usize| text[from..to].parse::<i8>().ok();
        let year = text[..4].parse().ok()?;
        let time = civil::DateTime::new(
            year,
            at(4, 6)?,
            at(6, 8)?,
            at(8, 10)?,
            at(10, 12)?,
            at(12, 14)?,
            0,
        );
        // jiff's timestamps end a day before 99991231235959Z, with which certificates say that they never expire.
        Some(time.ok()?.duration_since(EPOCH).as_secs())
    }
}
