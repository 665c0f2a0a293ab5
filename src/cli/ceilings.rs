//! Ceilings of an adapter: measured once, then kept in the user's cache folder.
//!
//! **Invariant:** the cache is a convenience: whatever is wrong with it ends in a note, never in an error.

use super::device;
use super::terminal::{bytes, complain};
use halfwave::backend::Device;
use halfwave::backend::gpu::GpuBackend;
use halfwave::bits::{FNV_START, fnv_1a};
use halfwave::profile::{Ceiling, Ceilings, ceilings};
use halfwave::{Error, Result, files};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Ceilings, and what they are of: a cache file's content.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(super) struct Measured {
    /// Version of halfwave.
    halfwave: String,
    /// Version of the form.
    version: u32,
    /// The device.
    pub(super) device: Device,
    /// When they were measured, in UTC.
    pub(super) when: String,
    /// What was measured.
    pub(super) ceilings: Ceilings,
    /// The file that they come from; none where they were measured just now.
    #[serde(skip)]
    pub(super) cached: Option<PathBuf>,
}

/// The ceilings of the adapter that was asked for, or of the best there is: from the cache, or measured on a device opened for that alone where there are none or
/// `fresh` ones are wanted.
pub(super) fn ceilings(wanted: Option<&str>, fresh: bool) -> Result<Measured> {
    let chosen = device::adapter(wanted, "the CPU backend has no kernels, so it has no ceilings")?;
    let device = Device::from(&chosen.report);
    let file = folder(std::env::var_os("HALFWAVE_CACHE_DIR")).map(|folder| folder.join(file_name(&device)));
    if let Some(kept) = file.as_deref().filter(|_| !fresh).and_then(|file| read(file, &device)) {
        return Ok(kept);
    }
    let ceilings = pollster::block_on(async {
        let mut backend = GpuBackend::open(chosen, None).await?;
        Ceilings::measure(&mut backend).await
    })?;
    let measured = Measured {
        halfwave: env!("CARGO_PKG_VERSION").to_string(),
        version: ceilings::VERSION,
        device,
        when: jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        ceilings,
        cached: None,
    };
    match file {
        Some(file) => write(&file, &measured),
        None => complain("note", &"there is no cache folder to keep the ceilings in; HALFWAVE_CACHE_DIR names one"),
    }
    Ok(measured)
}

/// HALFWAVE_CACHE_DIR, or a folder in the user's cache.
fn folder(named: Option<OsString>) -> Option<PathBuf> {
    let named = named.filter(|named| !named.is_empty());
    named.map(PathBuf::from).or_else(|| Some(dirs::cache_dir()?.join("halfwave")))
}

/// Another adapter, driver, version of halfwave or of the form has another file.
fn file_name(device: &Device) -> String {
    let Device { adapter, backend, driver, .. } = device;
    let version = ceilings::VERSION;
    let key = format!("{adapter}\n{backend}\n{driver}\n{}\n{version}", env!("CARGO_PKG_VERSION"));
    format!("ceilings-{:016x}.json", fnv_1a(FNV_START, key.as_bytes()))
}

/// What is kept, if it is whole and of this device.
fn read(file: &Path, device: &Device) -> Option<Measured> {
    let useless = |why: &dyn std::fmt::Display| {
        complain("note", &format_args!("{} is of no use ({why}); measuring again", file.display()));
    };
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            if error.kind() != ErrorKind::NotFound {
                useless(&error);
            }
            return None;
        }
    };
    match serde_json::from_str::<Measured>(&text) {
        Ok(kept) => {
            let (halfwave, version) = (env!("CARGO_PKG_VERSION"), ceilings::VERSION);
            let same = kept.device == *device && kept.halfwave == halfwave && kept.version == version;
            if !same {
                useless(&"it is of another device or version");
            }
            same.then(|| Measured { cached: Some(file.to_path_buf()), ..kept })
        }
        Err(error) => {
            useless(&error);
            None
        }
    }
}

fn write(file: &Path, measured: &Measured) {
    let text = serde_json::to_string_pretty(measured).expect("ceilings are plain data") + "\n";
    let folder = file.parent().unwrap_or(Path::new("."));
    let made = fs::create_dir_all(folder).map_err(Error::io(folder));
    if let Err(error) = made.and_then(|()| files::replace(file, text.as_bytes())) {
        complain("note", &format_args!("the ceilings are not kept: {error}; HALFWAVE_CACHE_DIR names another folder"));
    }
}

