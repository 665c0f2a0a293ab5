//! Operands stored in half precision ([`crate::halves`]), and the additional bindings of their
//! launches.

use super::{Binding, FAULT, Launch, Operand};
use crate::tensor::Encoding;

/// Name of the table of scales in a kernel that reads or writes values in half precision.
pub(super) const SCALES: &str = "scales";

/// Name of the table of statistics that writers of such values update.
pub(super) const SEEN: &str = "seen";

/// Stores a quad in half precision. Most invocations find a larger maximum already recorded, so
/// that few write to the table.
pub(super) const HALVED: &str = "fn halved(v: vec4<f32>, scale: f32, row: u32) -> vec2<u32> {
    let scaled = v * scale;
    let bits = bitcast<vec4<u32>>(scaled) & vec4<u32>(0x7fffffffu);
    let most = max(max(bits.x, bits.y), max(bits.z, bits.w));
    if (most > atomicLoad(&seen[4u * row])) { atomicMax(&seen[4u * row], most); }
    if (most > 0x477fe000u) {
        let over = select(vec4<u32>(), vec4<u32>(1u), bits > vec4<u32>(0x477fe000u));
        atomicAdd(&seen[4u * row + 1u], over.x + over.y + over.z + over.w);
    }
    let stored = clamp(scaled, vec4<f32>(-65504.0), vec4<f32>(65504.0));
    return vec2<u32>(pack2x16float(stored.xy), pack2x16float(stored.zw));
}
";

impl Launch {
    /// Stores operands in half precision: those for which `row` returns a row of the table of
    /// scales, which has `rows` rows. Numbers that are written must be finite, and are checked.
    ///
    /// # Panics
    ///
    /// Panics if such an operand is not a float or is a uniform.
    #[must_use]
    pub fn store_half(mut self, rows: usize, row: impl Fn(Operand) -> Option<usize>) -> Self {
        let mut writes = None;
        for (binding, &operand) in self.kernel.bindings.iter_mut().zip(&self.operands) {
            let Some(row) = row(operand) else { continue };
            assert!(
                binding.encoding == Encoding::F32 && binding.uniform.is_none(),
                "{}: {} cannot be stored in half precision",
                self.kernel.label,
                binding.name
            );
            binding.encoding = Encoding::F16;
            binding.finite |= binding.write;
            writes = Some(writes.unwrap_or(false) || binding.write);
            self.kernel.fields.push((format!("{}_scale", binding.name).into(), "u32"));
            self.params.push(row as u32);
        }
        let Some(writes) = writes else { return self };
        let floats = |binding: &Binding| binding.encoding == Encoding::F32 && binding.uniform.is_none();
        if !self.kernel.bindings.iter().any(floats) {
            // The stated words are those of these operands.
            self.moved_words = self.moved_words.map(|words| words / 2);
        }
        // Quads of such launches are not kept in registers for other launches.
        self.each_quad = None;
        self = self.read(SCALES, Encoding::F32, Operand::Scales);
        if let Some(scales) = self.kernel.bindings.last_mut() {
            scales.uniform = Some(rows as u32);
        }
        if writes {
            self = self.bind(SEEN, Encoding::U32, Operand::Seen, true);
            if !self.kernel.checks() {
                self = self.bind(FAULT, Encoding::U32, Operand::Fault, true);
            }
        }
        self
    }
}
