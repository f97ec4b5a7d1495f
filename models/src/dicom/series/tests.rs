use super::series_name;

#[test]
fn names_follow_the_published_rule() {
    let check = |description, protocol, expected: &str| {
        assert_eq!(series_name(description, protocol, "1.2"), expected);
    };
    check(Some("AX T2*+C"), Some("BRAIN (W/WO)"), "AX_T2_star__plus_C-BRAIN__W_WO_-Protocol");
    check(Some("COR FLAIR"), None, "COR_FLAIR");
    check(Some("SAG T1"), Some("SAG T1"), "SAG_T1");
    check(None, Some("localizer"), "localizer-Protocol");
    check(Some(""), Some(""), "UNK-1.2");
    check(None, None, "UNK-1.2");
    check(Some(" Schädel"), None, "_Sch_del");
}
