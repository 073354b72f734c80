//! The views of outputs.

use super::*;

#[test]
fn an_output_is_json_or_a_string_or_bytes() {
    let shown = |bytes: &[u8]| output(&Payload::from(bytes)).0.map(|raw| raw.get().to_owned());
    assert_eq!(shown(b""), None);
    assert_eq!(shown(b"{ \"a\" :\r\n 1 }").as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(shown(b"OK\n").as_deref(), Some(r#""OK\n""#));
    assert_eq!(shown(b"\x0a\x03A-1").as_deref(), Some(r#""\n\u0003A-1""#));
    assert_eq!(shown(b"\x08\xff").as_deref(), None);
    assert_eq!(
        output(&Payload::from(&b"\x08\xff"[..])).1.map(|bytes| bytes.to_string()).as_deref(),
        Some("CP8=")
    );
    assert_eq!(output(&Payload::from("OK")).1, None);
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(shown(deep.as_bytes()), Some(format!("\"{deep}\"")));
}