/// A table for people, a ceiling a line.
pub(super) fn table(ceilings: &Ceilings) -> String {
    let Ceilings { copy, float, half, bit, dot, workgroup, launch } = ceilings;
    let of_copy = |copy: &halfwave::profile::ceilings::Copy| {
        (format!("copy, working set {}", bytes(copy.working_set_bytes)), Some(copy.ceiling), 1e9, "GB/s")
    };
    let mut rows: Vec<_> = copy.iter().map(of_copy).collect();
    let row = |what: &str, ceiling, unit, name| (what.to_string(), ceiling, unit, name);
    rows.extend([
        row("workgroup memory, reads", Some(*workgroup), 1e9, "GB/s"),
        row("f32 multiply-add", Some(*float), 1e9, "GFLOP/s"),
        row("f16 multiply-add", *half, 1e9, "GFLOP/s"),
        row("and + popcount + add", Some(*bit), 1e9, "Gbitop/s"),
        row("dot4I8Packed + add", *dot, 1e9, "GOP/s"),
        row("launch overhead", Some(*launch), 1e3, "µs"),
    ]);
    let mut text = format!("{:<26} {:>17}  {:>6}  {:>8}\n", "what", "ceiling", "spread", "doubling");
    for (what, ceiling, unit, name) in rows {
        match ceiling {
            Some(ceiling) => {
                let Ceiling { value, spread, doubling } = ceiling;
                let verdict = ceiling.doubt().map_or("plausible".to_string(), |doubt| format!("doubtful: {doubt}"));
                let value = format!("{} {name:<8}", significant(value / unit));
                let spread = format!("{:.0} %", spread * 100.0);
                text += &format!("{what:<26} {value:>17}  {spread:>6}  {doubling:>8.2}  {verdict}\n");
            }
            None => text += &format!("{what:<26} {:>17}\n", "not offered"),
        }
    }
    text
}

/// At least three digits.
fn significant(value: f64) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured() -> Measured {
        let ceiling = Ceiling { value: 1.5e9, spread: 0.02, doubling: 1.99 };
        let copy = ceilings::Copy { working_set_bytes: 1 << 20, ceiling };
        let ceilings = Ceilings {
            copy: vec![copy],
            float: Ceiling { spread: 0.5, ..ceiling },
            half: None,
            bit: ceiling,
            dot: Some(ceiling),
            workgroup: ceiling,
            launch: Ceiling { value: 12_345.0, ..ceiling },
        };
        let device = Device { adapter: "a".into(), backend: "Vulkan".into(), driver: "1".into(), kind: "other".into() };
        let (halfwave, when) = (env!("CARGO_PKG_VERSION").to_string(), "now".to_string());
        Measured { halfwave, version: ceilings::VERSION, device, when, ceilings, cached: None }
    }

    #[test]
    fn what_is_kept_comes_back_if_it_is_whole_and_of_the_same_device() {
        let base = tempfile::tempdir().unwrap();
        let file = base.path().join("a/b/kept.json");
        let measured = measured();
        assert_eq!(read(&file, &measured.device), None);
        write(&file, &measured);
        let kept = read(&file, &measured.device).unwrap();
        assert_eq!(kept, Measured { cached: Some(file.clone()), ..measured.clone() });
        let other = Device { driver: "2".to_string(), ..measured.device.clone() };
        assert_eq!(read(&file, &other), None);
        assert_ne!(file_name(&measured.device), file_name(&other));
        write(&file, &Measured { version: ceilings::VERSION + 1, ..measured.clone() });
        assert_eq!(read(&file, &measured.device), None);
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert_eq!(read(&file, &measured.device), None);
        // Neither a file where a folder should be, nor a folder where a file should be, stops anything.
        write(&file.join("below.json"), &measured);
        fs::create_dir(base.path().join("folder.json")).unwrap();
        assert_eq!(read(&base.path().join("folder.json"), &measured.device), None);
        write(&base.path().join("folder.json"), &measured);
    }

    #[test]
    fn the_cache_folder_can_be_chosen() {
        assert_eq!(folder(Some("/somewhere".into())), Some(PathBuf::from("/somewhere")));
        assert!(folder(Some("".into())).is_none_or(|folder| folder.ends_with("halfwave")));
    }

    #[test]
    fn a_table_marks_what_is_doubtful() {
        let text = table(&measured().ceilings);
        let line = |what: &str| text.lines().find(|line| line.starts_with(what)).unwrap().to_string();
        assert!(line("f32").ends_with("doubtful: repetitions scatter by 50 %"), "{text}");
        assert!(line("f16").ends_with("not offered"), "{text}");
        assert!(line("copy").contains("1 MiB") && line("copy").contains("1.50 GB/s"), "{text}");
        assert!(line("launch").contains("12.3 µs") && line("launch").ends_with("plausible"), "{text}");
    }
}
