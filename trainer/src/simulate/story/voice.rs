//! Who dictates: layout, spelling, abbreviations, slips of the keyboard.

use std::collections::BTreeSet;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::patient::pick;

/// How a report is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Fragments, what is abnormal first, little else.
    Terse,
    /// A template with headings.
    Headings,
    /// Full sentences in paragraphs.
    Narrative,
    /// One line a finding.
    Bullets,
}

/// Habits of one radiologist.
#[derive(Clone, Copy, Debug)]
pub(super) struct Voice {
    pub(super) layout: Layout,
    /// "haemorrhage", not "hemorrhage".
    pub(super) british: bool,
    /// Probability that a term with a usual abbreviation is abbreviated.
    pub(super) abbreviates: f64,
    /// Probability of details that could go unsaid.
    pub(super) keep: f64,
    /// Sizes in centimetres.
    pub(super) centimetres: bool,
    /// Drops "There is a".
    pub(super) fragments: bool,
    /// Which of several ways of numbering and heading.
    pub(super) variant: usize,
}

impl Voice {
    pub(super) fn draw(rng: &mut ChaCha8Rng) -> Self {
        let layout = pick(
            rng,
            &[
                (22, Layout::Terse),
                (30, Layout::Headings),
                (28, Layout::Narrative),
                (20, Layout::Bullets),
            ],
        );
        let (abbreviates, keep, fragments) = match layout {
            Layout::Terse => (0.8, 0.65, 0.9),
            Layout::Headings => (0.3, 0.85, 0.4),
            Layout::Narrative => (0.1, 0.95, 0.0),
            Layout::Bullets => (0.5, 0.8, 0.7),
        };
        Self {
            layout,
            british: rng.random_bool(0.4),
            abbreviates,
            keep,
            centimetres: rng.random_bool(0.5),
            fragments: rng.random_bool(fragments),
            variant: rng.random_range(0..3),
        }
    }

    /// A sentence as this voice says it.
    pub(super) fn sentence(&self, sentence: &str) -> String {
        if !self.fragments {
            return sentence.to_owned();
        }
        let shorter =
            ["There is an ", "There is a ", "There is ", "There are ", "Note is made of "]
                .iter()
                .find_map(|start| sentence.strip_prefix(start));
        shorter.map_or_else(|| sentence.to_owned(), super::grammar::capital)
    }

    /// Spelling and abbreviations of a finished section.
    pub(super) fn finish(&self, text: &str, rng: &mut ChaCha8Rng) -> String {
        let mut text = text.to_owned();
        for (long, short) in ABBREVIATIONS {
            // Drawn whether or not the term occurs, so that sections do not depend on each other.
            if rng.random_bool(self.abbreviates) {
                text = replace_words(&text, long, short);
            }
        }
        if self.british { text } else { american(&text) }
    }
}

/// Terms that are often abbreviated, the longer ones first.
const ABBREVIATIONS: [(&str, &str); 24] = [
    ("subdural haematoma", "SDH"),
    ("subarachnoid haemorrhage", "SAH"),
    ("intraventricular haemorrhage", "IVH"),
    ("intraparenchymal haemorrhage", "IPH"),
    ("intracranial haemorrhage", "ICH"),
    ("arteriovenous malformation", "AVM"),
    ("multiple sclerosis", "MS"),
    ("diffuse axonal injury", "DAI"),
    ("high-grade glioma", "HGG"),
    ("low-grade glioma", "LGG"),
    ("glioblastoma", "GBM"),
    ("middle cerebral artery", "MCA"),
    ("anterior cerebral artery", "ACA"),
    ("posterior cerebral artery", "PCA"),
    ("internal carotid arteries", "ICAs"),
    ("cerebellopontine angle", "CPA"),
    ("internal auditory canal", "IAC"),
    ("status post", "s/p"),
    ("Status post", "S/p"),
    ("white matter", "WM"),
    ("grey matter", "GM"),
    ("intravenous", "IV"),
    ("greater than", ">"),
    ("follow-up", "f/u"),
];

