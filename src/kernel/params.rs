//! Uniforms: structs shared by Rust and WGSL.

/// The fields of a uniform. Implemented by the [`params!`](crate::params) macro.
pub trait Params {
    /// Names and WGSL types, in order.
    const FIELDS: &'static [(&'static str, &'static str)];
    /// Returns the values as bits, in order.
    fn words(&self) -> Vec<u32>;
}

/// A scalar that a uniform can hold.
pub trait Scalar {
    /// Returns its bits.
    fn word(self) -> u32;
}

impl Scalar for u32 {
    fn word(self) -> u32 {
        self
    }
}

impl Scalar for i32 {
    fn word(self) -> u32 {
        self as u32
    }
}

impl Scalar for f32 {
    fn word(self) -> u32 {
        self.to_bits()
    }
}

/// Declares a uniform: a struct of `u32`, `i32` and `f32` fields, shared by Rust and WGSL.
#[macro_export]
macro_rules! params {
    ($(#[$meta:meta])* $vis:vis struct $name:ident { $($field:ident: $ty:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $name { $($vis $field: $ty),* }
        impl $crate::kernel::Params for $name {
            const FIELDS: &'static [(&'static str, &'static str)] = &[$((stringify!($field), stringify!($ty))),*];
            fn words(&self) -> Vec<u32> {
                vec![$($crate::kernel::Scalar::word(self.$field)),*]
            }
        }
    };
}
