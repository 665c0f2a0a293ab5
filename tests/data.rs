//! Data as a run sees it: the embedded digits through a recipe's scale, in a recipe's order.
use halfwave::data::{Dataset, epoch_batches};
use halfwave::recipe::{Recipe, Set};

#[test]
fn a_run_sees_every_digit_once_an_epoch() {
    let recipe = Recipe::digits();
    let digits = Dataset::load(&recipe.data.set).unwrap();
    let train = &recipe.train;
    assert_eq!([digits.channels, digits.height, digits.width], recipe.model.input);
    let mut seen = vec![0; digits.train.len()];
    let mut steps = 0;
    for batch in epoch_batches(seen.len(), train.batch, train.seed, 0, recipe.data.shuffle, train.drop_last) {
        let (values, labels) = digits.train.normalised(&batch, recipe.data.scale);
        assert_eq!((values.len(), labels.len()), (batch.len() * 64, batch.len()));
        assert!(values.iter().all(|v| (-0.5..=0.5).contains(v)));
        assert!(labels.iter().all(|&label| (label as usize) < digits.classes));
        batch.iter().for_each(|&at| seen[at as usize] += 1);
        steps += 1;
    }
    assert_eq!(steps, train.epoch_steps(digits.train.len()));
    assert!(seen.iter().all(|&times| times == 1));
}

#[test]
fn missing_files_say_which_key_names_them() {
    let message = Dataset::load(&Set::Cifar10 { dir: "no/such/folder".into() }).unwrap_err().to_string();
    assert!(message.contains("no/such/folder") && message.contains("[data] dir"), "{message}");
}

/// The real files, where `CIFAR10_DIR` says that they are.
#[test]
fn cifar10_is_whole() {
    let Some(dir) = std::env::var_os("CIFAR10_DIR").filter(|dir| !dir.is_empty()) else {
        eprintln!("SKIPPED: CIFAR10_DIR is not set; name the folder with CIFAR-10's binary version");
        return;
    };
    let data = Dataset::load(&Set::Cifar10 { dir: dir.into() }).unwrap();
    assert_eq!((data.channels, data.height, data.width, data.classes), (3, 32, 32, 10));
    for (split, each) in [(&data.train, 5000), (&data.test, 1000)] {
        assert_eq!(split.images.len(), split.len() * split.image_len());
        let count = |class: u8| split.labels.iter().filter(|&&label| label == class).count();
        assert!((0..10).all(|class| count(class) == each), "every class has {each} images");
        assert!(split.images.iter().any(|&pixel| pixel != split.images[0]), "pictures are not blank");
    }
}
