//! The part of a data set that a recipe uses: its limits, and the images held out for validation.
//!
//! **Invariant:** the assignment of images depends on the set's name, its labels in order, and the
//! recipe's `[data]`, neither on the seed nor on the machine. Every class keeps its share, and the
//! images of a part keep their order.
use super::{Data, Dataset, Split, Validation};
use crate::{Error, Result, random};

/// Seed of these draws, fixed so that runs with different seeds use the same images.
const SEED: u64 = 0;

impl Dataset {
    /// Selects the images that a recipe's `[data]` asks for from a complete set; an existing
    /// validation split is kept complete, and then no training images are held out. The training images are put in one random order in which
    /// classes are interleaved in proportion to their shares: the first `limit` of them are used,
    /// and of those the first `validation` are held out. So a larger limit keeps the images of a
    /// smaller one. Test images are ordered in the same way.
    ///
    /// # Errors
    ///
    /// Returns an error if a validation split would be empty, or a class would have no training
    /// images left.
    pub fn divided(&self, data: &Data) -> Result<Self> {
        let wrong = |key: &str, message: String| Error::Data(format!("{}: data.{key}: {message}", self.name));
        let (shape, wanted) = (self.shape(), data.set.source());
        if shape != wanted {
            return Err(Error::Data(format!("{}: images of {shape:?}, but the recipe asks for {wanted:?}", self.name)));
        }
        if self.validation.is_some() && !data.may_keep_own() {
            return Err(wrong("validation", "the data set has validation images of its own; write 0".into()));
        }
        if let Some((key, message)) = data.share_fault(self.train.len()) {
            return Err(wrong(key, message));
        }
        let part = |split: &Split, positions: &[u32]| {
            let mut positions = positions.to_vec();
            positions.sort_unstable();
            Split { input: data.set.image(), ..split.select(&positions) }
        };
        let [train_len, held_out_len] = match data.shares(self.train.len()) {
            [train_len, held_out_len] if self.validation.is_some() => [train_len + held_out_len, 0],
            shares => shares,
        };
        let order = self.stratified(&self.train, "train");
        let used = &order[..train_len + held_out_len];
        let held_out_len = match data.validation {
            Validation::Auto => held_out_len.min(self.spare(used)),
            Validation::Share(_) => held_out_len,
        };
        let train = part(&self.train, &used[held_out_len..]);
        let validation = match &self.validation {
            Some(given) => Some(Split { input: data.set.image(), ..given.clone() }),
            None => (held_out_len > 0).then(|| part(&self.train, &used[..held_out_len])),
        };
        if let Some(class) = (0..self.classes).find(|&class| self.train.has(class) && !train.has(class)) {
            let held_out = used.iter().any(|&place| usize::from(self.train.labels[place as usize]) == class);
            let (key, advice) = match held_out {
                true => ("validation", "hold out less"),
                false => ("limit", "give more images"),
            };
            let class = &self.class_names[class];
            return Err(wrong(key, format!("the class \"{class}\" has no image left to train on; {advice}")));
        }
        let order = self.stratified(&self.test, "test");
        let test_len = data.test_limit.map_or(order.len(), |limit| limit.min(order.len()));
        let test = part(&self.test, &order[..test_len]);
        Ok(Self { name: self.name.clone(), class_names: self.class_names.clone(), train, validation, test, ..*self })
    }

    /// How many of the first of these training images can be held out so that each class among them
    /// has one left.
    fn spare(&self, used: &[u32]) -> usize {
        let mut last = vec![usize::MAX; self.classes];
        for (at, &place) in used.iter().enumerate() {
            last[usize::from(self.train.labels[place as usize])] = at;
        }
        last.into_iter().min().map_or(0, |first| first.min(used.len()))
    }

