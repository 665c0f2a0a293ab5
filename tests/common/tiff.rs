//! A file as written by real programs, on which a decoder panicked.
#![allow(unreachable_pub)]

/// A tiled TIFF with separate colour planes, on which a decoder has panicked.
pub fn planar() -> Vec<u8> {
    let (width, height, tile) = (100u32, 40u32, 64u32);
    let tiles = width.div_ceil(tile) * height.div_ceil(tile) * 3;
    let mut body = Vec::new();
    let mut offsets = Vec::new();
    for at in 0..tiles {
        offsets.push(8 + body.len() as u32);
        body.extend(vec![40 * (at % 6) as u8; (tile * tile) as usize]);
    }
    let short =
        |values: &[u16]| (3u16, values.len() as u32, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    let long =
        |values: &[u32]| (4u16, values.len() as u32, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>());
    let tags = [
        (256u16, short(&[width as u16])),
        (257, short(&[height as u16])),
        (258, short(&[8, 8, 8])),
        (259, short(&[1])),
        (262, short(&[2])),
        (277, short(&[3])),
        (284, short(&[2])),
        (322, short(&[tile as u16])),
        (323, short(&[tile as u16])),
        (324, long(&offsets)),
        (325, long(&vec![tile * tile; tiles as usize])),
    ];
    let directory = 8 + body.len();
    let behind = directory + 2 + 12 * tags.len() + 4;
    let (mut entries, mut extra) = ((tags.len() as u16).to_le_bytes().to_vec(), Vec::new());
    for (tag, (kind, count, mut bytes)) in tags {
        entries.extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes()].concat());
        if bytes.len() > 4 {
            entries.extend(((behind + extra.len()) as u32).to_le_bytes());
            extra.extend(bytes);
        } else {
            bytes.resize(4, 0);
            entries.extend(bytes);
        }
    }
    [&b"II*\0"[..], &(directory as u32).to_le_bytes(), &body, &entries, &[0; 4], &extra].concat()
}
