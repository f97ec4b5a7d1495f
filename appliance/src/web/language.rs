//! The languages of the pages. Messages are in Fluent's format, one file per language in
//! `languages/`, built into the program.
//!
//! English is the reference: a message that a language lacks is shown in English. Times stay in
//! ISO form and numbers keep their decimal point in every language, so that a page reads like the
//! scanner and the reports beside it, and a value is found again by those who read another one.

use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::sync::LazyLock;

use askama::filters::{Escaper as _, Html, HtmlSafe};
use axum::Form;
use axum::extract::FromRequestParts;
use axum::extract::rejection::FormRejection;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT_LANGUAGE, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Redirect, Response};
use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::types::FluentNumber;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use models::labels::display_name;
use serde::Deserialize;
use unic_langid::LanguageIdentifier;

use super::Error;
use super::login::local;
use super::who::cookie;

#[cfg(test)]
mod tests;

/// Languages that a native speaker who works with patients has read through.
const REVIEWED: &[Language] = &[Language::En];
/// Name of the cookie.
const COOKIE_NAME: &str = "language";
/// A year.
const LASTS_S: i64 = 31_536_000;
/// How much longer than English a translation may well be, in hundredths.
const LONGER: usize = 40;

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Language {
    #[default]
    En,
    Fr,
    Es,
    Sw,
    Hi,
    /// English with accents, brackets and more letters: what shows up without them was forgotten,
    /// and what does not fit will not fit in some language either.
    Pseudo,
}

type Bundle = FluentBundle<FluentResource>;

/// In the order of [`Language::ALL`].
static BUNDLES: LazyLock<[Bundle; 6]> = LazyLock::new(|| Language::ALL.map(bundle));

fn bundle(language: Language) -> Bundle {
    // What cannot be read is left out, and a test finds it.
    let resource = FluentResource::try_new(language.source().to_owned());
    let resource = resource.unwrap_or_else(|(resource, _)| resource);
    let rules = if language == Language::Pseudo { Language::En } else { language };
    let rules: LanguageIdentifier = rules.tag().parse().unwrap_or_default();
    let mut bundle = Bundle::new_concurrent(vec![rules]);
    // Pages set names apart by `<bdi>`.
    bundle.set_use_isolating(false);
    if language == Language::Pseudo {
        bundle.set_transform(Some(accented));
    }
    bundle.add_resource(resource).unwrap_or_default();
    bundle
}

impl Language {
    /// Those that are offered.
    pub(super) const OFFERED: [Self; 5] = [Self::En, Self::Fr, Self::Es, Self::Sw, Self::Hi];
    const ALL: [Self; 6] = [Self::En, Self::Fr, Self::Es, Self::Sw, Self::Hi, Self::Pseudo];

    /// As in the attribute `lang` and in the cookie.
    pub(super) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::Sw => "sw",
            Self::Hi => "hi",
            Self::Pseudo => "qps",
        }
    }

    fn from_tag(tag: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.tag() == tag)
    }

    /// As its speakers call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::Fr => "Français",
            Self::Es => "Español",
            Self::Sw => "Kiswahili",
            Self::Hi => "हिन्दी",
            Self::Pseudo => "Pseudo",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::En | Self::Pseudo => include_str!("languages/en.ftl"),
            Self::Fr => include_str!("languages/fr.ftl"),
            Self::Es => include_str!("languages/es.ftl"),
            Self::Sw => include_str!("languages/sw.ftl"),
            Self::Hi => include_str!("languages/hi.ftl"),
        }
    }

    pub(super) fn is_reviewed(self) -> bool {
        REVIEWED.contains(&self)
    }

    /// By the cookie that somebody chose, else by what the browser asks for.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let chosen = cookie(headers, COOKIE_NAME).and_then(Self::from_tag);
        let asked = || headers.get(ACCEPT_LANGUAGE)?.to_str().ok().and_then(accepted);
        chosen.or_else(asked).unwrap_or_default()
    }

    /// The message of a key.
    pub(super) fn say(self, key: impl Into<Cow<'static, str>>) -> Sentence {
        Sentence { language: self, key: key.into(), values: Vec::new() }
    }

    /// A diagnosis by its label. Those of other models than ours are named as in English.
    pub(super) fn diagnosis(self, label: &str) -> String {
        let key = format!("diagnosis-{label}");
        let known = BUNDLES[Self::En as usize].has_message(&key);
        if known { self.say(key).to_string() } else { display_name(label) }
    }

    fn format(self, key: &str, values: &FluentArgs<'_>) -> String {
        for language in [self, Self::En] {
            let bundle = &BUNDLES[language as usize];
            if let Some(pattern) = bundle.get_message(key).and_then(|message| message.value()) {
                let text = bundle.format_pattern(pattern, Some(values), &mut Vec::new());
                return if self == Self::Pseudo { lengthened(&text) } else { text.into_owned() };
            }
        }
        key.to_owned()
    }
}

