//! The digest of a branch's payload, as calls carry it.

use std::fmt;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The text before a digest, as in RFC 9530. A colon follows the digest.
const PREFIX: &str = "sha-256=:";
const SUFFIX: char = ':';
/// Bytes of SHA-256.
const BYTES: usize = 32;

/// A header's value does not follow the grammar of digests in RFC 9530.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a digest such as `sha-256=:<base64>:`")]
pub struct DigestError;

/// The SHA-256 of a branch's payload, written as RFC 9530 writes digests: `sha-256=:<base64>:`.
///
/// `Content-Digest` would not do: it covers the bytes of one message, which a gateway may compress and gRPC puts into frames.
/// This digest covers the payload in the journal, and is the same for every transport.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PayloadDigest(Arc<str>);

impl PayloadDigest {
    /// The digest of a payload; a branch without one counts as having the payload `null`.
    pub fn of(payload: &[u8]) -> Self {
        Self::written(&Sha256::digest(payload))
    }

    fn written(digest: &[u8]) -> Self {
        // A digest in base64 has 44 bytes.
        let mut text = String::with_capacity(PREFIX.len() + 44 + SUFFIX.len_utf8());
        text.push_str(PREFIX);
        STANDARD.encode_string(digest, &mut text);
        text.push(SUFFIX);
        Self(text.into())
    }

    /// Reads a header. Digests by other algorithms are passed over. None if there is no SHA-256.
    ///
    /// # Errors
    /// If the header does not follow its grammar.
    pub fn parse(text: &str) -> Result<Option<Self>, DigestError> {
        for member in text.split(',').map(str::trim) {
            let (name, value) = member.split_once('=').ok_or(DigestError)?;
            let base64 =
                value.strip_prefix(SUFFIX).and_then(|rest| rest.strip_suffix(SUFFIX)).ok_or(DigestError)?;
            if !name.eq_ignore_ascii_case("sha-256") {
                continue;
            }
            let bytes = STANDARD.decode(base64).map_err(|_| DigestError)?;
            if bytes.len() != BYTES {
                return Err(DigestError);
            }
            return Ok(Some(Self::written(&bytes)));
        }
        Ok(None)
    }

    /// The text of the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PayloadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PayloadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_written_as_rfc_9530_writes_one_and_read_back() {
        let digest = PayloadDigest::of(b"null");
        assert_eq!(digest.as_str(), "sha-256=:dCNOmK/nSY+12vHzasLXiswzlGT5UHA7jAGYkvmCuQs=:");
        assert_eq!(PayloadDigest::parse(digest.as_str()), Ok(Some(digest.clone())));
        let among = format!("md5=:AAAA:, {digest}");
        assert_eq!(PayloadDigest::parse(&among), Ok(Some(digest.clone())));
        assert_ne!(PayloadDigest::of(b"NULL"), digest);
    }

    #[test]
    fn another_algorithm_alone_is_no_digest_and_what_follows_no_grammar_is_an_error() {
        assert_eq!(PayloadDigest::parse("sha-512=:AAAA:"), Ok(None));
        for bad in ["", "sha-256", "sha-256=AAAA", "sha-256=:AAAA:", "sha-256=:%%%:", ":"] {
            assert_eq!(PayloadDigest::parse(bad), Err(DigestError), "{bad:?}");
        }
    }
}
