//! Recognises files given in place of a safetensors file by their contents, so that a message can
//! say what the file is and how to extract its weights.

use crate::data::FileKind;
use safetensors::SafeTensorError;
use std::path::Path;

/// Number of bytes of a file that [`recognise`] examines.
pub(super) const START: usize = 512;
/// Maximum length of a safetensors header.
const MOST_HEADER: u64 = 100_000_000;

/// How to extract the weights.
#[derive(Clone, Copy)]
enum Advice {
    /// `torch.load`.
    Torch,
    /// `numpy.load`.
    Numpy,
    /// Advice as text.
    Say(&'static str),
}

const EXPORT: Advice = Advice::Say("export its weights as safetensors, under PyTorch's names and layouts");
const SWAPPED: Advice = Advice::Say("name a checkpoint or a run's folder here");

/// File kinds by the bytes at an offset: formats that hold weights, and pictures; [`FileKind`] knows
/// others.
const STARTS: &[(usize, &[u8], &str, Advice)] = &[
    (
        0,
        b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
        "a file of torch.save in its old format",
        Advice::Torch,
    ),
    (0, b"\x80\x02", "a Python pickle, as old .pth and .pt files are", Advice::Torch),
    (0, b"\x80\x03", "a Python pickle", Advice::Torch),
    (0, b"\x80\x04", "a Python pickle", Advice::Torch),
    (0, b"\x80\x05", "a Python pickle", Advice::Torch),
    (0, b"\x93NUMPY", "a single NumPy array (.npy)", EXPORT),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", EXPORT),
    (0, b"GGUF", "a GGUF file", EXPORT),
    (0, b"lmgg", "a GGML file", EXPORT),
    (4, b"TFL3", "a TensorFlow Lite model", EXPORT),
    (0, b"\x89PNG\r\n\x1a\n", "a picture (PNG)", SWAPPED),
    (0, b"\xff\xd8\xff", "a picture (JPEG)", SWAPPED),
];

/// Recognises a file by its first [`START`] bytes, if it is a known kind other than safetensors:
/// returns a message with what to do. `path` is used in it.
pub(super) fn recognise(start: &[u8], path: &Path) -> Option<String> {
    if header_len(start).is_some() && start.get(8) == Some(&b'{') {
        return None;
    }
    let (what, way) = kind(start)?;
    let way = match way {
        Advice::Torch => python(
            path,
            "import torch",
            "torch",
            |file| format!("torch.load('{file}', map_location='cpu', weights_only=True)"),
            " (for a training checkpoint, add ['state_dict'] or the name of its weights)",
        ),
        Advice::Numpy => python(path, "import numpy", "numpy", |file| format!("dict(numpy.load('{file}'))"), ""),
        Advice::Say(text) => text.to_string(),
    };
    Some(format!("this is {what}, not a safetensors file; {way}"))
}

/// A command that converts to safetensors what `load` reads from a file.
fn python(path: &Path, import: &str, flavour: &str, load: impl Fn(&str) -> String, more: &str) -> String {
    let name = path.display().to_string();
    // Names that need quoting are replaced.
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let name = if name.chars().all(plain) { name } else { "weights".to_string() };
    let target = Path::new(&name).with_extension("safetensors");
    format!(
        "convert it: python3 -c \"{import}; from safetensors.{flavour} import save_file; save_file({}, '{}')\"{more}",
        load(&name),
        target.display()
    )
}

fn kind(start: &[u8]) -> Option<(&'static str, Advice)> {
    let holds = |text: &str| start.windows(text.len()).any(|part| part == text.as_bytes());
    if start.starts_with(b"PK\x03\x04") {
        return Some(match () {
            () if holds(".npy") => ("an archive of NumPy arrays (.npz)", Advice::Numpy),
            () if holds("metadata.json") || holds("config.json") || holds("weights.h5") => ("a Keras model", EXPORT),
            () if holds("data.pkl") => ("a PyTorch file (.pth, .pt)", Advice::Torch),
            () => ("a ZIP archive, as PyTorch's .pth and .pt files are", Advice::Torch),
        });
    }
    if let Some(&(.., what, way)) =
        STARTS.iter().find(|(at, magic, ..)| start.get(*at..).is_some_and(|part| part.starts_with(magic)))
    {
        return Some((what, way));
    }
    // Protocol buffers: the version as field 1, then a string or message as field 2, 3, 7 or 8.
    if let [8, version @ 1..=32, 0x12 | 0x1a | 0x3a | 0x42, ..] = start {
        let what = if *version < 3 { "a TensorFlow SavedModel" } else { "an ONNX model" };
        return Some((what, EXPORT));
    }
    if holds("\"weight_map\"") {
        return Some(("the index of a model in several files", Advice::Say("merge them into one safetensors file")));
    }
    let kind = FileKind::of(start)?;
    Some((kind.what, if kind.wraps() { Advice::Say(kind.advice) } else { SWAPPED }))
}

/// Length of a safetensors header, if these bytes can be the start of such a file.
fn header_len(bytes: &[u8]) -> Option<u64> {
    let len = u64::from_le_bytes(*bytes.first_chunk()?);
    (2..=MOST_HEADER).contains(&len).then_some(len)
}

/// Explains why these bytes are not a safetensors file, given the reader's `error`, and what to do.
pub(super) fn explain(bytes: &[u8], path: &Path, error: &SafeTensorError) -> String {
    if let Some(message) = recognise(&bytes[..bytes.len().min(START)], path) {
        return message;
    }
    let found = bytes.len() as u64;
    let described = header_len(bytes).filter(|_| bytes.get(8).is_none_or(|&first| first == b'{')).map(|len| {
        let header = bytes.get(8..8 + len as usize);
        let header = header.and_then(|json| serde_json::from_slice::<serde_json::Value>(json).ok());
        let tensors = header.as_ref().and_then(serde_json::Value::as_object).into_iter().flat_map(|map| map.values());
        let ends = tensors.filter_map(|tensor| tensor["data_offsets"][1].as_u64());
        (8 + len).saturating_add(ends.max().unwrap_or(0))
    });
    match described {
        Some(wanted) if found < wanted => {
            format!(
                "this safetensors file is incomplete: it ends after {found} of at least {wanted} bytes; download or copy it again"
            )
        }
        Some(wanted) if found > wanted && matches!(error, SafeTensorError::MetadataIncompleteBuffer) => {
            format!(
                "this safetensors file has {found} bytes, {} more than its header describes; download or copy it again",
                found - wanted
            )
        }
        Some(_) => format!("this safetensors file is damaged ({error}); download or copy it again"),
        None => format!("this is not a safetensors file ({error}); name a checkpoint or a run's folder"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: &[u8]) -> String {
        let error = safetensors::SafeTensors::deserialize(bytes).unwrap_err();
        explain(bytes, Path::new("dir/w.pth"), &error)
    }

    #[test]
    fn files_of_other_kinds_are_told() {
        let zip = |name: &str| [b"PK\x03\x04", &[0; 26][..], name.as_bytes(), &[7; 100]].concat();
        let mut tar = vec![b'a'; 600];
        tar[257..262].copy_from_slice(b"ustar");
        let cases: [(&[u8], &str, &str); 24] = [
            (b"", "an empty file", "again"),
            (
                &zip("archive/data.pkl"),
                "a PyTorch file (.pth, .pt)",
                "torch.load('dir/w.pth', map_location='cpu', weights_only=True), 'dir/w.safetensors')\"",
            ),
            (
                &zip("conv1.weight.npy"),
                "NumPy arrays (.npz)",
                "save_file(dict(numpy.load('dir/w.pth')), 'dir/w.safetensors')\"",
            ),
            (&zip("metadata.json"), "a Keras model", "export"),
            (&zip("x"), "a ZIP archive, as PyTorch's", "torch.load"),
            (
                b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.",
                "torch.save in its old format",
                "torch.load",
            ),
            (b"\x80\x04\x95", "a Python pickle", "torch.load"),
            (b"\x93NUMPY\x01\0", "a single NumPy array", "export"),
            (b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file", "export"),
            (b"GGUF\x03\0\0\0", "a GGUF file", "export"),
            (b"\x1c\0\0\0TFL3", "a TensorFlow Lite model", "export"),
            (b"\x08\x08\x12\x07pytorch", "an ONNX model", "export"),
            (b"\x08\x0a\x3a\x80\x80", "an ONNX model", "export"),
            (b"\x08\x01\x12\x80\x80", "a TensorFlow SavedModel", "export"),
            (b"\x1f\x8b\x08\0", "a gzip archive", "unpack"),
            (&tar, "a tar archive", "unpack"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "a Git LFS pointer", "git lfs pull"),
            (b"\xef\xbb\xbf \n<!DOCTYPE HTML><title>404</title>", "an HTML page", "fetch"),
            (b"<html>", "an HTML page", "fetch"),
            (b"{\"metadata\": {}, \"weight_map\": {}}", "the index of a model in several files", "merge"),
            (b"[model]\ninput = [1, 8, 8]", "a text", "checkpoint"),
            ("wörds, no tensors".as_bytes(), "a text", "checkpoint"),
            (b"\x89PNG\r\n\x1a\n\0", "a picture (PNG)", "checkpoint"),
            (b"\xff\xd8\xff\xe0", "a picture (JPEG)", "checkpoint"),
        ];
        for (bytes, what, way) in cases {
            let message = message(bytes);
            assert!(message.starts_with("this is ") && message.contains(what), "{what}: {message}");
            assert!(message.contains(", not a safetensors file; ") && message.contains(way), "{what}: {message}");
        }
        let quoted = recognise(&zip("data.pkl"), Path::new("a b's.pth")).unwrap();
        assert!(quoted.contains("torch.load('weights', "), "{quoted}");
    }

    #[test]
    fn damage_is_told_from_other_kinds() {
        let json = br#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
        let whole = [&(json.len() as u64).to_le_bytes()[..], json, &[0; 8]].concat();
        assert!(safetensors::SafeTensors::deserialize(&whole).is_ok());
        assert_eq!(recognise(&whole, Path::new("w")), None);
        let total = whole.len();
        let cut = format!("this safetensors file is incomplete: it ends after {} of at least {total} bytes", total - 1);
        assert!(message(&whole[..total - 1]).contains(&cut), "{}", message(&whole[..total - 1]));
        for len in [8, 9, 20, total - 9] {
            assert!(
                message(&whole[..len]).contains("this safetensors file is incomplete"),
                "{len}: {}",
                message(&whole[..len])
            );
        }
        assert!(message(&[&whole[..], b"tail"].concat()).contains("4 more than its header describes"));
        let other = String::from_utf8_lossy(json).replace("[2]", "[3]").into_bytes();
        let damaged = [&(other.len() as u64).to_le_bytes()[..], &other, &[0; 8]].concat();
        assert!(message(&damaged).contains("damaged (invalid shape"), "{}", message(&damaged));
        // The length as a big-endian number.
        let swapped = [&(json.len() as u64).to_be_bytes()[..], json, &[0; 8]].concat();
        assert!(message(&swapped).contains("not a safetensors file (header too large)"), "{}", message(&swapped));
        assert!(message(&[0xfe; 40]).contains("not a safetensors file"));
    }
}
