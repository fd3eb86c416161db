//! The byte alphabet of byte-level BPE: each byte has one printable character.
//!
//! Printable ASCII and Latin-1 stand for themselves, the other 68 bytes take the characters from U+0100 on,
//! in rising order. The table is GPT-2's; every byte-level `tokenizer.json` uses it.

/// The character of each byte.
pub(super) fn alphabet() -> [char; 256] {
    let mut next = 0x100;
    std::array::from_fn(|byte| {
        let itself = byte as u8;
        if matches!(itself, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
            char::from(itself)
        } else {
            let stand_in = char::from_u32(next).expect("below the surrogates");
            next += 1;
            stand_in
        }
    })
}

/// The bytes of a token, or none if a character is not of the alphabet.
pub(super) fn bytes_of(token: &str) -> Option<Vec<u8>> {
    let alphabet = alphabet();
    token
        .chars()
        .map(|c| {
            // Characters below U+0100 stand for themselves, so the search is short for most text.
            if (c as u32) < 0x100 && alphabet[c as usize] == c {
                return Some(c as u8);
            }
            alphabet.iter().position(|&a| a == c).map(|b| b as u8)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own_and_back() {
        for byte in 0..=255_u8 {
            let token = alphabet()[byte as usize].to_string();
            assert_eq!(bytes_of(&token), Some(vec![byte]));
        }
        assert_eq!(alphabet()[b' ' as usize], 'Ġ');
        assert_eq!(alphabet()[b'\n' as usize], 'Ċ');
        assert_eq!(bytes_of("▁x"), None);
    }
}
