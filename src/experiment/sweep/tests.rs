//! Combinations, draws, names and mistakes of sweeps.

use super::*;
use crate::experiment::{Outcome, Table};

fn strings(all: &[&str]) -> Vec<String> {
    all.iter().map(|text| text.to_string()).collect()
}

fn study(set: &[&str], fix: &[&str], draws: Option<(u64, u64)>, seeds: u64) -> Result<Study> {
    let (set, fix) = (strings(set), strings(fix));
    let sweep = Sweep { name: "digits", set: &set, fix: &fix, draws, seeds };
    sweep.study(&Source::builtin("digits").unwrap(), |_| Ok(()))
}

fn fault(set: &[&str], fix: &[&str], draws: Option<(u64, u64)>) -> String {
    study(set, fix, draws, 1).map(|study| study.about).unwrap_err().to_string()
}

fn names(study: &Study) -> Vec<&str> {
    study.arms.iter().map(|arm| arm.name.as_str()).collect()
}

#[test]
fn a_grid_has_every_combination() {
    let set = ["train.optimizer.lr=[0.1,0.03]", "layers.q*.bits=[1, 2, 3]", "train.batch=32"];
    let study = study(&set, &[], None, 3).unwrap();
    let expected = [
        "lr=0.1,q.bits=1",
        "lr=0.1,q.bits=2",
        "lr=0.1,q.bits=3",
        "lr=0.03,q.bits=1",
        "lr=0.03,q.bits=2",
        "lr=0.03,q.bits=3",
    ];
    assert_eq!(names(&study), expected);
    assert_eq!(study.run_name(5, 2), "lr=0.03,q.bits=3-seed2");
    assert_eq!(study.setting, "recipe digits, with train.batch=32");
    let recipe = study.recipe(5, 2);
    assert_eq!((recipe.train.optimizer.lr, recipe.train.batch, recipe.train.seed), (0.03, 32, 2));
    let bits = recipe.to_toml().lines().filter(|line| *line == "bits = 3").count();
    assert!(bits >= 2, "{}", recipe.to_toml());
    assert_eq!(study.arms[5].values, ["0.03", "3"]);
}

#[test]
fn lists_are_values_only_where_they_are_fixed_or_inside_of_a_list() {
    let fixed = study(&["train.optimizer.lr=[0.1, 0.03]"], &["data.mean=[0.4]"], None, 1).unwrap();
    assert_eq!(fixed.recipe(1, 0).data.mean, [0.4]);
    let several = study(&["data.mean=[[0.4], [ 0.5 ]]"], &[], None, 1).unwrap();
    assert_eq!((names(&several), several.recipe(1, 0).data.mean), (vec!["mean=0.4", "mean=0.5"], vec![0.5]));
    // Words, and one value.
    let words = study(&["layers.q*.levels=[\"lloyd\"]"], &[], None, 1).unwrap();
    assert_eq!(names(&words), ["q.levels=lloyd"]);
    // Seeds only.
    assert_eq!(study(&[], &[], None, 2).unwrap().run_name(0, 1), "digits-seed1");
}

