//! A reader of JSON for packed files: strings, whole numbers, flags, lists and objects of known
//! fields.
//!
//! It reads exactly what packed files hold and nothing more, in a tenth of a general reader's code,
//! which is what a small WebAssembly module and small devices need. Callers
//! name what they read, so the depth of recursion does not depend on the file.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A result with a message that says what was expected and where.
pub(crate) type Read<T> = core::result::Result<T, String>;

/// A position in a text.
pub(crate) struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Json<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Skips white space and returns the next byte; 0 at the end.
    pub(crate) fn peek(&mut self) -> u8 {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        bytes.get(self.at).copied().unwrap_or_default()
    }

    fn wrong<T>(&self, expected: &str) -> Read<T> {
        Err(format!("{expected} is expected at byte {} of its JSON", self.at))
    }

    /// Skips this byte if it is the next one.
    fn skip(&mut self, byte: u8) -> bool {
        let is = self.peek() == byte;
        self.at += usize::from(is);
        is
    }

    /// Checks that nothing follows.
    pub(crate) fn end(&mut self) -> Read<()> {
        if self.peek() == 0 && self.at == self.text.len() { Ok(()) } else { self.wrong("the end") }
    }

    /// Reads a list; `item` is called at each item.
    pub(crate) fn list(&mut self, item: &mut dyn FnMut(&mut Self) -> Read<()>) -> Read<()> {
        if !self.skip(b'[') {
            return self.wrong("a list");
        }
        if self.skip(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            match () {
                () if self.skip(b',') => {}
                () if self.skip(b']') => return Ok(()),
                () => return self.wrong("a comma or the list's end"),
            }
        }
    }

    /// Reads an object; `field` is called with each name, at its value.
    pub(crate) fn object(&mut self, field: &mut dyn FnMut(&mut Self, String) -> Read<()>) -> Read<()> {
        if !self.skip(b'{') {
            return self.wrong("an object");
        }
        if self.skip(b'}') {
            return Ok(());
        }
        loop {
            let name = self.string()?;
            if !self.skip(b':') {
                return self.wrong("a colon");
            }
            field(self, name)?;
            match () {
                () if self.skip(b',') => {}
                () if self.skip(b'}') => return Ok(()),
                () => return self.wrong("a comma or the object's end"),
            }
        }
    }

    /// Reads a whole number.
    pub(crate) fn whole(&mut self) -> Read<usize> {
        self.peek();
        let digits = self.text[self.at..].bytes().take_while(u8::is_ascii_digit).count();
        let end = self.at + digits;
        let text = &self.text[self.at..end];
        match text.parse() {
            Ok(number) if digits == 1 || !text.starts_with('0') => {
                self.at = end;
                Ok(number)
            }
            _ => self.wrong("a whole number that is not too large"),
        }
    }

    /// Reads two whole numbers.
    pub(crate) fn pair(&mut self) -> Read<[usize; 2]> {
        self.wholes()?.try_into().or_else(|_| self.wrong("a pair of numbers"))
    }

    /// Reads a list of whole numbers.
    pub(crate) fn wholes(&mut self) -> Read<Vec<usize>> {
        let mut numbers = Vec::new();
        self.list(&mut |json| {
            numbers.push(json.whole()?);
            Ok(())
        })?;
        Ok(numbers)
    }

    /// Reads a list of strings.
    pub(crate) fn strings(&mut self) -> Read<Vec<String>> {
        let mut strings = Vec::new();
        self.list(&mut |json| {
            strings.push(json.string()?);
            Ok(())
        })?;
        Ok(strings)
    }

    /// Reads `true` or `false`.
    pub(crate) fn flag(&mut self) -> Read<bool> {
        self.peek();
        for (word, value) in [("true", true), ("false", false)] {
            if self.text[self.at..].starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.wrong("true or false")
    }

    /// Reads a string.
    pub(crate) fn string(&mut self) -> Read<String> {
        if !self.skip(b'"') {
            return self.wrong("a string");
        }
        let mut string = String::new();
        loop {
            let rest = &self.text[self.at..];
            // Both are ASCII, so the text is not split inside of a character.
            let plain = rest.bytes().take_while(|&byte| byte >= b' ' && byte != b'"' && byte != b'\\').count();
            string.push_str(&rest[..plain]);
            self.at += plain;
            match rest.as_bytes().get(plain) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(string);
                }
                Some(b'\\') => {
                    self.at += 1;
                    string.push(self.escaped()?);
                }
                _ => return self.wrong("the end of a string"),
            }
        }
    }

    /// Reads what follows a backslash.
    fn escaped(&mut self) -> Read<char> {
        let byte = self.text.as_bytes().get(self.at).copied().unwrap_or_default();
        let character = match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                self.at += 1;
                let mut code = self.four_digits()?;
                // Characters beyond 16 bits are written as two halves.
                if (0xd800..0xdc00).contains(&code) && self.text[self.at..].starts_with("\\u") {
                    self.at += 2;
                    let low = self.four_digits()?.wrapping_sub(0xdc00);
                    code = if low < 0x400 { 0x10000 + (code - 0xd800) * 0x400 + low } else { u32::MAX };
                }
                return char::from_u32(code).map_or_else(|| self.wrong("a character's number"), Ok);
            }
            _ => return self.wrong("an escaped character"),
        };
        self.at += 1;
        Ok(char::from(character))
    }

    fn four_digits(&mut self) -> Read<u32> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let mut code = 0;
        for &digit in digits {
            match char::from(digit).to_digit(16) {
                Some(digit) => code = code * 16 + digit,
                None => return self.wrong("four hexadecimal digits"),
            }
        }
        if digits.is_empty() {
            return self.wrong("four hexadecimal digits");
        }
        self.at += 4;
        Ok(code)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_those_of_a_general_reader() {
        for text in [r#""""#, r#""a/b""#, r#""\"\\\/\b\f\n\r\t""#, r#""\u00e9\u20ac\ud83d\ude00é€😀""#] {
            assert_eq!(Json::new(text).string().unwrap(), serde_json::from_str::<String>(text).unwrap());
        }
        for text in [
            "",
            "\"",
            "\"a",
            "\"\\",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\ud800\"",
            "\"\\ud800\\u0041\"",
            "\"\\udc00\"",
            "\"\n\"",
            "\"\\u+123\"",
            "\"\\ué1",
        ] {
            assert!(serde_json::from_str::<String>(text).is_err());
            assert!(Json::new(text).string().is_err(), "{text}");
        }
    }

    #[test]
    fn values_of_another_kind_are_refused_with_their_place() {
        assert_eq!(Json::new(" [ 1 , 20 ] ").wholes().unwrap(), [1, 20]);
        for text in ["-1", "01", "1e3", "1.5", "99999999999999999999", "true", "[1", "[1,]", "[,1]", "[1 2]"] {
            let mut json = Json::new(text);
            assert!(json.wholes().and_then(|_| json.end()).is_err(), "{text}");
            let mut json = Json::new(text);
            assert!(json.whole().and_then(|_| json.end()).is_err(), "{text}");
        }
        let message = Json::new("{\"a\" 1}").object(&mut |_, _| Ok(())).unwrap_err();
        assert_eq!(message, "a colon is expected at byte 5 of its JSON");
    }
}
