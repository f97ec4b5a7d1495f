//! Passwords, secrets and rights: what a login is made of. Nothing here knows the web.

use std::collections::HashMap;
use std::hash::Hash;

use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, PasswordHasher as _, PasswordVerifier as _};
use sha2::{Digest as _, Sha256};

use crate::hex;
use crate::store::users::Role;

/// Shortest password, in characters (NIST SP 800-63B 3.1.1.2 asks for 8 beside a second factor).
pub const MIN_PASSWORD: usize = 10;
/// Longest one: nobody types more, and whoever sends more wants us to work.
pub const MAX_PASSWORD: usize = 200;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Look after the box: the system page, sending again, the kill switch of a model.
    Operate,
    /// See patients.
    Patients,
    /// Decide on a study.
    Decide,
    /// Choose models and take back a kill switch.
    Models,
    /// Say that what a scanner sends now is normal.
    Reference,
    /// Add users and keep them out.
    Users,
    /// Keep settings that change how the box is reached.
    Settings,
}

impl Right {
    /// In words that follow "may not".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Operate => "look after the box",
            Self::Patients => "see patients",
            Self::Decide => "decide on studies",
            Self::Models => "choose models",
            Self::Reference => "declare a new normal",
            Self::Users => "change users",
            Self::Settings => "keep new settings",
        }
    }
}

/// True when a role includes a right. Anybody may throw a kill switch: it is the red button.
#[must_use]
pub fn may(role: Role, right: Right) -> bool {
    match right {
        Right::Operate => true,
        Right::Patients => role != Role::Service,
        Right::Decide => matches!(role, Role::Reader | Role::Admin),
        Right::Models => matches!(role, Role::Service | Role::Admin),
        Right::Reference | Right::Users | Right::Settings => role == Role::Admin,
    }
}

/// Why something could not be made of a password.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Too short.
    #[error(
        "the password has {0} characters; at least {MIN_PASSWORD} are needed, and a few words in a row are easy to remember"
    )]
    Short(usize),
    /// Too long.
    #[error("the password has {0} characters; {MAX_PASSWORD} are the most")]
    Long(usize),
    /// The first guess of anybody.
    #[error("the password is the name; choose another one")]
    Name,
    /// The system gives no random numbers, or Argon2 no memory.
    #[error("the password could not be worked on: {0}")]
    System(String),
}

/// The hash of a password that a user chose.
///
/// # Errors
///
/// When it is too short, too long or the name, or the system fails.
pub fn hash_chosen(name: &str, password: &str) -> Result<String, AccountError> {
    let length = password.chars().count();
    if length < MIN_PASSWORD {
        return Err(AccountError::Short(length));
    }
    if length > MAX_PASSWORD {
        return Err(AccountError::Long(length));
    }
    if password.to_lowercase() == name.to_lowercase() {
        return Err(AccountError::Name);
    }
    hash(password)
}

/// Argon2id with 19 MiB and two passes (OWASP Password Storage Cheat Sheet), as a PHC string.
///
/// # Errors
///
/// When the system fails.
pub fn hash(password: &str) -> Result<String, AccountError> {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed.map(|hash| hash.to_string()).map_err(|error| AccountError::System(error.to_string()))
}

/// True when the password is that of the hash. Without a hash it works as long and is false, so
/// that the time does not tell which names there are.
#[must_use]
pub fn verify(password: &str, hashed: Option<&str>) -> bool {
    /// Of nothing that anybody could type.
    const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$rxQxXjWNe4Yhxd5OQWQivg$5RZ1jzKZjRfjgWiy7z5FRaD0BuoYWzA027SQlRfMmSw";
    let verified = PasswordHash::new(hashed.unwrap_or(NOBODY))
        .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok());
    verified && hashed.is_some()
}

/// A password for once: 16 letters and digits in groups, 80 bits, none that look alike.
///
/// # Errors
///
/// When the system gives no random numbers.
pub fn one_time_password() -> Result<String, AccountError> {
    const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";
    let letters = random::<16>()?.map(|byte| char::from(LETTERS[usize::from(byte % 32)]));
    let groups = letters.chunks(4).map(|group| group.iter().collect::<String>());
    Ok(groups.collect::<Vec<_>>().join("-"))
}

/// The code that the first visitor of a new box has to give: eight digits.
///
/// # Errors
///
/// When the system gives no random numbers.
pub fn setup_code() -> Result<String, AccountError> {
    let number = u64::from_le_bytes(random()?) % 100_000_000;
    Ok(format!("{:04}-{:04}", number / 10_000, number % 10_000))
}

/// A secret for a cookie or a token, 256 bits in hexadecimal.
///
/// # Errors
///
/// When the system gives no random numbers.
pub fn secret() -> Result<String, AccountError> {
    Ok(hex::lower(&random::<32>()?))
}

/// What is stored of a secret. It needs no salt and no slowness: nobody guesses 256 bits.
#[must_use]
pub fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

fn random<const N: usize>() -> Result<[u8; N], AccountError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| AccountError::System(error.to_string()))?;
    Ok(bytes)
}