#[test]
fn draws_are_reproducible_and_within_their_ranges() {
    let set = ["train.optimizer.lr=0.001..0.3", "layers.q*.bits=1..4", "train.optimizer.momentum=[0.8,0.9]"];
    let few = study(&set, &[], Some((10, 7)), 1).unwrap();
    let many = study(&set, &[], Some((60, 7)), 1).unwrap();
    let values = |study: &Study, key: usize| study.arms.iter().map(|arm| arm.values[key].clone()).collect::<Vec<_>>();
    // More draws begin with the same ones, and a key's values do not depend on other keys.
    assert_eq!(names(&few)[..], names(&many)[..10]);
    let alone = study(&set[..1], &[], Some((10, 7)), 1).unwrap();
    assert_eq!(values(&alone, 0), values(&few, 0));
    let other = study(&set, &[], Some((10, 8)), 1).unwrap();
    assert_ne!(values(&other, 0), values(&few, 0));
    let rates: Vec<f64> = values(&many, 0).iter().map(|value| value.parse().unwrap()).collect();
    assert!(rates.iter().all(|rate| (0.001..=0.3).contains(rate)), "{rates:?}");
    // Half of a logarithmic range is below the geometric mean, 0.0173, and a tenth of a uniform one.
    let low = rates.iter().filter(|rate| **rate < 0.0173).count();
    assert!((18..=42).contains(&low), "{low} of 60: {rates:?}");
    for (key, expected) in [(1, &["1", "2", "3", "4"][..]), (2, &["0.8", "0.9"])] {
        let found: BTreeSet<_> = values(&many, key).into_iter().collect();
        assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
    }
    // All of a small grid are found.
    let set = ["layers.q*.bits=1..4", "train.optimizer.momentum=[0.8,0.9]"];
    let all = study(&set, &[], Some((8, 0)), 1).unwrap();
    assert_eq!(names(&all).into_iter().collect::<BTreeSet<_>>().len(), 8);
    assert!(fault(&set, &[], Some((9, 0))).contains("--random 9: there are only 8 different combinations"));
    // Ends that are not positive are uniform.
    let decay = study(&["train.optimizer.weight_decay=0..0.5"], &[], Some((60, 0)), 1).unwrap();
    let low = values(&decay, 0).iter().filter(|value| value.parse::<f64>().unwrap() < 0.25).count();
    assert!((18..=42).contains(&low), "{low} of 60");
}

#[test]
fn names_are_short_unique_and_valid_on_every_system() {
    let value = |text: &str| Value { toml: text.into(), shown: text.into() };
    let name = |keys: &[&str], values: &[&str]| {
        let values: Vec<_> = values.iter().map(|text| value(text)).collect();
        names::of_arms("my recipe", &strings(keys), &[values]).remove(0)
    };
    for (keys, values, expected) in [
        (&["train.optimizer.lr", "layers.q*.bits"][..], &["0.1", "2"][..], "lr=0.1,q.bits=2"),
        (&["train.optimizer.kind", "train.loss.kind"], &["adam", "hinge"], "optimizer.kind=adam,loss.kind=hinge"),
        (&["model.layers.q.2.kind"], &["sign"], "q.2.kind=sign"),
        (&["layers.*.bits"], &["3"], "bits=3"),
        (&["data.mean"], &["[0.5,1.5]"], "mean=0.5_1.5"),
        (&["data.dir"], &["C:\\a/b|<é>\"?.."], "dir=C--a-b----"),
        (&[], &[], "my-recipe"),
    ] {
        let found = name(keys, values);
        assert!(found.starts_with(expected), "{found}");
        assert!(found.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+=,".contains(c)), "{found}");
    }
    let long = name(&["data.dir"], &[&"x".repeat(300)]);
    assert!(long.len() == 89 && long != name(&["data.dir"], &[&"x".repeat(301)]), "{long}");
    let alike = names::of_arms("", &strings(&["data.dir"]), &[vec![value("A")], vec![value("a")], vec![value("b")]]);
    assert!(alike[0].starts_with("dir=A-") && alike[1].starts_with("dir=a-") && alike[2] == "dir=b", "{alike:?}");
    assert_ne!(alike[0].to_lowercase(), alike[1].to_lowercase());
    // A name does not depend on the other values of its sweep.
    let string = |text: &str| vec![Value { toml: format!("{text:?}"), shown: text.into() }];
    let dirs = |all: &[&str]| {
        names::of_arms("", &strings(&["data.dir"]), &all.iter().map(|dir| string(dir)).collect::<Vec<_>>())
    };
    let [both, one, plain] = [&["a/b", "a-b"][..], &["a/b"], &["a-b"]].map(dirs);
    assert_eq!((&both[0], both[1].as_str(), plain[0].as_str()), (&one[0], "dir=a-b", "dir=a-b"));
}

#[test]
fn mistakes_name_the_option() {
    let lr = "train.optimizer.lr=[0.1,0.03]";
    for (set, fix, draws, parts) in [
        (&["train.optimizer.rate=[1,2]"][..], &[][..], None, &["--set train.optimizer.rate=1: ", "rate"][..]),
        (&["layers.x.bits=[1,2]"], &[], None, &["--set layers.x.bits=1: no layer has that name"]),
        (&[lr, "layers.q*.bits=[2, 99]"], &[], None, &["--set layers.q*.bits=99: "]),
        (
            &["data.mean=[0.5]"],
            &[],
            None,
            &["--set data.mean=0.5: ", "if [0.5] is one value, write --fix 'data.mean=[0.5]'"],
        ),
        (&[lr, "train.batch=[]"], &[], None, &["--set train.batch=[]: the list has no values"]),
        (
            &["train.batch=[32, x]"],
            &[],
            None,
            &["--set train.batch=[32, x]: the value is not valid TOML", "need quotes"],
        ),
        (&["train.batch"], &[], None, &["--set train.batch: there is no \"=\""]),
        (&[lr, "train.batch"], &[], None, &["--set train.batch: there is no \"=\""]),
        (&[lr], &["train.batch=x"], None, &["--fix train.batch=x: "]),
        (&[lr, lr], &[], None, &["train.optimizer.lr is given twice"]),
        (&[lr], &["train.optimizer.lr=1"], None, &["train.optimizer.lr is given twice"]),
        (&["train.seed=[1,2]"], &[], None, &["train.seed: --seeds N"]),
        (&["train.optimizer.lr=0.1..0.3"], &[], None, &["a range needs a random search: --random N"]),
        (&["train.optimizer.lr=0.3..0.1"], &[], Some((3, 0)), &["must go from the smaller"]),
        (&["train.batch=32"], &[], Some((3, 0)), &["--random: there is nothing to draw"]),
        (&[], &[], None, &["there is nothing to sweep"]),
        (&["train.optimizer.lr=[0.1, 0.10]"], &[], None, &["are the same network and training; list each value once"]),
    ] {
        let message = fault(set, fix, draws);
        assert!(parts.iter().all(|part| message.contains(part)), "{set:?}: {message}");
    }
    let many: Vec<_> = (1..=32).map(|value| value.to_string()).collect();
    let list = |key: &str| format!("{key}=[{}]", many.join(","));
    let (batch, patience) = (list("train.batch"), list("train.patience"));
    let message = fault(&[&batch, &patience], &[], None);
    assert!(message.contains("1024 combinations are more than 1000; list fewer values, or draw some"), "{message}");
    let message = study(&[&batch], &[], None, 400).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("32 combinations × 400 seeds are more than 10000 runs"), "{message}");
}

