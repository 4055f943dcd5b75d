//! A JSON text written again, as the real service does it on the way to a device.
//!
//! White space goes, object members that are `null` go, of duplicate keys the last value stands at the first one's
//! place, numbers that are no integers get the spelling of Java's doubles, escapes are normalised (published captures).
//! Integers stay as they are, whatever their size. The reader keeps its own stack, so that depth costs no call stack.

use std::collections::BTreeMap;

/// Deepest nesting that the service takes.
const DEPTH: usize = 1000;

/// A text that is no JSON document of at most 1000 levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON document of at most {DEPTH} levels: byte {at}")]
pub(crate) struct InvalidJson {
    at: usize,
}

/// Writes a JSON text as the service hands it to devices.
pub(super) fn rewrite(text: &str) -> Result<String, InvalidJson> {
    let mut reader = Reader { text, at: 0 };
    let mut open: Vec<Container> = Vec::new();
    loop {
        let mut value = match reader.value_or_open()? {
            Token::Value(value) => value,
            Token::Open(container) => {
                open.push(container);
                if open.len() > DEPTH {
                    return Err(reader.error());
                }
                match open_first(&mut reader, &mut open)? {
                    Some(empty) => empty,
                    None => continue,
                }
            }
        };
        // A value is complete: it goes into the container around it, which may be complete with it.
        loop {
            let Some(container) = open.last_mut() else {
                reader.skip_white_space();
                return if reader.at == text.len() { Ok(value) } else { Err(reader.error()) };
            };
            container.add(value);
            if reader.take(b',') {
                container.expect_key(&mut reader)?;
                break;
            }
            reader.expect(container.closing())?;
            value = container.text();
            open.pop();
        }
    }
}

/// After an opening bracket: the whole empty container, or nothing if something stands in it.
fn open_first(reader: &mut Reader<'_>, open: &mut Vec<Container>) -> Result<Option<String>, InvalidJson> {
    let Some(container) = open.last_mut() else { return Ok(None) };
    if reader.take(container.closing()) {
        return Ok(open.pop().map(|empty| empty.text()));
    }
    container.expect_key(reader)?;
    Ok(None)
}

enum Token {
    Value(String),
    Open(Container),
}

enum Container {
    Array(Vec<String>),
    Object {
        members: Vec<(String, String)>,
        places: BTreeMap<String, usize>,
        /// The key whose value is being read.
        key: String,
    },
}

impl Container {
    const fn closing(&self) -> u8 {
        match self {
            Self::Array(_) => b']',
            Self::Object { .. } => b'}',
        }
    }

    fn expect_key(&mut self, reader: &mut Reader<'_>) -> Result<(), InvalidJson> {
        if let Self::Object { key, .. } = self {
            reader.expect(b'"')?;
            *key = reader.string()?;
            reader.expect(b':')?;
        }
        Ok(())
    }

