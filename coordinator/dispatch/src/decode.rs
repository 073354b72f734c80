//! Decodes the body of an answer: content encodings, charsets, byte order marks. Pure.
//!
//! Calls ask for `identity`, but some servers and proxies compress nevertheless. A body that is not text is described by its
//! size and type, because its bytes would be kept for ever and shown to people who cannot read them.

use std::borrow::Cow;
use std::io::{self, Read};

use encoding_rs::{Encoding, UTF_8};
use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

/// Most content encodings that are taken off one body.
const ENCODINGS_MAX: usize = 3;
/// What a text in UTF-8 may begin with.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// As much of an answer's body as was read, without the encodings it was sent in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// All of it.
    Whole(Vec<u8>),
    /// Its first bytes: it is longer than what is read, and reading stopped.
    Cut(Vec<u8>),
    /// It cannot be decoded.
    Opaque {
        /// How many bytes came.
        len: usize,
        /// Why, as the end of a sentence about it.
        why: String,
    },
}

impl Body {
    /// What can be read of it.
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Whole(bytes) | Self::Cut(bytes) => bytes,
            Self::Opaque { .. } => &[],
        }
    }

    /// Takes off the content encodings that the headers name. The result is cut at the bound, because a few compressed bytes may
    /// decode to gigabytes.
    pub(super) fn decoded(self, headers: &HeaderMap, bytes_max: usize) -> Self {
        let named =
            headers.get_all(CONTENT_ENCODING).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let named: Vec<String> = named
            .flat_map(|value| value.split(',').map(|one| one.trim().to_ascii_lowercase()).collect::<Vec<_>>())
            .collect();
        let encodings: Vec<_> = named.iter().filter(|one| !one.is_empty() && *one != "identity").collect();
        let len = match &self {
            Self::Whole(bytes) | Self::Cut(bytes) => bytes.len(),
            Self::Opaque { len, .. } => *len,
        };
        if encodings.len() > ENCODINGS_MAX {
            return Self::Opaque {
                len,
                why: "is encoded too many times over, which was not asked for".into(),
            };
        }
        // The last one named was put on last. No bytes are no bytes in any encoding.
        encodings.into_iter().rev().fold(self, |body, encoding| match body {
            Self::Whole(bytes) if bytes.is_empty() => Self::Whole(bytes),
            Self::Whole(bytes) => decode(encoding, &bytes, false, bytes_max),
            Self::Cut(bytes) => decode(encoding, &bytes, true, bytes_max),
            opaque => opaque,
        })
    }

    /// The body as text, if it is one: in the charset that its content type names, or else in UTF-8.
    pub(super) fn text(&self, headers: &HeaderMap) -> Option<Cow<'_, str>> {
        let bytes = match self {
            Self::Opaque { .. } => return None,
            Self::Whole(bytes) => bytes.as_slice(),
            Self::Cut(bytes) => whole_characters(bytes, charset(headers)),
        };
        let (encoding, bytes) = match Encoding::for_bom(bytes) {
            Some((encoding, len)) => (encoding, &bytes[len..]),
            None => (charset(headers)?, bytes),
        };
        let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
        // Text does not have these, and what is called text without being any often does.
        (!text.contains('\0')).then_some(text)
    }

    /// The body for people: its text, or what it is instead.
    pub(super) fn words(&self, headers: &HeaderMap) -> String {
        match self.text(headers) {
            Some(text) => text.into_owned(),
            None => self.description(headers),
        }
    }

    /// A description of a body that is not text.
    fn description(&self, headers: &HeaderMap) -> String {
        let kind =
            headers.get(CONTENT_TYPE).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let kind = kind.filter(|kind| !kind.trim().is_empty()).unwrap_or_else(|| "no stated type".into());
        match self {
            Self::Whole(bytes) => format!("{} bytes of {kind}", bytes.len()),
            Self::Cut(bytes) => format!("more than {} bytes of {kind}", bytes.len()),
            Self::Opaque { len, why } => format!("{len} bytes of {kind}; the body {why}"),
        }
    }

    /// What is kept as a branch's output: text in UTF-8 without a mark, anything else as it came.
    pub(super) fn kept(&self, headers: &HeaderMap) -> Cow<'_, [u8]> {
        let bytes = self.bytes();
        if !is_text(headers) {
            return bytes.into();
        }
        match self.text(headers) {
            Some(Cow::Borrowed(text)) => text.as_bytes().into(),
            Some(Cow::Owned(text)) => text.into_bytes().into(),
            None => bytes.strip_prefix(MARK).unwrap_or(bytes).into(),
        }
    }
}

