//! A clinical context as numbers, without a network: a box without internet has no language
//! model, and the words of a referral ("seizure", "known glioma") carry most of what there is.
//!
//! Words and pairs of neighbouring words are hashed to signed places of a vector, which is then
//! brought to length one (the hashing trick, Weinberger et al. 2009). The published model embeds
//! the context with a language model behind a network service (paper, Methods, "Prima with
//! clinical context"); a bundle names its encoder, and heads trained for one are not fed by the
//! other.

/// Name of this encoder in a manifest.
pub const ENCODER: &str = "hashed_words_v1";
/// Name that stands there for a sentence encoder in the bundle itself ([`crate::engine`]).
pub const SENTENCES: &str = "onnx_sentences_v1";

/// The embedding of `text`, `[dimension]`; `None` when the text has no word.
#[must_use]
pub fn embed(text: &str, dimension: usize) -> Option<Vec<f32>> {
    let lower = text.to_lowercase();
    let words: Vec<&str> =
        lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    if words.is_empty() || dimension == 0 {
        return None;
    }
    let mut vector = vec![0.0f32; dimension];
    let pairs = words.windows(2).map(|pair| hash(&[pair[0], " ", pair[1]]));
    for hash in words.iter().map(|word| hash(&[word])).chain(pairs) {
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        let place = usize::try_from((hash & 0xffff_ffff) % dimension as u64).unwrap_or_default();
        vector[place] += sign;
    }
    let length = vector.iter().map(|v| v * v).sum::<f32>().sqrt();
    // Words may cancel each other out; then there is nothing to tell.
    (length > 0.0).then(|| vector.into_iter().map(|v| v / length).collect())
}

/// FNV-1a over the parts, with `SplitMix64`'s finish because FNV's high bits are poor.
fn hash(parts: &[&str]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.bytes());
    let mut z = bytes.fold(0xcbf2_9ce4_8422_2325u64, |state, byte| {
        (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &str, b: &str) -> f32 {
        let (a, b) = (embed(a, 256).unwrap(), embed(b, 256).unwrap());
        a.iter().zip(&b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn spelling_of_case_and_punctuation_does_not_matter_and_words_do() {
        assert!(cosine("Seizure; known glioma", "seizure KNOWN, glioma.") > 0.999);
        assert!(cosine("known glioma, follow-up", "known glioma") > 0.5);
        assert!(cosine("headache", "known glioma") < 0.3);
        assert!((cosine("कमज़ोरी दाहिनी ओर", "कमज़ोरी दाहिनी ओर") - 1.0).abs() < 1e-5);
    }

    #[test]
    fn a_text_without_words_has_no_embedding() {
        assert_eq!(embed(" .,- ", 256), None);
        assert_eq!(embed("", 256), None);
        assert_eq!(embed("word", 0), None);
    }

    /// Heads are trained on these numbers, so they may never change.
    #[test]
    fn the_embedding_is_fixed() {
        let vector = embed("sudden headache", 16).unwrap();
        let places: Vec<_> =
            vector.iter().enumerate().filter(|(_, v)| **v != 0.0).map(|(i, v)| (i, *v)).collect();
        assert_eq!(places, PLACES);
    }

    /// Two of the three hashes meet at place 14.
    const PLACES: &[(usize, f32)] = &[(1, -0.447_213_6), (14, -0.894_427_2)];
}
