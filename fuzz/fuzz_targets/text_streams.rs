//! Streamed text is the lossy text of all bytes, and stop strings do not depend on how it is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use reformer_text::{StopStrings, StreamDecoder};

fuzz_target!(|data: &[u8]| {
    let Some((&step, bytes)) = data.split_first() else { return };
    let mut stream = StreamDecoder::new();
    let mut pieces: Vec<String> =
        bytes.chunks(step as usize % 7 + 1).map(|piece| stream.push(piece)).collect();
    pieces.push(stream.flush());
    let whole = String::from_utf8_lossy(bytes);
    assert_eq!(pieces.concat(), whole);

    let stops: Vec<String> = pieces.iter().rev().take(2).map(|stop| stop.chars().take(5).collect()).collect();
    let run = |pieces: &[String]| {
        let mut watch = StopStrings::new(stops.iter().cloned());
        let mut text: String = pieces.iter().map(|piece| watch.push(piece).text).collect();
        text.push_str(&watch.flush());
        text
    };
    assert_eq!(run(&pieces), run(&[whole.into_owned()]));
});
