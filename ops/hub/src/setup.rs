//! A hub's folder: made once, opened by every command.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exchange::stick::{self, StickError};
use minisign::{KeyPair, PError, PublicKey, SecretKeyBox};

use crate::authority::{Authority, AuthorityError, write_private};
use crate::blobs::{BlobError, BlobStore, Folder, Place, S3};
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, ConfigError, FILE};
use crate::db::postgres::Postgres;
use crate::db::sqlite::Sqlite;
use crate::db::{Database, DbError};
use crate::enrolment::Enrolment;
use crate::import::Keys;
use crate::receive::Hub;
use crate::store::Store;

/// Certificate and key under which boxes find the hub.
pub const HUB_CERTIFICATE: &str = "hub.pem";
/// See there.
pub const HUB_KEY: &str = "hub.key";
/// Decrypts outbox files (age).
const SECRET: &str = "age.key";
/// Signs receipts (minisign).
const SIGNING_KEY: &str = "minisign.key";
const SQLITE: &str = "hub.sqlite";
const BLOBS: &str = "blobs";

/// Why a folder was not made or opened.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The settings.
    #[error("the settings cannot be used")]
    Config(#[from] ConfigError),
    /// There is something.
    #[error("{0} is there and not empty; a hub's folder is made once")]
    Taken(PathBuf),
    /// Nobody would find it.
    #[error("say with --host by which names or addresses boxes reach the hub")]
    NoHost,
    /// A file.
    #[error("cannot {doing} {path}")]
    File {
        /// Verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What the settings name holds something else.
    #[error("{path} does not hold {expected}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What it should.
        expected: &'static str,
    },
    /// The authority.
    #[error("the authority cannot be used")]
    Authority(#[from] AuthorityError),
    /// The key of outbox files.
    #[error("the key of outbox files cannot be used")]
    Secret(#[from] StickError),
    /// The key of receipts.
    #[error("the key of receipts cannot be used")]
    Signing(#[from] PError),
    /// The database.
    #[error("the database cannot be used")]
    Database(#[from] DbError),
    /// The object store.
    #[error("the object store cannot be used")]
    Blobs(#[from] BlobError),
}

/// A hub's folder with its settings.
#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
    /// What is in force.
    pub config: Config,
}

impl Home {
    /// Makes a folder with everything that a hub needs; boxes reach it by `hosts`.
    ///
    /// # Errors
    ///
    /// When there is something, or nothing can be made there.
    pub fn create(folder: &Path, hosts: &[String]) -> Result<Self, SetupError> {
        let Some(host) = hosts.first() else { return Err(SetupError::NoHost) };
        let failed = |doing| {
            let path = folder.to_owned();
            move |source| SetupError::File { doing, path, source }
        };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed("make"))?;
        if fs::read_dir(folder).map_err(failed("read"))?.next().is_some() {
            return Err(SetupError::Taken(folder.to_owned()));
        }
        let now_ms = SystemClock.now_ms();
        let authority = Authority::create(folder, now_ms)?;
        let (key, certificate) = authority.certify_hub(hosts, now_ms)?;
        write_private(&folder.join(HUB_KEY), &key)?;
        write_private(&folder.join(HUB_CERTIFICATE), &certificate)?;
        write_private(&folder.join(SECRET), &stick::Secret::generate().to_text())?;
        let signing = KeyPair::generate_unencrypted_keypair()?.sk.to_box(None)?;
        write_private(&folder.join(SIGNING_KEY), &signing.into_string())?;
        // IPv6 addresses stand in brackets.
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let settings = format!(
            "# What differs from the built-in settings, which `hub check-config` prints.\n\
             [sites]\nurl = \"https://{host}:8443\"\n"
        );
        write_private(&folder.join(FILE), &settings)?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("sync"))?;
        let home = Self::open(folder)?;
        home.store()?;
        Ok(home)
    }

    /// A folder that was made.
    ///
    /// # Errors
    ///
    /// When its settings cannot be used.
    pub fn open(folder: &Path) -> Result<Self, SetupError> {
        let config = Config::load(Some(&folder.join(FILE)))?;
        Ok(Self { folder: folder.to_owned(), config })
    }

    /// The database.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn store(&self) -> Result<Store, SetupError> {
        let settings = &self.config.settings.database;
        let database: Arc<dyn Database> = if settings.url_file.as_os_str().is_empty() {
            Arc::new(Sqlite::open(&self.folder.join(SQLITE))?)
        } else {
            let url = read(&settings.url_file)?;
            Arc::new(Postgres::connect(url.trim(), settings.connections)?)
        };
        Ok(Store::open(database, Arc::new(SystemClock))?)
    }

    /// All that answers to sites.
    ///
    /// # Errors
    ///
    /// When database or object store cannot be opened.
    pub fn hub(&self) -> Result<Hub, SetupError> {
        let settings = &self.config.settings.blobs;
        let folder = self.folder.join(BLOBS);
        let blobs: Arc<dyn BlobStore> = if settings.s3_endpoint.is_empty() {
            Arc::new(Folder::new(&folder))
        } else {
            let file = &settings.s3_key_file;
            let text = read(file)?;
            let mut lines = text.lines().map(|line| line.trim().to_owned());
            let (Some(key), Some(secret)) = (lines.next(), lines.next()) else {
                let expected = "an access key and, on the next line, its secret";
                return Err(SetupError::Content { path: file.clone(), expected });
            };
            let place = Place {
                endpoint: settings.s3_endpoint.clone(),
                bucket: settings.s3_bucket.clone(),
                region: settings.s3_region.clone(),
                path_style: settings.s3_path_style,
                key,
                secret,
            };
            Arc::new(S3::new(&folder, place)?)
        };
        Ok(Hub::new(self.store()?, blobs, self.config.limits()))
    }

    /// Who certifies.
    ///
    /// # Errors
    ///
    /// When the files are not what they should be.
    pub fn authority(&self) -> Result<Authority, SetupError> {
        Ok(Authority::open(&self.folder)?)
    }

    /// The hub's own keys.
    ///
    /// # Errors
    ///
    /// When the files are not what they should be.
    pub fn keys(&self) -> Result<Keys, SetupError> {
        let secret = stick::Secret::parse(&read(&self.path(SECRET))?)?;
        Ok(Keys { secret, signing: read(&self.path(SIGNING_KEY))? })
    }

    /// What boxes enrol with.
    ///
    /// # Errors
    ///
    /// When the files are not what they should be.
    pub fn enrolment(&self) -> Result<Enrolment, SetupError> {
        let Keys { secret, signing } = self.keys()?;
        let signing = SecretKeyBox::from_string(&signing)?.into_unencrypted_secret_key()?;
        let public = PublicKey::from_secret_key(&signing)?.to_base64();
        Ok(Enrolment::new(self.authority()?, secret.recipient(), public))
    }

    /// A file of the folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder itself.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn read(path: &Path) -> Result<String, SetupError> {
    fs::read_to_string(path).map_err(|source| SetupError::File {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_and_opens() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("hub");
        let hosts = ["hub.test".to_owned(), "10.0.0.7".to_owned()];
        let home = Home::create(&place, &hosts).unwrap();
        assert_eq!(home.config.settings.sites.url, "https://hub.test:8443");
        let again = Home::create(&place, &hosts).unwrap_err();
        assert!(matches!(again, SetupError::Taken(_)), "{again}");
        let home = Home::open(&place).unwrap();
        let code = home.store().unwrap().add_site("a", "A").unwrap();
        let hub = home.hub().unwrap();
        assert_eq!(hub.store().site_of_code(&code, "r").unwrap(), "a");
        home.enrolment().unwrap();
        let nameless = Home::create(&folder.path().join("other"), &[]).unwrap_err();
        assert!(matches!(nameless, SetupError::NoHost));
        let wrong = Home::create(&folder.path().join("other"), &["ü".to_owned()]).unwrap_err();
        assert!(matches!(wrong, SetupError::Authority(AuthorityError::Host(_))), "{wrong}");
    }
}
