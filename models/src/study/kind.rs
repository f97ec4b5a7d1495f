//! What kind of sequence a name speaks of.

/// Kinds, as summaries, pretexts and the watch on scanners count them.
pub const KINDS: [&str; 11] = [
    "t1",
    "t1_contrast",
    "t2",
    "flair",
    "pd",
    "diffusion",
    "adc",
    "swi",
    "angiography",
    "perfusion",
    "other",
];

/// Words of names by kind; the first row with a word of the name decides.
const WORDS: [(&str, &[&str]); 10] = [
    ("adc", &["adc", "apparent"]),
    (
        "swi",
        &[
            "swi",
            "swan",
            "swip",
            "mip_images",
            "susceptib",
            "venbold",
            "ven_bold",
            "fsbb",
            "t2star",
            "t2_star",
            "t2*",
            "gre_t2",
            "_gre",
            " gre",
            "mpgr",
            "hemo",
            "fl2d_t2",
        ],
    ),
    ("perfusion", &["perf", "dsc", "asl", "pwi", "dce"]),
    ("angiography", &["tof", "mra", "mrv", "angio", "trick", "pc3d", "3di_mc"]),
    ("diffusion", &["dwi", "diff", "dti", "b1000", "trace", "tracew", "sdw_"]),
    ("t1", &["t1_flair", "t1 flair"]),
    ("flair", &["flair", "dark-fluid", "dark_fluid", "darkfluid"]),
    ("t2", &["t2", "ciss", "fiesta", "stir", "drive"]),
    ("pd", &["pd_", " pd", "_pd", "pdw", "proton"]),
    ("t1", &["t1", "mprage", "bravo", "spgr", "fspgr", "tfe", "vibe", "tfl"]),
];

/// Words of names of T1 after contrast agent.
const CONTRAST: [&str; 9] = ["+c", "post", "gad", "_gd", " gd", "+gd", "c+", "contrast", "_km"];

/// The kind that a series or protocol description names, contrast agent left open; `None` where
/// it says nothing.
#[must_use]
pub fn of_description(name: &str) -> Option<&'static str> {
    let name = format!(" {}", name.to_lowercase());
    let has = |(_, words): &&(&str, &[&str])| words.iter().any(|word| name.contains(word));
    WORDS.iter().find(has).map(|(kind, _)| *kind)
}

/// True when a description of a T1 sequence says that contrast agent was given.
#[must_use]
pub fn says_contrast(description: &str) -> bool {
    let text = description.to_lowercase();
    let without = ["pre", "without", "w/o", "non"].iter().any(|word| text.contains(word));
    CONTRAST.iter().any(|word| text.contains(word)) && !without
}

/// Index into [`KINDS`] of a series name as networks read it: description and protocol, joined by
/// hyphens. The protocol often names the whole examination, so only the description counts.
#[must_use]
pub fn of_name(name: &str) -> usize {
    let description = name.split('-').next().unwrap_or_default();
    let kind = match of_description(description).unwrap_or("other") {
        "t1" if says_contrast(description) => "t1_contrast",
        kind => kind,
    };
    KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::{KINDS, of_description, of_name};

    #[test]
    fn names_of_four_vendors() {
        for (name, kind) in [
            ("AX T2 FLAIR", "flair"),
            ("t2_tirm_tra_dark-fluid", "flair"),
            ("t1_mprage_sag_p2_iso", "t1"),
            ("Ax T1 SE +C", "t1"),
            ("ep2d_diff_3scan_trace_p2_ADC", "adc"),
            ("ep2d_diff_3scan_trace_p2_TRACEW", "diffusion"),
            ("Ax DWI b1000", "diffusion"),
            ("SWI_Images", "swi"),
            ("3D TOF MRA", "angiography"),
            ("AXIAL PD FSE", "pd"),
            ("sT2W_TSE", "t2"),
        ] {
            assert_eq!(of_description(name), Some(kind), "{name}");
        }
        assert_eq!(of_description("SE 500/15"), None);
    }

    #[test]
    fn the_protocol_does_not_decide() {
        for (name, kind) in [
            ("Ax_FLAIR-MRI_BRAIN_AND_MRA_HEAD_WITHOUT_CONTRAST-Protocol", "flair"),
            ("Sag_T1_SE-MRI_BRAIN_W_WO_CONTRAST-Protocol", "t1"),
            ("T1W_SE_AX_post-WIP_T1W_SE_AX_post-Protocol", "t1_contrast"),
            ("Sag_T1_FLAIR-MR_BRAIN-Protocol", "t1"),
            ("AX_GRE-WIP_AX_GRE-Protocol", "swi"),
            ("localizer", "other"),
        ] {
            assert_eq!(KINDS[of_name(name)], kind, "{name}");
        }
    }
}