/// Outcomes of two learning rates × two widths, with two seeds.
fn outcomes() -> Vec<Vec<Option<Outcome>>> {
    let run = |last: f64| {
        Some(Outcome {
            curve: vec![(1, last)],
            images_per_s: Some(250.0),
            device: "a device".into(),
            ..Outcome::default()
        })
    };
    vec![vec![run(70.0), run(72.0)], vec![run(80.0), run(81.0)], vec![run(90.0), run(94.0)], vec![None, None]]
}

#[test]
fn a_table_is_sorted_marks_the_best_and_has_the_values() {
    let study = study(&["train.optimizer.lr=[0.1,0.03]", "layers.q*.bits=[1,2]"], &[], None, 2).unwrap();
    let outcomes = outcomes();
    let table = Table::new(&study, &outcomes);
    let expected = "\
combination          seeds  test accuracy, %  images/s
lr=0.03,q.bits=1 *       2      92.00 ± 2.83       250
lr=0.1,q.bits=2          2      80.50 ± 0.71       250
lr=0.1,q.bits=1          2      71.00 ± 1.41       250
lr=0.03,q.bits=2    0 of 2                 –         –
* highest mean
";
    assert_eq!(table.text(None), expected);
    let csv = table.csv();
    let head = "combination,network,seeds,runs,diverged,mean_percent,deviation_percent,images_per_s,train.optimizer.lr,layers.q*.bits";
    assert_eq!(csv.lines().next(), Some(head));
    assert_eq!(csv.lines().nth(3), Some("\"lr=0.03,q.bits=1\",digits,2,2,0,92.0000,2.8284,250.0000,0.03,1"));
    let markdown = table.markdown();
    for part in [
        "# digits-sweep: train.optimizer.lr=[0.1,0.03] × layers.q\\*.bits=[1,2]\n",
        "Recipe digits. Produced by halfwave",
        "| combination | `train.optimizer.lr` | `layers.q*.bits` | seeds | test accuracy, % | images/s |\n|---|---|---|---:|---:|---:|\n",
        "| **lr=0.03,q.bits=1** | 0.03 | 1 | 2 | 92.00 ± 2.83 |",
        "Bold: the highest mean.",
        "![accuracy by value](by-value.svg)",
    ] {
        assert!(markdown.contains(part), "{part} is not in {markdown}");
    }
    let by_value = table.by_value().unwrap();
    assert_eq!(by_value.key, "train.optimizer.lr");
    let lines: Vec<_> = by_value.lines.iter().map(|(name, points)| (name.as_str(), points.len())).collect();
    assert_eq!(lines, [("bits=1", 2), ("bits=2", 1)]);
    assert_eq!(by_value.lines[0].1[0].0, 0.03, "sorted by value");
}