    /// Indices of a split, shuffled within each class and interleaved so that every prefix holds
    /// each class in proportion to its share, as closely as possible (Sainte-Laguë's method).
    fn stratified(&self, split: &Split, part: &str) -> Vec<u32> {
        let mut by_class = vec![Vec::new(); self.classes];
        for (place, &label) in (0..).zip(&split.labels) {
            by_class[usize::from(label)].push(place);
        }
        let mut order = Vec::with_capacity(split.len());
        for (class, positions) in by_class.iter().enumerate() {
            let drawn = random::shuffled(SEED, &format!("data/{}/{part}/{class}", self.name), positions.len());
            let (class_len, positions) = (positions.len() as u64, drawn.into_iter().map(|at| positions[at as usize]));
            order.extend((0..).zip(positions).map(|(rank, place)| (2 * rank + 1, class_len, place)));
        }
        // An image is sorted by the midpoint of its rank within its class, (2·rank + 1) /
        // (2·images). The sort is stable: equal values are ordered by class.
        order.sort_by(|a: &(u64, u64, u32), b| (a.0 * b.1).cmp(&(b.0 * a.1)));
        order.into_iter().map(|(_, _, place)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Digits, Folder};

    #[test]
    fn classes_come_by_turns() {
        let order = |counts: &[usize]| -> Vec<u16> {
            let labels: Vec<u16> = (0..).zip(counts).flat_map(|(class, &count)| vec![class; count]).collect();
            let split = Split::new([1, 1, 1], vec![0; labels.len()], labels);
            let data = Dataset { classes: counts.len(), ..digits(0.0, None, None) };
            let positions = data.stratified(&split, "train");
            let mut sorted = positions.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..split.len() as u32).collect::<Vec<u32>>());
            positions.iter().map(|&place| split.labels[place as usize]).collect()
        };
        assert_eq!(order(&[2, 2, 2]), [0, 1, 2, 0, 1, 2]);
        assert_eq!(order(&[1, 6]), [1, 1, 1, 0, 1, 1, 1]);
        assert_eq!(order(&[3, 0, 6]), [2, 0, 2, 2, 0, 2, 2, 0, 2]);
        assert_eq!(order(&[0, 0]), [0; 0]);
    }

    /// The pixels of a split's images, each with its label.
    fn images(split: &Split) -> Vec<(Vec<u8>, u16)> {
        let pixels = split.in_memory().unwrap().chunks_exact(split.image_len());
        pixels.map(<[u8]>::to_vec).zip(split.labels.iter().copied()).collect()
    }

    fn digits(validation: f64, limit: Option<usize>, test_limit: Option<usize>) -> Dataset {
        let validation = Validation::Share(validation);
        Dataset::load(&Data { validation, limit, test_limit, ..Digits.into() }).unwrap()
    }

    #[test]
    fn parts_are_disjoint_stratified_and_in_order() {
        let whole = digits(0.0, None, None);
        assert_eq!(whole.validation, None);
        let all = images(&whole.train);
        for limit in [None, Some(500), Some(5000)] {
            let part = digits(0.1, limit, Some(100));
            let held_out = part.validation.clone().unwrap();
            let used = limit.unwrap_or(1437).min(1437);
            let held_out_len = (used as f64 * 0.1).round() as usize;
            assert_eq!((part.train.len(), held_out.len(), part.test.len()), (used - held_out_len, held_out_len, 100));
            // Going through the whole set, each image is the next of at most one part, and no image
            // of a part is left over.
            let [mut train, mut validation] =
                [images(&part.train), images(&held_out)].map(|part| part.into_iter().peekable());
            for image in &all {
                if train.next_if_eq(image).is_none() {
                    validation.next_if_eq(image);
                }
            }
            assert!(train.next().is_none() && validation.next().is_none());
            let count = |split: &Split, class| split.labels.iter().filter(|&&label| label == class).count() as f64;
            for class in 0..10 {
                let share = count(&whole.train, class) / 1437.0;
                for split in [&part.train, &held_out] {
                    let (found, wanted) = (count(split, class), share * split.len() as f64);
                    assert!((found - wanted).abs() < 2.0, "class {class}: {found} instead of {wanted}");
                }
            }
        }
    }

    #[test]
    fn a_tenth_is_held_out_by_default() {
        let data = |limit| Data { limit, validation: Validation::Auto, ..Digits.into() };
        let held_out = |limit: Option<usize>| {
            let loaded = Dataset::load(&data(limit)).unwrap();
            (loaded.train.len(), loaded.validation.map_or(0, |split| split.len()))
        };
        assert_eq!((held_out(None), data(None).train_len()), ((1293, 144), Some(1293)));
        assert_eq!(held_out(Some(100)), (90, 10));
        // Ten classes need ten images to train on.
        assert_eq!((held_out(Some(11)), held_out(Some(10))), ((10, 1), (10, 0)));
        // Validation images of the set's own are kept, and no others are held out.
        let whole = digits(0.0, None, None);
        let own = Dataset { name: "npz".into(), validation: Some(whole.test.clone()), ..whole };
        let npz = |validation| {
            let set = crate::data::Npz { file: "".into(), image: [1, 8, 8], classes: 10 };
            own.divided(&Data { validation, ..set.into() })
        };
        for validation in [Validation::Auto, Validation::Share(0.0)] {
            let divided = npz(validation).unwrap();
            assert_eq!((divided.train.len(), divided.validation), (1437, own.validation.clone()));
        }
        let message = npz(Validation::Share(0.5)).unwrap_err().to_string();
        assert!(
            message.contains("data.validation: the data set has validation images of its own; write 0"),
            "{message}"
        );
    }

    #[test]
    fn no_class_is_held_out_whole_by_default() {
        // Twelve classes of one image, and one of `many`.
        let held_out = |many: usize| {
            let labels: Vec<u16> = (0..12).chain(vec![12; many]).collect();
            let split = Split::new([1, 1, 1], vec![0; labels.len()], labels);
            let names = (0..13).map(|class| format!("s{class}")).collect();
            let data = Dataset::images(names, [1, 1, 1], split.clone(), split).unwrap();
            let set = Folder { dir: "".into(), image: [1, 1, 1], classes: 13, pictures: Default::default() };
            let divided = data.divided(&Data { validation: Validation::Auto, ..set.into() }).unwrap();
            assert!((0..13).all(|class| divided.train.has(class)));
            let held_out = divided.validation.as_ref().map_or(0, Split::len);
            assert_eq!(divided.train.len() + held_out, 12 + many);
            held_out
        };
        assert_eq!([1, 3, 30].map(held_out), [0, 1, 4]);
    }

    #[test]
    fn a_larger_limit_keeps_the_images_of_a_smaller_one() {
        let [few, many] = [200, 700].map(|limit| images(&digits(0.0, Some(limit), None).train));
        assert!(few.iter().all(|image| many.contains(image)));
        assert_ne!(few[..], many[..200]);
        // The images are drawn at random: not the first of the set.
        assert_ne!(few, images(&digits(0.0, None, None).train)[..200]);
        // Frozen: a different draw would change the data of every such run.
        assert_eq!(digits(0.0, Some(12), None).train.labels, FROZEN);
    }

    const FROZEN: [u16; 12] = [0, 1, 8, 1, 2, 4, 7, 5, 3, 9, 3, 6];

    #[test]
    fn a_class_without_images_is_an_error() {
        let split =
            |labels: &[u16]| Split::new([1, 1, 1], (0..labels.len()).map(|at| at as u8).collect(), labels.into());
        let labels: Vec<u16> = [vec![0; 97], vec![1; 3]].concat();
        let data = Dataset::images(vec!["a".into(), "b".into()], [1, 1, 1], split(&labels), split(&[0])).unwrap();
        let set = Folder { dir: "".into(), image: [1, 1, 1], classes: 2, pictures: Default::default() };
        let part = |validation, limit| {
            let validation = Validation::Share(validation);
            let wanted = Data { validation, limit, ..set.clone().into() };
            data.divided(&wanted).map_err(|error| error.to_string())
        };
        assert_eq!(part(0.5, None).unwrap().train.len(), 50);
        for (validation, limit, wanted) in [
            (0.0, Some(10), "folder: data.limit: the class \"b\" has no image left to train on; give more images"),
            (0.0, Some(1), "data.limit: 1 images are left to train on, but there are 2 classes; give more images"),
            (0.5, Some(1), "data.limit: 0 images are left to train on, but there are 2 classes; give more images"),
            (0.97, None, "data.validation: the class \"b\" has no image left to train on; hold out less"),
            (0.004, None, "data.validation: of 100 images this holds out none; hold out a larger share"),
        ] {
            let message = part(validation, limit).unwrap_err();
            assert!(message.contains(wanted), "{message}\nshould say {wanted}");
        }
    }
}
