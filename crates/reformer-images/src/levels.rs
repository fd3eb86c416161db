//! Shades as tokens: 256 shades of grey, or fewer levels of them.

/// How many shades are told apart, 2 to 256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Levels(usize);

impl Levels {
    /// Every shade of a byte by itself.
    pub const ALL: Self = Self(256);

    /// So many levels, if that is 2 to 256.
    pub fn new(count: usize) -> Option<Self> {
        (2..=256).contains(&count).then_some(Self(count))
    }

    /// How many there are.
    pub fn count(self) -> usize {
        self.0
    }

    /// The level whose [`Levels::shade`] is nearest, below [`Levels::count`].
    pub fn level(self, shade: u8) -> u32 {
        let last = self.0 - 1;
        ((usize::from(shade) * last + 127) / 255) as u32
    }

    /// The shade that stands for a level: 0 for the first, 255 for the last, evenly between. What is no level is white.
    pub fn shade(self, level: u32) -> u8 {
        let last = self.0 - 1;
        let level = (level as usize).min(last);
        ((level * 255 + last / 2) / last) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shade_comes_back_as_itself_of_256_levels_and_as_a_near_one_of_fewer() {
        for count in 2..=256 {
            let levels = Levels::new(count).unwrap();
            for shade in 0..=255u8 {
                let level = levels.level(shade);
                assert!((level as usize) < count);
                let off = levels.shade(level).abs_diff(shade);
                assert!(usize::from(off) <= 256 / count, "{shade} of {count} is off by {off}");
                assert_eq!(levels.level(levels.shade(level)), level, "{shade} of {count}");
            }
        }
        assert!((0..=255).all(|shade| Levels::ALL.shade(Levels::ALL.level(shade)) == shade));
    }

    #[test]
    fn one_level_and_more_than_a_byte_has_are_refused() {
        assert_eq!([0, 1, 257].map(Levels::new), [None; 3]);
    }
}