/// British spelling and American spelling, as parts of words.
const SPELLINGS: [(&str, &str); 31] = [
    ("haem", "hem"),
    ("oedema", "edema"),
    ("tumour", "tumor"),
    ("paediatric", "pediatric"),
    ("ischaem", "ischem"),
    ("grey", "gray"),
    ("centred", "centered"),
    ("centre", "center"),
    ("favour", "favor"),
    ("neighbour", "neighbor"),
    ("artefact", "artifact"),
    ("calibre", "caliber"),
    ("visualis", "visualiz"),
    ("generalis", "generaliz"),
    ("revascularis", "revasculariz"),
    ("dilatation", "dilation"),
    ("colour", "color"),
    ("behaviour", "behavior"),
    ("aetiology", "etiology"),
    ("amenorrhoea", "amenorrhea"),
    ("paraesthesia", "paresthesia"),
    ("anaemia", "anemia"),
    ("aciclovir", "acyclovir"),
    ("bacteraemia", "bacteremia"),
    ("papilloedema", "papilledema"),
    ("diarrhoea", "diarrhea"),
    ("leucocyt", "leukocyt"),
    ("ophthalmological", "ophthalmologic"),
    ("neurological", "neurologic"),
    ("millimetre", "millimeter"),
    ("subcentimetre", "subcentimeter"),
];

/// American spelling.
pub(super) fn american(text: &str) -> String {
    // "papilloedema" contains "oedema" and is mapped by its own, shorter way.
    let mut text =
        text.replace("papilloedema", "papilledema").replace("Papilloedema", "Papilledema");
    for (british, american) in SPELLINGS {
        text = text.replace(british, american);
        text = text.replace(&super::grammar::capital(british), &super::grammar::capital(american));
        text = text.replace(&british.to_uppercase(), &american.to_uppercase());
    }
    text
}

/// Replaces whole words only.
fn replace_words(text: &str, from: &str, to: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(from) {
        out.push_str(before);
        let inside =
            out.ends_with(char::is_alphanumeric) || after.starts_with(char::is_alphanumeric);
        out.push_str(if inside { from } else { to });
        rest = after;
    }
    out + rest
}

/// Swaps two inner letters of one longer word that is not protected; now and then two words.
pub(super) fn slip(text: &str, protected: &BTreeSet<String>, rng: &mut ChaCha8Rng) -> String {
    let mut words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let candidates: Vec<usize> = (0..words.len())
        .filter(|&index| {
            let word = &words[index];
            word.len() >= 7
                && word.bytes().all(|b| b.is_ascii_lowercase())
                && !protected.iter().any(|p| word.contains(p.as_str()))
        })
        .collect();
    if candidates.is_empty() {
        return text.to_owned();
    }
    let word = &mut words[candidates[rng.random_range(0..candidates.len())]];
    let mut letters: Vec<char> = word.chars().collect();
    let at = rng.random_range(1..letters.len() - 2);
    if letters[at] == letters[at + 1] {
        letters.remove(at);
    } else {
        letters.swap(at, at + 1);
    }
    *word = letters.into_iter().collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn spelling_and_abbreviations() {
        assert_eq!(
            american("Haemorrhage with oedema; papilloedema. TUMOUR, subcentimetre."),
            "Hemorrhage with edema; papilledema. TUMOR, subcentimeter."
        );
        assert_eq!(
            replace_words("white matters, white matter", "white matter", "WM"),
            "white matters, WM"
        );
    }

    #[test]
    fn a_slip_changes_one_unprotected_word() {
        let protected = BTreeSet::from(["haemorrhage".to_owned()]);
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        for _ in 0..50 {
            let text = "No acute haemorrhage in the parenchyma today.";
            let slipped = slip(text, &protected, &mut rng);
            let changed = slipped.split(' ').zip(text.split(' ')).filter(|(a, b)| a != b).count();
            assert_eq!(changed, 1, "{slipped}");
            assert!(slipped.contains("haemorrhage"), "{slipped}");
        }
    }
}
