//! Runs a network on images.

use crate::error::{Error, Result};
use crate::network::{Kind, Layer, MOST_MEMORY, Network, Type};
use crate::ops::Prepared;
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// The elements of one image's tensor, in the order H, W, C.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Floats.
    Float(Vec<f32>),
    /// Integers.
    Sums(Vec<i32>),
    /// Bit planes `[bits, h, w, ⌈c/32⌉]`; bits beyond the last channel are 0.
    Codes(Vec<u32>),
}

impl Data {
    /// The floats; empty for other data.
    pub fn floats(&self) -> &[f32] {
        if let Self::Float(values) = self { values } else { &[] }
    }

    /// The integers; empty for other data.
    pub fn sums(&self) -> &[i32] {
        if let Self::Sums(values) = self { values } else { &[] }
    }

    /// The words of the bit planes; empty for other data.
    pub fn codes(&self) -> &[u32] {
        if let Self::Codes(words) = self { words } else { &[] }
    }
}

/// A network that is ready to run. It can be shared between threads.
#[derive(Clone, Debug)]
pub struct Runner {
    network: Network,
    types: Vec<Type>,
    prepared: Vec<Option<Prepared>>,
    /// For the input and each layer, the last layer that reads it.
    last: Vec<usize>,
    memory: u64,
}

impl Runner {
    /// Checks a network and arranges its weights for the processor.
    ///
    /// # Errors
    ///
    /// Returns an error if the network is invalid, or takes more than [`MOST_MEMORY`] bytes.
    pub fn new(mut network: Network) -> Result<Self> {
        let (types, elements) = network.check_arrays()?;
        let mut last = Vec::from_iter(0..types.len());
        for (at, layer) in network.layers.iter().enumerate() {
            layer.from.iter().for_each(|&from| last[from] = at + 1);
        }
        // Values that are in use at each layer. A packed convolution's working memory is at most three
        // times its input and output; a pool of codes takes a word for each.
        let working = |ty: &Type| match ty.kind {
            Kind::Codes(_) => 4 * (ty.bytes() + ty.len()) as u64,
            Kind::Float | Kind::Sums(_) => 4 * ty.bytes() as u64,
        };
        let (mut live, mut most) = (0, 0);
        let mut dead = vec![0; types.len()];
        for (at, ty) in types.iter().enumerate() {
            live += working(ty);
            most = most.max(live);
            dead[last[at]] += working(ty);
            live -= dead[at];
        }
        // The network's own arrays, and those in the order in which kernels read them.
        let arrays = 4 * elements as u64;
        let weights = network.layers.iter().zip(&types[1..]).map(|(layer, output)| {
            let input = &types[layer.from[0]];
            Prepared::bytes(&layer.op, input, output)
        });
        let memory = arrays + weights.sum::<u64>() + most;
        if memory > MOST_MEMORY {
            let limit = MOST_MEMORY >> 20;
            return Err(Error::Network(format!("the network takes {} MiB; the limit is {limit} MiB", memory >> 20)));
        }
        let prepare = |(layer, output): (&Layer, &Type)| Prepared::new(&layer.op, &types[layer.from[0]], output);
        let prepared = network.layers.iter().zip(&types[1..]).map(prepare).collect();
        Ok(Self { network, types, prepared, last, memory })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The types of the input and of every layer's output.
    pub fn types(&self) -> &[Type] {
        &self.types
    }

    /// An upper bound of the bytes for weights and for one image's values on one thread, apart from
    /// some kilobytes.
    pub fn memory(&self) -> u64 {
        self.memory
    }

    /// Returns the logits of an image: bytes H, W, C.
    ///
    /// # Errors
    ///
    /// Returns an error if the image has another size.
    pub fn logits(&self, image: &[u8]) -> Result<Vec<f32>> {
        Ok(self.trace(image, |_, _, _| {})?.floats().to_vec())
    }

    /// Returns the class of the largest logit of an image, the first one of several.
    ///
    /// # Errors
    ///
    /// Returns an error if the image has another size.
    pub fn classify(&self, image: &[u8]) -> Result<usize> {
        Ok(largest(&self.logits(image)?))
    }

    /// Returns the logits of several images, one after the other, computed on `threads` threads
    /// (on one without the feature `std`).
    ///
    /// # Errors
    ///
    /// Returns an error if the images' size is not a multiple of one image's.
    pub fn batch(&self, images: &[u8], threads: usize) -> Result<Vec<f32>> {
        let len = self.network.input.len();
        if !images.len().is_multiple_of(len) {
            return Err(Error::Image(format!(
                "{} bytes are not a whole number of images of {len} bytes",
                images.len()
            )));
        }
        let some = |images: &[u8]| images.chunks_exact(len).map(|image| self.logits(image)).collect::<Result<Vec<_>>>();
        #[cfg(feature = "std")]
        if threads > 1 {
            let share = (images.len() / len).div_ceil(threads).max(1) * len;
            return std::thread::scope(|scope| {
                let shares: Vec<_> = images.chunks(share).map(|images| scope.spawn(move || some(images))).collect();
                let joined = shares.into_iter().map(|share| match share.join() {
                    Ok(logits) => logits,
                    Err(panic) => std::panic::resume_unwind(panic),
                });
                Ok(joined.collect::<Result<Vec<_>>>()?.concat().concat())
            });
        }
        let _ = threads;
        Ok(some(images)?.concat())
    }

    /// Computes the output of the last layer, and calls `visit` with every layer's output on the
    /// way.
    ///
    /// # Errors
    ///
    /// Returns an error if the image has another size.
    pub fn trace(&self, image: &[u8], mut visit: impl FnMut(&Layer, &Type, &Data)) -> Result<Data> {
        let input = &self.network.input;
        if image.len() != input.len() {
            let [h, w, c] = input.shape;
            let message = format!("{} bytes; an image of this network has {h}×{w}×{c} bytes", image.len());
            return Err(Error::Image(message));
        }
        let images = Data::Float(input.values(image));
        let mut values: Vec<Option<Data>> = Vec::with_capacity(self.types.len());
        values.push(Some(images));
        for (at, layer) in self.network.layers.iter().enumerate() {
            let output = &self.types[at + 1];
            let only = layer.from[0];
            let dies = layer.from.len() == 1 && self.last[only] == at + 1;
            let taken = if dies { values[only].take() } else { None };
            let value = match taken.map(|x| layer.op.run_in_place(&self.types[only], x)) {
                Some(Ok(value)) => value,
                other => {
                    if let Some(Err(x)) = other {
                        values[only] = Some(x);
                    }
                    let of = |from: &usize| {
                        (&self.types[*from], values[*from].as_ref().expect("kept until its last reader"))
                    };
                    let inputs: Vec<_> = layer.from.iter().map(of).collect();
                    match &self.prepared[at] {
                        Some(prepared) => prepared.run(inputs[0].1),
                        None => layer.op.run(&inputs, output),
                    }
                }
            };
            visit(layer, output, &value);
            for &from in &layer.from {
                if self.last[from] == at + 1 {
                    values[from] = None;
                }
            }
            // What no layer reads is dropped; the last layer's output is the result.
            let kept = self.last[at + 1] > at + 1 || at + 1 == self.network.layers.len();
            values.push(Some(value).filter(|_| kept));
        }
        Ok(values.pop().flatten().expect("a network has a last layer"))
    }
}

/// Returns the index of the largest value, the first one of several.
pub fn largest(values: &[f32]) -> usize {
    (1..values.len()).fold(0, |best, at| if values[at] > values[best] { at } else { best })
}
