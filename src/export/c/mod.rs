//! Export to C: a header and a source file in C99 without dependencies, for microcontrollers and
//! for any other program.
//!
//! **Structure.** Layers are grouped ([`groups`]) so that a group computes one pixel at a time and
//! only its last layer's output is stored: a convolution's sums become codes of 1 to 4 bits before
//! the next pixel is computed. Each group is a function ([`layers`]) that calls small functions of
//! a library ([`library`]); only those which the network uses are part of the file. Weights are
//! constant arrays, so nothing is read or allocated: there is no file to check at run time. All
//! tensors have fixed places in one structure ([`memory`]).
//!
//! **Exactness.** Sums of floats have the order of `halfwave-infer`, so that logits have its bits
//! where a C compiler computes `float` expressions in `float` and does not combine multiplications
//! with additions; the file stops compilation otherwise, or switches that off. Activation functions
//! that call `expf` or `logf` are the exception: their last bits are those of the C library.

mod constants;
mod groups;
mod layers;
mod library;
mod memory;
mod names;
mod source;
mod step;

pub use names::c_name;

use crate::error::{Error, Result};
use halfwave_infer::Network;

/// Longest class name, because a C99 compiler need not accept longer strings.
const LONGEST_CLASS: usize = 1000;
/// Most bytes of constants, because indices are of the type `int`.
const MOST_FLASH: usize = 1 << 30;

/// A network as C text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CFiles {
    /// The header `<name>.h`.
    pub header: String,
    /// The source `<name>.c`, which includes the header.
    pub source: String,
    /// Bytes of the constant arrays.
    pub flash: usize,
    /// Bytes of memory for tensors.
    pub ram: usize,
}

/// Writes a network in C. All identifiers that the header declares begin with `name`
/// ([`c_name`] derives one from a file's name).
///
/// # Errors
///
/// Returns an error if the network is invalid or too large, if a class name is too long, or if
/// `name` is not a C identifier of lower-case letters, digits and underscores.
pub fn c(network: &Network, name: &str) -> Result<CFiles> {
    names::check(name)?;
    let types = network.check().map_err(|error| Error::Model(error.to_string()))?;
    if let Some(class) = network.classes.iter().find(|class| class.len() > LONGEST_CLASS) {
        let start: String = class.chars().take(20).collect();
        return Err(Error::Model(format!("the class name \"{start}…\" has more than {LONGEST_CLASS} bytes")));
    }
    let files = source::write(network, &types, name);
    if files.flash.max(files.ram) > MOST_FLASH {
        let (mib, limit) = (files.flash.max(files.ram) >> 20, MOST_FLASH >> 20);
        return Err(Error::Model(format!("the network takes {mib} MiB; the limit of C files is {limit} MiB")));
    }
    Ok(files)
}