/// Wrong guesses in a row that cost nothing: fingers slip.
const FREE: u32 = 4;
/// Longest wait. Whoever knows a name can lock its owner out no longer than that.
const LONGEST_MS: i64 = 300_000;
/// Guessers remembered at a time.
const REMEMBERED: usize = 4096;

/// Slows guessing down: each wrong guess beyond four doubles the wait, from a second on.
#[derive(Debug)]
pub struct Backoff<K> {
    /// Wrong guesses in a row, and when the next one is looked at.
    guessers: HashMap<K, (u32, i64)>,
}

impl<K> Default for Backoff<K> {
    fn default() -> Self {
        Self { guessers: HashMap::new() }
    }
}

impl<K: Clone + Eq + Hash> Backoff<K> {
    /// Milliseconds to wait before a guess is looked at.
    #[must_use]
    pub fn wait_ms(&self, key: &K, now: i64) -> i64 {
        self.guessers.get(key).map_or(0, |(_, until)| (until - now).max(0))
    }

    /// A guess was wrong.
    pub fn wrong(&mut self, key: K, now: i64) {
        if self.guessers.len() >= REMEMBERED {
            // Those whose wait has been over for the longest wait are forgotten, else who waits least.
            self.guessers.retain(|_, (_, until)| *until > now - LONGEST_MS);
        }
        if self.guessers.len() >= REMEMBERED
            && !self.guessers.contains_key(&key)
            && let Some(least) = self.guessers.iter().min_by_key(|(_, guesser)| guesser.1)
        {
            let least = least.0.clone();
            self.guessers.remove(&least);
        }
        let (wrong, until) = self.guessers.entry(key).or_default();
        *wrong += 1;
        let doublings = wrong.saturating_sub(FREE);
        let wait = if doublings == 0 { 0 } else { 500_i64 << doublings.min(20) };
        *until = now + wait.min(LONGEST_MS);
    }

    /// A guess was right.
    pub fn right(&mut self, key: &K) {
        self.guessers.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_verifies_and_no_other() {
        let hashed = hash_chosen("ada", "four words in a row").unwrap();
        assert!(hashed.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hashed}");
        assert!(verify("four words in a row", Some(&hashed)));
        assert!(!verify("four words in a raw", Some(&hashed)));
        assert!(!verify("abc", None), "the hash of nobody opens nothing");
        assert!(!verify("abc", Some("no hash")));
    }

    #[test]
    fn weak_passwords_are_refused_in_words() {
        let refused = |name, password: &str| hash_chosen(name, password).unwrap_err().to_string();
        assert!(refused("ada", "short").starts_with("the password has 5 characters; at least 10"));
        assert!(refused("ada", &"x".repeat(201)).ends_with("200 are the most"));
        assert_eq!(
            refused("Ada Lovelace", "ada lovelace"),
            "the password is the name; choose another one"
        );
    }

    #[test]
    fn secrets_differ_and_are_long() {
        let (one, other) = (secret().unwrap(), secret().unwrap());
        assert_eq!((one.len(), one == other), (64, false));
        let password = one_time_password().unwrap();
        assert_eq!((password.len(), password.matches('-').count()), (19, 3), "{password}");
        assert_ne!(password, one_time_password().unwrap());
        assert_eq!(setup_code().unwrap().len(), 9);
    }

    #[test]
    fn guessing_gets_slower_and_ends_with_a_right_one() {
        let mut backoff = Backoff::default();
        let waits: Vec<i64> = (0..16)
            .map(|_| {
                backoff.wrong("ada", 1000);
                backoff.wait_ms(&"ada", 1000)
            })
            .collect();
        assert_eq!(waits[..7], [0, 0, 0, 0, 1000, 2000, 4000]);
        assert_eq!(waits[15], LONGEST_MS);
        assert_eq!(backoff.wait_ms(&"bob", 1000), 0);
        assert_eq!(backoff.wait_ms(&"ada", 1000 + LONGEST_MS), 0);
        backoff.right(&"ada");
        backoff.wrong("ada", 1000);
        assert_eq!(backoff.wait_ms(&"ada", 1000), 0);
    }

    #[test]
    fn guessers_are_forgotten_when_there_are_too_many() {
        let mut backoff = Backoff::default();
        for guesser in 0..2 * REMEMBERED {
            backoff.wrong(guesser, 0);
        }
        assert_eq!(backoff.guessers.len(), REMEMBERED);
        backoff.wrong(usize::MAX, 2 * LONGEST_MS);
        assert_eq!(backoff.guessers.len(), 1);
    }

    #[test]
    fn only_service_sees_no_patient_and_only_admin_changes_users() {
        let having =
            |right| Role::ALL.into_iter().filter(|role| may(*role, right)).collect::<Vec<_>>();
        assert_eq!(having(Right::Operate), Role::ALL);
        assert_eq!(having(Right::Patients), [Role::Tech, Role::Reader, Role::Admin]);
        assert_eq!(having(Right::Decide), [Role::Reader, Role::Admin]);
        assert_eq!(having(Right::Models), [Role::Admin, Role::Service]);
        assert_eq!(having(Right::Reference), [Role::Admin]);
        assert_eq!(having(Right::Users), [Role::Admin]);
        assert_eq!(having(Right::Settings), [Role::Admin]);
    }
}