fn decode(encoding: &str, bytes: &[u8], is_cut: bool, bytes_max: usize) -> Body {
    let decoded = match encoding {
        "gzip" | "x-gzip" => read(MultiGzDecoder::new(bytes), bytes_max),
        // By the standard it is zlib's format; some send the bare one.
        "deflate" => {
            let zlib = read(ZlibDecoder::new(bytes), bytes_max);
            if zlib.1.is_some() && zlib.0.is_empty() {
                read(DeflateDecoder::new(bytes), bytes_max)
            } else {
                zlib
            }
        }
        _ => {
            let why = format!("is encoded as {encoding}, which was not asked for");
            return Body::Opaque { len: bytes.len(), why };
        }
    };
    match decoded {
        (text, _) if text.len() > bytes_max => Body::Cut(text[..bytes_max].to_vec()),
        // What was cut ends somewhere in the middle.
        (text, Some(_)) if is_cut && !text.is_empty() => Body::Cut(text),
        (_, Some(error)) => {
            let why =
                format!("says it is encoded as {encoding}, which was not asked for, and is not ({error})");
            Body::Opaque { len: bytes.len(), why }
        }
        (text, None) if is_cut => Body::Cut(text),
        (text, None) => Body::Whole(text),
    }
}

/// Up to one byte more than the bound, and what went wrong.
fn read(decoder: impl Read, bytes_max: usize) -> (Vec<u8>, Option<io::Error>) {
    let mut text = Vec::new();
    let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
    let error = decoder.take(limit).read_to_end(&mut text).err();
    (text, error)
}

/// The charset that the content type names, UTF-8 when it names none; none: nobody knows it.
fn charset(headers: &HeaderMap) -> Option<&'static Encoding> {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return Some(UTF_8) };
    let kind = String::from_utf8_lossy(kind.as_bytes()).into_owned();
    let named = kind.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"').to_owned())
    });
    named.map_or(Some(UTF_8), |label| Encoding::for_label(label.as_bytes()))
}

/// Whether the content type is one of text: whatever names a charset, and what is text by its name.
fn is_text(headers: &HeaderMap) -> bool {
    let Some(kind) = headers.get(CONTENT_TYPE) else { return true };
    let kind = String::from_utf8_lossy(kind.as_bytes()).to_ascii_lowercase();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    kind.contains("charset=")
        || essence.starts_with("text/")
        || ["json", "xml", "javascript", "x-www-form-urlencoded"].iter().any(|end| essence.ends_with(end))
}

