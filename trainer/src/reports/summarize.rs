//! A report as a short enumerated list of what is there: the text that CLIP aligns a study with.
//!
//! As the paper asks of its language model: positive findings only, normal structures and
//! comparison statements removed, wording kept short. Whatever tells who wrote the report and not
//! what was seen only helps a contrastive objective to cheat.

use std::sync::LazyLock;

use regex::{Regex, RegexBuilder};

use super::normal::{normalise, sentences};
use super::rules::{Rules, Verdict};
use crate::cohort::record::Report;

/// What stands for a report without positive findings.
pub const NORMAL: &str = "1. No abnormal finding.";

/// Sentences that say nothing about disease.
const NORMALS: &str = concat!(
    r"^(the |otherwise |remaining |remainder of the )?.{0,80}\b(is|are|appears?|",
    r"remains?) (otherwise |all |grossly |again |within |entirely )*(normal|unremarkable|",
    r"within normal limits|patent|preserved|intact|clear|maintained|well aerated|",
    r"symmetric|midline|age appropriate|well pneumatized|central)|^(normal|unremarkable|",
    r"negative|no|without|otherwise normal|none|preserved|patent|clear|intact)\b|",
    r"\b(normal (for age|study|examination|mri|brain|in (size|signal|appearance|caliber|",
    r"configuration|position|morphology))|within normal limits|age appropriate)\b|",
    r"^(there (is|are|was) )?(no|not any)\b",
);
/// Sentences about the examination, the reader or what to do.
const ADMINISTRATIVE: &str = concat!(
    r"\b(recommend\w*|suggest(ed)? follow up|follow up (mri|imaging|study|is)|",
    r"discussed with|communicated|notified|called to|telephon\w*|critical (result|",
    r"finding)|dictated|signed|reviewed by|personally reviewed|agree with|technique|",
    r"examination is limited|study is limited|limited by|motion (degraded|artifact)|",
    r"degraded by|artifact\w*|clinical correlation|correlat(e|ion) with|consult\w*|please|",
    r"images were|was performed|were obtained|administered|gadolinium based|",
    r"comparison (is )?made|compared (to|with)|no prior|findings as (above|described)|",
    r"see above|as described above)\b",
);
/// Words inside a sentence that compare or hedge; they go, the finding stays.
const COMPARISONS: &str = concat!(
    r"(?i),? *\b(when |as )?(compared (to|with)|since|relative to|in comparison (to|",
    r"with)) (the )?(\w+ ){0,4}(prior|previous|earlier|exam\w*|study|mri|ct|scan|imaging|",
    r"comparison)( (of|from|dated|performed|on) [\w/.,]+( \w+)?)?|,? *\b(not |un|",
    r"no )?(significantly |substantially |essentially |grossly |slightly |mildly |",
    r"markedly )?(unchanged|changed)( in (size|appearance|extent|position|number))?( from|",
    r" since| compared (to|with))?( (the )?(prior|previous|earlier)( \w+)?)?|",
    r"\bno (significant |interval )*change( in)?( the)?\b|\b(interval(ly)?|stable|",
    r"redemonstrat(ed|ion of)( (is|are))?|again (seen|noted|demonstrated)( (is|are))?|",
    r"persistent|treated|previously (seen|noted|described|demonstrated)|known|new|now|",
    r"currently|improved|worsened|worsening|progressed|progression of( the)?|(increase|",
    r"decrease)d?( in (size|number|extent))?( of( the)?)?|has (increased|decreased|",
    r"progressed|improved)( in (size|extent|number))?)\b|\bpreviously \d[\d.]* ?(mm|cm)\b",
);
/// Openings that carry nothing.
const OPENINGS: &str = concat!(
    r"(?i)^(there (is|are|was|were|has been)( again)?( seen| noted| evidence of)?|",
    r"(the )?(findings?|appearances?|features|imaging (findings|appearance)|",
    r"constellation of findings|this|these|it)( (is|are|most))* (most |more |highly |",
    r"likely )*((compatible|consistent|in keeping) with|suggest\w*|represent\w*|",
    r"suspicious for|concerning for|favou?r\w*)|evidence of|note is made of|noted is|",
    r"also (noted|seen) (is|are)|demonstrat\w+|seen is|impression|incidental(ly)?( note(d|",
    r" is made of)?)?|additional(ly)?|also|overall|again|redemonstrated|identified (is|",
    r"are)) *[:,]? *(an? |the )?",
);
/// Ends that carry nothing.
const ENDINGS: &str = concat!(
    r"(?i) *\b((is|are) )?(again )?(noted|seen|present|identified|demonstrated|observed|",
    r"visualized|visualised|appreciated|redemonstrated|as (above|described|",
    r"detailed)( above)?)$",
);
/// What a kept sentence negates at its end.
const NEGATED_TAIL: &str = concat!(
    r"(?i)[,;]? *\b(and |but )?(without|with no|no|there is no|",
    r"there are no)( \w+){0,2} (evidence|associated|significant|surrounding|definite|",
    r"acute|restricted|abnormal|mass|midline|hydrocephalus|enhancement|hemorrhage|",
    r"haemorrhage|herniation|edema|oedema|diffusion|residual|recurren\w+|susceptibility|",
    r"infarct)[^.;]*$",
);
/// Words of disease that the 52 labels do not know but a summary should.
const ABNORMAL: &str = concat!(
    r"\b(mass|lesions?|tumor|neoplasm|cysts?|infarct\w*|hemorrhag\w+|hematoma|blood|",
    r"restricted|hyperintens\w+|hypointens\w+|enhanc\w+|abnormal\w*|collections?|hygroma|",
    r"thicken\w+|stenosis|occlusion|thrombos\w+|malformation|anomaly|dysplasia|gliosis|",
    r"foci|focus|nodul\w+|expansion|defect|deformity|sinusitis|mucosal|opacif\w+|effusion|",
    r"fracture|hypertrophy|sclerosis|empyema|meningitis|lipoma|epidermoid|displace\w+|",
    r"dilat\w+|enlarg\w+|swelling|surgery|postoperative|postsurgical|post surgical|",
    r"status post|ectopia|hypoplasia|sagging|bloom\w+|susceptib\w+|microhemorrhages?|",
    r"cavum|flow voids?)\b",
);