#[test]
fn validation_decides_and_diverged_runs_come_last() {
    let study = study(&["train.optimizer.lr=[0.1,0.03,0.01]"], &[], None, 2).unwrap();
    let run = |test: f64, validation: f64| {
        let validation = vec![(1, validation - 20.0), (2, validation)];
        Some(Outcome { curve: vec![(2, test)], validation, ..Outcome::default() })
    };
    let diverged = Some(Outcome { diverged: Some(3), ..Outcome::default() });
    let outcomes = [vec![run(90.0, 60.0), run(90.0, 62.0)], vec![run(80.0, 70.0); 2], vec![run(99.0, 99.0), diverged]];
    let table = Table::new(&study, &outcomes);
    let expected = "\
combination          seeds  test accuracy, %  validation, %  images/s
lr=0.03 *                2      80.00 ± 0.00          70.00         –
lr=0.1                   2      90.00 ± 0.00          61.00         –
lr=0.01      2, 1 diverged             99.00          99.00         –
* highest mean on the validation images
";
    assert_eq!(table.text(None), expected);
    assert!(table.csv().starts_with("combination,network,seeds,runs,diverged,mean_percent,deviation_percent,images_per_s,validation_percent,train.optimizer.lr\n"));
    assert!(table.csv().contains("\nlr=0.1,digits,2,2,0,90.0000,0.0000,,61.0000,0.1\n"), "{}", table.csv());
    assert!(table.markdown().contains("|---|---|---:|---:|---:|---:|\n| lr=0.1 | 0.1 | 2 |"), "{}", table.markdown());
    // The plots show what decides: test images are evaluated only once.
    assert_eq!(table.drawn_accuracy(), "validation accuracy");
    let curve: Vec<_> = table.curves()[0].iter().map(|point| (point.0, point.1)).collect();
    assert_eq!(curve, [(1, 41.0), (2, 61.0)]);
    assert_eq!(table.by_value().unwrap().lines[0].1[2], (0.1, 61.0, Some(2.0_f64.sqrt())));
}

#[test]
fn of_many_arms_the_best_are_drawn() {
    let study = study(&["layers.q1.bits=[1,2,3]", "layers.q2.bits=[1,2,3]"], &[], None, 1).unwrap();
    let run = |last: f64| vec![Some(Outcome { curve: vec![(1, last)], ..Outcome::default() })];
    let outcomes: Vec<_> = (0..9).map(|at| run(90.0 - f64::from(at))).collect();
    let (curves, all) = Table::new(&study, &outcomes).drawn();
    assert!(!all && curves.len() == 8 && curves.iter().all(|(name, _)| name != "q1.bits=3,q2.bits=3"), "{curves:?}");
    assert_eq!(curves[0].0, study.arms[0].name);
}