/// The best of the languages in `Accept-Language` (RFC 9110, 12.5.4) that we have. `*` is English.
fn accepted(header: &str) -> Option<Language> {
    let (mut best, mut highest) = (None, 0.0);
    for range in header.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let tag = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        let quality = quality.map_or(1.0, |number| number.parse::<f32>().unwrap_or_default());
        let primary = tag.split('-').next().unwrap_or_default();
        let language = match primary {
            "*" => Some(Language::En),
            _ => Language::OFFERED.into_iter().find(|l| l.tag().eq_ignore_ascii_case(primary)),
        };
        if language.is_some() && quality > highest {
            (best, highest) = (language, quality);
        }
    }
    best
}

impl<S: Send + Sync> FromRequestParts<S> for Language {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(&parts.headers))
    }
}

/// A message with what goes into it.
#[derive(Clone, Debug)]
pub struct Sentence {
    language: Language,
    key: Cow<'static, str>,
    values: Vec<(&'static str, Value)>,
}

#[derive(Clone, Debug)]
enum Value {
    /// Chooses the plural.
    Number(FluentNumber),
    Text(String),
    /// May run in another direction than the sentence.
    Name(String),
    /// Another message.
    Message(&'static str),
}

impl Sentence {
    /// `$n`, which chooses the plural.
    pub(super) fn n(self, n: impl Into<FluentNumber>) -> Self {
        self.number("n", n)
    }

    /// Another number that chooses a plural.
    pub(super) fn number(self, name: &'static str, number: impl Into<FluentNumber>) -> Self {
        self.set(name, Value::Number(number.into()))
    }

    pub(super) fn with(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.set(name, Value::Text(value.to_string()))
    }

    /// A name, set apart by `<bdi>` in [`html`](Self::html).
    pub(super) fn bdi(self, name: &'static str, value: impl fmt::Display) -> Self {
        self.set(name, Value::Name(value.to_string()))
    }

    /// Another message, in the same language.
    pub(super) fn message(self, name: &'static str, key: &'static str) -> Self {
        self.set(name, Value::Message(key))
    }

    fn set(mut self, name: &'static str, value: Value) -> Self {
        self.values.push((name, value));
        self
    }

    /// The same in another language.
    pub(super) fn translated(self, language: Language) -> Self {
        Self { language, ..self }
    }

    /// For a template, which shows it as it is: only the values are escaped. Without this it
    /// escapes the whole.
    pub(super) fn html(&self) -> Markup {
        Markup(self.format(|value| match value {
            Value::Number(number) => number.clone().into(),
            Value::Text(text) => escaped(text).into(),
            Value::Name(name) => format!("<bdi>{}</bdi>", escaped(name)).into(),
            Value::Message(key) => escaped(&self.language.say(*key).to_string()).into(),
        }))
    }

    fn format<'a>(&'a self, value: impl Fn(&'a Value) -> FluentValue<'a>) -> String {
        let mut values = FluentArgs::new();
        for (name, given) in &self.values {
            values.set(*name, value(given));
        }
        self.language.format(&self.key, &values)
    }
}

impl fmt::Display for Sentence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.format(|value| match value {
            Value::Number(number) => number.clone().into(),
            Value::Text(text) | Value::Name(text) => text.as_str().into(),
            Value::Message(key) => self.language.say(*key).to_string().into(),
        }))
    }
}

/// What a template shows as it is.
pub(super) struct Markup(String);

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Markup {}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    // Writing to a String cannot fail.
    Html.write_escaped_str(&mut escaped, text).unwrap_or_default();
    escaped
}

fn accented(text: &str) -> Cow<'_, str> {
    const PLAIN: &str = "AEINOUYaceinouy";
    const ACCENTED: &str = "ÅËÎÑØÜÝåçéïñöüý";
    let accent = |letter| {
        let place = PLAIN.chars().position(|plain| plain == letter);
        place.and_then(|place| ACCENTED.chars().nth(place)).unwrap_or(letter)
    };
    text.chars().map(accent).collect::<String>().into()
}

/// In brackets, and as much longer as a translation may be, in words that can be broken.
fn lengthened(text: &str) -> String {
    let more = (text.chars().count() * LONGER).div_ceil(100);
    let filling: String = " ~~~~~".chars().cycle().take(more).collect();
    format!("[{text}{filling}]")
}

/// What the form at the foot of every page sends.
#[derive(Deserialize)]
pub(super) struct Chosen {
    language: String,
    #[serde(default)]
    back: String,
}

/// Keeps the language for this browser and goes back. Open to everybody: the login page has it too.
pub(super) async fn choose(form: Result<Form<Chosen>, FormRejection>) -> Result<Response, Error> {
    let Form(Chosen { language, back }) = form?;
    let chosen = Language::from_tag(&language).ok_or_else(|| {
        let known = Language::OFFERED.map(Language::tag).join(", ");
        let said = Language::En.say("error-no-language");
        Error::Refused(said.with("language", format!("{language:?}")).with("known", known))
    })?;
    let cookie = format!(
        "{COOKIE_NAME}={}; Path=/; Max-Age={LASTS_S}; HttpOnly; SameSite=Lax",
        chosen.tag()
    );
    Ok(([(SET_COOKIE, cookie)], Redirect::to(&local(back))).into_response())
}