/// Words at most in one line of a summary.
const MAX_WORDS: usize = 28;
/// Lines at most in a summary.
const MAX_LINES: usize = 12;

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(Patterns::new);

struct Patterns {
    normals: Regex,
    administrative: Regex,
    comparisons: Regex,
    openings: Regex,
    endings: Regex,
    negated_tail: Regex,
    abnormal: Regex,
}

impl Patterns {
    fn new() -> Option<Self> {
        let build = |pattern: &str| RegexBuilder::new(pattern).size_limit(1 << 26).build().ok();
        Some(Self {
            normals: build(NORMALS)?,
            administrative: build(ADMINISTRATIVE)?,
            comparisons: build(COMPARISONS)?,
            openings: build(OPENINGS)?,
            endings: build(ENDINGS)?,
            negated_tail: build(NEGATED_TAIL)?,
            abnormal: build(ABNORMAL)?,
        })
    }
}

/// Summarises a report: one numbered line per positive finding, the impression first.
///
/// Findings are added as long as they name a diagnosis that the impression does not; a report
/// without an impression is summarised from its findings. Deterministic.
#[must_use]
pub fn summarize(report: &Report, rules: &Rules) -> String {
    let Some(patterns) = PATTERNS.as_ref() else { return NORMAL.to_owned() };
    let mut lines: Vec<String> = Vec::new();
    let mut named = Vec::new();
    let has_impression = !report.impression.trim().is_empty();
    for (section, is_impression) in [(&report.impression, true), (&report.findings, false)] {
        for sentence in sentences(section) {
            let present = diagnoses(&sentence, rules);
            let adds = present.iter().any(|diagnosis| !named.contains(diagnosis));
            let main = is_impression || !has_impression;
            if !(adds || main && present.is_empty() && is_abnormal(&sentence, rules, patterns)) {
                continue;
            }
            let line = shorten(&sentence, patterns);
            if line.is_empty() || lines.contains(&line) {
                continue;
            }
            named.extend(present);
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return NORMAL.to_owned();
    }
    lines.truncate(MAX_LINES);
    let numbered = lines.iter().enumerate().map(|(i, line)| format!("{}. {line}.", i + 1));
    numbered.collect::<Vec<_>>().join("\n")
}

/// Diagnoses that a sentence affirms.
fn diagnoses(sentence: &str, rules: &Rules) -> Vec<usize> {
    let mut evidence = Vec::new();
    rules.read_sentence(sentence, &mut evidence);
    let present = evidence.iter().filter(|mention| mention.verdict.is_present());
    present.map(|mention| mention.diagnosis).collect()
}

/// Whether a sentence without any of the 52 diagnoses still describes something abnormal.
fn is_abnormal(sentence: &str, rules: &Rules, patterns: &Patterns) -> bool {
    let text = normalise(sentence);
    let mut evidence = Vec::new();
    rules.read_sentence(sentence, &mut evidence);
    let denied = evidence
        .iter()
        .any(|mention| matches!(mention.verdict, Verdict::Negated(_) | Verdict::OtherPerson(_)));
    !denied
        && patterns.abnormal.is_match(&text)
        && !patterns.normals.is_match(&text)
        && !patterns.administrative.is_match(&text)
}

/// A sentence without what compares, denies or introduces.
fn shorten(sentence: &str, patterns: &Patterns) -> String {
    let mut text = sentence.trim().trim_end_matches(['.', '!', ';', ',']).to_owned();
    for pattern in [
        &patterns.negated_tail,
        &patterns.comparisons,
        &patterns.endings,
        &patterns.openings,
        &patterns.openings,
    ] {
        text = pattern.replace_all(&text, "").trim().to_owned();
    }
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.truncate(MAX_WORDS);
    let text = words.join(" ").replace(" ,", ",");
    let text = text.trim_matches([',', ';', ':', '-', ' ', '.']);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::super::sections;
    use super::*;

    #[test]
    fn reports_become_lists_of_what_is_there() {
        let rules = Rules::built_in().unwrap();
        assert!(PATTERNS.is_some());
        let check = |text: &str, expected: &str| {
            assert_eq!(summarize(&sections::split(text), &rules), expected, "{text}");
        };
        check("FINDINGS: Ventricles are normal.\nIMPRESSION: No acute abnormality.", NORMAL);
        check(
            "FINDINGS: The ventricles are normal. There is a 2 cm extra-axial enhancing mass along \
             the left convexity with a dural tail.\n\
             IMPRESSION: 1. Stable 2 cm left convexity meningioma. 2. No acute infarct. \
             3. Recommend follow-up MRI in 12 months.",
            "1. 2 cm left convexity meningioma.",
        );
        check(
            "IMPRESSION: 1. There is a right MCA territory acute infarct without hemorrhage. \
             2. Unchanged mild chronic small vessel ischemic changes compared to the prior study.",
            "1. Right MCA territory acute infarct.\n\
             2. Mild chronic small vessel ischemic changes.",
        );
        // What only the findings say is added once; what is no label but abnormal stays.
        check(
            "FINDINGS: There is vasogenic oedema around the lesion. Orbits are unremarkable. \
             Mastoids are clear.\nIMPRESSION: Ring-enhancing lesion of the left frontal lobe.",
            "1. Ring-enhancing lesion of the left frontal lobe.\n\
             2. Vasogenic oedema around the lesion.",
        );
        check("COMPARISON: MRI with a meningioma.\nIMPRESSION: No meningioma is seen.", NORMAL);
    }

    /// A summary must not lose or gain a diagnosis.
    #[test]
    fn summaries_keep_every_diagnosis() {
        let rules = Rules::built_in().unwrap();
        let cases: toml::Table = toml::from_str(include_str!("rules/cases.toml")).unwrap();
        let mut wrong = Vec::new();
        for case in cases["case"].as_array().unwrap() {
            let report = sections::split(case["text"].as_str().unwrap());
            let summary = summarize(&report, &rules);
            let again = Report { impression: summary.clone(), ..Report::default() };
            if rules.read(&report).diagnoses != rules.read(&again).diagnoses {
                wrong.push(format!("{case}\n{summary}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }
}
