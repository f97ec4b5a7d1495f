//! Is this a study the model was made for? What a study does not say about itself is not held
//! against it: old scanners leave most attributes empty.

use models::weights::manifest::Envelope;

use crate::store::jobs::Facts;

/// Why a study lies outside a model's envelope, before its pixels are read; `None` when it does
/// not.
#[must_use]
pub fn outside(envelope: Option<&Envelope>, facts: &Facts) -> Option<String> {
    if !facts.modalities.is_empty() && !facts.modalities.iter().any(|m| m == "MR") {
        return Some(format!("it holds no MR series but {}", facts.modalities.join(", ")));
    }
    let envelope = envelope?;
    let part = facts.body_part.to_uppercase();
    if !(part.is_empty() || envelope.body_parts.is_empty() || envelope.body_parts.contains(&part)) {
        let known = envelope.body_parts.join(", ");
        return Some(format!("it shows {part}, and the model was made for {known}"));
    }
    if let (Some([low, high]), Some(field)) = (envelope.field_strength_t, facts.field_strength_t)
        && !(low..=high).contains(&field)
    {
        return Some(format!(
            "it was acquired at {field} T, and the model was made for {low} to {high} T"
        ));
    }
    if let (Some([low, high]), Some(age)) = (envelope.age_years, age_years(facts))
        && !(low..=high).contains(&age)
    {
        return Some(format!(
            "the patient is {age:.0} years old, and the model was made for {low} to {high} years"
        ));
    }
    None
}

/// Why the usable series are not what the model was made for; `names` are theirs.
#[must_use]
pub fn outside_by_series(envelope: Option<&Envelope>, names: &[&str]) -> Option<String> {
    let envelope = envelope?;
    if names.len() < envelope.min_series {
        return Some(format!(
            "it has {} usable series, and the model needs {}",
            names.len(),
            envelope.min_series
        ));
    }
    let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let found = |words: &Vec<String>| {
        words.iter().any(|word| names.iter().any(|name| name.contains(&word.to_lowercase())))
    };
    let missing = envelope.sequences.iter().find(|words| !found(words))?;
    Some(format!("no usable series is named after {}, which the model needs", missing.join(" or ")))
}

/// Patient's Age (PS3.5 6.2, AS: `042Y`, `018M`, `003W`, `005D`), else from the birth date.
fn age_years(facts: &Facts) -> Option<f64> {
    let (number, unit) = facts.age.split_at_checked(3).unwrap_or_default();
    if let Ok(number) = number.parse::<f64>() {
        let per_year = match unit {
            "Y" => 1.0,
            "M" => 12.0,
            "W" => 52.18,
            "D" => 365.25,
            _ => return None,
        };
        return Some(number / per_year);
    }
    let years = |date: &str| {
        let part = |from: usize, to: usize| date.get(from..to)?.parse::<f64>().ok();
        Some(part(0, 4)? + part(4, 6)? / 12.0 + part(6, 8)? / 365.25)
    };
    let age = years(&facts.study_date)? - years(&facts.birth_date)?;
    (0.0..=130.0).contains(&age).then_some(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            body_parts: vec!["BRAIN".to_owned(), "HEAD".to_owned()],
            field_strength_t: Some([0.3, 3.0]),
            age_years: Some([2.0, 110.0]),
            sequences: vec![vec!["flair".to_owned(), "t2".to_owned()]],
            min_series: 1,
        }
    }

    fn check(change: impl FnOnce(&mut Facts), expected: Option<&str>) {
        let mut facts = Facts { modalities: vec!["MR".to_owned()], ..Facts::default() };
        change(&mut facts);
        assert_eq!(outside(Some(&envelope()), &facts).as_deref(), expected);
    }

    #[test]
    fn a_study_is_held_to_what_it_says() {
        check(|_| {}, None);
        check(|f| f.modalities.clear(), None);
        check(
            |f| f.modalities = vec!["CT".to_owned(), "SR".to_owned()],
            Some("it holds no MR series but CT, SR"),
        );
        check(|f| f.body_part = "brain".to_owned(), None);
        check(
            |f| f.body_part = "KNEE".to_owned(),
            Some("it shows KNEE, and the model was made for BRAIN, HEAD"),
        );
        check(|f| f.field_strength_t = Some(1.5), None);
        check(
            |f| f.field_strength_t = Some(7.0),
            Some("it was acquired at 7 T, and the model was made for 0.3 to 3 T"),
        );
        check(|f| f.age = "042Y".to_owned(), None);
        let young = "the patient is 1 years old, and the model was made for 2 to 110 years";
        check(|f| f.age = "014M".to_owned(), Some(young));
        check(
            |f| {
                f.birth_date = "20240301".to_owned();
                f.study_date = "20250501".to_owned();
            },
            Some(young),
        );
        check(|f| f.age = "OLD".to_owned(), None);
    }

    #[test]
    fn usable_series_are_held_to_the_sequences() {
        let check = |names: &[&str], expected: Option<&str>| {
            assert_eq!(outside_by_series(Some(&envelope()), names).as_deref(), expected);
        };
        check(&["AX T1", "Ax FLAIR fs"], None);
        check(
            &["AX T1"],
            Some("no usable series is named after flair or t2, which the model needs"),
        );
        check(&[], Some("it has 0 usable series, and the model needs 1"));
    }
}
