//! Images from files: what is read, and what each file that is none is told.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType};
use reformer_images::{Images, Size, read};

fn idx(count: u32, height: u32, width: u32, values: &[u8]) -> Vec<u8> {
    let head = [count, height, width].into_iter().flat_map(u32::to_be_bytes);
    [0, 0, 8, 3].into_iter().chain(head).chain(values.iter().copied()).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn png(width: u32, height: u32, (colour, depth): (ColorType, BitDepth), samples: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(samples).unwrap();
    bytes
}

const GREY: (ColorType, BitDepth) = (ColorType::Grayscale, BitDepth::Eight);

fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn shades(images: &Images) -> Vec<Vec<u8>> {
    images.iter().map(<[u8]>::to_vec).collect()
}

/// The refusal of a file, which must name it.
fn refusal(name: &str, bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let error = read(&put(folder.path(), name, bytes)).unwrap_err().to_string();
    assert!(error.contains(name), "{error}");
    error
}

#[test]
fn idx_files_are_read_packed_or_not_line_by_line() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = idx(2, 1, 3, &[1, 2, 3, 4, 5, 6]);
    for (name, bytes) in [("a-idx3-ubyte", bytes.clone()), ("a.gz", gzip(&bytes))] {
        let images = read(&put(folder.path(), name, &bytes)).unwrap();
        assert_eq!(images.size(), Size { width: 3, height: 1 });
        assert_eq!(shades(&images), [[1, 2, 3], [4, 5, 6]]);
    }
}

#[test]
fn a_folder_of_pngs_is_one_set_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "b.png", &png(2, 1, GREY, &[3, 4]));
    put(folder.path(), "a.PNG", &png(2, 1, GREY, &[1, 2]));
    put(folder.path(), "about.txt", b"two images");
    assert_eq!(shades(&read(folder.path()).unwrap()), [[1, 2], [3, 4]]);
    assert_eq!(shades(&read(&folder.path().join("b.png")).unwrap()), [[3, 4]]);
}

#[test]
fn what_is_grey_by_its_pixels_is_read_whatever_it_is_stored_as() {
    let folder = tempfile::tempdir().unwrap();
    let forms: [((ColorType, BitDepth), &[u8]); 4] = [
        ((ColorType::Rgb, BitDepth::Eight), &[0, 0, 0, 255, 255, 255]),
        ((ColorType::Rgba, BitDepth::Eight), &[0, 0, 0, 255, 255, 255, 255, 255]),
        ((ColorType::GrayscaleAlpha, BitDepth::Eight), &[0, 255, 255, 255]),
        ((ColorType::Grayscale, BitDepth::One), &[0b0100_0000]),
    ];
    for (form, samples) in forms {
        let path = put(folder.path(), "grey.png", &png(2, 1, form, samples));
        assert_eq!(shades(&read(&path).unwrap()), [[0, 255]], "{form:?}");
    }
}

#[test]
fn a_picture_in_colour_transparent_or_of_16_bits_is_refused_with_a_way_to_convert_it() {
    let rgb = (ColorType::Rgb, BitDepth::Eight);
    let clear = (ColorType::GrayscaleAlpha, BitDepth::Eight);
    for bytes in [png(1, 1, rgb, &[1, 2, 3]), png(1, 1, clear, &[9, 128])] {
        let error = refusal("a.png", &bytes);
        assert!(error.contains("in colour or transparent") && error.contains("-colorspace Gray"), "{error}");
    }
    let deep = refusal("deep.png", &png(1, 1, (ColorType::Grayscale, BitDepth::Sixteen), &[1, 2]));
    assert!(deep.contains("16 bits a pixel") && deep.contains("-depth 8"), "{deep}");
}

#[test]
fn images_of_two_sizes_are_refused_by_name_and_both_sizes() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "a.png", &png(2, 1, GREY, &[1, 2]));
    put(folder.path(), "b.png", &png(1, 2, GREY, &[3, 4]));
    let error = read(folder.path()).unwrap_err().to_string();
    for word in ["b.png is 1 × 2", "a.png is 2 × 1", "one size"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn files_that_are_cut_short_say_what_is_missing() {
    let whole = idx(2, 2, 2, &[0; 8]);
    let error = refusal("cut", &whole[..whole.len() - 3]);
    assert!(error.contains("2 images of 2 × 2") && error.contains("8 bytes expected, 5 there"), "{error}");
    assert!(refusal("head", &whole[..10]).contains("its head takes 16 bytes, it has 10"));
    assert!(refusal("more", &[&whole[..], &[1]].concat()).contains("1 bytes behind its end"));
    let packed = gzip(&whole);
    assert!(refusal("a.gz", &packed[..packed.len() - 9]).contains("truncated gzip"));
    let picture = png(8, 8, GREY, &[7; 64]);
    for len in 8..picture.len() - 12 {
        let error = refusal("a.png", &picture[..len]);
        assert!(error.contains("damaged or truncated PNG"), "{len}: {error}");
    }
}

#[test]
fn idx_files_of_other_things_than_images_say_what_they_hold() {
    let labels = [&[0, 0, 8, 1, 0, 0, 0, 2][..], &[3, 4]].concat();
    assert!(refusal("labels", &labels).contains("one dimension, as labels have"));
    let mut floats = idx(1, 1, 1, &[0; 4]);
    floats[2] = 0x0d;
    assert!(refusal("floats", &floats).contains("32-bit floats"));
    assert!(refusal("none", &idx(0, 28, 28, &[])).contains("at least one image"));
    // Sizes whose product does not fit into a word.
    assert!(refusal("huge", &idx(u32::MAX, u32::MAX, u32::MAX, &[0; 4])).contains("cut short"));
}

#[test]
fn what_is_no_image_is_told_what_is_read() {
    for (name, bytes, word) in [
        ("text.txt", &b"hello"[..], "is no image"),
        ("photo.jpg", b"\xff\xd8\xff\xe0", "is a JPEG"),
        ("empty.png", b"", "is empty"),
    ] {
        let error = refusal(name, bytes);
        assert!(error.contains(word) && error.contains("expected"), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("without images") && error.contains(".png"), "{error}");
    put(folder.path(), "false.png", b"hello");
    let error = read(folder.path()).unwrap_err().to_string();
    assert!(error.contains("false.png is called a PNG and is none"), "{error}");
    let error = read(&folder.path().join("gone.png")).unwrap_err().to_string();
    assert!(error.contains("cannot read") && error.contains("gone.png"), "{error}");
}

#[test]
fn the_last_images_are_split_off_unless_a_part_would_be_empty() {
    let folder = tempfile::tempdir().unwrap();
    let images = read(&put(folder.path(), "a", &idx(3, 1, 1, &[1, 2, 3]))).unwrap();
    let (first, last) = images.clone().split_last(1).unwrap();
    assert_eq!((shades(&first), shades(&last)), (vec![vec![1], vec![2]], vec![vec![3]]));
    assert!([0, 3, 4].into_iter().all(|count| images.clone().split_last(count).is_none()));
}
