//! Constants as C text.

use std::fmt::Write as _;

/// Constant arrays, and their size in the compiled program.
#[derive(Debug, Default)]
pub(super) struct Constants {
    pub(super) text: String,
    pub(super) bytes: usize,
}

impl Constants {
    pub(super) fn floats(&mut self, name: &str, values: &[f32]) {
        self.bytes += 4 * values.len();
        self.array("float", name, values.iter().map(|&value| float(value)));
    }

    pub(super) fn words(&mut self, name: &str, values: &[u32]) {
        self.bytes += 4 * values.len();
        self.array("uint32_t", name, values.iter().map(|value| format!("0x{value:08x}u")));
    }

    /// Integers of the type `threshold`, which takes this many bytes.
    pub(super) fn thresholds(&mut self, name: &str, values: &[i32], bytes: usize) {
        self.bytes += bytes * values.len();
        self.array("threshold", name, values.iter().map(i32::to_string));
    }

    fn array(&mut self, ty: &str, name: &str, values: impl ExactSizeIterator<Item = String>) {
        let _ = write!(self.text, "static const {ty} {name}[{}] = {{", values.len());
        let mut width = usize::MAX;
        for value in values {
            if width.saturating_add(value.len() + 2) > 100 {
                self.text.push_str("\n   ");
                width = 3;
            }
            width += value.len() + 2;
            let _ = write!(self.text, " {value},");
        }
        self.text.push_str("\n};\n");
    }
}

/// The smallest type for these thresholds, and its bytes.
pub(super) fn threshold_type<'a>(mut values: impl Iterator<Item = &'a i32> + Clone) -> (&'static str, usize) {
    let fits = |low: i32, high: i32| values.clone().all(|value| (low..=high).contains(value));
    if fits(i8::MIN.into(), i8::MAX.into()) {
        return ("int8_t", 1);
    }
    match values.all(|&value| i16::try_from(value).is_ok()) {
        true => ("int16_t", 2),
        false => ("int32_t", 4),
    }
}

/// A float as a constant that every compiler reads without rounding: short decimals if they are
/// exact, else hexadecimal.
pub(super) fn float(value: f32) -> String {
    let decimal = format!("{value:?}");
    if decimal.len() <= 8 && !decimal.contains('e') && decimal.parse() == Ok(f64::from(value)) {
        return format!("{decimal}f");
    }
    let bits = value.to_bits();
    let (sign, exponent) = (if value.is_sign_negative() { "-" } else { "" }, (bits >> 23 & 0xff) as i32);
    let (lead, exponent) = if exponent == 0 { (0, -126) } else { (1, exponent - 127) };
    let digits = format!("{:06x}", (bits & 0x7f_ffff) << 1);
    format!("{sign}0x{lead}.{}p{exponent:+}f", digits.trim_end_matches('0')).replace(".p", "p")
}

/// Text as a string constant. Bytes other than plain ASCII are written in octal; a question mark
/// is escaped, because two of them begin a trigraph.
pub(super) fn string(text: &str) -> String {
    let escaped = text.bytes().map(|byte| match byte {
        b'"' | b'\\' | b'?' => format!("\\{}", char::from(byte)),
        b' '..=b'~' => char::from(byte).to_string(),
        _ => format!("\\{byte:03o}"),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_exact() {
        for (value, text) in [
            (0.0, "0.0f"),
            (-0.0, "-0.0f"),
            (0.0625, "0.0625f"),
            (-3.5, "-3.5f"),
            (0.1, "0x1.99999ap-4f"),
            (-1_234.015_6, "-0x1.3481p+10f"),
            (f32::MIN_POSITIVE, "0x1p-126f"),
            (f32::from_bits(1), "0x0.000002p-126f"),
            (f32::MAX, "0x1.fffffep+127f"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn strings_end_neither_constants_nor_comments() {
        assert_eq!(string("a\"b\\ ??/\n*/ é9"), r#""a\"b\\ \?\?/\012*/ \303\2519""#);
    }
}
