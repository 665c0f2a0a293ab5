//! Recognises files by their first bytes, so that a message can say what was given instead of what
//! is needed.

/// A kind of file that is often given by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileKind {
    /// Description with its article: "a zip archive".
    pub what: &'static str,
    /// How to get pictures out of it.
    pub advice: &'static str,
}

/// Number of bytes of a file that [`FileKind::of`] examines.
pub(super) const START: usize = 512;

/// Advice for files that contain or stand for the one needed.
const UNPACK: &str = "unpack it first";
const FETCH: &str = "fetch the file itself again";
const PULL: &str = "run git lfs pull";
/// Advice for files in other formats.
const EXPORT: &str = "export its images as PNG or JPEG files, or as IDX files, first";
/// Advice for files that are not about images, in a folder of images.
const REMOVE: &str = "remove it";
const CONVERT: &str = "convert it to PNG or JPEG first";

/// The first bytes of each kind, at an offset.
const STARTS: &[(usize, &[u8], &str, &str)] = &[
    (0, b"PK\x03\x04", "a zip archive", UNPACK),
    (0, b"PK\x05\x06", "an empty zip archive", FETCH),
    (0, b"\x1f\x8b", "a gzip archive", UNPACK),
    (0, b"BZh", "a bzip2 archive", UNPACK),
    (0, b"\xfd7zXZ\0", "an xz archive", UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", UNPACK),
    (257, b"ustar", "a tar archive", UNPACK),
    (0, b"\x93NUMPY", "a NumPy array", EXPORT),
    (0, b"PAR1", "a Parquet table", EXPORT),
    (0, b"ARROW1", "an Arrow table", EXPORT),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", EXPORT),
    (0, b"MATLAB 5.0 MAT-file", "a MATLAB file", EXPORT),
    (0, b"SQLite format 3\0", "an SQLite database", EXPORT),
    (0, b"\x80\x02", "a Python pickle", EXPORT),
    (0, b"\x80\x03", "a Python pickle", EXPORT),
    (0, b"\x80\x04", "a Python pickle", EXPORT),
    (0, b"\x80\x05", "a Python pickle", EXPORT),
    (0, b"version https://git-lfs", "a Git LFS pointer and not the file that it stands for", PULL),
    (0, b"%PDF-", "a PDF document", CONVERT),
    (0, b"8BPS", "a Photoshop file", CONVERT),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "a JPEG XL picture", CONVERT),
    (0, b"\xff\x0a", "a JPEG XL picture", CONVERT),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", CONVERT),
    (0, b"DDS ", "a DDS texture", CONVERT),
    (0, b"\0\0\x01\0", "an icon", CONVERT),
    (0, b"SIMPLE  =", "a FITS image", CONVERT),
    (128, b"DICM", "a DICOM image", CONVERT),
    (0, b"\x1a\x45\xdf\xa3", "a video", "extract its frames as PNG or JPEG first"),
    (0, b"RIFF", "an audio or video file", "extract its frames as PNG or JPEG first"),
    (0, b"\0\x05\x16\x07", "metadata that macOS wrote beside a file", REMOVE),
    (0, b"\x7fELF", "a program", REMOVE),
    (0, b"MZ", "a program", REMOVE),
];

