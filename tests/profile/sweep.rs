//! `halfwave profile --kernel`: sweeps of one operation.

use super::command::{command, fails, out};
use super::common;
use halfwave::backend::{Backend, gpu::GpuBackend};
use halfwave::ops::{Op, bconv::Bconv, window::Window};
use halfwave::profile::sweep::{Point, Sweep};
use halfwave::tensor::{Encoding, TensorType};
use pollster::block_on;
use std::collections::BTreeSet;
use std::fs;

/// 2 images of 6 × 5, 32 filters of 3 × 3, codes of 2 bits.
const SIZES: [&str; 8] = ["--size", "batch=2", "--size", "height=6", "--size", "width=5", "--size", "filters=32"];
const POSITIONS: usize = 2 * 6 * 5;

/// Returns the kernels that a device offers for the operation with these channels, the estimated one
/// first.
fn offers(backend: &GpuBackend, channels: usize) -> Vec<&'static str> {
    let op = Op::from(Bconv::uniform(Window::square(3, 1, 1), 1.0));
    let codes = TensorType::new(&[2, 6, 5, channels], Encoding::Planes(2));
    let signs = TensorType::new(&[3, 3, channels.div_ceil(32), 32], Encoding::U32);
    let inputs = [&codes, &signs, &TensorType::f32(&[32])];
    let output = op.infer(&inputs).unwrap();
    let offers = op.candidates(&inputs, &output, &op.caps(&inputs, &output, backend.caps()));
    offers.iter().map(|offer| offer.kernel).collect()
}

fn kernels(point: &Point) -> BTreeSet<&str> {
    point.kernels.iter().map(|kernel| kernel.timed.kernel.as_str()).collect()
}

#[test]
fn a_sweep_measures_every_kernel_for_every_value() {
    common::on_each_driver("sweep::a_sweep_measures_every_kernel_for_every_value", || {
        let Some(found) = common::adapter() else { return };
        let backend = block_on(GpuBackend::open(found, None)).unwrap();
        let base = tempfile::tempdir().unwrap();
        let dir = base.path();
        let adapter = ["--adapter", "0", "--steps", "2"];
        let sweep =
            ["--kernel", "bconv", "--sweep", "channels=32,64,160", "--json", "s.json", "--csv", "s.csv", "--all"];
        let shown = out(dir, &[&adapter[..], &sweep, &SIZES].concat());
        let text = fs::read_to_string(dir.join("s.json")).unwrap();
        let read: Sweep = serde_json::from_str(&text).unwrap();
        assert_eq!(read.to_json(), text);
        assert_eq!((read.stem.as_str(), read.size.to_string().as_str(), read.rounds), ("bconv", "channels", 2));
        let others: Vec<_> = read.sizes.iter().map(|(size, value)| format!("{size}={value}")).collect();
        assert_eq!(others.join(" "), "batch=2 height=6 width=5 filters=32 window=3 stride=1 bits=2");
        assert!(read.device.adapter == backend.name() && !read.device.driver.is_empty(), "{:?}", read.device);
        assert!(read.origin.command.iter().any(|arg| arg == "channels=32,64,160"), "{:?}", read.origin);

        assert_eq!(read.points.iter().map(|point| point.value).collect::<Vec<_>>(), [32, 64, 160]);
        for point in &read.points {
            let (channels, expected) = (point.value, offers(&backend, point.value));
            assert_eq!(kernels(point), expected.iter().copied().collect(), "{channels} channels");
            assert!(point.estimate == expected[0] && point.kernels.len() == expected.len());
            assert_eq!(point.bit_ops as usize, 2 * 2 * POSITIONS * 32 * 9 * channels);
            // Codes of two planes, signs, and sums as i16.
            let bytes = POSITIONS * 2 * channels / 8 + 9 * 32 * channels / 8 + POSITIONS * 32 * 2;
            for kernel in &point.kernels {
                assert!(kernel.timed.median_ns > 0 && kernel.fraction_of_bound > 0.0, "{kernel:?}");
                // Kernels on matrices have a launch of their own for the largest number, if any.
                assert!(kernel.timed.bytes as usize >= bytes, "{kernel:?}");
                let name = format!("{}\n", kernel.timed.kernel);
                assert!(shown.contains(name.trim_end()), "{name} is not in\n{shown}");
            }
            assert_eq!(point.estimated().unwrap().timed.bytes as usize, bytes);
            assert!(point.kernels.is_sorted_by_key(|kernel| kernel.timed.median_ns));
        }

        let csv = fs::read_to_string(dir.join("s.csv")).unwrap();
        let (head, rows) = csv.split_once('\n').unwrap();
        assert!(
            head.starts_with("stem,channels,batch,height,")
                && head.ends_with(",adapter,backend,driver,halfwave,commit,command")
        );
        assert_eq!(rows.lines().count(), read.points.iter().map(|point| point.kernels.len()).sum::<usize>());
        for row in rows.lines() {
            // Names of adapters contain commas, which are quoted.
            let plain: String = row.split('"').step_by(2).collect();
            assert_eq!(plain.split(',').count(), head.split(',').count(), "{row}");
            assert!(row.contains(&read.device.adapter) && row.contains("--kernel bconv"), "{row}");
        }

        // A single kernel.
        let name = format!("bconv_{}", read.points[0].estimate);
        let one = ["--kernel", &name, "--sweep", "bits=1,2", "--json", "one.json"];
        let shown = out(dir, &[&adapter[..], &one, &SIZES, &["--size", "channels=32"]].concat());
        assert!(shown.contains("the same") && shown.contains("Mbitop"), "{shown}");
        let read: Sweep = serde_json::from_str(&fs::read_to_string(dir.join("one.json")).unwrap()).unwrap();
        let work: Vec<_> = read.points.iter().map(|point| (point.kernels.len(), point.bit_ops)).collect();
        let unit = 2 * (POSITIONS * 32 * 9 * 32) as u64;
        assert_eq!(work, [(1, unit), (1, 2 * unit)]);

        let unknown = ["--kernel", "bconv_tile65", "--sweep", "channels=32"];
        fails(dir, &[&adapter[..], &unknown, &SIZES].concat(), &["no kernel bconv_tile65", &read.points[0].estimate]);
        let large = ["--kernel", "conv", "--sweep", "batch=8192", "--size", "height=512", "--size", "width=512"];
        fails(dir, &[&adapter[..], &large].concat(), &["batch=8192: f32[8192×512×512×128] takes", "binds at most"]);
    });
}

#[test]
fn wrong_sweeps_are_refused_before_anything_is_measured() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path();
    fails(dir, &["--kernel", "relu", "--sweep", "channels=1"], &["--kernel relu", "bconv_dw"]);
    fails(dir, &["--kernel", "conv", "--sweep", "bits=1"], &["conv has no size \"bits\"", "channels"]);
    fails(dir, &["--kernel", "bconv", "--sweep", "bits=0"], &["bits=0: it takes whole numbers from 1 to 8"]);
    fails(dir, &["--kernel", "bconv", "--sweep", "bits=1", "--csv", "no/such.csv"], &["no/such.csv"]);
    fails(
        dir,
        &["--kernel", "bconv", "--sweep", "bits=1", "--adapter", "cpu"],
        &["the CPU backend has one implementation"],
    );
    for args in
        [&["--kernel", "conv"][..], &["--sweep", "bits=1"], &["digits", "--kernel", "conv", "--sweep", "batch=1"]]
    {
        assert_eq!(command(dir, args).status.code(), Some(2), "{args:?}");
    }
    assert!(!dir.join("cache").exists(), "something was measured");
}