/// Without the beginning of a character that was cut through, where that can be told.
fn whole_characters<'a>(bytes: &'a [u8], charset: Option<&'static Encoding>) -> &'a [u8] {
    if charset != Some(UTF_8) {
        return bytes;
    }
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => &bytes[..error.valid_up_to()],
        _ => bytes,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use hyper::header::{HeaderName, HeaderValue};

    use super::*;

    const MAX: usize = 1_000;
    const TEXT: &str = "out of stock: Größe XL";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn bare(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decoded(encoding: &str, bytes: Vec<u8>) -> Body {
        Body::Whole(bytes).decoded(&headers(&[("content-encoding", encoding)]), MAX)
    }

    #[test]
    fn what_was_encoded_all_the_same_is_decoded() {
        let text = TEXT.as_bytes();
        for (encoding, bytes) in [
            ("gzip", gzip(text)),
            ("X-GZip", gzip(text)),
            ("deflate", zlib(text)),
            ("deflate", bare(text)),
            ("identity", text.to_vec()),
            ("deflate, gzip", gzip(&zlib(text))),
        ] {
            assert_eq!(decoded(encoding, bytes), Body::Whole(text.to_vec()), "{encoding}");
        }
        assert_eq!(decoded("gzip", Vec::new()), Body::Whole(Vec::new()));
    }

    #[test]
    fn a_bomb_is_cut_at_the_bound() {
        let bomb = gzip(&vec![b'x'; 50_000_000]);
        assert_eq!(decoded("gzip", bomb.clone()), Body::Cut(vec![b'x'; MAX]));
        assert_eq!(decoded("gzip, gzip", gzip(&bomb)), Body::Cut(vec![b'x'; MAX]));
    }

    #[test]
    fn what_cannot_be_decoded_is_named_by_size_and_type() {
        let kind = headers(&[("content-type", "application/json")]);
        for (encoding, bytes, words) in [
            ("br", b"\x0b\x01".to_vec(), "2 bytes of application/json; the body is encoded as br"),
            ("gzip", b"{}".to_vec(), "2 bytes of application/json; the body says it is encoded as gzip"),
            (
                "gzip,gzip,gzip,gzip",
                gzip(b"{}"),
                "22 bytes of application/json; the body is encoded too many",
            ),
        ] {
            let body = decoded(encoding, bytes);
            assert!(body.words(&kind).starts_with(words), "{encoding}: {}", body.words(&kind));
            assert_eq!(body.text(&kind), None);
        }
    }

    #[test]
    fn text_is_read_in_the_charset_it_is_in() {
        for (kind, bytes, words) in [
            ("text/plain; charset=iso-8859-1", &b"Gr\xf6\xdfe"[..], "Größe"),
            ("text/plain; Charset=\"GBK\"", b"\xbf\xe2\xb4\xe6\xb2\xbb\xd7\xe3", "库存不足"),
            ("application/problem+json", b"\xef\xbb\xbf{}", "{}"),
            ("text/plain", b"\xff\xfen\0o\0", "no"),
            ("text/plain; charset=latin1", b"\xef\xbb\xbfno", "no"),
            ("application/json", "Größe".as_bytes(), "Größe"),
            ("text/plain", b"Gr\xf6\xdfe", "5 bytes of text/plain"),
            ("text/plain; charset=klingon", b"no", "2 bytes of text/plain; charset=klingon"),
            ("image/png", b"\x89PNG\r\n\x1a\n\0\0", "10 bytes of image/png"),
            ("application/x-protobuf", b"\x0a\0", "2 bytes of application/x-protobuf"),
        ] {
            assert_eq!(
                Body::Whole(bytes.to_vec()).words(&headers(&[("content-type", kind)])),
                words,
                "{kind}"
            );
        }
        let cut = Body::Cut("Größe".as_bytes()[..3].to_vec());
        assert_eq!(cut.words(&HeaderMap::new()), "Gr");
        assert_eq!(Body::Cut(vec![0xff; 9]).words(&HeaderMap::new()), "more than 9 bytes of no stated type");
    }

    #[test]
    fn an_output_is_kept_as_utf_8_when_it_is_text_and_as_it_came_when_it_is_not() {
        for (kind, bytes, kept) in [
            ("text/plain; charset=iso-8859-1", &b"Gr\xf6\xdfe"[..], "Größe".as_bytes()),
            ("application/json", b"\xef\xbb\xbf{\"n\":1}", b"{\"n\":1}"),
            ("application/octet-stream", b"\xef\xbb\xbf\xff", b"\xef\xbb\xbf\xff"),
            ("application/x-protobuf", b"\xff\xfen\0", b"\xff\xfen\0"),
            ("text/plain", b"Gr\xf6", b"Gr\xf6"),
        ] {
            let body = Body::Whole(bytes.to_vec());
            assert_eq!(*body.kept(&headers(&[("content-type", kind)])), *kept, "{kind}");
        }
    }
}