    fn add(&mut self, value: String) {
        match self {
            Self::Array(elements) => elements.push(value),
            Self::Object { members, places, key } => {
                if let Some(&place) = places.get(key) {
                    members[place].1 = value;
                } else {
                    places.insert(key.clone(), members.len());
                    members.push((std::mem::take(key), value));
                }
            }
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Array(elements) => format!("[{}]", elements.join(",")),
            Self::Object { members, .. } => {
                let kept = members.iter().filter(|(_, value)| value != "null");
                let parts: Vec<String> = kept.map(|(key, value)| format!("{key}:{value}")).collect();
                format!("{{{}}}", parts.join(","))
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    const fn error(&self) -> InvalidJson {
        InvalidJson { at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_white_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Takes a sign and the white space before it, if it is the next.
    fn take(&mut self, sign: u8) -> bool {
        self.skip_white_space();
        let found = self.peek() == Some(sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: u8) -> Result<(), InvalidJson> {
        if self.take(sign) { Ok(()) } else { Err(self.error()) }
    }

    fn value_or_open(&mut self) -> Result<Token, InvalidJson> {
        self.skip_white_space();
        let value = match self.peek() {
            Some(b'{') => {
                self.at += 1;
                let (members, places) = (Vec::new(), BTreeMap::new());
                return Ok(Token::Open(Container::Object { members, places, key: String::new() }));
            }
            Some(b'[') => {
                self.at += 1;
                return Ok(Token::Open(Container::Array(Vec::new())));
            }
            Some(b'"') => {
                self.at += 1;
                self.string()?
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Token::Value(value))
    }

    fn word(&mut self) -> Result<String, InvalidJson> {
        let word = ["true", "false", "null"].into_iter().find(|word| self.text[self.at..].starts_with(word));
        let word = word.ok_or(self.error())?;
        self.at += word.len();
        Ok(word.to_owned())
    }

    /// The rest of a string, written again with its quotes.
    fn string(&mut self) -> Result<String, InvalidJson> {
        let mut written = String::from('"');
        loop {
            let c = self.text[self.at..].chars().next().ok_or(self.error())?;
            match c {
                '"' => {
                    self.at += 1;
                    written.push('"');
                    return Ok(written);
                }
                '\\' => self.escape(&mut written)?,
                '\0'..='\u{1f}' => return Err(self.error()),
                _ => {
                    self.at += c.len_utf8();
                    written.push(c);
                }
            }
        }
    }

    fn escape(&mut self, written: &mut String) -> Result<(), InvalidJson> {
        let sign = self.text.as_bytes().get(self.at + 1).copied().ok_or(self.error())?;
        let c = match sign {
            b'u' => return self.unicode_escape(written),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'"' | b'\\' | b'/' => char::from(sign),
            _ => return Err(self.error()),
        };
        self.at += 2;
        push_escaped(written, c);
        Ok(())
    }

    fn unicode_escape(&mut self, written: &mut String) -> Result<(), InvalidJson> {
        let unit = self.code_unit(self.at).ok_or(self.error())?;
        self.at += 6;
        let low = self.code_unit(self.at).unwrap_or_default();
        let pair = char::decode_utf16([unit, low]).next();
        match pair {
            Some(Ok(c)) => {
                self.at += if c.len_utf16() == 2 { 6 } else { 0 };
                push_escaped(written, c);
            }
            // Half of a pair is no character, so it cannot stand unescaped.
            _ => written.push_str(&upper_escape(u32::from(unit))),
        }
        Ok(())
    }

    /// The UTF-16 unit of a `\uXXXX` at that byte.
    fn code_unit(&self, at: usize) -> Option<u16> {
        let digits = self.text.get(at..at + 6)?.strip_prefix("\\u")?;
        let hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hex { u16::from_str_radix(digits, 16).ok() } else { None }
    }

    fn number(&mut self) -> Result<String, InvalidJson> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let whole = self.digits()?;
        if whole > 1 && self.text.as_bytes()[self.at - whole] == b'0' {
            return Err(self.error());
        }
        let mut integer = true;
        if self.peek() == Some(b'.') {
            integer = false;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            integer = false;
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        let text = &self.text[start..self.at];
        match (integer, text) {
            (true, "-0") => Ok("0".to_owned()),
            (true, _) => Ok(text.to_owned()),
            (false, _) => text.parse().map(java_double).map_err(|_| self.error()),
        }
    }

    /// One digit or more; how many.
    fn digits(&mut self) -> Result<usize, InvalidJson> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start { Err(self.error()) } else { Ok(self.at - start) }
    }
}

fn upper_escape(unit: u32) -> String {
    format!("\\u{unit:04X}")
}

fn push_escaped(written: &mut String, c: char) {
    match c {
        '"' => written.push_str("\\\""),
        '\\' => written.push_str("\\\\"),
        '\u{8}' => written.push_str("\\b"),
        '\u{c}' => written.push_str("\\f"),
        '\n' => written.push_str("\\n"),
        '\r' => written.push_str("\\r"),
        '\t' => written.push_str("\\t"),
        '\0'..='\u{1f}' => written.push_str(&upper_escape(u32::from(c))),
        _ => written.push(c),
    }
}

/// A number as Java's `Double.toString` spells it: plain from 0.001 up to ten million, else with an exponent, always
/// with a digit after the point. What is too large becomes a string, as it does at the service.
fn java_double(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }.to_owned();
    }
    if number == 0.0 || (1e-3..1e7).contains(&number.abs()) {
        return format!("{number:?}");
    }
    let shortest = format!("{number:e}");
    let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
    let point = if digits.contains('.') { "" } else { ".0" };
    format!("{digits}{point}E{exponent}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_arrives_as_the_service_writes_it() {
        for (stored, received) in [
            // The captured rows.
            (" { \"a\" : 1 ,\n\t\"b\" : [ 1 , 2 ] } ", r#"{"a":1,"b":[1,2]}"#),
            (r#"{"a":null,"b":{"c":null,"d":1},"e":[{"f":null}]}"#, r#"{"b":{"d":1},"e":[{}]}"#),
            ("[null]", "[null]"),
            ("null", "null"),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
            ("[2.50,1E2,1e-7,12345678.9,1e21]", "[2.5,100.0,1.0E-7,1.23456789E7,1.0E21]"),
            ("[-0,0,-7]", "[0,0,-7]"),
            ("[123456789012345678901234567890]", "[123456789012345678901234567890]"),
            ("[1E400,-1E400]", r#"["Infinity","-Infinity"]"#),
            (r#"["caf\u00e9","\/","\u001f"]"#, r#"["café","/","\u001F"]"#),
            (
                r#"["\ud83d\ude00","\ud83d","\ude00\ud83d","\ud83dx"]"#,
                r#"["😀","\uD83D","\uDE00\uD83D","\uD83Dx"]"#,
            ),
            // Their neighbours.
            (r#"{"a":1,"a":null}"#, "{}"),
            (r#"{"a":null,"a":1,"b":2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":1,"\u0061":2}"#, r#"{"a":2}"#),
            ("[0.001,0.0009,9999999.0,10000000.0,0.0,-0.0]", "[0.001,9.0E-4,9999999.0,1.0E7,0.0,-0.0]"),
            (r#"["\"\\\b\f\n\r\t\u0000"]"#, r#"["\"\\\b\f\n\r\t\u0000"]"#),
            (r#"{"":{},"x":[]}"#, r#"{"":{},"x":[]}"#),
            ("\"text\"", "\"text\""),
            ("true", "true"),
        ] {
            assert_eq!(rewrite(stored).as_deref(), Ok(received), "{stored}");
            assert_eq!(rewrite(received).as_deref(), Ok(received), "written once, it stays: {received}");
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "not json",
            "{",
            "}",
            "[1,]",
            "{,}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            "[1 2]",
            "{a:1}",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "+1",
            "NaN",
            "Infinity",
            "nul",
            "\"",
            "\"\n\"",
            r#""\x""#,
            r#""\u12""#,
            r#""\u+123""#,
            "[1}",
            "{\"a\":1]",
            "1 1",
            "[]]",
            "\u{feff}{}",
            "\"\\",
            "\"\\u00é0\"",
        ] {
            assert!(rewrite(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_thousand_levels_are_taken_and_no_more() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(rewrite(&nested(1000)).is_ok());
        assert!(rewrite(&nested(1001)).is_err());
        assert!(rewrite(&"[".repeat(1_000_000)).is_err());
        assert!(rewrite(&r#"{"a":"#.repeat(1_000_000)).is_err());
    }
}
