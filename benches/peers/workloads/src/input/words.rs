//! Words as they occur in a text: few of them often, most of them seldom.

use fastrand::Rng;

/// Size of [`Words::draw`]'s table: a power of two, so that a random number needs no division.
const DRAWS: usize = 1 << 16;

const SYLLABLES: [&str; 40] = [
    "a", "al", "an", "ber", "ca", "con", "da", "de", "der", "e", "en", "er", "fa", "ge", "gen", "in", "is", "ka", "la",
    "le", "li", "lo", "ma", "men", "mi", "na", "ne", "o", "or", "pa", "ra", "re", "ri", "sa", "se", "ta", "te", "ti",
    "tor", "ver",
];

/// A vocabulary whose word of rank n is drawn with a likelihood of about 1/n (Zipf's law, with Mandelbrot's shift of
/// the rank).
///
/// Invariant: every entry of `draw` is an index into `words`.
pub struct Words {
    words: Vec<String>,
    draw: Vec<u16>,
}

impl Words {
    /// Different words, at most 10 000, the same ones for the same `seed`.
    pub fn new(seed: u64, count: usize) -> Self {
        assert!((1..=10_000).contains(&count), "a vocabulary of {count} words");
        let mut random = Rng::with_seed(seed);
        let mut seen = std::collections::BTreeSet::new();
        let mut words = Vec::with_capacity(count);
        while words.len() < count {
            // Frequent words are short.
            let longest = 2 + (words.len() + 1).ilog2() / 3;
            let word: String =
                (0..random.u32(1..=longest)).map(|_| SYLLABLES[random.usize(..SYLLABLES.len())]).collect();
            if seen.insert(word.clone()) {
                words.push(word);
            }
        }
        Self { draw: zipf(count), words }
    }

    /// A word, the frequent ones more often.
    pub fn pick(&self, random: &mut Rng) -> &str {
        &self.words[usize::from(self.draw[usize::from(random.u16(..))])]
    }

    /// Adds `count` words with spaces between them to `text`, as sentences of about a dozen words.
    pub fn write(&self, random: &mut Rng, count: usize, text: &mut String) {
        let mut starts = true;
        for left in (0..count).rev() {
            let word = self.pick(random);
            if starts {
                text.push(word.as_bytes()[0].to_ascii_uppercase().into());
                text.push_str(&word[1..]);
            } else {
                text.push_str(word);
            }
            starts = left == 0 || random.u8(..12) == 0;
            text.push_str(match (starts, left == 0) {
                (_, true) => ".",
                (true, _) => ". ",
                _ if random.u8(..10) == 0 => ", ",
                _ => " ",
            });
        }
    }

    /// A text of `count` words.
    pub fn text(&self, random: &mut Rng, count: usize) -> String {
        let mut text = String::new();
        self.write(random, count, &mut text);
        text
    }
}

/// Ranks below `count`, each as often as it shall be drawn out of [`DRAWS`].
fn zipf(count: usize) -> Vec<u16> {
    let weight = |rank: usize| 1.0 / (rank as f64 + 2.7);
    let total: f64 = (0..count).map(weight).sum();
    let mut draw = Vec::with_capacity(DRAWS);
    let mut sum = 0.0;
    for rank in 0..count {
        sum += weight(rank);
        draw.resize((sum / total * DRAWS as f64) as usize, rank as u16);
    }
    draw.resize(DRAWS, 0);
    draw
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_a_low_rank_is_drawn_more_often() {
        let words = Words::new(1, 1000);
        let mut random = Rng::with_seed(2);
        let first = (0..100_000).filter(|_| words.pick(&mut random) == words.words[0]).count();
        let hundredth = (0..100_000).filter(|_| words.pick(&mut random) == words.words[99]).count();
        assert!(first > 10 * hundredth, "{first} and {hundredth}");
        assert!(hundredth > 0);
    }

    #[test]
    fn a_text_is_the_same_for_the_same_seed() {
        let words = Words::new(1, 1000);
        let text = words.text(&mut Rng::with_seed(3), 100);
        assert_eq!(text, words.text(&mut Rng::with_seed(3), 100));
        assert_eq!(text.split(' ').count(), 100);
        assert!(text.ends_with('.'));
    }
}
