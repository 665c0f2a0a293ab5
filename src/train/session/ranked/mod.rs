//! What a session exchanges with other ranks ([`crate::train::ranks`]). `alone.rs` replaces it in browsers.

mod buckets;
mod exchange;
mod gradients;
mod synchronise;

pub(super) use crate::ops::compress::Format;
pub(super) use buckets::{Bucket, Underway};

use super::{Arriving, Purpose, Session, states};