impl FileKind {
    /// Recognises a file by its first 512 bytes; `None` for a readable
    /// picture or an unknown kind.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let start = &bytes[..bytes.len().min(START)];
        let kind = |what, advice| Some(Self { what, advice });
        if start.is_empty() {
            return kind("an empty file", FETCH);
        }
        // Boxes of ISO's base media format: the brand distinguishes pictures from videos.
        if start.get(4..8) == Some(b"ftyp") {
            return match start.get(8..12) {
                Some(b"avif" | b"avis") => kind("an AVIF picture", CONVERT),
                Some(b"heic" | b"heix" | b"hevc" | b"mif1" | b"msf1" | b"heim" | b"heis") => {
                    kind("a HEIC picture", CONVERT)
                }
                _ => kind("a video", "extract its frames as PNG or JPEG first"),
            };
        }
        if start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP") {
            return None;
        }
        let known = STARTS.iter().find(|(at, magic, ..)| start.get(*at..).is_some_and(|part| part.starts_with(magic)));
        if let Some(&(_, _, what, advice)) = known {
            return kind(what, advice);
        }
        let text = std::str::from_utf8(start).ok().or_else(|| {
            // A character may be cut off at the end.
            std::str::from_utf8(&start[..start.len().saturating_sub(3)]).ok()
        })?;
        let text = text.trim_start_matches('\u{feff}').trim_start();
        let begins = |word: &str| text.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word));
        let lower = text.to_ascii_lowercase();
        match () {
            () if begins("<!doctype html") || begins("<html") => kind("an HTML page", FETCH),
            () if begins("<svg") || begins("<?xml") && lower.contains("<svg") => kind("an SVG drawing", CONVERT),
            () if begins("<?xml") => kind("an XML document", REMOVE),
            // The pictures of netpbm start with text, and so does XBM.
            () if begins("P") && text.as_bytes().get(1).is_some_and(u8::is_ascii_digit) => None,
            () if text.chars().all(|c| !c.is_control() || c.is_whitespace()) => kind("a text file", REMOVE),
            () => None,
        }
    }

    /// What to do with a file that was named in the place of another one; `otherwise` where the only
    /// advice is to remove it from a folder.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn advice_or(self, otherwise: &'static str) -> &'static str {
        if self.advice == REMOVE { otherwise } else { self.advice }
    }

    /// Whether it contains or stands for another file, so that the advice applies whatever was
    /// needed.
    pub fn wraps(self) -> bool {
        [UNPACK, FETCH, PULL].contains(&self.advice)
    }

    /// The kind of the file `path`; `None` if it cannot be read or is not a regular file: reading
    /// from a pipe would never end.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn of_file(path: &std::path::Path) -> Option<Self> {
        use std::io::Read;
        if !path.is_file() {
            return None;
        }
        let mut start = Vec::with_capacity(START);
        std::fs::File::open(path).ok()?.take(START as u64).read_to_end(&mut start).ok()?;
        Self::of(&start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_their_first_bytes() {
        let what = |start: &[u8]| FileKind::of(start).map(|kind| kind.what);
        let mut tar = vec![0; 300];
        tar[257..262].copy_from_slice(b"ustar");
        let mut dicom = vec![0; 140];
        dicom[128..132].copy_from_slice(b"DICM");
        for (start, wanted) in [
            (&b""[..], "an empty file"),
            (b"PK\x03\x04\x14\0", "a zip archive"),
            (b"PAR1\x15", "a Parquet table"),
            (b"\x93NUMPY\x01", "a NumPy array"),
            (&tar, "a tar archive"),
            (&dicom, "a DICOM image"),
            (b"\0\0\0\x18ftypheic\0\0", "a HEIC picture"),
            (b"\0\0\0\x18ftypavif\0\0", "an AVIF picture"),
            (b"\0\0\0\x18ftypisom\0\0", "a video"),
            (b"\xef\xbb\xbf  <!DOCTYPE HTML><html>", "an HTML page"),
            (b"<?xml version=\"1.0\"?>\n<svg width=\"1\">", "an SVG drawing"),
            (b"<?xml version=\"1.0\"?><annotation>", "an XML document"),
            (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer and not the file that it stands for"),
            (b"%PDF-1.7", "a PDF document"),
            (b"\x80\x04\x95\x1a", "a Python pickle"),
            (b"words and \xc3\xa9 and a character that is cut off \xc3", "a text file"),
            (b"RIFF\0\0\0\0AVI LIST", "an audio or video file"),
        ] {
            assert_eq!(what(start), Some(wanted), "{}", String::from_utf8_lossy(start));
        }
        // Pictures and unknown files are none of these kinds.
        for start in
            [&b"\x89PNG\r\n\x1a\n"[..], b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8 ", b"P6 4 4 255\n", b"\x01\x02\x03"]
        {
            assert_eq!(what(start), None, "{start:?}");
        }
    }
}
