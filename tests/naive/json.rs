//! RFC 8259, byte by byte: what a line is, and where the values of its members lie. Shares no code with the scanner.

use std::ops::Range;

/// Why a line is no record, in the scanner's words.
pub type Reason = &'static str;

/// A member of the object: its key without escapes, and where its value lies.
pub type Member = (Vec<u16>, Range<usize>);

/// The members of a line that is a JSON object, in their order.
pub fn members(line: &[u8]) -> Result<Vec<Member>, Reason> {
    if std::str::from_utf8(line).is_err() {
        return Err("not_utf8");
    }
    let mut reader = Reader { line, at: 0 };
    reader.space();
    let mut members = Vec::new();
    let is_object = reader.peek() == Some(b'{');
    if is_object {
        reader.object(1, &mut |key, value| members.push((key, value)))?;
    } else {
        reader.value(1)?;
    }
    reader.space();
    match (reader.peek(), is_object) {
        (Some(_), _) => Err("not_json"),
        (None, false) => Err("not_an_object"),
        (None, true) => Ok(members),
    }
}

struct Reader<'a> {
    line: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.line.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn sign(&mut self, sign: u8) -> Result<(), Reason> {
        if self.peek() != Some(sign) {
            return Err("not_json");
        }
        self.at += 1;
        Ok(())
    }

    /// `depth` counts the objects and arrays around the value, as the limit of 128 does.
    fn value(&mut self, depth: usize) -> Result<(), Reason> {
        match self.peek() {
            Some(b'{' | b'[') if depth >= 128 => Err("too_deep"),
            Some(b'{') => self.object(depth + 1, &mut |_, _| {}),
            Some(b'[') => self.array(depth + 1),
            Some(b'"') => self.string().map(drop),
            Some(b't') => "true".bytes().try_for_each(|byte| self.sign(byte)),
            Some(b'f') => "false".bytes().try_for_each(|byte| self.sign(byte)),
            Some(b'n') => "null".bytes().try_for_each(|byte| self.sign(byte)),
            _ => self.number(),
        }
    }

    fn object(
        &mut self,
        depth: usize,
        member: &mut dyn FnMut(Vec<u16>, Range<usize>),
    ) -> Result<(), Reason> {
        self.sign(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            return self.sign(b'}');
        }
        loop {
            let key = self.string()?;
            self.space();
            self.sign(b':')?;
            self.space();
            let start = self.at;
            self.value(depth)?;
            member(key, start..self.at);
            self.space();
            if self.peek() != Some(b',') {
                return self.sign(b'}');
            }
            self.at += 1;
            self.space();
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Reason> {
        self.sign(b'[')?;
        self.space();
        if self.peek() == Some(b']') {
            return self.sign(b']');
        }
        loop {
            self.value(depth)?;
            self.space();
            if self.peek() != Some(b',') {
                return self.sign(b']');
            }
            self.at += 1;
            self.space();
        }
    }

    /// In UTF-16, because an escape may be half of a character.
    fn string(&mut self) -> Result<Vec<u16>, Reason> {
        self.sign(b'"')?;
        let mut units = Vec::new();
        loop {
            let rest = std::str::from_utf8(&self.line[self.at..]).unwrap();
            let char = rest.chars().next().ok_or("not_json")?;
            self.at += char.len_utf8();
            match char {
                '"' => return Ok(units),
                '\\' => units.push(self.escape()?),
                '\0'..' ' => return Err("not_json"),
                _ => units.extend_from_slice(char.encode_utf16(&mut [0; 2])),
            }
        }
    }

    fn escape(&mut self) -> Result<u16, Reason> {
        let sign = self.peek().ok_or("not_json")?;
        self.at += 1;
        match sign {
            b'"' | b'\\' | b'/' => Ok(sign.into()),
            b'b' => Ok(8),
            b'f' => Ok(12),
            b'n' => Ok(10),
            b'r' => Ok(13),
            b't' => Ok(9),
            b'u' => {
                let digits = self.line.get(self.at..self.at + 4).ok_or("not_json")?;
                self.at += 4;
                if !digits.iter().all(u8::is_ascii_hexdigit) {
                    return Err("not_json");
                }
                Ok(u16::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
            }
            _ => Err("not_json"),
        }
    }

    fn digits(&mut self) -> Result<(), Reason> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err("not_json");
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Reason> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}
