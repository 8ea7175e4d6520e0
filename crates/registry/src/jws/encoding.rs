//! Base64 as Docker's library reads it.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::error::SignatureError;

/// As Go's decoder with the padding that its callers put there: with or without, and whatever the last bits are.
const URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Decodes a text in which, as in Docker's library, blanks and ends of lines play no part.
pub(super) fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, SignatureError> {
    let text: String = text.chars().filter(|c| !matches!(c, ' ' | '\n')).collect();
    URL.decode(text).map_err(|_| SignatureError::Base64(what))
}
