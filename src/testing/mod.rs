//! A test kit for operations, those of this crate and those from outside: kernels against reference
//! implementations on a device, gradients against definitions in double precision.
//!
//! An operation from outside is tested with samples and a definition:
//!
//! ```
//! # use halfwave::ops::{Op, Sample, sample::Noise, relu::Relu};
//! use halfwave::{prelude::*, testing};
//! # let operation: Op = Relu.into();
//! let x = Noise::new(1).floats(&[2, 3, 3, 5]);
//! let mut device = halfwave::backend::open(Some("cpu")).block_on()?;
//! testing::check_kernel(&mut *device, Sample::new(operation.clone(), vec![x.clone()])).block_on()?;
//! testing::check_gradient(operation, &[x], |v| v[0].iter().map(|x| x.max(0.0)).collect())?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod gradient;

pub use gradient::{GradientCase, Net, TOLERANCE, check_gradient, evaluate};

use crate::backend::Backend;
use crate::error::{Error, Result};
use crate::ops::Sample;
use crate::selftest;

/// Compares the kernels of a sample's operation with its reference implementation on a device:
/// every element, guard words around the output, values in half precision, and detection of
/// non-finite values where the operation checks its operands. Returns the largest relative error.
///
/// # Errors
///
/// Returns [`Error::Model`] with a description of the difference, or an error if the device is
/// lost.
pub async fn check_kernel(device: &mut dyn Backend, sample: Sample) -> Result<f32> {
    let outcomes = selftest::run_given(device, [sample.into()]).await?;
    match outcomes.iter().find_map(|outcome| Some((outcome.name(), outcome.failure.as_ref()?))) {
        Some((name, failure)) => Err(Error::Model(format!("{name}: {failure}"))),
        None => Ok(outcomes.iter().map(|outcome| outcome.worst).fold(0.0, f32::max)),
    }
}
