//! What people see of outputs.

use super::*;

#[test]
fn an_output_is_json_or_a_string() {
    let shown = |bytes: &[u8]| output(&Payload::from(bytes)).map(|raw| raw.get().to_owned());
    assert_eq!(shown(b""), None);
    assert_eq!(shown(b"{ \"a\" :\r\n 1 }").as_deref(), Some(r#"{"a":1}"#));
    assert_eq!(shown(b"OK\n").as_deref(), Some(r#""OK\n""#));
    assert_eq!(shown(b"\xff").as_deref(), Some("\"\u{fffd}\""));
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert_eq!(shown(deep.as_bytes()), Some(format!("\"{deep}\"")));
}
